"""Section 08: do better SAEs make better probes? A suite of SAEs by architecture, with controls.

Every SAE of the suite is probed in every regime on the same rows, beside two baselines. Probes of
latents are penalised by L1, as the paper's, and by L2.
"""

from functools import partial

import pandas as pd

from probing_core.experiments import shift
from probing_core.experiments.losses import compute_losses, loss_recovered
from probing_core.experiments.saes import sae_table, study_saes, study_suite
from probing_core.experiments.study import Study, once
from probing_core.experiments.units import Unit, compute_units, plan_units, stored_rows
from probing_core.profiles import Grid, SAESource, TrainedSAE
from probing_core.published import source
from probing_core.rows import to_frame
from probing_core.saes.sources import expected_l0, sae_id
from probing_core.store import Key

SECTION = "improvements"
_VERSION = 1
_GRID = Grid(k=(16, 128))
_PUBLISHED = "google/gemma-2-2b"
"""The model whose SAEs the paper's section 6 compares."""


@once
def suite_study(study: Study) -> Study:
    """The study on the first model that has a suite, else on the paper's model of this section.

    Itself where the profile has neither; then its own SAEs are the suite.
    """
    models = (study.model, *study.whole.models)
    with_suite = (model for model in models if model.suite)
    papers = (model for model in models if model.name == _PUBLISHED)
    model = next(with_suite, None) or next(papers, study.model)
    return study if model == study.model else study.on(model)


def suite_saes(study: Study) -> list[SAESource]:
    """The SAEs that are compared: the suite, or all of a model that has none."""
    return study_suite(study) or study_saes(study)


def suite_grids(study: Study) -> dict[str, Grid]:
    """What is fitted in each regime: the section's grid, at the values that the profile names."""
    own = study.profile.sections.get(SECTION, _GRID)
    own = own.model_copy(update={"methods": ("logreg", "diff_mean")})
    values = study.profile.suite_regimes or study.profile.regimes
    grids = {name: own.model_copy(update={"values": grid.values}) for name, grid in values.items()}
    return {"standard": own} | grids | {shift.REGIME: own}


@once
def plan(study: Study) -> list[Unit]:
    """Every unit of the section, for a study that has the suite; baselines first.

    L2 on latents is tried under standard conditions, on the first SAE.
    """
    saes, grids = suite_saes(study), suite_grids(study)
    planned = partial(plan_units, study, SECTION, version=_VERSION)
    l2 = grids["standard"].model_copy(update={"penalties": ("l2",)})
    units = planned("standard", l2, hooks=[], saes=saes[:1])
    for name, grid in grids.items():
        moved = shift.shifted_tags(study) if name == shift.REGIME else None
        units += planned(name, grid, hooks=[study.main_hook], saes=saes, tags=moved)
    return sorted(units, key=lambda unit: unit.source is not None)


def keys(study: Study) -> list[Key]:
    """The keys of the section's rows."""
    return [unit.key for unit in plan(suite_study(study))]


def compute(study: Study) -> None:
    """Train the suite, fit what the store lacks, and take the model's loss with each SAE."""
    own = suite_study(study)
    compute_units(own, plan(own))
    compute_losses(own, suite_saes(own))


def read(study: Study) -> pd.DataFrame:
    """The section's rows that are there."""
    own = suite_study(study)
    return stored_rows(own, plan(own))


def published_rows(study: Study) -> pd.DataFrame:
    """The published rows of the model that the paper's section 6 probes."""
    sections = ("standard", "regimes", "shift")
    parts = [source.published_rows(study.store, name, _PUBLISHED) for name in sections]
    return to_frame([]) if not any(map(len, parts)) else pd.concat(parts, ignore_index=True)


def suite_table(study: Study, rows: pd.DataFrame) -> pd.DataFrame:
    """What is known of every SAE of the suite, by ``sae_id``.

    Returns:
        Columns ``architecture``, ``control`` (missing of an SAE that is none), ``seed`` (missing
        where it is not known), ``reseed`` (whether another that differs in the seed alone comes
        first), ``width``, ``l0_asked``, ``l0``, ``explained_variance``, ``loss_recovered`` (missing
        of a model that predicts no tokens) and ``dead_latents``.
    """
    return study.either(lambda: _trained(suite_study(study), rows), lambda: _told(rows))


def _trained(study: Study, rows: pd.DataFrame) -> pd.DataFrame:
    held = set(rows["sae_id"].dropna())
    saes = [one for one in suite_saes(study) if sae_id(one) in held]
    table = sae_table(study, saes).set_index("sae_id").rename_axis(None)
    plain = [one.architecture if isinstance(one, TrainedSAE) else None for one in saes]
    table = table.assign(
        architecture=[own or name for own, name in zip(plain, table["architecture"], strict=True)],
        control=[getattr(one, "control", None) for one in saes],
        seed=[getattr(one, "seed", None) for one in saes],
        l0_asked=[expected_l0(one) for one in saes],
        loss_recovered=[loss_recovered(study, one) for one in saes],
    )
    same = ["architecture", "control", "width", "l0_asked"]
    return table.assign(reseed=table.duplicated(same))


def _told(rows: pd.DataFrame) -> pd.DataFrame:
    """What published rows say of the SAEs they hold."""
    found = rows.dropna(subset=["sae_id"]).groupby("sae_id", sort=False)
    table = found.agg(
        architecture=("sae_architecture", "first"),
        width=("sae_width", "first"),
        l0=("sae_l0", "mean"),
    )
    unknown = ("control", "seed", "explained_variance", "loss_recovered", "dead_latents")
    table = table.assign(l0_asked=table["l0"], reseed=False, **dict.fromkeys(unknown))
    return table.rename_axis(None)


def published_wins(study: Study, regime: str) -> pd.DataFrame:
    """The paper's win rates at k = 16 in a regime, where a study reads published rows.

    Returns:
        Columns ``first``, ``second``, ``wins`` (tasks), ``n``, ``k``; empty for a computed study.
    """
    nothing = pd.DataFrame(columns=["first", "second", "wins", "n", "k"])
    return study.either(lambda: nothing, lambda: _published_wins(study, regime))


def _published_wins(study: Study, regime: str) -> pd.DataFrame:
    names = {"standard": "normal", "label_noise": "corrupt", shift.REGIME: "ood"}
    wins = source.published_import(study.store).sides["win_rates"]
    here = wins[wins["name"] == f"sae_win_rate_16_{names.get(regime, regime)}"]
    tasks = len(shift.shifted_tags(study)) if regime == shift.REGIME else len(study.tags)
    won = here["win_rate"] * tasks
    return pd.DataFrame({"first": here["sae1"], "second": here["sae2"], "wins": won}).assign(
        n=tasks, k=16
    )
