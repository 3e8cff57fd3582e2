"""Logistic regression on the first principal components, their number chosen by validation."""

from __future__ import annotations

import numpy as np

from probing_core.probes.inputs import Inputs
from probing_core.probes.logistic import DEFAULT_C, fitter, linear_scores
from probing_core.probes.metrics import auc
from probing_core.probes.result import ProbeResult, fit_log
from probing_core.probes.solvers.l2 import LinearFit
from probing_core.probes.validation import log2_grid, search, validation_splits


def pca_probe(
    inputs: Inputs, y_train: np.ndarray, y_test: np.ndarray, *, solver: str, seed: int
) -> ProbeResult:
    """The paper's PCA probe (`find_best_pcareg`).

    Scaler and PCA see all training rows, validation rows included.

    Args:
        inputs: The rows.
        y_train: (n,) 0/1.
        y_test: (m,) 0/1.
        solver: 'fast' or 'reference'.
        seed: Seed of folds, decomposition and classifier.

    Returns:
        Scores and the number of components; with at most 3 rows all of them.
    """
    with fit_log() as log:
        fit = fitter("l2", solver, seed)
        inner, outer = inputs.projected(seed)
        counts = log2_grid(inner.shape[1])

        def fitted(rows: np.ndarray, count: int) -> LinearFit:
            (only,) = fit(np.ascontiguousarray(inner[rows, :count]), y_train[rows], [DEFAULT_C])
            return only

        def score_split(train: np.ndarray, held: np.ndarray) -> list[tuple[float, bool]]:
            fits = [fitted(train, count) for count in counts]
            return [
                (auc(y_train[held], one.probabilities(inner[held, :count]), log), one.converged)
                for one, count in zip(fits, counts, strict=True)
            ]

        chosen, val_auc = inner.shape[1], float("nan")
        if len(y_train) > 3:
            splits = validation_splits(y_train, cv_seed=seed)
            index, val_auc = search(y_train, splits, len(counts), score_split, log)
            chosen = counts[index]
        last = fitted(np.arange(len(y_train)), chosen)
        if len(y_train) <= 3:
            val_auc = auc(y_train, last.probabilities(inner[:, :chosen]), log)
        tested = linear_scores(last, outer[:, :chosen], y_test, log)
    return log.result(val_auc, tested, {"components": chosen})
