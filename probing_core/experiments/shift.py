"""Section 04: probes trained on a task's prompts, tested on a shifted set of them (section 3.3).

Both sides of a comparison see the same training rows. The paper's do not, which `as_published`
repeats. `UNSHIFTED` holds the same probes tested on the rest of the task itself.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from probing_core.datasets import ProbingDataset, Split
from probing_core.datasets.regimes import REGIMES, Setting
from probing_core.experiments import published
from probing_core.experiments.activations import read_activations
from probing_core.experiments.fitting import Condition, Fits, fit_baselines, fit_sae_probes
from probing_core.experiments.latents import task_latents
from probing_core.experiments.regimes import first_sae, quiver_saes
from probing_core.experiments.saes import latents_input, study_saes
from probing_core.experiments.study import Study, once
from probing_core.experiments.units import Unit, plan_units
from probing_core.profiles import Grid, SAESource
from probing_core.rows import to_frame, to_table

SECTION, UNSHIFTED, REGIME = "shift", "unshifted", "covariate_shift"
_VERSION = 1
_GRID = Grid(methods=("logreg", "diff_mean"), k=(16, 128), seeds=(42, 43, 44, 45, 46))
_FIRST, _PER_CLASS, _TRAIN = 1500, 512, 1024
"""Of how many rows of a task the published probes are trained, and with how many (PAPER B.8)."""


def plan(study: Study) -> list[Unit]:
    """Probes of every seed, and the parts of every SAE with the first, on the shifted sets."""
    return _plan(study, SECTION, REGIME, grid_of(study))


def plan_unshifted(study: Study) -> list[Unit]:
    """The same on the tasks themselves, all with the first seed."""
    return _plan(study, UNSHIFTED, "standard", first_seed(grid_of(study)))


def grid_of(study: Study) -> Grid:
    """The profile's grid of the section, or its own; five seeds if it names none."""
    grid = study.profile.sections.get(SECTION, _GRID)
    return grid.model_copy(update={"seeds": grid.seeds or _GRID.seeds})


def shifted_tags(study: Study) -> list[str]:
    """Tags of the study's tasks that have a shifted test set."""
    return [tag for tag, one in study.datasets.items() if REGIMES[REGIME].tested(one) is not None]


def first_seed(grid: Grid) -> Grid:
    """A grid with the first of its seeds alone."""
    return grid.model_copy(update={"seeds": grid.seeds[:1]})


def _plan(study: Study, section: str, regime: str, grid: Grid) -> list[Unit]:
    planned = partial(
        plan_units, study, section, regime, version=_VERSION, tags=shifted_tags(study)
    )
    return [
        *planned(first_seed(grid), hooks=[], saes=study_saes(study), parts=True),
        *planned(grid, hooks=[study.main_hook], saes=quiver_saes(study)),
    ]


@once
def as_published(study: Study) -> pd.DataFrame:
    """Rows of logistic regression and the first SAE's probes, trained as the paper trains them.

    Of a task's first 1,500 rows logistic regression gets 1,024 at random, half of each class, and
    the SAE probe the first 512 of each class (PAPER B.8). Smaller tasks give what they have, and
    published rows are what they are.
    """
    if (source := first_sae(study)) is None:
        return published.section_rows(study, SECTION)
    rows = [row for tag in shifted_tags(study) for row in _as_published(study, tag, source)]
    return to_frame([to_table(rows)])


def _as_published(study: Study, tag: str, source: SAESource) -> list[dict[str, Any]]:
    data, tested = study.dataset(tag), study.dataset(f"{tag}_shifted")
    grid = grid_of(study).model_copy(update={"methods": ("logreg",)})
    columns = {
        "section": SECTION,
        "protocol": study.profile.protocol,
        "solver": study.profile.solver,
        "model": study.model.name,
        "hook": study.main_hook,
        "dataset": tag,
        "regime": REGIME,
    }
    of_each = []
    for draw in (_at_random, first_of_each):
        found = [_condition(data, tested, draw, seed) for seed in grid.seeds]
        labels = tested.labels.astype(np.int64)
        of_each.append(Fits(grid, found, labels, study.profile.solver, columns))
    sparse = [task_latents(study, name, source) for name in (tag, tested.tag)]
    dense = [read_activations(study, name) for name in (tag, tested.tag)]
    report = latents_input(study, tag, source).report
    return [
        *fit_baselines(dense[0], dense[1], of_each[0]),
        *fit_sae_probes(sparse[0], sparse[1], of_each[1], report),
    ]


def _condition(
    data: ProbingDataset, tested: ProbingDataset, draw: Callable[..., np.ndarray], seed: int
) -> Condition:
    rows = draw(data, seed)
    setting = Setting(Split(rows, np.arange(len(tested))), data.labels[rows].astype(np.int64))
    return Condition(setting, {"seed": seed, "n_train": len(rows), "n_test": len(tested)})


def _at_random(data: ProbingDataset, seed: int) -> np.ndarray:
    """1,024 rows of the first 1,500 drawn at random, half of each class, shuffled."""
    rng = np.random.RandomState(seed)
    classes = [np.flatnonzero(data.labels[:_FIRST] == label) for label in (1, 0)]
    size = min(_TRAIN // 2, *map(len, classes))
    return rng.permutation(np.concatenate([rng.choice(c, size, replace=False) for c in classes]))


def first_of_each(data: ProbingDataset, seed: int) -> np.ndarray:
    """The first 512 rows of each class among the first 1,500, shuffled."""
    classes = [np.flatnonzero(data.labels[:_FIRST] == label)[:_PER_CLASS] for label in (1, 0)]
    return np.random.RandomState(seed).permutation(np.concatenate(classes))
