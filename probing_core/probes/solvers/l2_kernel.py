"""L-BFGS for one L2 logistic regression after another, compiled: `l2_batch` on a CPU.

A step on a thousand rows takes some fifty microseconds, less than the calls of a batched step cost
on a CPU. `lbfgs` says what the algorithm is and runs it side by side on other devices.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from probing_core.probes.solvers.line_search import accepts, advance, begin

MEMORY = 10
MAX_ITERATIONS = 1000
MAX_TRIALS = 50
TOLERANCE = 1e-4
FEW = 256
MARGINS = (30.0, 2.0)
VALUE_TOLERANCE = 64 * np.finfo(np.float64).eps
_EPSILON = np.finfo(np.float64).eps


@njit(cache=True)
def fit_all(rows, features, root, target, share, ridge, mask, points, converged):
    """Fit every problem of a batch from zero.

    Args:
        rows: (n, r) float32, C order.
        features: (n, d) float32, where the stopping rule looks; (0, 0) when r is d.
        root: (n, n) float64, lower triangle, ``rows`` before rounding; (0, 0) when r is d.
        target: (fits, n) float64 0/1.
        share: (fits, n) float64, each fit's row weights, summing to 1.
        ridge: (fits,) float64, ``1 / (C n)``.
        mask: (fits, r) float64, or (0, 0).
        points: (fits, r + 1) float64 zeros, filled with weights and intercept.
        converged: (fits,) bool, filled.
    """
    everything = np.ones(rows.shape[1])
    for fit in range(len(ridge)):
        own = mask[fit] if mask.size else everything
        converged[fit] = _minimise(
            rows, features, root, target[fit], share[fit], ridge[fit], own, points[fit]
        )


@njit(cache=True)
def _evaluate(rows, target, share, ridge, mask, point, gradient):
    """Mean log-loss plus penalty at a point; writes the gradient."""
    width = rows.shape[1]
    margins = np.dot(rows, point[:width].astype(rows.dtype))
    slopes = np.empty(len(margins), rows.dtype)
    loss, pull, product, held = 0.0, 0.0, 1.0, 0.0
    for i in range(len(margins)):
        slopes[i] = 0.0
        if share[i] > 0.0:
            z = np.float64(margins[i]) + point[width]
            tail = np.exp(-abs(z))
            low = tail / (1.0 + tail)
            chance = 1.0 - low if z >= 0.0 else low
            loss += share[i] * (max(z, 0.0) - target[i] * z)
            # The logarithms of 32 factors at once: each is at most 2, and a log costs as much as
            # all the rest. Rows of a fit weigh the same.
            product *= 1.0 + tail
            held = share[i]
            if product > 4e9:
                loss += held * np.log(product)
                product = 1.0
            slope = share[i] * (chance - target[i])
            slopes[i] = slope
            pull += slope
    loss += held * np.log(product)
    back = np.dot(rows.T, slopes)
    for j in range(width):
        gradient[j] = back[j] * mask[j] + ridge * point[j]
        loss += 0.5 * ridge * point[j] * point[j]
    gradient[width] = pull
    return loss


@njit(cache=True)
def _largest(features, root, gradient, known):
    """Largest gradient entry among the features, and its ratio to the norm.

    In the span of the rows the entries take a product as wide as the features, so they are worked
    out only where the norm and the last known ratio leave open whether the search is over.
    """
    if features.size == 0:
        return np.abs(gradient).max(), known
    norm = np.sqrt(np.dot(gradient, gradient))
    margin = MARGINS[0] if len(root) <= FEW else MARGINS[1]
    if known * norm >= margin * TOLERANCE:
        return known * norm, known
    n_rows = len(root)
    dual = gradient[:n_rows].copy()
    for i in range(n_rows - 1, -1, -1):
        dual[i] /= root[i, i]
        for j in range(i):
            dual[j] -= root[i, j] * dual[i]
    outward = np.dot(dual.astype(np.float32), features)
    exact = max(np.float64(np.abs(outward).max()), abs(gradient[n_rows]))
    return exact, exact / max(norm, 1e-300)


@njit(cache=True)
def _direction(gradient, steps, changes, curvatures, count):
    """Minus the inverse Hessian times the gradient, by the two loops over the memory."""
    direction = -gradient
    held = min(count, MEMORY)
    shares = np.empty(MEMORY)
    for back in range(held):
        slot = (count - 1 - back) % MEMORY
        shares[slot] = np.dot(steps[slot], direction) / curvatures[slot]
        direction -= shares[slot] * changes[slot]
    if held > 0:
        slot = (count - 1) % MEMORY
        direction *= curvatures[slot] / np.dot(changes[slot], changes[slot])
    for back in range(held - 1, -1, -1):
        slot = (count - 1 - back) % MEMORY
        direction += (shares[slot] - np.dot(changes[slot], direction) / curvatures[slot]) * steps[
            slot
        ]
    return direction


@njit(cache=True)
def _minimise(rows, features, root, target, share, ridge, mask, point):
    """One fit, in place; returns whether it met a stopping rule before the iteration bound."""
    size = len(point)
    steps, changes = np.zeros((MEMORY, size)), np.zeros((MEMORY, size))
    curvatures, count = np.zeros(MEMORY), 0
    gradient, tried = np.empty(size), np.empty(size)
    value = _evaluate(rows, target, share, ridge, mask, point, gradient)
    known = 1.0 / np.sqrt(max(features.shape[1], 1))
    worst, known = _largest(features, root, gradient, known)
    iteration = 0
    while worst > TOLERANCE:
        if iteration == MAX_ITERATIONS:
            return False
        direction = _direction(gradient, steps, changes, curvatures, count)
        slope = np.dot(direction, gradient)
        if slope >= 0.0:
            count = 0
            direction, slope = -gradient, -np.dot(gradient, gradient)
        first = 1.0 if iteration > 0 else min(1.0 / np.sqrt(np.dot(direction, direction)), 1e10)
        moved, reached, found = _search(
            rows, target, share, ridge, mask, point, value, direction, slope, first, tried
        )
        if not found:
            # As L-BFGS-B does: once more along the gradient, and no further after that.
            if count == 0:
                return True
            count, iteration = 0, iteration + 1
            continue
        step, change = moved - point, tried - gradient
        curvature = np.dot(step, change)
        if curvature > _EPSILON * -slope:
            slot = count % MEMORY
            steps[slot], changes[slot], curvatures[slot] = step, change, curvature
            count += 1
        fall = value - reached
        bound = VALUE_TOLERANCE * max(abs(value), abs(reached), 1.0)
        point[:], gradient[:], value = moved, tried, reached
        iteration += 1
        worst, known = _largest(features, root, gradient, known)
        if fall <= bound:
            return True
    return True


@njit(cache=True)
def _search(rows, target, share, ridge, mask, point, value, direction, slope, first, tried):
    """A step along the direction; returns (point, value, found) and writes its gradient."""
    step = first
    search = np.empty(0)
    for count in range(MAX_TRIALS):
        moved = point + step * direction
        reached = _evaluate(rows, target, share, ridge, mask, moved, tried)
        at = np.dot(tried, direction)
        if accepts(value, slope, step, reached, at):
            return moved, reached, True
        if count == 0:
            search = begin(value, slope, step)
        following = advance(search, step, reached, at)
        if np.isnan(following):
            return moved, reached, True
        step = following
    return point, value, False
