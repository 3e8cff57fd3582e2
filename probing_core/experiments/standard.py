"""Section 02: plenty of clean data. Baselines at every hook, SAE probes at the main one."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from probing_core.datasets import ProbingDataset, standard_split
from probing_core.datasets.regimes import Setting
from probing_core.experiments.activations import activation_key, compute_activations
from probing_core.experiments.executor import run_units
from probing_core.experiments.fitting import Condition, fit_baselines, fit_sae_probes
from probing_core.experiments.rows import to_frame, to_table
from probing_core.experiments.saes import (
    LatentsInput,
    compute_saes,
    latents_input,
    latents_key,
    read_latents,
    study_saes,
)
from probing_core.experiments.study import Study
from probing_core.models.adapter import resolve_device
from probing_core.profiles import Profile, SAESource
from probing_core.store import Key, Store

log = logging.getLogger(__name__)
_VERSION = 3
SECTION = "standard"


@dataclass(frozen=True)
class Unit:
    """One task, one representation: a hook's activations, or an SAE's latents.

    It carries all it needs to run anywhere that sees the store.
    """

    dataset: ProbingDataset
    hook: str
    key: Key
    activations: Key
    sae: LatentsInput | None


def standard_rows(study: Study) -> pd.DataFrame:
    """Tidy rows of the section; what the store lacks is computed first."""
    compute_standard(study)
    return stored_rows(study)


def stored_rows(study: Study) -> pd.DataFrame:
    """Tidy rows that the store has already; nothing is computed."""
    tables = [study.store.read_rows(key) for key in unit_keys(study)]
    return to_frame([table for table in tables if table is not None])


def unit_keys(study: Study) -> list[Key]:
    """The keys of the section's shards."""
    return [key for _, _, _, key in _planned(study)]


def compute_standard(study: Study) -> None:
    """Fit whatever the store lacks; a damaged shard or input is rebuilt in a second round.

    Raises:
        UserError: If an SAE is not to be had or does not pass its gate.
    """
    for _ in range(2):
        lacking = [plan for plan in _planned(study) if study.store.read_rows(plan[3]) is None]
        if not lacking:
            return
        resolve_device(study.profile.probe_device)
        compute_activations(study)
        compute_saes(study)
        units = [
            Unit(
                study.datasets[tag],
                hook,
                key,
                activation_key(study, tag, hook),
                latents_input(study, tag, source) if source is not None else None,
            )
            for tag, hook, source, key in lacking
        ]
        log.info("Fitting probes: %d units of work", len(units))
        work = [(study.store.root, study.profile, study.model.name, unit) for unit in units]
        run_units(fit_unit, work, label="probes", workers=study.workers, executor=study.executor)


def _planned(study: Study) -> list[tuple[str, str, SAESource | None, Key]]:
    """Every unit of the section as (tag, hook, SAE or None, key), the costly ones first."""
    profile, grid = study.profile, study.profile.standard
    shared: dict[str, Any] = {
        "version": _VERSION,
        "protocol": profile.protocol,
        "solver": profile.solver,
        "seeds": list(grid.seeds or profile.seeds),
        "max_train": grid.max_train,
    }
    planned: list[tuple[str, str, SAESource | None, Key]] = []
    fitted = {"methods": list(grid.methods), "xgboost_draws": grid.xgboost_draws, **shared}
    for hook in study.hooks:
        for tag in study.tags:
            inputs = activation_key(study, tag, hook)
            key = Key.of("rows", f"standard-{tag}-{hook}", activations=inputs.digest, **fitted)
            planned.append((tag, hook, None, key))
    fitted = {"k": list(grid.k), "rankings": list(grid.rankings), **shared}
    for source in study_saes(study):
        for tag in study.tags:
            latents = latents_key(study, tag, source)
            key = Key.of("rows", f"standard-{latents.label}", latents=latents.digest, **fitted)
            planned.append((tag, study.main_hook, source, key))
    return planned


def fit_unit(root: Path, profile: Profile, model: str, unit: Unit) -> None:
    """Fit every probe of one unit and store its rows as one shard.

    A unit whose activations are lacking is left for the next round.
    """
    store = Store(root)
    columns = {
        "section": SECTION,
        "protocol": profile.protocol,
        "solver": profile.solver,
        "model": model,
        "hook": unit.hook,
        "dataset": unit.dataset.tag,
        "regime": "standard",
        "unit_key": unit.key.digest,
    }
    grid = profile.standard
    conditions = [
        Condition.of(_setting(profile, unit.dataset, seed), seed=seed)
        for seed in grid.seeds or profile.seeds
    ]
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


def _setting(profile: Profile, dataset: ProbingDataset, seed: int) -> Setting:
    """The standard split and its labels."""
    split = standard_split(
        dataset, protocol=profile.protocol, seed=seed, max_train=profile.standard.max_train
    )
    return Setting(split, dataset.labels[split.train].astype(np.int64))
