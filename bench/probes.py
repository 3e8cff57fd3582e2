"""Time our probes (fast solver) against sae-probes' own, on the same arrays in one process.

Both sides get one thread. The arrays are real activations of the quick profile's main hook.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from probing_core.probes.l1_path import fit_l1_path
from scipy import sparse

from probing_core.probes import evaluate, evaluate_top_k
from probing_core.saes.selection import rank_latents

SIZES = (60, 1024)
KS = (16, 128)
N_TASKS = 3
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Row:
    """One comparison: mean seconds a fit, and mean test AUC of ours minus theirs."""

    name: str
    n: int
    width: int
    workers: int
    ours_s: float
    theirs_s: float
    ratio: float
    auc_difference: float


def load_arrays() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Activations and labels by task: tag to ((n, d) float32, (n,) 0/1)."""
    from probing_core.experiments.activations import read_activations
    from probing_core.experiments.study import open_study

    study = open_study("quick")
    return {
        tag: (
            read_activations(study, tag, study.main_hook),
            study.datasets[tag].labels.astype(np.int64),
        )
        for tag in study.tags[:N_TASKS]
    }


def draw(X: np.ndarray, y: np.ndarray, n: int) -> Arrays | None:
    """A balanced training set of n rows in random order and the rest as test; None if too few."""
    order = np.random.default_rng(0).permutation(len(y))
    picked = np.concatenate([order[y[order] == label][: n // 2] for label in (0, 1)])
    if len(picked) < n or len(y) - n < 100:
        return None
    picked = np.random.default_rng(1).permutation(picked)
    rest = np.setdiff1d(np.arange(len(y)), picked)
    return X[picked], y[picked], X[rest], y[rest]


def code(arrays: Arrays, width: int = 2048, active: int = 32) -> Arrays:
    """Latents of a fixed random dictionary, the largest kept: the sparsity of a TopK SAE."""
    X_train, y_train, X_test, y_test = arrays
    chance = np.random.default_rng(0)
    dictionary = chance.standard_normal((X_train.shape[1], width), dtype=np.float32)
    centre, parts = X_train.mean(axis=0), []
    for X in (X_train, X_test):
        pre = (X - centre) @ dictionary
        floor = -np.partition(-pre, active, axis=1)[:, active - 1 : active]
        parts.append(sparse.csr_array(np.where(pre >= floor, np.maximum(pre, 0), 0)))
    return parts[0], y_train, parts[1], y_test


def timed(fit: Callable[[], float]) -> tuple[float, float]:
    """Seconds and test AUC of one call."""
    started = time.perf_counter()
    area = fit()
    return time.perf_counter() - started, area


def compare(
    name: str,
    width: int,
    cases: list[Arrays],
    ours: Callable[[Arrays], float],
    theirs: Callable[[Arrays], float],
) -> Row:
    """Run both sides on every case, one after the other, and average."""
    pairs = [
        (timed(lambda case=case: ours(case)), timed(lambda case=case: theirs(case)))
        for case in cases
    ]
    times = np.array([(mine[0], other[0]) for mine, other in pairs]).mean(axis=0)
    gap = float(np.mean([mine[1] - other[1] for mine, other in pairs]))
    return Row(
        name,
        len(cases[0][1]),
        width,
        1,
        float(times[0]),
        float(times[1]),
        float(times[1] / times[0]),
        gap,
    )


def baseline_rows(cases: list[Arrays], methods: list[str]) -> list[Row]:
    """The five baselines on activations."""
    from sae_probes import utils_training as original

    theirs = {
        "logreg": lambda a: original.find_best_reg(*a, seed=42),
        "pca": lambda a: original.find_best_pcareg(*a),
        "knn": lambda a: original.find_best_knn(*a, n_jobs=1),
        "xgboost": lambda a: original.find_best_xgboost(*a),
        "mlp": lambda a: original.find_best_mlp(*a),
    }
    return [
        compare(
            method,
            cases[0][0].shape[1],
            cases,
            lambda a, method=method: evaluate(method, *a).test_auc,
            lambda a, method=method: theirs[method](a).metrics.test_auc,
        )
        for method in methods
    ]


def sae_rows(cases: list[Arrays], ks: tuple[int, ...]) -> list[Row]:
    """The sparse probe on latents; both sides rank, gather k columns and search."""
    import torch
    from sae_probes import utils_training as original

    def theirs(case: Arrays, k: int) -> float:
        train, y_train, test, y_test = case
        # Our ranking on both sides: theirs breaks ties at random, which would move the AUC.
        kept = rank_latents(train, y_train, "normalized_mean_difference")[:k]
        dense = [torch.from_numpy(part[:, kept].toarray()) for part in (train, test)]
        return original.find_best_reg(
            dense[0],
            torch.from_numpy(y_train),
            dense[1],
            torch.from_numpy(y_test),
            penalty="l1",
            seed=42,
        ).metrics.test_auc

    def ours(case: Arrays, k: int) -> float:
        ((_, found),) = evaluate_top_k(*case, ks=[k], ranking="normalized_mean_difference")
        return found.test_auc

    coded = [code(case) for case in cases]
    return [
        compare("sae_logreg", k, coded, lambda a, k=k: ours(a, k), lambda a, k=k: theirs(a, k))
        for k in ks
    ]


def run(arrays: dict[str, tuple[np.ndarray, np.ndarray]], quick: bool) -> list[Row]:
    """All comparisons.

    Args:
        arrays: From :func:`load_arrays`.
        quick: One task, no boosting, k = 16 only: under a minute.

    Returns:
        One row a method and size.
    """
    fit_l1_path(sparse.csc_array(np.eye(4)), np.arange(4) % 2, np.ones(1))  # compile once
    methods = ["logreg", "pca", "knn", "mlp"] + ([] if quick else ["xgboost"])
    rows = []
    for n in SIZES:
        cases = [case for X, y in arrays.values() if (case := draw(X, y, n)) is not None]
        cases = cases[: 1 if quick else N_TASKS]
        if cases:
            rows += baseline_rows(cases, methods)
            rows += sae_rows(cases, KS[:1] if quick else KS)
    return rows


def as_text(rows: list[dict[str, Any]]) -> str:
    """The rows as a table."""
    lines = [
        f"{'probe':<12}{'n':>6}{'width':>7}{'workers':>9}{'ours s':>10}{'theirs s':>10}"
        f"{'ratio':>8}{'AUC diff':>10}"
    ]
    for row in rows:
        lines.append(
            f"{row['name']:<12}{row['n']:>6}{row['width']:>7}{row['workers']:>9}"
            f"{row['ours_s']:>10.3f}{row['theirs_s']:>10.3f}{row['ratio']:>8.1f}"
            f"{row['auc_difference']:>+10.4f}"
        )
    return "\n".join(lines)
