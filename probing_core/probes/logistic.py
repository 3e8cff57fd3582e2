"""Logistic-regression probes, L1 and L2, under both solvers.

The only module that names scikit-learn's penalty arguments. They changed in 1.8 (``penalty`` is
deprecated; ``l1_ratio`` says L1 or L2 and ``C=np.inf`` says none), and the next change has to be
met here alone.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import sklearn
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from probing_core.probes.l1_path import L1Path, fit_l1_path
from probing_core.probes.l2_path import L2Path, fit_l2_path
from probing_core.probes.metrics import auc, test_scores
from probing_core.probes.result import FitLog, ProbeResult, finish, fit_log
from probing_core.probes.validation import choose, mean_scores, validation_splits

Penalty = Literal["l1", "l2"]

C_GRID = np.logspace(5, -5, 10)
DEFAULT_C = 1.0
MAX_ITERATIONS = 1000
_BOUND = "solver stopped at its iteration bound at C={:g}"


@functools.cache
def _speaks_l1_ratio() -> bool:
    """Whether this scikit-learn takes the penalty from ``l1_ratio``."""
    major, minor = (int(part) for part in sklearn.__version__.split(".")[:2])
    return (major, minor) >= (1, 8)


def sklearn_logistic(penalty: Penalty, c: float, seed: int) -> LogisticRegression:
    """The scikit-learn classifier of the paper's probes, unfitted.

    Args:
        penalty: 'l1' (solver saga) or 'l2' (solver lbfgs).
        c: Inverse penalty; ``np.inf`` for none.
        seed: Random state; only saga uses it.

    Returns:
        A `LogisticRegression` with max_iter 1000.
    """
    options: dict[str, object] = {"C": c, "random_state": seed, "max_iter": MAX_ITERATIONS}
    if penalty == "l1":
        options["solver"] = "saga"
        options |= {"l1_ratio": 1.0} if _speaks_l1_ratio() else {"penalty": "l1"}
    return LogisticRegression(**options)


def _dense(features: np.ndarray | sparse.sparray) -> np.ndarray:
    return features if isinstance(features, np.ndarray) else features.toarray()


def reference_logistic(
    X_train: np.ndarray,
    y_train: np.ndarray,
    X_test: np.ndarray,
    y_test: np.ndarray,
    *,
    penalty: Penalty = "l2",
    cv_seed: int = 42,
    fit_seed: int = 1,
) -> ProbeResult:
    """The paper's logistic probe, fit for fit (`find_best_reg`; paper, App. C).

    Args:
        X_train: (n, d) float32, not standardised.
        y_train: (n,) 0/1.
        X_test: (m, d) float32.
        y_test: (m,) 0/1.
        penalty: 'l2' (lbfgs) or 'l1' (saga).
        cv_seed: Seed of the six folds.
        fit_seed: Random state of every fit and of the reshuffle before the last one.

    Returns:
        Scores and the chosen C; with at most 3 rows C = 1 and the training AUC.
    """
    with fit_log() as log:
        # C stays a numpy float64 as in the original: with float32 rows a Python float makes
        # scikit-learn compute in single precision, which moves test AUCs by up to 0.002.
        chosen: float | np.float64 = DEFAULT_C
        val_auc = float("nan")
        unfinished = np.zeros(len(C_GRID), dtype=bool)

        def score_split(train: np.ndarray, held: np.ndarray) -> Sequence[float]:
            scores = []
            for position, c in enumerate(C_GRID):
                # Caught fit by fit: a candidate that loses must not mark the probe.
                with fit_log() as one_fit:
                    model = sklearn_logistic(penalty, c, fit_seed).fit(
                        X_train[train], y_train[train]
                    )
                unfinished[position] |= not one_fit.converged
                scores.append(auc(y_train[held], model.predict_proba(X_train[held])[:, 1], log))
            return scores

        if len(y_train) > 3:
            splits = validation_splits(y_train, cv_seed=cv_seed)
            scores = mean_scores(y_train, splits, len(C_GRID), score_split)
            index, val_auc = choose(scores, log)
            chosen = C_GRID[index]
            if unfinished[index]:
                log.not_converged(_BOUND.format(chosen))
        order = np.random.RandomState(fit_seed).permutation(len(y_train))
        model = sklearn_logistic(penalty, chosen, fit_seed).fit(X_train[order], y_train[order])
        if len(y_train) <= 3:
            val_auc = auc(y_train[order], model.predict_proba(X_train[order])[:, 1], log)
        tested = test_scores(y_test, model.predict_proba(X_test)[:, 1], model.predict(X_test), log)
    return finish(log, val_auc, tested, {"C": float(chosen)})


@dataclass(frozen=True)
class _Rows:
    """Features in the form the fast path of a penalty wants: columns for L1, rows for L2."""

    penalty: Penalty
    features: np.ndarray | sparse.csc_array

    def fit(self, labels: np.ndarray, rows: np.ndarray, cs: np.ndarray) -> L1Path | L2Path:
        """Fit every C on some of the rows."""
        if self.penalty == "l2":
            return fit_l2_path(self.features[rows], labels[rows], cs)
        weight = np.zeros(len(labels))
        weight[rows] = 1.0
        return fit_l1_path(self.features, labels, cs, weight)


def fast_logistic(
    X_train: np.ndarray | sparse.sparray,
    y_train: np.ndarray,
    X_test: np.ndarray | sparse.sparray,
    y_test: np.ndarray,
    *,
    penalty: Penalty = "l2",
    cv_seed: int = 42,
) -> ProbeResult:
    """The same probe at the optimum of every fit, by a warm-started path over C.

    Scores are logits rather than probabilities, so rows far from the boundary keep their order
    where a probability would round to 1.

    Args:
        X_train: (n, d) float32, dense or sparse, not standardised.
        y_train: (n,) 0/1.
        X_test: (m, d) float32.
        y_test: (m,) 0/1.
        penalty: 'l2' or 'l1'.
        cv_seed: Seed of the six folds.

    Returns:
        Scores and the chosen C; with at most 3 rows C = 1 and the training AUC.
    """
    with fit_log() as log:
        held_features = sparse.csc_array(X_train) if penalty == "l1" else _dense(X_train)
        by_row = sparse.csr_array(X_train) if penalty == "l1" else held_features
        rows = _Rows(penalty, held_features)
        splits = validation_splits(y_train, cv_seed=cv_seed)
        unfinished = np.zeros(len(C_GRID), dtype=bool)

        def score_split(train: np.ndarray, held: np.ndarray) -> Sequence[float]:
            path = rows.fit(y_train, train, C_GRID)
            np.logical_or(unfinished, ~path.converged, out=unfinished)
            logits = by_row[held] @ path.coefficients.T + path.intercepts
            return [auc(y_train[held], logits[:, i], log) for i in range(len(C_GRID))]

        chosen, val_auc, everything = DEFAULT_C, float("nan"), np.arange(len(y_train))
        if len(y_train) > 3:
            scores = mean_scores(y_train, splits, len(C_GRID), score_split)
            index, val_auc = choose(scores, log)
            chosen = float(C_GRID[index])
            if unfinished[index]:
                log.not_converged(_BOUND.format(chosen))
        # The smaller C values come along as warm starts: cheaper than one cold fit at a large C.
        cs = np.array([chosen, *(c for c in C_GRID if c < chosen)])
        last = rows.fit(y_train, everything, cs)
        weights, bias = last.coefficients[0], last.intercepts[0]
        if not last.converged[0]:
            log.not_converged(_BOUND.format(chosen))
        if len(y_train) <= 3:
            val_auc = auc(y_train, by_row @ weights + bias, log)
        tested = linear_scores(X_test, y_test, weights, bias, log)
    return finish(log, val_auc, tested, {"C": chosen})


def linear_scores(
    X_test: np.ndarray | sparse.sparray,
    y_test: np.ndarray,
    weights: np.ndarray,
    bias: float,
    log: FitLog,
) -> tuple[float, float, float]:
    """Test scores of a linear probe.

    Args:
        X_test: (m, d), dense or sparse.
        y_test: (m,) 0/1.
        weights: (d,) float64.
        bias: The intercept.
        log: Where an undefined AUC is noted.

    Returns:
        (AUC, accuracy, weighted F1).
    """
    logits = X_test @ weights + bias
    return test_scores(y_test, logits, (logits > 0).astype(np.int64), log)
