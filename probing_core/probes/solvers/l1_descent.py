"""Coordinate descent on the quadratic model of one proximal Newton step of `l1_flow`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit


class Columns(NamedTuple):
    """Sparse columns: float64 entries, int64 row numbers, int64 start of each column."""

    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray


class Prox(NamedTuple):
    """What is added to the loss: ``penalty * |w|_1 + weight / 2 * |(w, b) - center|^2``."""

    penalty: float
    weight: float
    center: np.ndarray


@njit(cache=True)
def descend(
    X: Columns, slope: np.ndarray, curvature: np.ndarray, prox: Prox, point: np.ndarray,
    step: np.ndarray, working_set: np.ndarray, tolerance: float, max_epochs: int,
    change: np.ndarray,
) -> int:  # fmt: skip
    """Minimise the model over the intercept and the columns in `working_set`; passes taken.

    The intercept is kept at its own optimum after every move, which removes the slow zig-zag
    between the intercept and columns that never go negative.

    Args:
        X: The columns.
        slope: (n,) first derivatives of the loss in the rows' logits.
        curvature: (n,) second derivatives.
        prox: Penalty and proximal term.
        point: (d + 1,) coefficients and intercept where the model was made.
        step: (d + 1,), filled with the move away from there.
        working_set: Columns that may move.
        tolerance: No gradient may exceed it at the end.
        max_epochs: Bound on the passes over the working set.
        change: (n,), filled with the move of the logits.
    """
    d = point.size - 1
    total, pull = prox.weight + 1e-300, prox.weight * (point[d] - prox.center[d])
    for i in range(slope.size):
        change[i] = 0.0
        total += curvature[i]
        pull += slope[i]
    for j in range(d):
        step[j] = 0.0
    step[d] = -pull / total
    mass, square = np.zeros(working_set.size), np.zeros(working_set.size)
    for position in range(working_set.size):
        j = working_set[position]
        for entry in range(X.indptr[j], X.indptr[j + 1]):
            weighted = curvature[X.indices[entry]] * X.data[entry]
            mass[position] += weighted
            square[position] += weighted * X.data[entry]
    epochs, worst = 0, np.inf
    while epochs < max_epochs and worst > tolerance:
        epochs += 1
        worst = 0.0
        for position in range(working_set.size):
            j = working_set[position]
            hessian = square[position] - mass[position] * mass[position] / total + prox.weight
            if hessian <= 1e-12 * square[position] or hessian <= 1e-300:
                continue
            held = point[j] + step[j]
            gradient = step[d] * mass[position] + prox.weight * (held - prox.center[j])
            for entry in range(X.indptr[j], X.indptr[j + 1]):
                i = X.indices[entry]
                gradient += X.data[entry] * (slope[i] + curvature[i] * change[i])
            # Soft-thresholding, the proximal step of the L1 penalty.
            target, threshold = held - gradient / hessian, prox.penalty / hessian
            moved = max(target - threshold, 0.0) + min(target + threshold, 0.0) - held
            if moved != 0.0:
                step[j] += moved
                for entry in range(X.indptr[j], X.indptr[j + 1]):
                    change[X.indices[entry]] += moved * X.data[entry]
                step[d] -= moved * mass[position] / total
                worst = max(worst, abs(moved) * hessian)
    for i in range(slope.size):
        change[i] += step[d]
    return epochs
