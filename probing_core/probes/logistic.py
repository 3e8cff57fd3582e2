"""Logistic-regression probes, L1 and L2, under both solvers.

The only module that names scikit-learn's penalty arguments. They changed in 1.8 (``penalty`` is
deprecated; ``l1_ratio`` says L1 or L2 and ``C=np.inf`` says none), and the next change has to be
met here alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import sklearn
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from probing_core.probes.inputs import Inputs
from probing_core.probes.metrics import auc, aucs, test_scores
from probing_core.probes.result import FitLog, ProbeResult, finish, fit_log
from probing_core.probes.solvers.l1_flow import fit_l1_flow
from probing_core.probes.solvers.l2_batch import L2Rows
from probing_core.probes.validation import (
    choose,
    mean_scores,
    row_weights,
    validation_splits,
)

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


def fast_logistic(
    X_train: np.ndarray | sparse.sparray,
    y_train: np.ndarray,
    X_test: np.ndarray | sparse.sparray,
    y_test: np.ndarray,
    *,
    penalty: Penalty = "l2",
    cv_seed: int = 42,
    shared: Inputs | None = None,
) -> ProbeResult:
    """The same probe, all C values and folds together.

    Every fit ends where scikit-learn's ends, optimum or not (see `lbfgs` and `l1_flow`). Scores are
    logits rather than probabilities, so rows far from the boundary keep their order where a
    probability would round to 1.

    Args:
        X_train: (n, d) float32, dense or sparse, not standardised.
        y_train: (n,) 0/1.
        X_test: (m, d) float32.
        y_test: (m,) 0/1.
        penalty: 'l2' or 'l1'.
        cv_seed: Seed of the six folds.
        shared: What other probes on the same dense arrays have computed already.

    Returns:
        Scores and the chosen C; with at most 3 rows C = 1 and the training AUC.
    """
    with fit_log() as log:
        if penalty == "l1":
            fit = _l1_fitter(X_train, y_train)
        else:
            shared = shared or Inputs(_dense(X_train), X_test)
            fit = _l2_fitter(shared, y_train)
        splits = validation_splits(y_train, cv_seed=cv_seed)
        usable = [train for train, _ in splits if len(np.unique(y_train[train])) == 2]
        fits = iter(fit(usable, C_GRID))
        unfinished = np.zeros(len(C_GRID), dtype=bool)

        def score_split(train: np.ndarray, held: np.ndarray) -> Sequence[float]:
            one = next(fits)
            np.logical_or(unfinished, ~one.converged, out=unfinished)
            return aucs(y_train[held], one.logits[:, held], log)

        chosen, val_auc = DEFAULT_C, float("nan")
        if len(y_train) > 3:
            index, val_auc = choose(mean_scores(y_train, splits, len(C_GRID), score_split), log)
            chosen = float(C_GRID[index])
            if unfinished[index]:
                log.not_converged(_BOUND.format(chosen))
        (last,) = fit([np.arange(len(y_train))], np.array([chosen]))
        if not last.converged[0]:
            log.not_converged(_BOUND.format(chosen))
        if len(y_train) <= 3:
            val_auc = auc(y_train, last.logits[0], log)
        tested = linear_scores(X_test, y_test, last.weights[0], last.intercepts[0], log)
    return finish(log, val_auc, tested, {"C": chosen})


@dataclass(frozen=True)
class _Fits:
    """One subset at every C: (Cs, d) weights, (Cs,) intercepts, (Cs, n) logits, (Cs,) bools."""

    weights: np.ndarray
    intercepts: np.ndarray
    logits: np.ndarray
    converged: np.ndarray


Fitter = Callable[[Sequence[np.ndarray], np.ndarray], list[_Fits]]


def _l1_fitter(features: np.ndarray | sparse.sparray, labels: np.ndarray) -> Fitter:
    """Fits on subsets of sparse rows, one path over C a subset."""
    columns, by_row = sparse.csc_array(features), sparse.csr_array(features)

    def fit(subsets: Sequence[np.ndarray], cs: np.ndarray) -> list[_Fits]:
        # The smaller C values come along as warm starts: cheaper than one cold fit at a large C.
        grid = np.append(cs, [c for c in C_GRID if c < cs.min()])
        found = []
        for weight in row_weights(subsets, len(labels)):
            flow = fit_l1_flow(columns, labels, grid, weight)
            keep = slice(0, len(cs))
            weights, biases = flow.coefficients[keep], flow.intercepts[keep]
            logits = (by_row @ weights.T).T + biases[:, None]
            found.append(_Fits(weights, biases, logits, (flow.at_rest & flow.solved)[keep]))
        return found

    return fit


def _dense(features: np.ndarray | sparse.sparray) -> np.ndarray:
    dense = features if isinstance(features, np.ndarray) else features.toarray()
    return np.ascontiguousarray(dense, dtype=np.float32)


def _l2_fitter(shared: Inputs, labels: np.ndarray) -> Fitter:
    """Fits on subsets of rows, all subsets and C values in one batch."""
    rows = shared.once("l2", lambda: L2Rows(_dense(shared.X_train), device=shared.device))

    def fit(subsets: Sequence[np.ndarray], cs: np.ndarray) -> list[_Fits]:
        weight = row_weights(subsets, len(labels))
        every = rows.fit(labels, np.tile(cs, len(subsets)), np.repeat(weight, len(cs), axis=0))
        parts = [slice(at * len(cs), (at + 1) * len(cs)) for at in range(len(subsets))]
        return [
            _Fits(
                every.weights[part],
                every.intercepts[part],
                every.logits[part],
                every.converged[part],
            )
            for part in parts
        ]

    return fit


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
