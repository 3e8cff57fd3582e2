"""Logistic-regression probes, L1 and L2, under both solvers.

The only module that names scikit-learn's penalty arguments. They changed in 1.8 (``penalty`` is
deprecated; ``l1_ratio`` says L1 or L2 and ``C=np.inf`` says none), and the next change has to be
met here alone.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Literal

import numpy as np
import sklearn
import torch
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from probing_core.probes.inputs import Inputs
from probing_core.probes.logistic_fits import (
    C_GRID,
    Fits,
    Request,
    l1_batch_fitter,
    l1_fitter,
    l2_fitter,
)
from probing_core.probes.metrics import auc, aucs, test_scores
from probing_core.probes.result import FitLog, ProbeResult, finish, fit_log
from probing_core.probes.validation import choose, mean_scores, validation_splits

Penalty = Literal["l1", "l2"]

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
    rows: torch.Tensor | None = None,
) -> ProbeResult:
    """The same probe, all C values and folds together.

    The arguments are those of `fast_logistic_sets`, with one label set: ``y_train``, (n,) 0/1.

    Returns:
        Scores and the chosen C; with at most 3 rows C = 1 and the training AUC.
    """
    (result,) = fast_logistic_sets(
        X_train,
        [y_train],
        X_test,
        y_test,
        penalty=penalty,
        cv_seed=cv_seed,
        shared=shared,
        rows=rows,
    )
    return result


def fast_logistic_sets(
    X_train: np.ndarray | sparse.sparray,
    label_sets: Sequence[np.ndarray],
    X_test: np.ndarray | sparse.sparray,
    y_test: np.ndarray,
    *,
    penalty: Penalty = "l2",
    cv_seed: int = 42,
    shared: Inputs | None = None,
    rows: torch.Tensor | None = None,
) -> list[ProbeResult]:
    """One probe a label set on the same rows: two batches of fits, the search and the refits.

    Every fit ends where scikit-learn's ends, optimum or not (see `lbfgs` and `l1_flow`). Scores are
    logits rather than probabilities, so rows far from the boundary keep their order where a
    probability would round to 1.

    Args:
        X_train: (n, d) float32, dense or sparse, not standardised.
        label_sets: Several (n,) 0/1, such as levels of label noise.
        X_test: (m, d) float32.
        y_test: (m,) 0/1.
        penalty: 'l2' or 'l1'.
        cv_seed: Seed of the six folds.
        shared: For 'l2': what other probes on the same dense arrays have computed already.
        rows: For 'l1': the training rows on a device, for a batch there instead of a path here.

    Returns:
        The results in the order of the label sets; each is charged its share of the time.
    """
    with fit_log() as whole:
        if penalty == "l2":
            fit = l2_fitter(shared or Inputs(_dense(X_train), X_test))
        elif rows is None:
            fit = l1_fitter(X_train)
        else:
            fit = l1_batch_fitter(rows)
        searches = [_Search(labels, cv_seed) for labels in label_sets]
        for search, found in zip(searches, fit([one.candidates for one in searches]), strict=True):
            search.choose(found)
        finals = fit([one.last for one in searches])
        tested = [
            search.test(last, X_test, y_test)
            for search, (last,) in zip(searches, finals, strict=True)
        ]
    for search in searches:
        search.log.seconds = whole.seconds / len(searches)
        for message in whole.notes:
            search.log.note(message)
    return [
        finish(search.log, search.val_auc, scores, {"C": search.chosen})
        for search, scores in zip(searches, tested, strict=True)
    ]


class _Search:
    """The choice of C for one label set."""

    def __init__(self, labels: np.ndarray, cv_seed: int) -> None:
        self.labels, self.log = labels, FitLog()
        self.splits = validation_splits(labels, cv_seed=cv_seed)
        self.chosen, self.val_auc = DEFAULT_C, float("nan")

    @property
    def candidates(self) -> Request:
        """Every C on the training rows of every fold with both classes."""
        usable = [train for train, _ in self.splits if len(np.unique(self.labels[train])) == 2]
        return Request(self.labels, usable, C_GRID)

    def choose(self, found: list[Fits]) -> None:
        """Take the fits of the candidates and keep the best C."""
        if len(self.labels) <= 3:
            return
        fits = iter(found)
        unfinished = np.zeros(len(C_GRID), dtype=bool)
        for one in found:
            unfinished |= ~one.converged

        def score_split(train: np.ndarray, held: np.ndarray) -> Sequence[float]:
            return aucs(self.labels[held], next(fits).logits[:, held], self.log)

        scores = mean_scores(self.labels, self.splits, len(C_GRID), score_split)
        index, self.val_auc = choose(scores, self.log)
        self.chosen = float(C_GRID[index])
        if unfinished[index]:
            self.log.not_converged(_BOUND.format(self.chosen))

    @property
    def last(self) -> Request:
        """The chosen C on all rows."""
        return Request(self.labels, [np.arange(len(self.labels))], np.array([self.chosen]))

    def test(
        self, last: Fits, X_test: np.ndarray | sparse.sparray, y_test: np.ndarray
    ) -> tuple[float, float, float]:
        """Test scores of the last fit."""
        if not last.converged[0]:
            self.log.not_converged(_BOUND.format(self.chosen))
        if len(self.labels) <= 3:
            self.val_auc = auc(self.labels, last.logits[0], self.log)
        return linear_scores(X_test, y_test, last.weights[0], last.intercepts[0], self.log)


def _dense(features: np.ndarray | sparse.sparray) -> np.ndarray:
    dense = features if isinstance(features, np.ndarray) else features.toarray()
    return np.ascontiguousarray(dense, dtype=np.float32)


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
