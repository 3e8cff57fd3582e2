"""A direct solve on the support, for the coordinate descent of `l1_descent`.

Coordinate descent finds the right support within a few passes, then creeps where columns are
correlated. One Cholesky solve on that support replaces hundreds of passes. The arguments are those
of `l1_descent`.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def jump(X, model, goal, coef, step, members, change, offset, mass, total, epochs):
    """Solve the quadratic model on the present support; returns (offset, spent, price).

    With the signs fixed the rest is one linear system. Coordinates that would change sign stop at
    zero; while that raises the model, a shorter step is tried. `price` is the cost in epochs, so
    that a bound on epochs bounds time; with fewer `epochs` left, `spent` is 0.
    """
    slope, curvature, _ = model
    penalty, ridge, centre, _ = goal
    indptr = X[2]
    support = np.zeros(members.size, dtype=np.int64)
    size, n_entries = 0, 0
    for position in range(members.size):
        j = members[position]
        n_entries += indptr[j + 1] - indptr[j]
        if coef[j] + step[j] != 0.0:
            support[size] = position
            size += 1
    price = 10 + size * size * (slope.size + size) // (16 * n_entries + 16)
    if size == 0 or price > epochs:
        return offset, 0, price
    columns = members[support[:size]]
    weight = mass[support[:size]]
    held = coef[columns] + step[columns]
    residual = slope + curvature * change
    hessian, pull, jitter = _system(X, np.sqrt(curvature), residual, columns, weight, total, ridge)
    pull += offset * weight + penalty * np.sign(held) + ridge * (held - centre[columns])
    direction = _solve(hessian, pull, jitter)
    reach = 1.0
    for at in range(size):
        if (held[at] + direction[at]) * held[at] < 0.0:
            reach = min(reach, -held[at] / direction[at])
    line = (columns, held, direction, reach, weight / total)
    shifted, tries = _walk(X, model, goal, coef, step, change, offset, line)
    return shifted, price + tries, price + tries


@njit(cache=True)
def _system(X, root, residual, columns, weight, total, ridge):
    """Hessian, gradient of the loss, and smallest pivot of the quadratic model on some columns."""
    data, indices, indptr = X
    size = columns.size
    dense = np.zeros((root.size, size))
    pull = np.zeros(size)
    for at in range(size):
        j = columns[at]
        for entry in range(indptr[j], indptr[j + 1]):
            i = indices[entry]
            dense[i, at] = root[i] * data[entry]
            pull[at] += data[entry] * residual[i]
    hessian = np.dot(dense.T, dense)
    jitter = 1e-300
    for at in range(size):
        for other in range(size):
            hessian[at, other] -= weight[at] * weight[other] / total
        hessian[at, at] += ridge
        jitter = max(jitter, 1e-10 * hessian[at, at])
    return hessian, pull, jitter


@njit(cache=True)
def _walk(X, model, goal, coef, step, change, offset, line):
    """Go along a direction as far as the model falls; returns (offset, tries).

    `step` and `change` are updated in place. The last try is `reach`, where the first coordinate
    becomes zero.
    """
    data, indices, indptr = X
    columns, held, direction, reach, share_of_mass = line
    before = _value(model, goal, change, offset, held, columns)
    share, tries = 1.0, 0
    while True:
        tries += 1
        move = direction * share
        for at in range(columns.size):
            if (held[at] + move[at]) * held[at] <= 0.0:
                move[at] = -held[at]
        tried = change.copy()
        for at in range(columns.size):
            j = columns[at]
            for entry in range(indptr[j], indptr[j + 1]):
                tried[indices[entry]] += move[at] * data[entry]
        shifted = offset - np.dot(move, share_of_mass)
        if _value(model, goal, tried, shifted, held + move, columns) < before:
            for at in range(columns.size):
                j = columns[at]
                # Exactly -coef where the coordinate is dropped, so that their sum is exactly 0.
                step[j] = -coef[j] if move[at] == -held[at] else step[j] + move[at]
            change[:] = tried
            return shifted, tries
        if share <= reach:
            return offset, tries
        share = max(0.4 * share, reach)


@njit(cache=True)
def _solve(matrix, right, jitter):
    """Solve (matrix + jitter) x = -right by Cholesky, in place; numpy's would compile for seconds.

    A pivot that rounding left below the jitter is lifted to it, which freezes its direction.
    """
    size = right.size
    for i in range(size):
        matrix[i, i] += jitter
        for j in range(i + 1):
            value = matrix[i, j] - np.dot(matrix[i, :j], matrix[j, :j])
            if i == j:
                matrix[i, i] = np.sqrt(max(value, jitter))
            else:
                matrix[i, j] = value / matrix[j, j]
    found = -right
    for i in range(size):
        found[i] = (found[i] - np.dot(matrix[i, :i], found[:i])) / matrix[i, i]
    for i in range(size - 1, -1, -1):
        found[i] /= matrix[i, i]
        for j in range(i):
            found[j] -= matrix[i, j] * found[i]
    return found


@njit(cache=True)
def _value(model, goal, change, offset, held, columns):
    """Value of the quadratic model, penalty and proximal term at a move."""
    slope, curvature, gap = model
    penalty, ridge, centre, _ = goal
    value = 0.5 * ridge * (offset + gap) ** 2
    for i in range(slope.size):
        move = change[i] + offset
        value += slope[i] * move + 0.5 * curvature[i] * move * move
    for at in range(columns.size):
        away = held[at] - centre[columns[at]]
        value += penalty * abs(held[at]) + 0.5 * ridge * away * away
    return value
