"""Section 03: scarce, imbalanced and mislabelled data.

One unit of work is a task, a representation and a regime. Activations and latents are those of the
standard regime; here rows and labels are chosen anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from probing_core.datasets.regimes import REGIMES
from probing_core.errors import UserError, nearest
from probing_core.experiments import units
from probing_core.experiments.activations import activation_key
from probing_core.published.source import (
    import_key,
    published_rows,
    published_saes,
    rows_on_grid,
)
from probing_core.experiments.saes import latents_key, study_saes
from probing_core.experiments.study import Study
from probing_core.experiments.units import Plan
from probing_core.profiles import RegimeGrid, SAESource
from probing_core.saes.sources import expected_l0, matching, sae_id, width_name
from probing_core.store import Key

_VERSION = 1
SECTION = "regimes"


def regime_rows(study: Study, regimes: Sequence[str] = ()) -> pd.DataFrame:
    """Tidy rows of some regimes, all by default; what the store lacks is computed first.

    Raises:
        UserError: If the profile has no such regime, an SAE is not to be had, or published rows
            were not imported or lack a value or seed that is asked for.
    """
    compute_regimes(study, regimes)
    return stored_rows(study, regimes)


def stored_rows(study: Study, regimes: Sequence[str] = ()) -> pd.DataFrame:
    """Tidy rows that the store has already; nothing is computed."""
    if study.published:
        _check(study, regimes)
        return rows_on_grid(study, published_rows(study, SECTION), regimes)
    return units.stored_rows(study, _planned(study, regimes))


def unit_keys(study: Study, regimes: Sequence[str] = ()) -> list[Key]:
    """The keys of the section's shards."""
    if study.published:
        return [import_key(study)]
    return [plan.key for plan in _planned(study, regimes)]


def compute_regimes(study: Study, regimes: Sequence[str] = ()) -> None:
    """Fit whatever the store lacks; a damaged shard or input is rebuilt in a second round.

    Raises:
        UserError: If the profile has no such regime, or an SAE is not to be had.
    """
    if study.published:
        return
    units.compute_plans(
        study, lambda: _planned(study, regimes), section=SECTION, label="probes in the regimes"
    )


def regrid(
    study: Study,
    grids: Mapping[str, Sequence[float]],
    seeds: Sequence[int] = (),
    saes: Sequence[str] = (),
) -> Study:
    """The same study with other values in some regimes, or other seeds or SAEs in all of them.

    Args:
        study: The study.
        grids: Values by regime; the others keep theirs.
        seeds: Split seeds; empty keeps the profile's.
        saes: SAEs of the quiver, as ids or patterns; head to head the first. Empty keeps the
            profile's.

    Raises:
        UserError: If there is no such regime, or a grid is empty.
    """
    found = dict(study.profile.regimes)
    for name, values in grids.items():
        if name not in REGIMES:
            raise UserError(f"There is no regime '{name}'. {nearest(name, REGIMES)}")
        if not values:
            raise UserError(f"The grid of '{name}' is empty: give at least one value.")
        known = found.get(name) or RegimeGrid(values=tuple(values))
        found[name] = known.model_copy(update={"values": tuple(float(v) for v in values)})
    if seeds:
        found = {
            name: grid.model_copy(update={"seeds": tuple(seeds)}) for name, grid in found.items()
        }
    model = study.model.model_copy(update={"quiver_saes": tuple(saes)}) if saes else study.model
    profile = study.profile.model_copy(update={"regimes": found})
    return replace(study, profile=profile, model=model)


def quiver_saes(study: Study) -> list[SAESource]:
    """The SAEs that compete in the regimes: those the model's profile names, else one a width.

    The first one meets logistic regression where no quivers compete. Of each width it is the
    one with the largest L0 (PAPER B.6).

    Raises:
        UserError: If a name of the profile fits no SAE of the model.
    """
    known = {sae_id(source): source for source in study_saes(study)}
    if wanted := study.model.quiver_saes:
        return [known[name] for name in matching(known, wanted)]
    best: dict[str, SAESource] = {}
    for source in known.values():
        other = best.get(width_name(source))
        if other is None or (expected_l0(source) or 0.0) > (expected_l0(other) or 0.0):
            best[width_name(source)] = source
    return list(best.values())


def quiver_names(study: Study) -> list[str]:
    """Ids of `quiver_saes`, as rows name them; of published rows, the SAEs that these hold."""
    if study.published:
        return published_saes(study)
    return [sae_id(source) for source in quiver_saes(study)]


def _planned(study: Study, regimes: Sequence[str]) -> list[Plan]:
    """Every unit of the section, the costly ones first."""
    _check(study, regimes)
    profile = study.profile
    planned: list[Plan] = []
    saes = quiver_saes(study)
    for name in regimes or profile.regimes:
        grid = profile.regimes[name]
        fields: dict[str, Any] = {
            "version": _VERSION,
            "regime": name,
            "values": list(grid.values),
            "protocol": profile.protocol,
            "solver": profile.solver,
            "seeds": list(grid.seeds or profile.seeds),
            "max_train": grid.max_train or profile.standard.max_train,
        }
        fitted = {"methods": list(grid.methods), "xgboost_draws": grid.xgboost_draws}
        probed = {"k": list(grid.k), "rankings": list(grid.rankings)}
        for tag in study.tags:
            inputs = activation_key(study, tag, study.main_hook)
            label = f"{name}-{tag}-{study.main_hook}"
            key = Key.of("rows", label, activations=inputs.digest, **fitted, **fields)
            planned.append(Plan(name, grid, tag, study.main_hook, None, key))
            # One probe meets one baseline where no quivers compete.
            for source in saes if REGIMES[name].quiver else saes[:1]:
                latents = latents_key(study, tag, source)
                label = f"{name}-{latents.label}"
                key = Key.of("rows", label, latents=latents.digest, **probed, **fields)
                planned.append(Plan(name, grid, tag, study.main_hook, source, key))
    return sorted(planned, key=lambda plan: plan.source is not None)


def _check(study: Study, regimes: Sequence[str]) -> None:
    """Refuse regimes that do not exist, or that the profile has no grid for."""
    profile = study.profile
    for name in (*profile.regimes, *regimes):
        if name not in REGIMES:
            raise UserError(f"There is no regime '{name}'. {nearest(name, REGIMES)}")
    if absent := [name for name in regimes if name not in profile.regimes]:
        raise UserError(f"Profile '{profile.name}' has no grid for the regime '{absent[0]}'.")
