"""Logistic-regression probes, L1 and L2, under both solvers: one search, three ways to fit.

The only module that names scikit-learn's penalty arguments. They changed in 1.8 (``penalty`` is
deprecated; ``l1_ratio`` says L1 or L2), and the next change has to be met here alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from probing_core.probes.inputs import Inputs
from probing_core.probes.metrics import auc, test_scores
from probing_core.probes.result import FitLog, ProbeResult, converges, fit_log
from probing_core.probes.solvers.l1_flow import fit_l1
from probing_core.probes.solvers.l2 import LinearFit, fit_l2
from probing_core.probes.validation import search, validation_splits

C_GRID = np.logspace(5, -5, 10)
DEFAULT_C = 1.0
MAX_ITERATIONS = 1000
FIT_SEED = 1
"""The published code's own seed, of SAGA and of the reshuffle before the last fit."""

Fit = Callable[[Any, np.ndarray, Sequence[float] | np.ndarray], list[LinearFit]]
"""Takes rows (n, d), labels (n,) and C values; gives one fit a C."""


def sklearn_logistic(penalty: Literal["l1", "l2"], c: float, seed: int) -> LogisticRegression:
    """The scikit-learn classifier of the paper's probes, unfitted.

    Args:
        penalty: 'l1' (solver saga) or 'l2' (solver lbfgs).
        c: Inverse penalty.
        seed: Random state; only saga uses it.

    Returns:
        A `LogisticRegression` with max_iter 1000.
    """
    options: dict[str, Any] = {"solver": "saga", "l1_ratio": 1.0} if penalty == "l1" else {}
    return LogisticRegression(C=c, random_state=seed, max_iter=MAX_ITERATIONS, **options)


def fitter(penalty: Literal["l1", "l2"], solver: str, seed: int = FIT_SEED) -> Fit:
    """How one set of rows is fitted at several C.

    Args:
        penalty: 'l1' or 'l2'.
        solver: 'fast' or 'reference'.
        seed: Random state of the reference.
    """
    if solver == "fast":
        if penalty == "l1":
            return lambda X, y, cs: fit_l1(X, y, cs, warm=C_GRID)
        return lambda X, y, cs: [fit_l2(X, y, c) for c in cs]

    def fit(X: np.ndarray, y: np.ndarray, c: float) -> LinearFit:
        unfitted = sklearn_logistic(penalty, c, seed)
        model, converged = converges(lambda: unfitted.fit(X, y))
        return LinearFit(model.coef_[0], model.intercept_[0], converged)

    return lambda X, y, cs: [fit(X, y, c) for c in cs]


def logistic_probe(
    inputs: Inputs, y_train: np.ndarray, y_test: np.ndarray, *, solver: str, seed: int
) -> ProbeResult:
    """The paper's baseline, L2 on activations that are not standardised; see `search_c`."""
    fit = fitter("l2", solver)
    return search_c(fit, inputs.X_train, y_train, inputs.X_test, y_test, seed=seed)


def search_c(
    fit: Fit,
    X_train: np.ndarray | sparse.csr_array,
    y_train: np.ndarray,
    X_test: np.ndarray | sparse.csr_array,
    y_test: np.ndarray,
    *,
    seed: int,
) -> ProbeResult:
    """The paper's logistic probe, fit for fit (`find_best_reg`; paper, App. C).

    Args:
        fit: From `fitter`.
        X_train: (n, d) float32, dense or sparse.
        y_train: (n,) 0/1.
        X_test: (m, d) float32.
        y_test: (m,) 0/1.
        seed: Seed of the six folds.

    Returns:
        Scores and the chosen C; with at most 3 rows C = 1 and the training AUC.
    """
    with fit_log() as log:

        def score_split(train: np.ndarray, held: np.ndarray) -> list[tuple[float, bool]]:
            rows, labels = X_train[held], y_train[held]
            fits = fit(X_train[train], y_train[train], C_GRID)
            return [(auc(labels, one.probabilities(rows), log), one.converged) for one in fits]

        chosen, val_auc = DEFAULT_C, float("nan")
        if len(y_train) > 3:
            splits = validation_splits(y_train, cv_seed=seed)
            index, val_auc = search(y_train, splits, len(C_GRID), score_split, log)
            chosen = C_GRID[index]
        order = np.random.RandomState(FIT_SEED).permutation(len(y_train))
        (last,) = fit(X_train[order], y_train[order], [chosen])
        if len(y_train) <= 3:
            val_auc = auc(y_train, last.probabilities(X_train), log)
        tested = linear_scores(last, X_test, y_test, log)
    return log.result(val_auc, tested, {"C": float(chosen)})


def linear_scores(
    last: LinearFit, X_test: np.ndarray | sparse.csr_array, y_test: np.ndarray, log: FitLog
) -> tuple[float, float, float]:
    """Test AUC, accuracy and weighted F1 of the last fit, which must have converged."""
    log.require(last.converged)
    predictions = (last.logits(X_test) > 0).astype(np.int64)
    return test_scores(y_test, last.probabilities(X_test), predictions, log)
