"""Section 05: the same study on a second model, and probes at other positions (appendix F)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from probing_core.errors import UserError, nearest
from probing_core.experiments import published, regimes, shift, standard
from probing_core.experiments.study import Study, once
from probing_core.experiments.units import Unit, compute_units, plan_units, stored_rows
from probing_core.profiles import Grid
from probing_core.rows import to_frame
from probing_core.store import Key

SECTION, POSITIONS = "second", "positions"
_VERSION = 1
_PROBE = Grid(methods=("logreg",))


@once
def each_model(study: Study) -> list[Study]:
    """The study, and the one on its second model if the profile has one."""
    other = second_study(study)
    return [study, other] if other else [study]


def second_study(study: Study, name: str = "") -> Study | None:
    """The study on another model of the profile: by name, else the first that has SAEs.

    ``None`` where the profile has no other.

    Raises:
        UserError: If the profile has no such model besides the study's own.
    """
    others = {one.name: one for one in study.whole.models if one.name != study.model.name}
    if name and name not in others:
        raise UserError(f"'{name}' is no second model here. {nearest(name, others)}")
    with_saes = (one for one in others.values() if one.saes or study.profile.source == "published")
    if (model := others.get(name) or next(with_saes, None)) is None:
        return None
    return study.on(model)


def study_of(study: Study, name: str) -> Study:
    """The study on another model of the profile, if it has one of that name; else the study."""
    others = {one.name for one in study.whole.models} - {study.model.name}
    return (second_study(study, name) if name in others else None) or study


@dataclass(frozen=True)
class ModelRun:
    """The rows of one model, what its quiver compares, and its probes by position.

    `shallow` is the first block that is probed; `positions` are rows of logistic regression under
    standard conditions at the main hook.
    """

    model: str
    rows: pd.DataFrame
    positions: pd.DataFrame
    hook: str
    shallow: str
    sae_ids: Sequence[str]

    @property
    def arrows(self) -> dict[str, Any]:
        """What compares its quivers, as options."""
        return {"hook": self.hook, "sae_ids": self.sae_ids}


def model_run(study: Study | None, rows: pd.DataFrame) -> ModelRun:
    """Take one study's rows out of those of several models; without a study there are none."""
    if study is None:
        return ModelRun("no second model", rows.iloc[:0], rows.iloc[:0], "", "", ())
    here = rows[(rows["model"] == study.model.name) & (rows["section"] != shift.UNSHIFTED)]
    probed = (here["hook"] == study.main_hook) & (here["regime"] == "standard")
    hooks, names = study.model.hooks, regimes.quiver_names(study)
    return ModelRun(
        study.model.name,
        here[here["section"] != POSITIONS],
        here[probed & (here["method"] == "logreg")],
        study.main_hook,
        hooks[1] if len(hooks) > 1 else study.main_hook,
        names,
    )


def keys(study: Study, model: str = "") -> list[Key]:
    """The keys of all rows of the section, for the second model of that name or the first."""
    return [unit.key for _, units in _parts(study, model) for unit in units]


def compute(study: Study, model: str = "") -> None:
    """Fit what the store lacks of the section."""
    for one, units in _parts(study, model):
        compute_units(one, units)


def read(study: Study, model: str = "") -> pd.DataFrame:
    """Rows of the second model, and of both at other positions."""
    parts = [stored_rows(one, units) for one, units in _parts(study, model)]
    return pd.concat(parts, ignore_index=True) if parts else to_frame([])


def published_rows(study: Study, model: str = "") -> pd.DataFrame:
    """The published rows of the second model; there are none under covariate shift."""
    if (other := second_study(study, model)) is None:
        return to_frame([])
    parts = [published.section_rows(other, standard.SECTION), published.regime_rows(other)]
    return pd.concat(parts, ignore_index=True)


def _parts(study: Study, model: str) -> Iterator[tuple[Study, list[Unit]]]:
    """Studies and their units, those of one section at a time."""
    if other := second_study(study, model):
        for plan in (standard.plan, regimes.plan, shift.plan, shift.plan_unshifted):
            yield other, plan(other)
    for one in filter(None, (study, other)):
        yield one, _positions(one)


@once
def _positions(study: Study) -> list[Unit]:
    """Logistic regression at the main hook and the model's other positions."""
    units: list[Unit] = []
    for position in study.model.other_positions:
        units += plan_units(
            study,
            POSITIONS,
            "standard",
            _PROBE,
            version=_VERSION,
            hooks=[study.main_hook],
            saes=[],
            position=position,
        )
    return units
