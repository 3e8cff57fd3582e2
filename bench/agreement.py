"""Does the fast solver give the reference's answer? Every task, method and regime, side by side.

``python -m bench.agreement --store STORE`` fits both solvers on the same rows of the ``minilm``
profile's activations and latents and writes ``bench/agreement.json`` and ``.md``. The reference
takes about an hour on two cores; each unit is a shard of the store, so an interrupted run resumes.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from probing_core.datasets import draw_split, standard_split
from probing_core.experiments.activations import activation_key
from probing_core.experiments.executor import run_units
from probing_core.experiments.rows import make_row, to_frame, to_table
from probing_core.experiments.saes import latents_input, read_latents, study_saes
from probing_core.experiments.study import Study, open_study
from probing_core.probes import METHODS, evaluate, evaluate_top_k
from probing_core.store import Key, Store

MOST = 384
CASES: tuple[tuple[str, float, int], ...] = (
    ("standard", 0.0, 1024),
    ("scarcity", 20, 20),
    ("scarcity", 60, 60),
    ("scarcity", 128, 128),
    ("imbalance", 0.1, MOST),
    ("label_noise", 0.2, MOST),
)
"""(regime, its value, most training rows). The regimes' sizes keep the reference affordable."""
KS = (16, 128)
FEW = 128
SEED = 42


@dataclass(frozen=True)
class Unit:
    """One task in one regime: its rows, labels and inputs, self-contained."""

    tag: str
    regime: str
    value: float
    train: np.ndarray
    test: np.ndarray
    labels: np.ndarray
    train_labels: np.ndarray
    activations: Key
    latents: Any
    probes: tuple[str, ...]


def units(study: Study, probes: tuple[str, ...]) -> Iterator[Unit]:
    """Every unit the tasks have rows for."""
    (source,) = [s for s in study_saes(study) if s.width == 2048 and s.l0 == 32]
    for regime, value, most in CASES:
        for tag, dataset in study.datasets.items():
            labels = dataset.labels.astype(np.int64)
            ratio = value if regime == "imbalance" else 0.5
            positives = int(labels.sum())
            usable = int(min(positives / ratio, (len(labels) - positives) / (1 - ratio))) - 2
            n_train = min(usable - 100, most) // 2 * 2
            if regime == "scarcity" and n_train < value:
                continue
            if regime == "standard":
                split = standard_split(dataset, protocol="paper", seed=SEED)
            else:
                split = draw_split(
                    dataset,
                    n_train=n_train,
                    n_test=min(usable - n_train, 1000),
                    positive_ratio=ratio,
                    protocol="paper",
                    seed=SEED,
                )
            train_labels = labels[split.train].copy()
            if regime == "label_noise":
                chance = np.random.RandomState(SEED)
                flipped = chance.choice(n_train, size=int(value * n_train), replace=False)
                train_labels[flipped] = 1 - train_labels[flipped]
            yield Unit(
                tag,
                regime,
                value,
                split.train,
                split.test,
                labels,
                train_labels,
                activation_key(study, tag, study.main_hook),
                latents_input(study, tag, source),
                probes,
            )


def draws(unit: Unit) -> int:
    """XGBoost's search: ten draws as published on few rows, two where one costs ten times more."""
    return 10 if len(unit.train) <= FEW else 2


def shard(unit: Unit, probe: str, solver: str, version: int) -> Key:
    """Where the row of one probe of a unit is kept."""
    return Key.of(
        "rows",
        f"agreement-{unit.tag}-{unit.regime}-{unit.value:g}-{probe}-{solver}",
        activations=unit.activations.digest,
        latents=unit.latents.latents.digest,
        seed=SEED,
        draws=draws(unit) if probe == "xgboost" else None,
        n=len(unit.train),
        version=version,
    )


def fit(root: Path, unit: Unit, solver: str, version: int) -> None:
    """Fit what the store lacks of one unit under one solver, one shard a probe."""
    store = Store(root)
    lacking = [p for p in unit.probes if store.read_rows(shard(unit, p, solver, version)) is None]
    if not lacking:
        return
    warnings.simplefilter("ignore")
    columns = {
        "section": "agreement",
        "protocol": "paper",
        "solver": solver,
        "dataset": unit.tag,
        "regime": unit.regime,
        "regime_value": unit.value,
        "seed": SEED,
        "n_train": len(unit.train),
        "n_test": len(unit.test),
    }
    stored = store.read_arrays(unit.activations)
    latents = read_latents(store, unit.latents)
    assert stored is not None and latents is not None
    activations, tested = stored[0]["activations"], unit.labels[unit.test]
    for probe in lacking:
        key = shard(unit, probe, solver, version)
        if probe.startswith("sae"):
            k = int(probe.removeprefix("sae"))
            ((_, result),) = evaluate_top_k(
                sparse.csr_array(latents[unit.train]),
                unit.train_labels,
                sparse.csr_array(latents[unit.test]),
                tested,
                ks=[k],
                ranking="normalized_mean_difference",
                solver=solver,
            )
            row = make_row(result, method="sae_logreg", k=k, unit_key=key.digest, **columns)
        else:
            result = evaluate(
                probe,
                activations[unit.train],
                unit.train_labels,
                activations[unit.test],
                tested,
                solver=solver,
                xgboost_draws=draws(unit),
            )
            row = make_row(result, method=probe, unit_key=key.digest, **columns)
        store.write_rows(key, to_table([row]))


def measure(study: Study, probes: tuple[str, ...], version: int, workers: int, solvers: list[str]):
    """Fit both sides and return their rows as one frame."""
    planned = list(units(study, probes))
    root = study.store.root
    for solver in solvers:
        of = version if solver == "fast" else 1
        run_units(fit, [(root, u, solver, of) for u in planned], label=solver, workers=workers)
    tables = []
    for solver, of in (("reference", 1), ("fast", version)):
        for unit in planned:
            for probe in probes:
                table = study.store.read_rows(shard(unit, probe, solver, of))
                if table is not None:
                    tables.append(table)
    return to_frame(tables)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--store")
    parser.add_argument("--version", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--solvers", default="reference,fast")
    parser.add_argument("--probes", default=",".join([*METHODS, *(f"sae{k}" for k in KS)]))
    parser.add_argument("--out")
    a = parser.parse_args()
    frame = measure(
        open_study("minilm", a.store),
        tuple(a.probes.split(",")),
        a.version,
        a.workers,
        a.solvers.split(","),
    )
    if a.out:
        frame.to_parquet(a.out)
