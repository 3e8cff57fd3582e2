"""Our probes beside sae-probes' functions, the same arrays in the same process run."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from importlib import import_module

import numpy as np

from bench.arrays import WIDE, Case, cases
from bench.table import Row
from probing_core.experiments.executor import run_units
from probing_core.experiments.study import Study
from probing_core.probes import evaluate, evaluate_top_k
from probing_core.saes.selection import rank_latents

SIZES = (20, 128, 1024)
KS = (16, 128, 512)
METHODS = ("logreg", "pca", "knn", "mlp", "xgboost")
GOALS: dict[tuple[str, int], float] = {
    ("logreg", 384): 5, ("logreg", WIDE): 15, ("pca", 384): 4, ("pca", WIDE): 4,
    ("knn", 384): 15, ("knn", WIDE): 15, ("xgboost", 384): 4, ("xgboost", WIDE): 4,
    ("sae_logreg", 16): 5, ("sae_logreg", 128): 40, ("sae_logreg", 512): 100,
}  # fmt: skip
BOUNDS = {
    ("logreg", 384): "more rows than features: both sides take the same steps, each two products"
    " with all rows; ours in float32 without the overhead",
    ("logreg", WIDE): "one Gram matrix of the rows, then products n wide instead of 3,584",
    ("knn", 384): "one product gives the distances of 2,000 test rows; theirs computes it twice",
    ("knn", WIDE): "one product gives the distances of 2,000 test rows; theirs computes it twice",
    ("pca", 384): "one eigendecomposition of the covariance",
    ("pca", WIDE): "the Gram matrix and its leading eigenvectors; theirs are randomised",
    ("sae_logreg", 512): "twenty implicit steps at each C, coordinate descent on sparse columns",
    ("sae_logreg", 128): "twenty implicit steps at each C, coordinate descent on sparse columns",
}


def ours(method: str, case: Case) -> float:
    """Test AUC of the fast solver; `method` may be ``sae_logreg-K``."""
    arrays = (case.train, case.y_train, case.test, case.y_test)
    if not method.startswith("sae"):
        return evaluate(method, *arrays).test_auc
    k = int(method.split("-")[1])
    return evaluate_top_k(*arrays, ks=[k], ranking="normalized_mean_difference")[0][1].test_auc


def theirs(method: str, case: Case) -> float:
    """Test AUC of sae-probes' own function."""
    import torch
    from sae_probes import utils_training as original

    arrays = (case.train, case.y_train, case.test, case.y_test)
    if method.startswith("sae"):
        # Our ranking on both sides: theirs breaks ties at random, which would move the AUC.
        k = int(method.split("-")[1])
        kept = rank_latents(case.train, case.y_train, "normalized_mean_difference")[:k]
        parts = [
            torch.from_numpy(case.train[:, kept].toarray()),
            torch.from_numpy(case.y_train),
            torch.from_numpy(case.test[:, kept].toarray()),
            torch.from_numpy(case.y_test),
        ]
        return original.find_best_reg(*parts, penalty="l1", seed=42).metrics.test_auc
    fit = {
        "logreg": lambda: original.find_best_reg(*arrays, seed=42),
        "pca": lambda: original.find_best_pcareg(*arrays),
        "knn": lambda: original.find_best_knn(*arrays, n_jobs=1),
        "xgboost": lambda: original.find_best_xgboost(*arrays),
        "mlp": lambda: original.find_best_mlp(*arrays),
    }[method]
    return fit().metrics.test_auc


def timed(side: Callable[[str, Case], float], method: str, case: Case) -> tuple[float, float]:
    """Seconds and test AUC of one fit, in whatever process this runs."""
    warnings.simplefilter("ignore")
    started = time.perf_counter()
    area = side(method, case)
    return time.perf_counter() - started, area


def compare(method: str, width: int, chosen: list[Case], workers: int) -> Row:
    """Both sides on every case: in turns with one worker, side after side with more."""
    if workers == 1:
        ours(method, chosen[0])  # compiled code is loaded once a process
        pairs = [(timed(ours, method, case), timed(theirs, method, case)) for case in chosen]
        mine, other = ([pair[side] for pair in pairs] for side in (0, 1))
        spans = [sum(seconds for seconds, _ in found) / len(chosen) for found in (mine, other)]
    else:
        spans, found = [], []
        for side in (ours, theirs):
            units = [(side, method, case) for case in chosen]
            # Twice, so that every worker has loaded its compiled code before the clock starts.
            run_units(timed, units * 2, label="warm", workers=workers)
            started = time.perf_counter()
            found.append(run_units(timed, units, label=method, workers=workers))
            spans.append((time.perf_counter() - started) / len(chosen))
        mine, other = found
    name, _, k = method.partition("-")
    place = (name, int(k) if k else width)
    ratio, goal = spans[1] / spans[0], GOALS.get(place)
    gap = float(np.mean([a[1] - b[1] for a, b in zip(mine, other, strict=True)]))
    note = BOUNDS.get(place, "") if goal is not None and ratio < goal else ""
    n = len(chosen[0].y_train)
    return Row(name, n, place[1], workers, spans[0], spans[1], ratio, goal, gap, note)


def measure(study: Study, *, quick: bool = False) -> list[Row]:
    """Every probe at every size.

    Args:
        study: From `arrays.open_bench`.
        quick: One case, no boosting, the small sizes only.
    """
    import_module("sae_probes")  # seconds that no fit should be charged for
    rows: list[Row] = []
    for n in SIZES[: 2 if quick else None]:
        count = 1 if quick else 4
        latents = cases(study, n, 384, count, latents=True)
        rows += [compare(f"sae_logreg-{k}", k, latents, 1) for k in KS[: 1 if quick else None]]
        for width in (384,) if quick else (384, WIDE):
            # The widest boosting of theirs takes minutes a case.
            arrays = cases(study, n, width, count)
            for method in METHODS[: -1 if quick else None]:
                few = 1 if method == "xgboost" and (width == WIDE or n == SIZES[-1]) else count
                rows.append(compare(method, width, arrays[:few], 1))
        if not quick and n == SIZES[-1]:
            rows += [compare(f"sae_logreg-{k}", k, latents, 2) for k in KS[:2]]
            narrow = cases(study, n, 384, count)
            rows += [compare(method, 384, narrow, 2) for method in METHODS[:-1]]
    return rows
