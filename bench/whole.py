"""Whole work: a task's standard conditions, one task in all regimes, storage, growth."""

from __future__ import annotations

import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from bench.arrays import Case
from bench.probes import METHODS, ours, theirs
from bench.table import Row
from probing_core.datasets import Split, standard_split
from probing_core.datasets.regimes import Setting
from probing_core.experiments.activations import activation_key, read_activations
from probing_core.experiments.executor import run_units
from probing_core.experiments.fitting import fit_baselines, fit_sae_probes
from probing_core.experiments.saes import latents_input, read_latents, study_saes
from probing_core.experiments.standard import SECTION
from probing_core.experiments.study import Study
from probing_core.experiments.units import STANDARD, Unit, conditions_of, fit_unit
from probing_core.models.adapter import load_model
from probing_core.models.extraction import extract
from probing_core.profiles import Profile, RegimeGrid, StandardGrid
from probing_core.saes.encoding import encode
from probing_core.saes.sources import load_folder
from probing_core.store import Key, Store

STANDARD_TASKS = 24
DRAWS = 10
GROWTH = (8, 24, 113)


def measure(study: Study) -> list[Row]:
    """The whole-work rows that have another side."""
    return [_regimes(study), _encode_once(study), _standard(study)]


def _source(study: Study) -> Any:
    return max(study_saes(study), key=lambda sae: (sae.width, sae.l0))


def _units(study: Study, tags: list[str], grid: StandardGrid, *, saes: bool) -> list[Unit]:
    """Units of the standard conditions at the main hook, under keys of their own."""
    units = []
    for tag in tags:
        activations = activation_key(study, tag, study.main_hook)
        inputs = [None, latents_input(study, tag, _source(study))] if saes else [None]
        for sae in inputs:
            key = Key.of("rows", f"bench-{tag}-{sae is None}", activations=activations.digest)
            dataset = study.datasets[tag]
            units.append(Unit(SECTION, STANDARD, grid, dataset, key, activations, sae))
    return units


def _run(study: Study, tags: list[str], workers: int, *, saes: bool) -> tuple[float, float]:
    """Wall seconds of the units, and the share of it that is not fitting."""
    grid = study.profile.standard.model_copy(
        update={"xgboost_draws": DRAWS, "rankings": ONE_RANKING}
    )
    profile = study.profile.model_copy(update={"standard": grid})
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for room in study.store.root.iterdir():
            if room.name != "rows":
                (root / room.name).symlink_to(room.resolve())
        units = _units(study, tags, grid, saes=saes)
        # Compiled code is loaded once a process, before the clock starts.
        warm = [(root, profile, study.model.name, unit) for unit in units[: 2 * workers]]
        run_units(fit_unit, warm, label="warm", workers=workers)
        for unit in units:
            Store(root).path(unit.key, ".parquet").unlink(missing_ok=True)
        work = [(root, profile, study.model.name, unit) for unit in units]
        started = time.perf_counter()
        run_units(fit_unit, work, label="ours", workers=workers)
        wall = time.perf_counter() - started
        tables = [Store(root).read_rows(unit.key) for unit in units]
    fitting = sum(sum(table["fit_seconds"].to_pylist()) for table in tables if table is not None)
    return wall, 1.0 - fitting / (wall * workers)


ONE_RANKING = ("normalized_mean_difference",)


def _standard(study: Study) -> Row:
    """24 tasks by standard conditions: five baselines, one SAE at ten k."""
    tags = study.tags[:STANDARD_TASKS]
    span, _ = _run(study, tags, 1, saes=True)
    started = time.perf_counter()
    for tag in tags:
        _theirs_standard(study, tag)
    other = time.perf_counter() - started
    note = "five baselines (ten boosting draws), one SAE, ten k"
    count = len(tags)
    return Row("standard, all tasks", count, count, 1, span, other, other / span, 20, note=note)


def _theirs_standard(study: Study, tag: str) -> None:
    """What sae-probes' functions take for the same task."""
    warnings.simplefilter("ignore")
    dataset = study.datasets[tag]
    split = standard_split(dataset, protocol=study.profile.protocol, seed=study.profile.seeds[0])
    labels = dataset.labels.astype(np.int64)
    activations = read_activations(study, tag, study.main_hook)
    dense = _case(activations, split.train, labels[split.train], split.test, labels[split.test])
    for method in METHODS:
        theirs(method, dense)
    latents = read_latents(study.store, latents_input(study, tag, _source(study)))
    assert latents is not None
    thin = _case(latents, split.train, labels[split.train], split.test, labels[split.test])
    for k in study.profile.standard.k:
        theirs(f"sae_logreg-{k}", thin)


def _case(
    rows: Any, train: np.ndarray, y: np.ndarray, test: np.ndarray, y_test: np.ndarray
) -> Case:
    return Case(rows[train], y, rows[test], y_test)


def _regimes(study: Study) -> Row:
    """One task over the published grids of all regimes, through the study's own code."""
    tag = next(t for t in study.tags if study.datasets[t].labels.sum() > 1300)
    dataset, profile = study.datasets[tag], study.profile
    where = latents_input(study, tag, _source(study))
    activations = read_activations(study, tag, study.main_hook)
    latents = read_latents(study.store, where)
    assert latents is not None
    one_seed = {"seeds": profile.seeds[:1]}
    work = [
        (grid, conditions_of(profile, dataset, name, grid.model_copy(update=one_seed)))
        for name, grid in Profile.model_fields["regimes"]
        .get_default(call_default_factory=True)
        .items()
    ]
    split = standard_split(dataset, protocol=profile.protocol, seed=profile.seeds[0])
    labels = dataset.labels.astype(np.int64)
    warm = _case(
        activations, split.train[:64], labels[split.train[:64]], split.test, _test(labels, split)
    )
    for method in METHODS:
        ours(method, warm)
    common: dict[str, Any] = {"profile": profile, "columns": {}}
    started = time.perf_counter()
    for grid, conditions in work:
        fit_baselines(
            activations, dataset, conditions, methods=grid.methods, xgboost_draws=DRAWS, **common
        )
        fit_sae_probes(
            latents, dataset, conditions, ks=grid.k, rankings=ONE_RANKING, report=where.report,
            **common,
        )  # fmt: skip
    span = time.perf_counter() - started
    started, count = time.perf_counter(), 0
    for grid, conditions in work:
        for one in conditions:
            if one.setting is None:
                continue
            count += 1
            _theirs_regime(grid, one.setting, activations, latents, labels)
    other = time.perf_counter() - started
    note = (
        f"{count} settings of {tag}, the published grids: five baselines with ten boosting draws "
        "(label noise: logistic regression), one SAE at k = 16 and 128; most of our time is "
        "boosting on several hundred prompts and more"
    )
    return Row("regimes, one task", count, 384, 1, span, other, other / span, 20, note=note)


def _theirs_regime(
    grid: RegimeGrid, setting: Setting, activations: np.ndarray, latents: Any, labels: np.ndarray
) -> None:
    """What sae-probes' functions take for one setting."""
    split, y = setting.split, setting.train_labels
    test = _test(labels, split)
    for method in grid.methods:
        theirs(method, _case(activations, split.train, y, split.test, test))
    for k in grid.k:
        theirs(f"sae_logreg-{k}", _case(latents, split.train, y, split.test, test))


def _test(labels: np.ndarray, split: Split) -> np.ndarray:
    return labels[split.test]


def _encode_once(study: Study) -> Row:
    """Reading stored latents for one more setting, beside running model and SAE again."""
    tag, where = study.tags[0], latents_input(study, study.tags[0], _source(study))
    read_latents(study.store, where)
    started = time.perf_counter()
    stored = read_latents(study.store, where)
    assert stored is not None
    _ = stored[: len(study.split(tag).train)]
    reading = time.perf_counter() - started
    model = load_model(study.model.name, dtype=study.dtype, device=study.device)
    assert where.folder is not None
    sae = load_folder(where.folder, study.device)
    started = time.perf_counter()
    again = extract(
        model,
        study.datasets[tag].prompts,
        hooks=[study.main_hook],
        position=study.profile.position,
        max_tokens=study.profile.max_tokens,
        batch_tokens=study.profile.batch_tokens,
    )
    encode(sae, again.activations[study.main_hook])
    encoding = time.perf_counter() - started
    note = "latents of one task for one more setting; the other way encodes its prompts again"
    n = len(study.datasets[tag].prompts)
    return Row("encode once", n, 384, 1, reading, encoding, encoding / reading, note=note)


def growth(study: Study) -> list[Row]:
    """Baselines at the main hook, from 8 tasks to all, and from one worker to two."""
    whole, overhead = _run(study, study.tags[:STANDARD_TASKS], 2, saes=True)
    note = f"ours only; {overhead:.1%} of the workers' time is scheduling, reading and storing"
    n = STANDARD_TASKS
    rows = [Row("standard, all tasks", n, n, 2, whole, None, None, note=note)]
    for count in (c for c in GROWTH if c <= len(study.tags)):
        for workers in (1, 2) if count == 24 else (2,):
            wall, overhead = _run(study, study.tags[:count], workers, saes=False)
            note = f"ours only; {overhead:.1%} is scheduling, reading and storing"
            rows.append(Row("baselines", count, count, workers, wall, None, None, note=note))
    return rows
