"""Section 02: plenty of clean data. Baselines at every hook, SAE probes at the main one."""

from typing import Any

import pandas as pd

from probing_core.experiments import units
from probing_core.experiments.activations import activation_key
from probing_core.published.source import import_key, published_rows
from probing_core.experiments.saes import latents_key, study_saes
from probing_core.experiments.study import Study
from probing_core.experiments.units import STANDARD, Plan
from probing_core.store import Key

_VERSION = 3
SECTION = "standard"


def standard_rows(study: Study) -> pd.DataFrame:
    """Tidy rows of the section; what the store lacks is computed first.

    Raises:
        UserError: If an SAE is not to be had, or published rows were not imported.
    """
    compute_standard(study)
    return stored_rows(study)


def stored_rows(study: Study) -> pd.DataFrame:
    """Tidy rows that the store has already; nothing is computed."""
    if study.published:
        return published_rows(study, SECTION)
    return units.stored_rows(study, _planned(study))


def unit_keys(study: Study) -> list[Key]:
    """The keys of the section's shards."""
    if study.published:
        return [import_key(study)]
    return [plan.key for plan in _planned(study)]


def compute_standard(study: Study) -> None:
    """Fit whatever the store lacks; a damaged shard or input is rebuilt in a second round.

    Raises:
        UserError: If an SAE is not to be had or does not pass its gate.
    """
    if study.published:
        return
    units.compute_plans(study, lambda: _planned(study), section=SECTION, label="probes")


def _planned(study: Study) -> list[Plan]:
    """Every unit of the section, the costly ones first."""
    profile, grid = study.profile, study.profile.standard
    shared: dict[str, Any] = {
        "version": _VERSION,
        "protocol": profile.protocol,
        "solver": profile.solver,
        "seeds": list(grid.seeds or profile.seeds),
        "max_train": grid.max_train,
    }
    planned: list[Plan] = []
    fitted = {"methods": list(grid.methods), "xgboost_draws": grid.xgboost_draws, **shared}
    for hook in study.hooks:
        for tag in study.tags:
            inputs = activation_key(study, tag, hook)
            key = Key.of("rows", f"standard-{tag}-{hook}", activations=inputs.digest, **fitted)
            planned.append(Plan(STANDARD, grid, tag, hook, None, key))
    fitted = {"k": list(grid.k), "rankings": list(grid.rankings), **shared}
    for source in study_saes(study):
        for tag in study.tags:
            latents = latents_key(study, tag, source)
            key = Key.of("rows", f"standard-{latents.label}", latents=latents.digest, **fitted)
            planned.append(Plan(STANDARD, grid, tag, study.main_hook, source, key))
    return planned
