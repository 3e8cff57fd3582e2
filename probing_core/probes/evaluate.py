"""Baseline probes by name: add one here and every experiment can ask for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from probing_core.errors import UserError, nearest
from probing_core.probes.boosting import DRAWS, boosting_probe
from probing_core.probes.diff_mean import diff_mean_probe
from probing_core.probes.inputs import SOLVERS, Inputs
from probing_core.probes.knn import knn_probe
from probing_core.probes.logistic import logistic_probe
from probing_core.probes.methods import FITTED
from probing_core.probes.mlp import mlp_probe
from probing_core.probes.pca import pca_probe
from probing_core.probes.result import ProbeResult
from probing_core.probes.validation import Probe, run_probe

_PROBES: dict[str, Callable[..., Probe]] = {
    "logreg": logistic_probe,
    "pca": pca_probe,
    "knn": knn_probe,
    "xgboost": boosting_probe,
    "mlp": mlp_probe,
    "diff_mean": diff_mean_probe,
}


def evaluate_label_sets(
    method: str,
    label_sets: Sequence[np.ndarray],
    y_test: np.ndarray,
    *,
    shared: Inputs,
    solver: str = "fast",
    xgboost_draws: int = DRAWS,
    seed: int = 42,
    groups: np.ndarray | None = None,
) -> list[ProbeResult]:
    """Fit one baseline probe for each of several labellings of the same training rows.

    A fit searches by validation, refits on all training rows and is scored on the test rows.

    Args:
        method: One of `methods.FITTED`.
        label_sets: Several (n,) 0/1, both classes in each, such as levels of label noise.
        y_test: (m,) 0/1.
        shared: The rows, and what does not depend on labels: give the same object to several
            calls, and it is computed once.
        solver: 'fast', or 'reference' for the paper's own fits.
        xgboost_draws: Settings the boosting search tries.
        seed: Seed of the folds and of whatever the method draws. Logistic regression keeps the
            paper's own seed 1 for its solver and its last reshuffle.
        groups: (n,) groups of training rows that validation keeps together, if any.

    Returns:
        One result a label set.

    Raises:
        UserError: Unknown method or solver, labels that do not fit the rows, are not 0/1 or hold
            one class only.
    """
    for value, options, name in ((method, FITTED, "method"), (solver, SOLVERS, "solver")):
        if value not in options:
            raise UserError(f"unknown {name} '{value}'. {nearest(value, options)}")
    extra = {"draws": xgboost_draws} if method == "xgboost" else {}
    describe = partial(_PROBES[method], shared, solver=solver, seed=seed, **extra)
    tested = _checked(shared.X_test, y_test, "test")
    results = []
    for labels in label_sets:
        y_train = _checked(shared.X_train, labels, "training")
        if len(np.unique(y_train)) < 2:
            raise UserError("the training labels hold one class; draw rows of both")
        results.append(run_probe(describe, y_train, tested, seed, groups))
    return results


def _checked(rows: np.ndarray, labels: np.ndarray, name: str) -> np.ndarray:
    """Labels as (n,) int64, or a one-line complaint."""
    labels = np.asarray(labels)
    if len(rows) != len(labels):
        raise UserError(
            f"{name} activations {rows.shape} and labels {labels.shape} do not match; give "
            "(n, d) and (n,)"
        )
    if not np.isin(labels, (0, 1)).all():
        raise UserError(f"{name} labels must be 0 or 1; recode the others first")
    return labels.astype(np.int64)
