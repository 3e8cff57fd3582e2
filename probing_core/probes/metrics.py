"""AUC, accuracy and weighted F1, with one class or no score said out loud."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from probing_core.probes.result import FitLog


def auc(labels: np.ndarray, scores: np.ndarray, log: FitLog | None = None) -> float:
    """Area under the ROC curve of (n,) 0/1 labels; higher scores mean class 1, ties count a half.

    Where the labels hold one class or the scores are not finite it is NaN, and `log` says so.
    """
    log = log or FitLog()
    if len(labels) == 0 or np.all(labels == labels[0]):
        log.note("AUC undefined: the rows scored hold one class")
        return math.nan
    if not np.all(np.isfinite(scores)):
        log.require(False, "AUC undefined: the probe gave scores that are not finite")
        return math.nan
    order = np.argsort(scores)[::-1]
    positive, falling = np.asarray(labels) == 1, np.asarray(scores, dtype=np.float64)
    return float(_area(positive[order], falling[order]).sum())


@njit(cache=True)
def _area(positive: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Trapezia under the ROC curve, whose sum is the area; scores fall.

    scikit-learn's arithmetic step for step, at a hundredth of its overhead, which a search over ten
    candidates and six folds pays sixty times. Areas that are equal may round apart there; only the
    same rounding chooses the same one of several equal candidates.
    """
    hits, misses = np.zeros(scores.size + 1), np.zeros(scores.size + 1)
    corners, hit, miss = 1, 0, 0
    last_hit, last_miss, rise, run = 0, 0, -1, -1
    for at in range(scores.size):
        if positive[at]:
            hit += 1
        else:
            miss += 1
        if at + 1 < scores.size and scores[at + 1] == scores[at]:
            continue
        # A corner halfway between its neighbours is dropped, though not the first one.
        if corners > 2 and hit - last_hit == rise and miss - last_miss == run:
            corners -= 1
        rise, run, last_hit, last_miss = hit - last_hit, miss - last_miss, hit, miss
        hits[corners], misses[corners] = hit, miss
        corners += 1
    found = np.zeros(corners - 1)
    for at in range(corners - 1):
        width = misses[at + 1] / miss - misses[at] / miss
        found[at] = width * (hits[at + 1] / hit + hits[at] / hit) / 2.0
    return found


def final_scores(
    labels: np.ndarray, scores: np.ndarray, predictions: np.ndarray, log: FitLog
) -> tuple[float, float, float]:
    """AUC, accuracy and F1 weighted by class size; `log` notes an AUC that is undefined."""
    accuracy = float(np.mean(labels == predictions))
    return auc(labels, scores, log), accuracy, _weighted_f1(labels, predictions)


def _weighted_f1(labels: np.ndarray, predictions: np.ndarray) -> float:
    """F1 of each class, averaged by class size; 0 for a class neither held nor predicted."""
    total = 0.0
    for value in (0, 1):
        held, said = labels == value, predictions == value
        both = held.sum() + said.sum()
        total += held.sum() * (2.0 * (held & said).sum() / both if both else 0.0)
    return float(total / len(labels))
