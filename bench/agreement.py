"""Does the fast solver give the reference's answer? Every task, method and regime, side by side.

``python -m bench.agreement`` fits both solvers on the same rows of the ``minilm`` profile's
activations and latents and writes ``bench/agreement.json``. The reference takes about an hour on
two cores; each fit is a shard of the store (``PROBING_STORE``), so an interrupted run resumes.

``again`` is the reference once more with what must not matter changed: the columns in another
order for the baselines, another seed of SAGA for SAE probes. How far it moves is how far rounding
and chance alone move the published solver. Boosting on few rows depends on which rows and columns
its trees sample: there ours is the mean of four seeds, and the reference that of its two streams.
"""

from __future__ import annotations

import argparse
import json
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from probing_core.analysis.paired import mean_interval
from probing_core.datasets import draw_split, load_shifted, standard_split
from probing_core.datasets.registry import TASKS
from probing_core.experiments.activations import activation_key, compute_activations
from probing_core.experiments.executor import run_units
from probing_core.rows import make_row, to_frame, to_table
from probing_core.experiments.saes import latents_input, read_latents, study_saes
from probing_core.experiments.study import Study, open_study
from probing_core.probes import METHODS, ProbeResult, evaluate, evaluate_top_k
from probing_core.probes.boosting import fast_xgboost
from probing_core.runner.provenance import commit, machine
from probing_core.store import Key, Store, write_atomically

MOST = 384
CASES: tuple[tuple[str, float, int], ...] = (
    ("standard", 0.0, 1024),
    ("scarcity", 20, 20),
    ("scarcity", 60, 60),
    ("scarcity", 128, 128),
    ("imbalance", 0.1, MOST),
    ("label_noise", 0.2, MOST),
    ("covariate_shift", 0.0, 1024),
)
"""(regime, its value, most training rows). The regimes' sizes keep the reference affordable."""
PROBES = (*METHODS, "sae16", "sae128", "sae512")
FLOOR = {"logreg": None, "sae128": (0.0, 20.0, 128.0), "xgboost": (20.0, 128.0)}
"""Probes run again, and at which regime values (all when None): where it costs minutes."""
VERSIONS = {"reference": 1, "fast": 3, "again": 1, "fast xgboost": 3}
"""Raise a number when the code changes what a side gives; a probe may have its own."""
TREE_SEEDS = (42, 1042, 2042, 3042)
MOST_OFF = 0.03
KEPT = Path(__file__).with_name("agreement.json")
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
    train_labels: np.ndarray
    test_labels: np.ndarray
    activations: Key
    latents: Any
    probes: tuple[str, ...]
    shifted: tuple[Key, Any] | None = None
    """Activations and latents of the shifted prompts, where those are the test rows."""


def units(study: Study, probes: tuple[str, ...]) -> Iterator[Unit]:
    """Every unit the tasks have rows for."""
    (source,) = [s for s in study_saes(study) if s.width == 2048 and s.l0 == 32]
    for regime, value, most in CASES:
        for tag in study.training_tags:
            dataset, other = study.datasets[tag], study.datasets.get(f"{tag}_shifted")
            if regime == "covariate_shift" and other is None:
                continue
            labels = dataset.labels.astype(np.int64)
            ratio = value if regime == "imbalance" else 0.5
            positives = int(labels.sum())
            usable = int(min(positives / ratio, (len(labels) - positives) / (1 - ratio))) - 2
            n_train = min(usable - 100, most) // 2 * 2
            if regime == "scarcity" and n_train < value:
                continue
            if regime in ("standard", "covariate_shift"):
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
            test, test_labels, shifted = split.test, labels[split.test], None
            if regime == "covariate_shift" and other is not None:
                test, test_labels = np.arange(len(other)), other.labels.astype(np.int64)
                shifted = _inputs(study, other.tag, source)
            yield Unit(
                tag,
                regime,
                value,
                split.train,
                test,
                train_labels,
                test_labels,
                *_inputs(study, tag, source),
                probes,
                shifted,
            )


def _inputs(study: Study, tag: str, source: Any) -> tuple[Key, Any]:
    return activation_key(study, tag, study.main_hook), latents_input(study, tag, source)


def planned_units(study: Study, solver: str) -> Iterator[Unit]:
    """The units of one side with the probes it fits there."""
    for unit in units(study, PROBES):
        probes = unit.probes
        if solver == "again":
            probes = tuple(p for p, at in FLOOR.items() if at is None or unit.value in at)
        yield replace(unit, probes=probes)


def draws(unit: Unit) -> int:
    """XGBoost's search: ten draws as published on few rows, two where one costs ten times more."""
    return 10 if len(unit.train) <= FEW else 2


def shard(unit: Unit, probe: str, solver: str) -> Key:
    """Where the row of one probe of a unit is kept."""
    return Key.of(
        "rows",
        f"agreement-{unit.tag}-{unit.regime}-{unit.value:g}-{probe}-{solver}",
        activations=unit.activations.digest,
        latents=unit.latents.latents.digest,
        seed=SEED,
        draws=draws(unit) if probe == "xgboost" else None,
        n=len(unit.train),
        version=VERSIONS.get(f"{solver} {probe}", VERSIONS[solver]),
    )


def fit(root: Path, unit: Unit, solver: str) -> None:
    """Fit what the store lacks of one unit under one solver, one shard a probe."""
    store = Store(root)
    lacking = [p for p in unit.probes if store.read_rows(shard(unit, p, solver)) is None]
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
    activations, latents = _read(store, unit.activations, unit.latents)
    tested = (activations, latents) if unit.shifted is None else _read(store, *unit.shifted)
    dense, sparse_rows = (activations, tested[0]), (latents, tested[1])
    if solver == "again":
        order = np.random.default_rng(0).permutation(activations.shape[1])
        dense = (activations[:, order], tested[0][:, order])
    for probe in lacking:
        key = shard(unit, probe, solver)
        k = int(probe.removeprefix("sae")) if probe.startswith("sae") else None
        result = _fitted(unit, probe, solver, sparse_rows if k else dense, k)
        method = "sae_logreg" if k else probe
        store.write_rows(
            key, to_table([make_row(result, method=method, k=k, unit_key=key.digest, **columns)])
        )


def _read(store: Store, activations: Key, latents: Any) -> tuple[Any, Any]:
    """Activations and latents of a task."""
    stored, encoded = store.read_arrays(activations), read_latents(store, latents)
    assert stored is not None and encoded is not None
    return stored[0]["activations"], encoded


def _fitted(
    unit: Unit, probe: str, solver: str, rows: tuple[Any, Any], k: int | None
) -> ProbeResult:
    """One probe of a unit; `rows` are those to train and those to test on."""
    train, test, tested = rows[0][unit.train], rows[1][unit.test], unit.test_labels
    named = "fast" if solver == "fast" else "reference"
    if probe == "xgboost" and solver == "fast" and len(unit.train) <= FEW:
        arrays = (train, unit.train_labels, test, tested)
        found = [fast_xgboost(*arrays, draws=draws(unit), tree_seed=s) for s in TREE_SEEDS]
        return replace(found[0], test_auc=float(np.mean([one.test_auc for one in found])))
    if k is None:
        return evaluate(
            probe, train, unit.train_labels, test, tested, solver=named, xgboost_draws=draws(unit)
        )
    ((_, result),) = evaluate_top_k(
        sparse.csr_array(train),
        unit.train_labels,
        sparse.csr_array(test),
        tested,
        ks=[k],
        ranking="normalized_mean_difference",
        solver=named,
        fit_seed=2 if solver == "again" else 1,
    )
    return result


def read(study: Study, solver: str) -> pd.DataFrame:
    """The rows of one side that the store has."""
    tables = [
        table
        for unit in planned_units(study, solver)
        for probe in unit.probes
        if (table := study.store.read_rows(shard(unit, probe, solver))) is not None
    ]
    return to_frame(tables)


def both_streams(reference: pd.DataFrame, again: pd.DataFrame) -> pd.DataFrame:
    """The reference's rows, boosting averaged over its two streams where it ran twice."""
    columns = ["regime", "regime_value", "method", "dataset"]
    other = again[again["method"] == "xgboost"].set_index(columns)["test_auc"]
    found = reference.set_index(columns)
    second = other.reindex(found.index)
    found["test_auc"] = np.where(
        second.notna(), (found["test_auc"] + second) / 2.0, found["test_auc"]
    )
    return found.reset_index()


def settings_apart(ours: str, theirs: str) -> int:
    """How far apart two chosen settings are: steps on the grid of C, or 0 and 2 elsewhere."""
    mine, other = json.loads(ours), json.loads(theirs)
    if "C" in mine:
        return round(abs(np.log10(mine["C"] / other["C"])) / (10 / 9))
    return 0 if mine == other else 2


def summary(reference: pd.DataFrame, other: pd.DataFrame) -> list[dict[str, Any]]:
    """One entry a method and regime: how one side differs from the reference."""
    columns = ["regime", "regime_value", "method", "k", "dataset"]
    both = other.merge(reference, on=columns, suffixes=("", "_reference"))
    both["gap"] = both["test_auc"] - both["test_auc_reference"]
    both["apart"] = [
        settings_apart(a, b)
        for a, b in zip(both["hyperparameters"], both["hyperparameters_reference"], strict=True)
    ]
    found = []
    for (regime, value, method, k), rows in both.groupby(columns[:4], dropna=False, sort=False):
        off = rows["gap"].abs() > MOST_OFF
        at = mean_interval(rows["gap"].to_numpy(), seed=SEED)
        found.append(
            {
                "regime": regime,
                "regime_value": value,
                "method": method,
                "k": None if pd.isna(k) else int(k),
                "n_tasks": len(rows),
                "mean": at.mean,
                "interval": [at.low, at.high],
                "largest": float(rows["gap"].abs().max()),
                "off": int(off.sum()),
                "off_converged": int((off & rows["converged_reference"]).sum()),
                "same_setting": float((rows["apart"] == 0).mean()),
                "adjacent_setting": float((rows["apart"] <= 1).mean()),
                "reference_converged": float(rows["converged_reference"].mean()),
                "seconds": float(rows["fit_seconds"].mean()),
                "reference_seconds": float(rows["fit_seconds_reference"].mean()),
                "gaps": [round(float(gap), 5) for gap in rows["gap"]],
            }
        )
    return found


def main() -> None:
    """Fit, compare, keep."""
    parser = argparse.ArgumentParser(prog="python -m bench.agreement", description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--no-again", action="store_true", help="leave the noise floor as it is")
    chosen = parser.parse_args()
    shifted = [load_shifted(tag) for tag, task in TASKS.items() if task.shifted]
    study = open_study("minilm", tasks=shifted)
    compute_activations(study)
    for solver in ("reference", "fast", "again")[: 2 if chosen.no_again else None]:
        planned = [(study.store.root, unit, solver) for unit in planned_units(study, solver)]
        run_units(fit, planned, label=solver, workers=chosen.workers)
    reference, again = read(study, "reference"), read(study, "again")
    measured = {
        "commit": commit(),
        "cpu": machine()["cpu"],
        "fast": summary(both_streams(reference, again), read(study, "fast")),
        "again": summary(reference, again),
    }
    write_atomically(KEPT, (json.dumps(measured, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
