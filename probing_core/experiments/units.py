"""Units of work: one task and representation in one regime, planned, computed and stored as rows.

What the sections that fit probes share. A section plans its units and names their keys; here
their inputs are computed and what the store lacks is fitted.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from probing_core.datasets import ProbingDataset, standard_split
from probing_core.datasets.regimes import REGIMES, Draw, Setting
from probing_core.errors import UserError
from probing_core.experiments.activations import activation_key, compute_activations
from probing_core.experiments.executor import run_units
from probing_core.experiments.fitting import Condition, fit_baselines, fit_sae_probes
from probing_core.rows import to_frame, to_table
from probing_core.experiments.saes import LatentsInput, compute_saes, latents_input, read_latents
from probing_core.experiments.study import Study
from probing_core.models.adapter import resolve_device
from probing_core.profiles import Profile, RegimeGrid, SAESource, StandardGrid
from probing_core.store import Key, Store

log = logging.getLogger(__name__)
STANDARD = "standard"
"""The regime of plenty of clean data; the others are those of `REGIMES`."""


@dataclass(frozen=True)
class Plan:
    """A unit of work as a section plans it, before its inputs exist.

    Attributes:
        regime: `STANDARD`, or a name in `REGIMES`.
        grid: What is fitted.
        tag: The task.
        hook: Where its activations are read; the main hook for an SAE.
        source: The SAE, or ``None`` for baselines on activations.
        key: Where its rows go.
    """

    regime: str
    grid: StandardGrid | RegimeGrid
    tag: str
    hook: str
    source: SAESource | None
    key: Key


@dataclass(frozen=True)
class Unit:
    """One task and representation in one regime: every value and seed of its grid.

    It carries all it needs to run anywhere that sees the store: a `Plan` with its inputs, an SAE's
    latents or, without an SAE, activations.
    """

    section: str
    regime: str
    grid: StandardGrid | RegimeGrid
    dataset: ProbingDataset
    key: Key
    activations: Key
    sae: LatentsInput | None


def compute_plans(
    study: Study, plan: Callable[[], list[Plan]], *, section: str, label: str
) -> None:
    """Fit whatever the store lacks; a damaged shard or input is rebuilt in a second round.

    Args:
        study: The study.
        plan: Gives the section's units, the costly ones first; asked anew in every round.
        section: What the rows name as their section.
        label: What log and progress bar say is fitted.

    Raises:
        UserError: If an SAE is not to be had or does not pass its gate.
    """
    for _ in range(2):
        lacking = [one for one in plan() if study.store.read_rows(one.key) is None]
        if not lacking:
            return
        resolve_device(study.profile.probe_device)
        compute_activations(study)
        compute_saes(study)
        units = [_unit(study, one, section) for one in lacking]
        log.info("Fitting %s: %d units of work", label, len(units))
        work = [(study.store.root, study.profile, study.model.name, unit) for unit in units]
        run_units(fit_unit, work, label=label, workers=study.workers, executor=study.executor)


def stored_rows(study: Study, plans: Sequence[Plan]) -> pd.DataFrame:
    """Tidy rows of the units that the store has already; nothing is computed."""
    tables = [study.store.read_rows(plan.key) for plan in plans]
    return to_frame([table for table in tables if table is not None])


def fit_unit(root: Path, profile: Profile, model: str, unit: Unit) -> None:
    """Fit every probe of one unit and store its rows as one shard.

    A unit whose activations are lacking is left for the next round.

    Args:
        root: The store's folder.
        profile: Gives protocol, solver, seeds and device.
        model: The model's name, for the rows.
        unit: What to fit.

    Raises:
        UserError: If the task is too small for the standard split.
    """
    store = Store(root)
    grid, conditions = unit.grid, conditions_of(profile, unit.dataset, unit.regime, unit.grid)
    columns = {
        "section": unit.section,
        "protocol": profile.protocol,
        "solver": profile.solver,
        "model": model,
        "hook": unit.activations.fields["hook"],
        "dataset": unit.dataset.tag,
        "regime": unit.regime,
        "unit_key": unit.key.digest,
    }
    if unit.sae is None:
        stored = store.read_arrays(unit.activations)
        if stored is None:
            return
        rows = fit_baselines(
            stored[0]["activations"],
            unit.dataset,
            conditions,
            methods=grid.methods,
            xgboost_draws=grid.xgboost_draws,
            profile=profile,
            columns=columns,
        )
    else:
        latents = read_latents(store, unit.sae)
        if latents is None:
            return
        rows = fit_sae_probes(
            latents,
            unit.dataset,
            conditions,
            ks=grid.k,
            rankings=grid.rankings,
            report=unit.sae.report,
            profile=profile,
            columns=columns,
        )
    store.write_rows(unit.key, to_table(rows))


def conditions_of(
    profile: Profile, dataset: ProbingDataset, regime: str, grid: StandardGrid | RegimeGrid
) -> list[Condition]:
    """Every seed and value of a grid; where the task has too few prompts, the reason why.

    Args:
        profile: Gives protocol, and seeds and size where the grid has none of its own.
        dataset: The task.
        regime: `STANDARD`, which has no values, or a name in `REGIMES`.
        grid: Its seeds and values.

    Returns:
        One condition a seed and value, in that order.

    Raises:
        UserError: If the task is too small for the standard split.
        TypeError: If the regime has values and the grid has none.
    """
    seeds = grid.seeds or profile.seeds
    if regime == STANDARD:
        return [Condition.of(_standard(profile, dataset, seed), seed=seed) for seed in seeds]
    if not isinstance(grid, RegimeGrid):
        raise TypeError(f"the regime '{regime}' needs a grid with values")
    conditions = []
    for seed in seeds:
        how = Draw(profile.protocol, seed, grid.max_train or profile.standard.max_train)
        for value in grid.values:
            columns = {"seed": seed, "regime_value": value}
            try:
                setting = REGIMES[regime].draw(dataset, value, how)
            except UserError as error:
                reason = str(error).removeprefix(f"{dataset.tag}: ")
                conditions.append(Condition(None, columns, reason))
            else:
                conditions.append(Condition.of(setting, **columns))
    return conditions


def _unit(study: Study, plan: Plan, section: str) -> Unit:
    """A planned unit with its inputs, which the store has by now."""
    sae = latents_input(study, plan.tag, plan.source) if plan.source is not None else None
    activations = activation_key(study, plan.tag, plan.hook)
    dataset = study.datasets[plan.tag]
    return Unit(section, plan.regime, plan.grid, dataset, plan.key, activations, sae)


def _standard(profile: Profile, dataset: ProbingDataset, seed: int) -> Setting:
    """The standard split and its labels."""
    split = standard_split(
        dataset, protocol=profile.protocol, seed=seed, max_train=profile.standard.max_train
    )
    return Setting(split, dataset.labels[split.train].astype(np.int64))
