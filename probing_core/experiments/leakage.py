"""Section 09: the same probes, tested on prompts whose repeats were and were not in training.

Both sides of every pair train on the same rows (`datasets.splits`): ``size_matched`` tests them on
all other rows, as the paper does, ``leak_free`` on those that repeat no training row.
"""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from probing_core.datasets import ProbingDataset
from probing_core.datasets.duplicates import Level
from probing_core.datasets.regimes import REGIMES
from probing_core.datasets.splits import LEVELS, standard_split, unseen_rows
from probing_core.errors import UserError
from probing_core.experiments import shift
from probing_core.experiments.executor import run_units
from probing_core.experiments.improvements import suite_saes
from probing_core.experiments.regimes import quiver_saes
from probing_core.experiments.second import each_model
from probing_core.experiments.study import Study, once
from probing_core.experiments.units import Unit, compute_units, plan_units, stored_rows
from probing_core.profiles import Grid, Protocol
from probing_core.store import Key, Store

SECTION, SUITE = "leakage", "leakage_suite"
CONTROL: Protocol = "size_matched"
STRICT: Protocol = "leak_free"
_VERSION = 1
_GRID = Grid(
    methods=("logreg", "pca", "knn", "xgboost"), k=(16, 128), xgboost_draws=7, max_train=512,
    seeds=(42, 43, 44, 45, 46),
)  # fmt: skip


def grids(study: Study) -> dict[str, Grid]:
    """What is fitted in each regime: the section's grid, at the values that section 08 takes.

    Where no quivers compete it is logistic regression.
    """
    own = study.profile.sections.get(SECTION, _GRID)
    own = own.model_copy(update={"seeds": own.seeds or _GRID.seeds})
    values = study.profile.suite_regimes or study.profile.regimes
    found = {name: own.model_copy(update={"values": grid.values}) for name, grid in values.items()}
    found = {"standard": own} | found | {shift.REGIME: own}
    alone = {"methods": ("logreg",)}
    return {n: g if REGIMES[n].quiver else g.model_copy(update=alone) for n, g in found.items()}


@once
def plan(study: Study) -> list[Unit]:
    """Every unit of one model; baselines first.

    On the model that has the SAEs of section 08, one probe of each is ranked, with the first seed,
    and logistic regression and KNN see every level of repeats apart.
    """
    every, saes, hooks = grids(study), quiver_saes(study), [study.main_hook]
    planned = partial(plan_units, study, version=_VERSION)
    two = every["standard"].model_copy(update={"methods": ("logreg", "knn")})
    ranked = shift.first_seed(every["standard"])
    ranked = ranked.model_copy(update={"k": ranked.k[:1]})
    units: list[Unit] = []
    for level in (one for one in LEVELS if one != STRICT and study.model.suite):
        units += planned(SECTION, "standard", two, hooks=hooks, saes=[], protocol=level)
    for protocol in (CONTROL, STRICT):
        for name, grid in every.items():
            head = saes if REGIMES[name].quiver else saes[:1]
            units += planned(SECTION, name, grid, hooks=hooks, saes=head, protocol=protocol)
        if study.model.suite:
            suite = suite_saes(study)
            units += planned(SUITE, "standard", ranked, hooks=[], saes=suite, protocol=protocol)
    return sorted(units, key=lambda unit: unit.source is not None)


def keys(study: Study) -> list[Key]:
    """The keys of the section's rows, of both models."""
    return [unit.key for one in each_model(study) for unit in plan(one)]


def compute(study: Study) -> None:
    """Fit what the store lacks of the section, and count what repeats."""
    repeats(study)
    for one in each_model(study):
        compute_units(one, plan(one))


def read(study: Study) -> pd.DataFrame:
    """The section's rows that are there, of both models."""
    return pd.concat([stored_rows(one, plan(one)) for one in each_model(study)], ignore_index=True)


def repeats(study: Study) -> pd.DataFrame:
    """How much of a standard split repeats, a row a task; with the profile's training size.

    Kept by key: nearly equal prompts take most of a second to find.

    Returns:
        Columns ``dataset``; ``exact``, ``normalised`` and ``near``, the shares of test prompts
        that occur in training; ``n_train``, and ``n_strict`` of the protocol ``leak_free``;
        ``n_test`` and ``n_unseen``; ``conflicts``, the rows left out for both labels; and
        ``n_shifted`` and ``shifted_repeats``, the prompts of the shifted test set and those that
        repeat a training prompt.
    """
    how = {"seed": study.profile.seeds[0], "max_train": study.profile.standard.max_train}
    kept = {
        tag: Key.of("rows", f"repeats-{tag}", version=_VERSION, dataset=data.content_hash, **how)
        for tag, data in study.datasets.items()
    }
    work = [
        (study.store.root, key, study.datasets[tag], how)
        for tag, key in kept.items()
        if study.store.read_rows(key) is None
    ]
    workers, executor = study.workers, study.executor
    run_units(_repeats_unit, work, label="repeats", workers=workers, executor=executor)
    tables = (study.store.read_rows(key) for key in kept.values())
    return pa.concat_tables(table for table in tables if table is not None).to_pandas()


def _repeats_unit(root: Path, key: Key, dataset: ProbingDataset, how: dict[str, int]) -> None:
    split = standard_split(dataset, protocol="paper", **how)
    try:
        strict = standard_split(dataset, protocol=STRICT, **how)
        sizes = {"n_strict": len(strict.train), "n_unseen": len(strict.test)}
    except UserError:  # there are too few distinct prompts for one
        sizes = {"n_strict": 0, "n_unseen": 0}
    levels: tuple[Level, ...] = ("exact", "normalised", "near")
    groups = {level: dataset.groups(level) for level in levels}
    shares = {n: np.isin(g[split.test], g[split.train]).mean() for n, g in groups.items()}
    sizes |= {"n_train": len(split.train), "n_test": len(split.test)}
    sizes |= {"conflicts": int(dataset.conflicting.sum()), "n_shifted": 0, "shifted_repeats": 0}
    if shifted := REGIMES[shift.REGIME].tested(dataset):
        seen = len(shifted) - len(unseen_rows(dataset, split.train, shifted))
        sizes |= {"n_shifted": len(shifted), "shifted_repeats": seen}
    row = pd.DataFrame([{"dataset": dataset.tag} | shares | sizes])
    Store(root).write_rows(key, pa.Table.from_pandas(row, preserve_index=False))
