"""AUC, accuracy and weighted F1, with one class or no score said out loud."""

from __future__ import annotations

import math

import numpy as np
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from probing_core.probes.result import FitLog

ONE_CLASS = "AUC undefined: the rows scored hold one class"


def auc(labels: np.ndarray, scores: np.ndarray, log: FitLog | None = None) -> float:
    """Area under the ROC curve; tied scores count one half.

    Args:
        labels: (n,) 0/1.
        scores: (n,) higher means class 1.
        log: Where to note that the AUC is undefined.

    Returns:
        The AUC, or NaN where the labels hold one class or the scores are not finite.
    """
    if len(labels) == 0 or np.all(labels == labels[0]):
        if log is not None:
            log.note(ONE_CLASS)
        return math.nan
    if not np.all(np.isfinite(scores)):
        if log is not None:
            log.not_converged("AUC undefined: the probe gave scores that are not finite")
        return math.nan
    if len(labels) == 2:
        # One pair: scikit-learn's answer without its overhead, which leave-two-out pays often.
        high, low = (scores[0], scores[1]) if labels[0] == 1 else (scores[1], scores[0])
        return 0.5 + 0.5 * float(np.sign(high - low))
    return float(roc_auc_score(labels, scores))


def test_scores(
    labels: np.ndarray, scores: np.ndarray, predictions: np.ndarray, log: FitLog
) -> tuple[float, float, float]:
    """The three test scores of a probe.

    Args:
        labels: (n,) 0/1.
        scores: (n,) higher means class 1.
        predictions: (n,) 0/1.
        log: Where to note an undefined AUC.

    Returns:
        (AUC, accuracy, F1 weighted by class size).
    """
    return (
        auc(labels, scores, log),
        float(accuracy_score(labels, predictions)),
        float(f1_score(labels, predictions, average="weighted", zero_division=0.0)),
    )


# The name reads as a test to pytest, which must not collect it where it is imported.
test_scores.__test__ = False  # type: ignore[attr-defined]


def best_index(scores: list[float]) -> int:
    """Index of the highest score; the first wins ties, and NaN never wins over a number.

    Args:
        scores: Mean validation scores in the order of the candidates.

    Returns:
        An index into `scores`; 0 where all are NaN.
    """
    values = np.asarray(scores, dtype=np.float64)
    return 0 if np.all(np.isnan(values)) else int(np.nanargmax(values))
