"""Coordinate descent on the quadratic model of one step of `l1_flow`.

Everywhere ``X`` is (data, indices, indptr) of sparse columns; ``model`` is (slope (n,), curvature
(n,), gap), the derivatives of the loss and how far the intercept is from the centre of the step;
``goal`` is (penalty, ridge, centre (n_features,), intercept's centre).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from probing_core.probes.solvers.l1_jump import jump

FIRST_JUMP = 10


@njit(cache=True)
def descend(X, model, goal, coef, step, members, tolerance, max_epochs, change):
    """Minimise the model over some columns; returns (epochs, intercept step).

    `step` (n_features,) is the move away from `coef`; `change` (n,) is X @ step without the
    intercept. The intercept is kept at its own optimum after every move through `offset`, which
    removes the slow zig-zag between the intercept and columns that never go negative.
    """
    data, indices, indptr = X
    slope, curvature, gap = model
    penalty, ridge, centre, _ = goal
    total = curvature.sum() + ridge + 1e-300
    offset = -(slope.sum() + ridge * gap) / total
    mass, square = _moments(X, curvature, members)
    epochs, next_jump = 0, FIRST_JUMP
    while epochs < max_epochs:
        epochs += 1
        worst = 0.0
        for position in range(members.size):
            j = members[position]
            hessian = square[position] - mass[position] * mass[position] / total + ridge
            if hessian <= 1e-12 * square[position] or hessian <= 1e-300:
                continue
            held = coef[j] + step[j]
            gradient = offset * mass[position] + ridge * (held - centre[j])
            for entry in range(indptr[j], indptr[j + 1]):
                i = indices[entry]
                gradient += data[entry] * (slope[i] + curvature[i] * change[i])
            moved = _soft(held - gradient / hessian, penalty / hessian) - held
            if moved != 0.0:
                step[j] += moved
                for entry in range(indptr[j], indptr[j + 1]):
                    change[indices[entry]] += moved * data[entry]
                offset -= moved * mass[position] / total
                worst = max(worst, abs(moved) * hessian)
        if worst <= tolerance:
            break
        if epochs >= next_jump:
            offset, spent, price = jump(
                X, model, goal, coef, step, members, change, offset, mass, total, epochs
            )
            epochs += spent
            next_jump = epochs + price if spent > 0 else price
    return epochs, offset


@njit(cache=True)
def _moments(X, curvature, members):
    """First and second moment of each column under the curvature."""
    data, indices, indptr = X
    mass, square = np.zeros(members.size), np.zeros(members.size)
    for position in range(members.size):
        j = members[position]
        for entry in range(indptr[j], indptr[j + 1]):
            held = curvature[indices[entry]] * data[entry]
            mass[position] += held
            square[position] += held * data[entry]
    return mass, square


@njit(cache=True)
def _soft(value, threshold):
    """Soft-thresholding, the proximal step of the L1 penalty."""
    if value > threshold:
        return value - threshold
    if value < -threshold:
        return value + threshold
    return 0.0
