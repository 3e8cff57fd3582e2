"""Units of work: one task and representation in one regime, planned, computed and stored as rows.

What the sections that fit probes share. A section says which regimes, hooks and SAEs it wants;
here its units are planned, their inputs are computed, and what the store lacks is fitted. A unit
has training rows and test rows, which may be those of another task.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from probing_core.datasets import ProbingDataset, Split
from probing_core.datasets.regimes import REGIMES, Draw
from probing_core.datasets.splits import LEVELS, kept_together, protocol_key, unseen_rows
from probing_core.errors import UserError
from probing_core.experiments.activations import activation_key, compute_activations
from probing_core.experiments.executor import run_units
from probing_core.experiments.fitting import (
    Condition,
    Fits,
    fit_baselines,
    fit_parts,
    fit_sae_probes,
)
from probing_core.experiments.saes import (
    LatentsInput,
    compute_latents,
    compute_saes,
    latents_input,
    latents_key,
    read_latents,
    read_parts,
)
from probing_core.experiments.study import Study
from probing_core.probes.compile import compile_kernels
from probing_core.profiles import Grid, ModelProfile, Profile, Protocol, SAESource
from probing_core.rows import to_frame, to_table
from probing_core.saes.gate import GateReport
from probing_core.saes.sources import sae_id
from probing_core.store import Key, Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Unit:
    """A unit of work as a section plans it, before its inputs exist.

    The task `tag` trains and `tested` tests: the same one, or its shifted test set. Without an SAE
    (`source`) baselines read activations at `hook`.
    """

    section: str
    regime: str
    grid: Grid
    tag: str
    tested: str
    hook: str
    position: str
    source: SAESource | None
    key: Key
    protocol: Protocol
    parts: bool = False
    """Whether its probes read what the SAE reconstructs and what it misses, not its latents."""


@dataclass(frozen=True)
class Work:
    """A unit with all it needs to run anywhere that sees the store.

    `inputs` are the features of the task that trains and of the one that tests: activations, or
    latents of an SAE.
    """

    unit: Unit
    train: ProbingDataset
    test: ProbingDataset
    inputs: tuple[Key | LatentsInput, ...]


def plan_units(
    study: Study,
    section: str,
    regime: str,
    grid: Grid,
    *,
    version: int,
    hooks: Sequence[str],
    saes: Sequence[SAESource],
    position: str | None = None,
    tags: Sequence[str] | None = None,
    parts: bool = False,
    protocol: Protocol | None = None,
) -> list[Unit]:
    """Plan one regime: a unit a task and hook for baselines, one a task and SAE for SAE probes.

    Tasks that the regime cannot test are left out, and a grid without values stands for the
    published ones. `version`, of the section's code, is part of every key. Another `position` than
    the model's own is one of its others, at the main hook, for baselines. `tags` are those of some
    tasks, all by default. With `parts` units of SAEs read the parts of activations, not latents.
    The `protocol` is the profile's by default.
    """
    where, by = position or study.model.position, protocol or study.profile.protocol
    grid = grid.model_copy(update={"values": grid.values or REGIMES[regime].values})
    fields: dict[str, Any] = {
        "section": section,
        "version": version,
        "regime": regime,
        "values": list(grid.values),
        "protocol": protocol_key(by),
        "solver": study.profile.solver,
        "seeds": list(grid.seeds or study.profile.seeds),
        "max_train": grid.max_train or study.profile.standard.max_train,
    }
    fitted = {"methods": list(grid.methods), "xgboost_draws": grid.xgboost_draws}
    probed = {"k": list(grid.k), "rankings": list(grid.rankings)}
    if grid.penalties != ("l1",):
        probed["penalties"] = list(grid.penalties)
    found = {tag: REGIMES[regime].tested(dataset) for tag, dataset in study.datasets.items()}
    pairs = [
        (tag, other.tag)
        for tag, other in found.items()
        if other is not None and (tags is None or tag in tags)
    ]
    units = []
    for hook, (tag, tested) in product(hooks, pairs):
        inputs = [activation_key(study, one, hook, where).digest for one in (tag, tested)]
        label = f"{regime}-{tag}-{hook}"
        key = Key.of("rows", label, activations=inputs, **fitted, **fields)
        units.append(Unit(section, regime, grid, tag, tested, hook, where, None, key, by))
    for source, (tag, tested) in product(saes, pairs):
        inputs = [latents_key(study, one, source).digest for one in (tag, tested)]
        named = {"sae_id": sae_id(source), "latents": inputs}
        key = Key.of("rows", f"{regime}-{tag}-{sae_id(source)}", **named, **probed, **fields)
        if parts:
            key = Key.of("rows", f"{regime}-{tag}-{sae_id(source)}-parts", **named, **fields)
        read = (tag, tested, study.main_hook, where)
        units.append(Unit(section, regime, grid, *read, source, key, by, parts))
    return units


def compute_units(study: Study, units: Sequence[Unit]) -> None:
    """Fit what the store lacks of a section's units, the costly ones first.

    A damaged shard or input is rebuilt in a second round.

    Raises:
        UserError: If an SAE is not to be had or does not pass its gate.
    """
    for _ in range(2):
        lacking = [unit for unit in units if study.store.read_rows(unit.key) is None]
        if not lacking:
            return
        compute_activations(study, sorted({t for u in lacking for t in (u.tag, u.tested)}))
        if sources := list(dict.fromkeys(unit.source for unit in lacking if unit.source)):
            compute_saes(study, sources)
            for parts in (False, True):
                read = [u for u in lacking if u.source and u.parts == parts]
                probed = [(u.source, tag) for u in read for tag in (u.tag, u.tested) if u.source]
                compute_latents(study, probed, parts=parts)
        if study.profile.solver == "fast":
            compile_kernels()
        for unit in lacking:
            if unit.protocol != "paper":
                study.dataset(unit.tag).groups("near")  # here once, and not in every process
        label = f"probes of section {lacking[0].section}"
        log.info("Fitting %s: %d units of work", label, len(lacking))
        common = (study.store.root, study.profile, study.model)
        work = [(*common, _work(study, one)) for one in lacking]
        run_units(fit_unit, work, label=label, workers=study.workers, executor=study.executor)


def stored_rows(study: Study, units: Sequence[Unit]) -> pd.DataFrame:
    """Tidy rows of the units that the store has already; nothing is computed."""
    tables = [study.store.read_rows(unit.key) for unit in units]
    return to_frame([table for table in tables if table is not None])


def fit_unit(root: Path, profile: Profile, model: ModelProfile, work: Work) -> None:
    """Fit every probe of one unit and store its rows as one shard.

    A unit whose activations are lacking is left for the next round.
    """
    store, unit, sae = Store(root), work.unit, work.inputs[0]
    train = _read(store, work.inputs[0], unit.parts)
    test = train if unit.tested == unit.tag else _read(store, work.inputs[1], unit.parts)
    if train is None or test is None:
        return
    report = sae.report if isinstance(sae, LatentsInput) else None
    rows = unit_rows(profile, model, unit, (work.train, work.test), (train, test), report)
    store.write_rows(unit.key, to_table(rows))


def unit_rows(
    profile: Profile,
    model: ModelProfile,
    unit: Unit,
    tasks: tuple[ProbingDataset, ProbingDataset],
    features: tuple[Any, Any],
    report: GateReport | None,
) -> list[dict[str, Any]]:
    """Fit every probe of one unit; rows name the model.

    Args:
        profile: Protocol, solver, seeds and sizes.
        model: Where the features are from.
        unit: What is fitted, under which conditions.
        tasks: The one that trains and the one that tests.
        features: Theirs: activations (n, d_model), latents (n, d_sae), or parts of activations.
        report: The SAE behind latents and parts, if any.
    """
    columns = {
        "section": unit.section,
        "protocol": unit.protocol,
        "solver": profile.solver,
        "model": model.name,
        "hook": unit.hook,
        "position": unit.position,
        "prepend_bos": model.prepend_bos,
        "dataset": unit.tag,
        "regime": unit.regime,
        "unit_key": unit.key.digest,
    }
    profile = profile.model_copy(update={"protocol": unit.protocol})
    conditions = conditions_of(profile, *tasks, unit.regime, unit.grid)
    labels = tasks[1].labels.astype(np.int64)
    fits = Fits(unit.grid, conditions, labels, profile.solver, columns)
    if report is None:
        return fit_baselines(*features, fits)
    return (fit_parts if unit.parts else fit_sae_probes)(*features, fits, report)


def conditions_of(
    profile: Profile, train: ProbingDataset, test: ProbingDataset, regime: str, grid: Grid
) -> list[Condition]:
    """One condition a seed and value of a grid; where a task has too few prompts, the reason why.

    The profile gives seeds and size where the grid has none of its own. Another task than the one
    that trains tests with all its rows, or those that do not repeat training rows.
    """
    conditions = []
    for seed in grid.seeds or profile.seeds:
        how = Draw(profile.protocol, seed, grid.max_train or profile.standard.max_train)
        for value in grid.values or (None,):
            columns = {"seed": seed, "regime_value": value}
            try:
                setting = REGIMES[regime].draw(train, float(value or 0.0), how)
            except UserError as error:
                reason = str(error).removeprefix(f"{train.tag}: ")
                conditions.append(Condition(None, columns, reason))
                continue
            if test.tag != train.tag:
                rows = np.arange(len(test))
                if profile.protocol in LEVELS:
                    rows = unseen_rows(train, setting.split.train, test)
                setting = replace(setting, split=Split(setting.split.train, rows))
            split = setting.split
            setting = replace(setting, groups=kept_together(train, split, profile.protocol))
            sizes = {"n_train": len(split.train), "n_test": len(split.test)}
            conditions.append(Condition(setting, columns | sizes))
    return conditions


def _work(study: Study, unit: Unit) -> Work:
    """A planned unit with its inputs, which the store has by now."""
    inputs: list[Key | LatentsInput] = []
    for tag in (unit.tag, unit.tested):
        latents = latents_input(study, tag, unit.source) if unit.source else None
        activations = activation_key(study, tag, unit.hook, unit.position)
        inputs.append(latents or activations)
    return Work(unit, study.dataset(unit.tag), study.dataset(unit.tested), tuple(inputs))


def _read(store: Store, where: Key | LatentsInput, parts: bool) -> Any:
    """Activations (n, d_model), their two parts, or latents (n, d_sae); ``None`` if lacking."""
    if isinstance(where, LatentsInput):
        return read_parts(store, where) if parts else read_latents(store, where)
    stored = store.read_arrays(where)
    return stored[0]["activations"] if stored else None
