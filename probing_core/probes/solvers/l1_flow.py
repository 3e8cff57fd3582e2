"""L1-penalised logistic regression as the paper's solver leaves it, on sparse columns.

The paper's probe is scikit-learn's SAGA, stopped after 1,000 passes over the rows. With few rows or
a large C that is far from the optimum, and the stop regularises. So the path there is followed, not
the optimum sought.

**The flow.** With ``F(w, b)`` the summed log-loss and ``penalty = 1 / C``, SAGA's expected iterates
follow the proximal gradient flow

    d(w, b)/dt  is in  -(grad F + penalty * subgradient of |w|_1),    (w, b) = 0 at t = 0,

and one pass over the rows is a step of length ``step_size = 2 / (max_i |x_i|^2 + 1)`` in t.

**Its steps.** Time is cut at ``N_STEPS`` points, each 1.4 times as late as the one before, from one
pass to 1,000. Each step is implicit, by the second-order backward difference with variable steps
(BDF2; Hairer and Wanner 1996, V.1). For ``h`` passes after a step of ``h_last``, with ``growth = h
/ h_last`` and ``beta = (1 + growth)^2 / (1 + 2 growth)``, the end of the step minimises

    F(w, b) + penalty * |w|_1 + prox_weight / 2 * |(w, b) - prox_center|^2,
    prox_center = now + (beta - 1) * (now - before),
    prox_weight = (1 + 2 growth) / ((1 + growth) * h * step_size);

the first step has growth 0, which is backward Euler.

**Each minimum** is found by proximal Newton (Lee, Sun, Saunders 2014): coordinate descent on the
quadratic model of F (`l1_descent`; Friedman, Hastie, Tibshirani 2010), then a line search. The same
step at the next smaller C is its warm start.

**The end** is SAGA's: 1,000 passes, or a pass that moves no coefficient by more than 1e-4 of the
largest, which scikit-learn calls converged.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit
from scipy import sparse

from probing_core.probes.solvers.l1_descent import Columns, Prox, descend
from probing_core.probes.solvers.l2 import LinearFit

PASSES = 1000.0
N_STEPS = 20
REST = 1e-4
MAX_NEWTON = 60
MAX_EPOCHS = 4000
RELATIVE_TOLERANCE = 1e-3
PROX_TOLERANCE = 3e-3
VISITS = 4e8


def fit_l1(
    X: np.ndarray | sparse.csr_array,
    y: np.ndarray,
    cs: Sequence[float] | np.ndarray,
    warm: Sequence[float] | np.ndarray = (),
) -> list[LinearFit]:
    """Fit one L1 logistic regression for every C, in the order of `cs`.

    Args:
        X: (n, d) float32, dense or sparse; the work is done in float64.
        y: (n,) 0/1, both classes present.
        cs: C values, in any order.
        warm: More C values; those below all of `cs` come along as warm starts, which is cheaper
            than one cold fit at a large C.
    """
    columns = sparse.csc_array(X)
    data = columns.data.astype(np.float64)
    squares = np.bincount(columns.indices, data**2, minlength=len(y))
    path = np.unique([*cs, *(c for c in warm if c < min(cs))])
    points, converged = np.zeros((len(path), X.shape[1] + 1)), np.zeros(len(path), np.bool_)
    follow(
        Columns(data, columns.indices.astype(np.int64), columns.indptr.astype(np.int64)),
        y.astype(np.float64),
        1.0 / path,
        np.geomspace(1.0, PASSES, N_STEPS),
        2.0 / (squares.max() + 1.0),
        points,
        converged,
    )
    ends = points.astype(X.dtype)
    places = np.searchsorted(path, cs)
    return [LinearFit(ends[at, :-1], ends[at, -1], bool(converged[at])) for at in places]


@njit(cache=True, nogil=True)
def follow(
    X: Columns, y: np.ndarray, penalties: np.ndarray, times: np.ndarray, step_size: float,
    points: np.ndarray, converged: np.ndarray,
) -> None:  # fmt: skip
    """Follow the flow of every penalty.

    Everywhere a point is (d + 1,): the coefficients, then the intercept. Loops stand where numpy
    has a word for it, because whole-array arithmetic takes seconds to compile.

    Args:
        X: The columns.
        y: (n,) float64 0/1.
        penalties: (fits,), falling.
        times: (steps,) ends of the steps, in passes.
        step_size: Length of a pass.
        points: (fits, d + 1) zeros, filled with where each flow ends.
        converged: (fits,) bool, filled: whether it came to rest and every step was solved.
    """
    d = points.shape[1] - 1
    share = y.sum() / y.size
    # The end of each step for the penalty before: the warm start of that step for this one.
    ends = np.zeros((times.size, d + 1))
    for at in range(times.size):
        ends[at, d] = np.log(share / (1.0 - share))
    # Entries visited bound the time, whatever the shape.
    max_epochs = max(1500, min(20_000, int(VISITS / (X.data.size + 1))))
    now, before, center = np.zeros(d + 1), np.zeros(d + 1), np.zeros(d + 1)
    shift, start = np.zeros(d + 1), np.zeros(d + 1)
    for fit in range(penalties.size):
        time, last, solved = 0.0, 0.0, True
        for j in range(d + 1):
            now[j], before[j], shift[j] = 0.0, 0.0, 0.0
        for at in range(times.size):
            length = times[at] - time
            growth = length / last if at > 0 else 0.0
            beyond = (1.0 + growth) ** 2 / (1.0 + 2.0 * growth) - 1.0
            weight = (1.0 + 2.0 * growth) / ((1.0 + growth) * length * step_size)
            end = ends[at]
            for j in range(d + 1):
                center[j] = now[j] + beyond * (now[j] - before[j])
                start[j] = end[j]
                # The step before moved from the last penalty to this one; so will this step.
                end[j] += shift[j]
            solved &= _prox_newton(X, y, Prox(penalties[fit], weight, center), end, max_epochs)
            moved, largest = 0.0, 0.0
            for j in range(d + 1):
                shift[j] = end[j] - start[j] if fit > 0 else 0.0
                if j < d:
                    moved = max(moved, abs(end[j] - now[j]))
                    largest = max(largest, abs(end[j]))
                before[j], now[j] = now[j], end[j]
            time, last = times[at], length
            if moved <= REST * largest * length:
                converged[fit] = solved
                break
        for j in range(d + 1):
            points[fit, j] = now[j]


@njit(cache=True)
def _prox_newton(X: Columns, y: np.ndarray, prox: Prox, point: np.ndarray, max_epochs: int) -> bool:
    """Minimise one step's objective from `point`, in place; whether optimality holds."""
    d = point.size - 1
    logits = np.full(y.size, point[d])
    for j in range(d):
        if point[j] != 0.0:
            for entry in range(X.indptr[j], X.indptr[j + 1]):
                logits[X.indices[entry]] += point[j] * X.data[entry]
    slope, curvature, change = np.zeros(y.size), np.zeros(y.size), np.zeros(y.size)
    step, working_set = np.zeros(d + 1), np.zeros(d, np.int64)
    epochs, loss = 0, _log_loss(logits, change, 0.0, y)
    for _ in range(MAX_NEWTON):
        _derivatives(logits, y, slope, curvature)
        worst, largest, n_working = _violations(X, slope, point, prox, working_set)
        enough = max(RELATIVE_TOLERANCE * prox.penalty, PROX_TOLERANCE * prox.weight * largest)
        if worst <= enough or epochs >= max_epochs:
            return worst <= enough
        epochs += descend(
            X, slope, curvature, prox, point, step, working_set[:n_working], 0.3 * worst,
            min(max_epochs - epochs, MAX_EPOCHS), change,
        )  # fmt: skip
        scale, loss = _line_search(y, slope, prox, logits, change, point, step, loss)
        if scale == 0.0:
            return worst <= 10.0 * enough
        for j in range(d + 1):
            point[j] += scale * step[j]
        for i in range(y.size):
            logits[i] += scale * change[i]
    return False


@njit(cache=True)
def _log_loss(logits: np.ndarray, change: np.ndarray, scale: float, y: np.ndarray) -> float:
    """Sum of the rows' log-losses at ``logits + scale * change``.

    Logarithms of 32 factors are taken at once: each factor is at most 2, and a logarithm costs as
    much as all the rest.
    """
    total, product = 0.0, 1.0
    for i in range(logits.size):
        z = logits[i] + scale * change[i]
        z = z if y[i] < 0.5 else -z
        total += max(z, 0.0)
        product *= 1.0 + np.exp(-abs(z))
        if product > 4e9:
            total += np.log(product)
            product = 1.0
    return total + np.log(product)


@njit(cache=True)
def _derivatives(
    logits: np.ndarray, y: np.ndarray, slope: np.ndarray, curvature: np.ndarray
) -> None:
    """First and second derivative of the loss in each row's logit, written in place."""
    for i in range(logits.size):
        tail = np.exp(-abs(logits[i]))
        low = tail / (1.0 + tail)
        # 1 - p is taken from the tail: the subtraction would lose it where p rounds to 1.
        chance, other = (1.0 - low, low) if logits[i] >= 0.0 else (low, 1.0 - low)
        slope[i] = -other if y[i] > 0.5 else chance
        curvature[i] = chance * other


@njit(cache=True)
def _violations(
    X: Columns, slope: np.ndarray, point: np.ndarray, prox: Prox, working_set: np.ndarray
) -> tuple[float, float, int]:
    """Largest breach of the optimality conditions, largest coefficient, columns to work on.

    `working_set` is filled with as many columns as the last number says.
    """
    d = point.size - 1
    worst, largest, n_working = abs(slope.sum() + prox.weight * (point[d] - prox.center[d])), 0.0, 0
    for j in range(d):
        gradient = prox.weight * (point[j] - prox.center[j])
        for entry in range(X.indptr[j], X.indptr[j + 1]):
            gradient += X.data[entry] * slope[X.indices[entry]]
        if point[j] != 0.0:
            breach = abs(gradient + (prox.penalty if point[j] > 0.0 else -prox.penalty))
        else:
            breach = max(0.0, abs(gradient) - prox.penalty)
        if point[j] != 0.0 or breach > 0.0:
            working_set[n_working] = j
            n_working += 1
        worst, largest = max(worst, breach), max(largest, abs(point[j]))
    return worst, largest, n_working


@njit(cache=True)
def _line_search(
    y: np.ndarray, slope: np.ndarray, prox: Prox, logits: np.ndarray, change: np.ndarray,
    point: np.ndarray, step: np.ndarray, loss: float,
) -> tuple[float, float]:  # fmt: skip
    """Halve the step until the objective falls enough; returns (scale or 0, loss there).

    A step whose promised gain is below rounding is taken whole: the loss cannot judge it.
    """
    d = point.size - 1
    pull, bend, norm, full = 0.0, 0.0, 0.0, 0.0
    for j in range(d + 1):
        pull += prox.weight * (point[j] - prox.center[j]) * step[j]
        bend += 0.5 * prox.weight * step[j] * step[j]
        norm += abs(point[j]) if j < d else 0.0
        full += abs(point[j] + step[j]) if j < d else 0.0
    promised = pull + prox.penalty * (full - norm)
    for i in range(y.size):
        promised += slope[i] * change[i]
    rounding = 1e-14 * (abs(loss) + prox.penalty * norm)
    scale = 1.0
    for _ in range(30):
        tried = _log_loss(logits, change, scale, y)
        length = 0.0
        for j in range(d):
            length += abs(point[j] + scale * step[j])
        gain = tried - loss + prox.penalty * (length - norm) + scale * pull + scale**2 * bend
        if gain <= 0.01 * scale * promised + rounding:
            return scale, tried
        scale *= 0.5
    return 0.0, loss
