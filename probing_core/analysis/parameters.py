"""The values that a page's parameters can have: checked alike in batch and in a notebook."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from probing_core.analysis.architectures import QUALITIES
from probing_core.analysis.quiver import KS, TIES
from probing_core.datasets import TASKS
from probing_core.datasets.regimes import REGIMES
from probing_core.errors import UserError, nearest
from probing_core.experiments.regimes import quiver_names, regrid
from probing_core.experiments.study import Study
from probing_core.saes.selection import RANKINGS


def known_ks(study: Study) -> list[int]:
    """Numbers of latents that some SAE probe of the study keeps, and the paper's."""
    profile = study.profile
    grids = (profile.standard, *profile.regimes.values(), *profile.sections.values())
    return sorted({*KS, *(k for grid in grids for k in grid.k)})


def _paper_tasks(study: Study) -> list[str]:
    return [*TASKS, *study.tags]


@dataclass(frozen=True)
class Parameter:
    """What a parameter looks like, and what it or each of its elements may be; all if ``None``."""

    example: Any
    choices: Callable[[Study], Collection[Any]] | None = None
    may_be_empty: bool = True


PARAMETERS = {
    "profile": Parameter("quick"),
    "store": Parameter("store"),
    "model": Parameter("minilm"),
    "second_model": Parameter("smollm2"),
    "tasks": Parameter(["my-task.csv"]),
    "figures": Parameter("figures"),
    "ranking": Parameter(RANKINGS[0], lambda study: RANKINGS),
    "tie_policy": Parameter(TIES[0], lambda study: TIES),
    "quiver_k": Parameter([*KS], known_ks, may_be_empty=False),
    "bar_k": Parameter(KS[-1], known_ks),
    "quiver_saes": Parameter(["*l0_16"]),
    "regimes": Parameter(["scarcity"], lambda study: study.profile.regimes),
    "grids": Parameter({"imbalance": [0.25, 0.5]}),
    "seeds": Parameter([1, 2, 3]),
    "as_published": Parameter(True),
    "win_regime": Parameter("standard", lambda study: REGIMES, may_be_empty=False),
    "margin": Parameter(0.005),
    "quality": Parameter("loss_recovered", lambda study: QUALITIES, may_be_empty=False),
    "pruned_tasks": Parameter(["66_living-room"], _paper_tasks),
    "card_task": Parameter("66_living-room", _paper_tasks, may_be_empty=False),
    "card_model": Parameter("smollm2"),
    "council": Parameter("council", may_be_empty=False),
    "council_task": Parameter("87_glue_cola", _paper_tasks, may_be_empty=False),
    "judged": Parameter(200, may_be_empty=False),
    "planted_task": Parameter("66_living-room", _paper_tasks, may_be_empty=False),
    "planted_share": Parameter(0.2),
    "shortcut_task": Parameter("110_aimade_humangpt3", _paper_tasks, may_be_empty=False),
    "direction_prompts": Parameter(20, may_be_empty=False),
    "judges": Parameter(["offline"]),
    "translations": Parameter("mine.csv"),
}

_KINDS = {
    bool: "true or false",
    str: "text",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "a mapping",
}


def check_parameters(study: Study, values: Mapping[str, Any]) -> None:
    """Refuse values that a study cannot have, before anything is computed with them.

    `values` are parameters by name, such as a notebook's globals; what is not in `PARAMETERS` may
    be anything.

    Raises:
        UserError: Naming the parameter, the value, and the nearest right one.
    """
    for name, value in values.items():
        if (known := PARAMETERS.get(name)) is None:
            continue
        if not _alike(value, known.example) or not (value or known.may_be_empty):
            kind = _KINDS[type(known.example)]
            raise UserError(
                f"Parameter '{name}' is {kind} such as {known.example!r}, not {value!r}."
            )
        choices = known.choices(study) if known.choices else None
        for one in value if isinstance(value, list) else [value]:
            if choices is not None and one not in choices:
                raise UserError(f"Parameter '{name}' cannot be {one!r}. {_hint(one, choices)}")
    grid = [values.get(name) or () for name in ("grids", "seeds", "quiver_saes")]
    if any(grid):
        quiver_names(regrid(study, dict(grid[0]), *grid[1:]))


def _alike(value: Any, example: Any) -> bool:
    """Whether a value has the type of an example, and all of its elements that of its first."""
    if type(value) is not type(example):
        return isinstance(example, float) and type(value) is int
    if isinstance(example, dict):
        ((key, one),) = example.items()
        return all(_alike(k, key) and _alike(v, one) for k, v in value.items())
    return not isinstance(example, list) or all(_alike(one, example[0]) for one in value)


def _hint(value: Any, choices: Collection[Any]) -> str:
    """Name the nearest choice, of numbers by size."""
    if isinstance(value, str):
        return nearest(value, choices)
    return f"Did you mean {min(choices, key=lambda one: abs(one - value))}?"
