"""L1-penalised logistic regression as the paper's solver leaves it, on sparse columns.

The paper's probe is scikit-learn's SAGA, stopped after 1,000 passes. With few rows or a large C
that is far from the optimum, and the stop regularises: `passes=inf` gives the optimum, to compare.
SAGA's iterates follow the proximal gradient flow

    dw/dt = -(gradient of the summed log-loss + penalty * subgradient of |w|_1),  w(0) = 0,

one pass lasting ``2 / (max_i |x_i|^2 + 1)``. We follow the same flow in twenty implicit steps, each
1.4 times as long as the one before, by the second-order backward difference (BDF2, Hairer and
Wanner 1996, V.1): one step minimises loss, penalty and ``ridge / 2 * |w - centre|^2`` together,
where the centre lies beyond the last point, as the last two say. That takes proximal Newton
(Friedman, Hastie, Tibshirani 2010; Lee, Sun, Saunders 2014), warm-started from the same step at the
next smaller C. The flow ends where SAGA ends: after 1,000 passes, or once a pass moves no weight by
more than 1e-4 of the largest.

Why not skglm 0.5: it looks for the optimum, and its stopping rule is an absolute bound on the
subgradient, which at C = 1e5 hands back the previous fit unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from scipy import sparse

from probing_core.probes.solvers.l1_descent import descend

PASSES = 1000.0
FIRST_STEP = 1.0
N_STEPS = 20
REST = 1e-4
MAX_NEWTON = 60
MAX_EPOCHS = (1500, 20_000)
MAX_VISITS = 4e8
INNER_EPOCHS = 4000
RELATIVE_TOLERANCE = 1e-3
LOOSE = 3e-3


@dataclass(frozen=True)
class L1Fits:
    """Solutions for a list of C values, in the order given.

    Attributes:
        coefficients: (len(Cs), n_features) float64.
        intercepts: (len(Cs),) float64.
        at_rest: (len(Cs),) bool; False where 1,000 passes ended the flow, as they end SAGA.
        solved: (len(Cs),) bool; False where a step's own solver met its bound.
    """

    coefficients: np.ndarray
    intercepts: np.ndarray
    at_rest: np.ndarray
    solved: np.ndarray


def fit_l1_flow(
    columns: sparse.csc_array,
    labels: np.ndarray,
    inverse_penalties: np.ndarray,
    keep: np.ndarray | None = None,
    *,
    passes: float = PASSES,
) -> L1Fits:
    """Fit one L1 logistic regression for every C.

    Args:
        columns: (n, n_features) features, any float dtype; the work is done in float64.
        labels: (n,) 0/1, both classes among the rows of positive weight.
        inverse_penalties: C values, in any order.
        keep: (n,) float, 1 keeps a row and 0 leaves it out; all ones when None.
        passes: Where the flow ends; infinity asks for the optimum.

    Returns:
        The solutions; see `L1Fits`.
    """
    n_rows, n_features = columns.shape
    weight = np.ones(n_rows) if keep is None else np.asarray(keep, np.float64)
    target = np.asarray(labels, dtype=np.float64)
    X = (
        np.asarray(columns.data, dtype=np.float64),
        np.asarray(columns.indices, dtype=np.int64),
        np.asarray(columns.indptr, dtype=np.int64),
    )
    squares = np.bincount(X[1], X[0] ** 2, minlength=n_rows)
    pass_length = 2.0 / (squares[weight > 0].max() + 1.0)
    ends = np.geomspace(FIRST_STEP, PASSES, N_STEPS) if np.isfinite(passes) else np.array([np.inf])
    penalties = 1.0 / np.asarray(inverse_penalties, dtype=np.float64)
    order = np.argsort(-penalties, kind="stable")
    # A bound on entries visited is a bound on time, whatever the shape.
    max_epochs = int(np.clip(MAX_VISITS / (len(X[0]) + 1), *MAX_EPOCHS))
    found = _follow(X, target, weight, penalties[order], ends, pass_length, n_features, max_epochs)
    back = np.argsort(order)
    return L1Fits(*(part[back] for part in found))


@njit(cache=True)
def _follow(X, target, weight, penalties, ends, pass_length, n_features, max_epochs):
    """Follow the flow of every penalty, largest first; see `L1Fits` for what is returned."""
    n_fits, n_steps = penalties.size, ends.size
    coefficients, intercepts = np.zeros((n_fits, n_features)), np.zeros(n_fits)
    at_rest, solved = np.zeros(n_fits, np.bool_), np.ones(n_fits, np.bool_)
    share = np.dot(weight, target) / weight.sum()
    # What each step found for the penalty before: its warm start for this one.
    starts, biases = np.zeros((n_steps, n_features)), np.full(n_steps, np.log(share / (1 - share)))
    for fit in range(n_fits):
        now, bias_now, before, previous = np.zeros(n_features), 0.0, 0.0, 0.0
        older, bias_older = np.zeros(n_features), 0.0
        shift, bias_shift = np.zeros(n_features), 0.0
        for at in range(n_steps):
            length = ends[at] - before
            growth = length / previous if at > 0 else 0.0
            own = (1.0 + growth) ** 2 / (1.0 + 2.0 * growth)
            centre = now + (own - 1.0) * (now - older)
            bias_centre = bias_now + (own - 1.0) * (bias_now - bias_older)
            ridge = (1.0 + 2.0 * growth) / ((1.0 + growth) * length * pass_length)
            goal = (penalties[fit], ridge, centre, bias_centre)
            last, bias_last = starts[at].copy(), biases[at]
            if fit > 0:
                starts[at] += shift
                biases[at] += bias_shift
            biases[at], done = _prox_newton(
                X, target, weight, goal, starts[at], biases[at], max_epochs
            )
            shift, bias_shift = starts[at] - last, biases[at] - bias_last
            solved[fit] &= done
            moved = np.abs(starts[at] - now).max() / length
            older, bias_older, previous = now, bias_now, length
            now, bias_now, before = starts[at].copy(), biases[at], ends[at]
            if moved <= REST * np.abs(now).max():
                at_rest[fit] = True
                break
        coefficients[fit], intercepts[fit] = now, bias_now
    return coefficients, intercepts, at_rest, solved


@njit(cache=True)
def _log_loss(margins, target, weight):
    """Sum of the log-losses of the rows kept, at logits `margins` (n,).

    Logarithms of 32 factors are taken at once: each factor is at most 2, and a logarithm costs as
    much as all the rest.
    """
    total, product = 0.0, 1.0
    for i in range(margins.size):
        if weight[i] > 0.0:
            z = margins[i] if target[i] < 0.5 else -margins[i]
            total += max(z, 0.0)
            product *= 1.0 + np.exp(-abs(z))
            if product > 4e9:
                total += np.log(product)
                product = 1.0
    return total + np.log(product)


@njit(cache=True)
def _slope_and_curvature(margins, target, weight, slope, curvature):
    """First and second derivative of the loss in each row's logit, written in place."""
    for i in range(margins.size):
        slope[i], curvature[i] = 0.0, 0.0
        if weight[i] > 0.0:
            tail = np.exp(-abs(margins[i]))
            low = tail / (1.0 + tail)
            chance = 1.0 - low if margins[i] >= 0.0 else low
            # 1 - p is taken from the tail: the subtraction would lose it where p rounds to 1.
            other = low if margins[i] >= 0.0 else 1.0 - low
            slope[i] = -other if target[i] > 0.5 else chance
            curvature[i] = chance * other


@njit(cache=True)
def _violations(X, slope, coef, goal, members):
    """Largest breach of the optimality conditions, and the columns to work on next."""
    data, indices, indptr = X
    penalty, ridge, centre, _ = goal
    worst = 0.0
    n_members = 0
    for j in range(coef.size):
        gradient = ridge * (coef[j] - centre[j])
        for entry in range(indptr[j], indptr[j + 1]):
            gradient += data[entry] * slope[indices[entry]]
        if coef[j] != 0.0:
            breach = abs(gradient + penalty) if coef[j] > 0.0 else abs(gradient - penalty)
        else:
            breach = max(0.0, abs(gradient) - penalty)
        if coef[j] != 0.0 or breach > 0.0:
            members[n_members] = j
            n_members += 1
        worst = max(worst, breach)
    return worst, n_members


@njit(cache=True)
def _prox_newton(X, target, weight, goal, coef, bias, max_epochs):
    """One step of the flow from the start `coef` (changed in place) and `bias`.

    Returns:
        (bias, whether the optimality conditions hold).
    """
    data, indices, indptr = X
    penalty, ridge, _, bias_centre = goal
    n_rows, n_features = target.size, coef.size
    margins = np.full(n_rows, bias)
    for j in range(n_features):
        if coef[j] != 0.0:
            for entry in range(indptr[j], indptr[j + 1]):
                margins[indices[entry]] += coef[j] * data[entry]
    slope, curvature = np.zeros(n_rows), np.zeros(n_rows)
    members = np.zeros(n_features, dtype=np.int64)
    epochs_left = max_epochs
    loss = _log_loss(margins, target, weight)
    for _ in range(MAX_NEWTON):
        _slope_and_curvature(margins, target, weight, slope, curvature)
        worst, n_members = _violations(X, slope, coef, goal, members)
        gap = bias - bias_centre
        worst = max(worst, abs(slope.sum() + ridge * gap))
        enough = max(RELATIVE_TOLERANCE * penalty, LOOSE * ridge * np.abs(coef).max())
        if worst <= enough:
            return bias, True
        if epochs_left <= 0:
            return bias, False
        model = (slope, curvature, gap)
        step, change = np.zeros(n_features), np.zeros(n_rows)
        used, bias_step = descend(
            X, model, goal, coef, step, members[:n_members], 0.3 * worst,
            min(epochs_left, INNER_EPOCHS), change,
        )  # fmt: skip
        epochs_left -= used
        change += bias_step
        scale, loss, moved = _line_search(
            target, weight, goal, margins, change, coef, step, (slope, gap, bias_step), loss
        )
        if not moved:
            return bias, worst <= 10.0 * enough
        bias += scale * bias_step
        for j in range(n_features):
            coef[j] += scale * step[j]
        for i in range(n_rows):
            margins[i] += scale * change[i]
    return bias, False


@njit(cache=True)
def _line_search(target, weight, goal, margins, change, coef, step, at, loss):
    """Halve the step until the objective falls enough; returns (scale, new loss, found).

    A step whose promised gain is below rounding is taken whole: the loss cannot judge it.
    """
    penalty, ridge, centre, _ = goal
    slope, gap, bias_step = at
    norm = np.abs(coef).sum()
    pull = ridge * (np.dot(coef - centre, step) + gap * bias_step)
    bend = 0.5 * ridge * (np.dot(step, step) + bias_step * bias_step)
    expected = np.dot(slope, change) + penalty * (np.abs(coef + step).sum() - norm) + pull
    rounding = 1e-14 * (abs(loss) + penalty * norm)
    scale = 1.0
    for _ in range(30):
        tried = _log_loss(margins + scale * change, target, weight)
        gain = tried - loss + penalty * (np.abs(coef + scale * step).sum() - norm)
        gain += scale * pull + scale * scale * bend
        if gain <= 0.01 * scale * expected + rounding:
            return scale, tried, True
        scale *= 0.5
    return 0.0, loss, False
