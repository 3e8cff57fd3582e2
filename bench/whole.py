"""Whole work: a task's standard conditions, one task in all regimes, storage, growth."""

from __future__ import annotations

import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from bench.arrays import Case
from bench.probes import METHODS, ours, theirs
from bench.table import Row
from probing_core.datasets import ProbingDataset, draw_split, standard_split
from probing_core.experiments.activations import activation_key, read_activations
from probing_core.experiments.executor import run_units
from probing_core.experiments.saes import latents_input, read_latents, study_saes
from probing_core.experiments.standard import Unit, fit_unit
from probing_core.experiments.study import Study
from probing_core.models.adapter import load_model
from probing_core.models.extraction import extract
from probing_core.probes import evaluate, evaluate_top_k
from probing_core.probes.inputs import Inputs
from probing_core.saes.encoding import encode
from probing_core.saes.sources import load_folder
from probing_core.store import Key, Store

STANDARD_TASKS = 24
COMPARED_TASKS = 3
SEED = 42
SCARCITY = (4, 12, 48, 190, 724)
IMBALANCE = (0.1, 0.5, 0.9)
NOISE = (0.0, 0.2, 0.5)
REGIME_KS = (16, 128)
GROWTH = (8, 24, 113)


def measure(study: Study) -> list[Row]:
    """The whole-work rows that have another side."""
    return [_regimes(study), _encode_once(study), *_standard(study)]


def _source(study: Study) -> Any:
    return max(study_saes(study), key=lambda sae: (sae.width, sae.l0))


def _units(study: Study, tags: list[str], *, saes: bool) -> list[Unit]:
    """Units of the standard conditions at the main hook, under keys of their own."""
    units = []
    for tag in tags:
        activations = activation_key(study, tag, study.main_hook)
        inputs = [None, latents_input(study, tag, _source(study))] if saes else [None]
        for sae in inputs:
            key = Key.of("rows", f"bench-{tag}-{sae is None}", activations=activations.digest)
            units.append(Unit(study.datasets[tag], study.main_hook, key, activations, sae))
    return units


def _run(study: Study, tags: list[str], workers: int, *, saes: bool) -> tuple[float, float]:
    """Wall seconds of the units, and the share of it that is not fitting."""
    grid = study.profile.standard.model_copy(update={"xgboost_draws": 10, "rankings": ONE_RANKING})
    profile = study.profile.model_copy(update={"standard": grid})
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for room in study.store.root.iterdir():
            if room.name != "rows":
                (root / room.name).symlink_to(room.resolve())
        units = _units(study, tags, saes=saes)
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


def _standard(study: Study) -> list[Row]:
    """24 tasks by standard conditions: five baselines, one SAE at ten k."""
    tags = [
        tag
        for tag in study.tags
        if 2 * int(min(study.datasets[tag].labels.sum(), (1 - study.datasets[tag].labels).sum()))
        > 200
    ][:STANDARD_TASKS]
    compared = tags[:: max(1, len(tags) // COMPARED_TASKS)][:COMPARED_TASKS]
    span, _ = _run(study, compared, 1, saes=True)
    started = time.perf_counter()
    for tag in compared:
        _theirs_standard(study, tag)
    other = time.perf_counter() - started
    note = f"{len(compared)} of the 24 tasks, five baselines (ten boosting draws), one SAE, ten k"
    mean = len(compared)
    rows = [
        Row(
            "standard, a task",
            mean,
            mean,
            1,
            span / mean,
            other / mean,
            other / span,
            20,
            note=note,
        )
    ]
    whole, overhead = _run(study, tags, 2, saes=True)
    note = f"ours only; {overhead:.1%} of the workers' time is scheduling, reading and storing"
    rows.append(Row("standard, all tasks", len(tags), len(tags), 2, whole, None, None, note=note))
    return rows


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


def _settings(dataset: ProbingDataset) -> list[tuple[Any, np.ndarray]]:
    """A sample of the regimes' grid: (split, training labels)."""
    labels = dataset.labels.astype(np.int64)
    smaller = int(min(labels.sum(), (1 - labels).sum()))
    chance, found = np.random.RandomState(SEED), []
    for n in SCARCITY:
        split = draw_split(dataset, n_train=n, n_test=1000, protocol="paper", seed=SEED)
        found.append((split, labels[split.train]))
    for ratio in IMBALANCE:
        n = min(1024, int(smaller / max(ratio, 1 - ratio)) - 200)
        split = draw_split(
            dataset, n_train=n, n_test=100, positive_ratio=ratio, protocol="paper", seed=SEED
        )
        found.append((split, labels[split.train]))
    split = standard_split(dataset, protocol="paper", seed=SEED)
    for share in NOISE:
        noisy = labels[split.train].copy()
        flipped = chance.choice(len(noisy), int(share * len(noisy)), replace=False)
        noisy[flipped] = 1 - noisy[flipped]
        found.append((split, noisy))
    return found


def _regimes(study: Study) -> Row:
    """One task over a sample of the regimes' grid; noise levels share their rows."""
    tag = next(t for t in study.tags if study.datasets[t].labels.sum() > 600)
    dataset = study.datasets[tag]
    labels = dataset.labels.astype(np.int64)
    activations = read_activations(study, tag, study.main_hook)
    latents = read_latents(study.store, latents_input(study, tag, _source(study)))
    assert latents is not None
    settings, spans = _settings(dataset), []
    ours(
        "xgboost",
        _case(activations, settings[0][0].train, settings[0][1], *_test(settings[0], labels)),
    )
    for side in ("ours", "theirs"):
        shared: dict[bytes, Inputs] = {}
        started = time.perf_counter()
        for split, y in settings:
            test, y_test = _test((split, y), labels)
            dense = _case(activations, split.train, y, test, y_test)
            thin = _case(sparse.csr_array(latents), split.train, y, test, y_test)
            if side == "theirs":
                for probe in (*METHODS, *(f"sae_logreg-{k}" for k in REGIME_KS)):
                    theirs(probe, thin if probe.startswith("sae") else dense)
                continue
            rows = split.train.tobytes() + split.test.tobytes()
            inputs = shared.setdefault(rows, Inputs(dense.train, dense.test))
            for method in METHODS:
                evaluate(method, inputs.X_train, y, inputs.X_test, y_test, shared=inputs)
            evaluate_top_k(thin.train, y, thin.test, y_test, ks=REGIME_KS, ranking=ONE_RANKING[0])
        spans.append(time.perf_counter() - started)
    note = (
        f"{len(settings)} settings of {tag}: five baselines, one SAE at k = 16 and 128; "
        "most of our time is boosting on several hundred prompts and more"
    )
    n = len(settings)
    return Row(
        "regimes, one task", n, 384, 1, spans[0], spans[1], spans[1] / spans[0], 20, note=note
    )


def _test(setting: tuple[Any, np.ndarray], labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return setting[0].test, labels[setting[0].test]


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
    rows = []
    for count in (c for c in GROWTH if c <= len(study.tags)):
        for workers in (1, 2) if count == 24 else (2,):
            wall, overhead = _run(study, study.tags[:count], workers, saes=False)
            note = f"ours only; {overhead:.1%} is scheduling, reading and storing"
            rows.append(Row("baselines", count, count, workers, wall, None, None, note=note))
    return rows
