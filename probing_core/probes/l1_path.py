"""L1-penalised logistic regression along a path of C values, on sparse columns.

Solves scikit-learn's problem, ``min C * sum(log-loss) + |w|_1`` with a free intercept, from the
smallest C to the largest, each fit starting where the last one ended. The method is proximal
Newton (Friedman, Hastie, Tibshirani 2010; Lee, Sun, Saunders 2014): a quadratic model of the loss,
coordinate descent on its working set with the intercept profiled out, then a line search.

Why not skglm 0.5: its stopping rule is an absolute bound on the subgradient. At C = 1e5 and
n = 1,024 the penalty itself is 1e-8, so a tolerance of 1e-6 hands back the previous fit unchanged,
and it compiles for seconds in every process. Here the tolerance is relative to the penalty, every
loop has a bound, and the compiled code is cached on disk.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from scipy import sparse

from probing_core.probes.l1_jump import jump

MAX_NEWTON = 60
MAX_EPOCHS = (1500, 20_000)
MAX_VISITS = 4e8
INNER_EPOCHS = 4000
FIRST_JUMP = 10
RELATIVE_TOLERANCE = 1e-3


@dataclass(frozen=True)
class L1Path:
    """Solutions for a list of C values, in the order given.

    Attributes:
        coefficients: (len(Cs), n_features) float64.
        intercepts: (len(Cs),) float64.
        converged: (len(Cs),) bool; False where the iteration bound came first.
    """

    coefficients: np.ndarray
    intercepts: np.ndarray
    converged: np.ndarray


def fit_l1_path(
    columns: sparse.csc_array,
    labels: np.ndarray,
    inverse_penalties: np.ndarray,
    sample_weight: np.ndarray | None = None,
) -> L1Path:
    """Fit one L1 logistic regression for every C.

    Args:
        columns: (n, n_features) features, any float dtype; the work is done in float64.
        labels: (n,) 0/1, both classes among the rows of positive weight.
        inverse_penalties: C values, in any order.
        sample_weight: (n,) float, 0 leaves a row out; all ones when None.

    Returns:
        The solutions; see `L1Path`.
    """
    n_rows, n_features = columns.shape
    weight = np.ones(n_rows) if sample_weight is None else np.asarray(sample_weight, np.float64)
    target = np.asarray(labels, dtype=np.float64)
    data = np.asarray(columns.data, dtype=np.float64)
    indices = np.asarray(columns.indices, dtype=np.int64)
    indptr = np.asarray(columns.indptr, dtype=np.int64)
    penalties = 1.0 / np.asarray(inverse_penalties, dtype=np.float64)
    # A bound on entries visited is a bound on time, whatever the shape.
    max_epochs = int(np.clip(MAX_VISITS / (len(data) + 1), *MAX_EPOCHS))
    coefficients = np.zeros((len(penalties), n_features))
    intercepts = np.zeros(len(penalties))
    converged = np.zeros(len(penalties), dtype=bool)
    share = float(weight @ target / weight.sum())
    start = np.zeros(n_features)
    bias = np.log(share / (1.0 - share))
    for position in np.argsort(-penalties, kind="stable"):
        bias, converged[position] = _prox_newton(
            data,
            indices,
            indptr,
            target,
            weight,
            penalties[position],
            start,
            bias,
            RELATIVE_TOLERANCE,
            MAX_NEWTON,
            max_epochs,
        )
        coefficients[position] = start
        intercepts[position] = bias
    return L1Path(coefficients, intercepts, converged)


@njit(cache=True)
def _log_loss(margins, target, weight):
    """Weighted sum of log-losses at logits `margins` (n,)."""
    total = 0.0
    for i in range(margins.size):
        if weight[i] > 0.0:
            z = margins[i] if target[i] < 0.5 else -margins[i]
            total += weight[i] * (max(z, 0.0) + np.log1p(np.exp(-abs(z))))
    return total


@njit(cache=True)
def _slope_and_curvature(margins, target, weight, slope, curvature):
    """First and second derivative of the loss in each row's logit, written in place."""
    for i in range(margins.size):
        tail = np.exp(-abs(margins[i]))
        low = tail / (1.0 + tail)
        chance = 1.0 - low if margins[i] >= 0.0 else low
        # 1 - p is taken from the tail: the subtraction would lose it where p rounds to 1.
        other = low if margins[i] >= 0.0 else 1.0 - low
        slope[i] = weight[i] * (-other if target[i] > 0.5 else chance)
        curvature[i] = weight[i] * chance * other


@njit(cache=True)
def _soft(value, threshold):
    """Soft-thresholding, the proximal step of the L1 penalty."""
    if value > threshold:
        return value - threshold
    if value < -threshold:
        return value + threshold
    return 0.0


@njit(cache=True)
def _descend(
    data,
    indices,
    indptr,
    slope,
    curvature,
    coef,
    step,
    members,
    n_members,
    penalty,
    tolerance,
    max_epochs,
    change,
):
    """Coordinate descent on the quadratic model; returns (epochs, intercept step).

    `step` (n_features,) is the move away from `coef`; `change` (n,) is X @ step without the
    intercept. The intercept is kept at its own optimum after every move through `offset`, which
    removes the slow zig-zag between the intercept and columns that never go negative.
    """
    total = curvature.sum() + 1e-300
    offset = -slope.sum() / total
    mass = np.zeros(n_members)
    square = np.zeros(n_members)
    for position in range(n_members):
        j = members[position]
        for entry in range(indptr[j], indptr[j + 1]):
            held = curvature[indices[entry]] * data[entry]
            mass[position] += held
            square[position] += held * data[entry]
    epochs, next_jump = 0, FIRST_JUMP
    while epochs < max_epochs:
        epochs += 1
        worst = 0.0
        for position in range(n_members):
            j = members[position]
            hessian = square[position] - mass[position] * mass[position] / total
            if hessian <= 1e-12 * square[position] or hessian <= 1e-300:
                continue
            gradient = offset * mass[position]
            for entry in range(indptr[j], indptr[j + 1]):
                i = indices[entry]
                gradient += data[entry] * (slope[i] + curvature[i] * change[i])
            held = coef[j] + step[j]
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
                data, indices, indptr, slope, curvature, coef, step, members, n_members,
                penalty, change, offset, mass, total, epochs,
            )  # fmt: skip
            epochs += spent
            next_jump = epochs + price if spent > 0 else price
    return epochs, offset


@njit(cache=True)
def _violations(data, indices, indptr, slope, coef, penalty, members):
    """Largest breach of the optimality conditions, and the columns to work on next."""
    worst = 0.0
    n_members = 0
    for j in range(coef.size):
        gradient = 0.0
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
def _prox_newton(
    data,
    indices,
    indptr,
    target,
    weight,
    penalty,
    coef,
    bias,
    relative_tolerance,
    max_newton,
    max_epochs,
):
    """One fit from the start `coef` (changed in place) and `bias`; returns (bias, converged)."""
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
    for _ in range(max_newton):
        _slope_and_curvature(margins, target, weight, slope, curvature)
        worst, n_members = _violations(data, indices, indptr, slope, coef, penalty, members)
        worst = max(worst, abs(slope.sum()))
        if worst <= relative_tolerance * penalty:
            return bias, True
        if epochs_left <= 0:
            return bias, False
        step, change = np.zeros(n_features), np.zeros(n_rows)
        used, bias_step = _descend(
            data,
            indices,
            indptr,
            slope,
            curvature,
            coef,
            step,
            members,
            n_members,
            penalty,
            0.1 * worst,
            min(epochs_left, INNER_EPOCHS),
            change,
        )
        epochs_left -= used
        scale, loss, moved = _line_search(
            target, weight, penalty, margins, change, bias_step, coef, step, slope, loss
        )
        if not moved:
            return bias, worst <= penalty * 10.0 * relative_tolerance
        bias += scale * bias_step
        for j in range(n_features):
            coef[j] += scale * step[j]
        for i in range(n_rows):
            margins[i] += scale * (change[i] + bias_step)
    return bias, False


@njit(cache=True)
def _line_search(target, weight, penalty, margins, change, bias_step, coef, step, slope, loss):
    """Halve the step until the objective falls enough; returns (scale, new loss, found).

    A step whose promised gain is below rounding is taken whole: the loss cannot judge it.
    """
    norm = np.abs(coef).sum()
    expected = penalty * (np.abs(coef + step).sum() - norm)
    for i in range(target.size):
        expected += slope[i] * (change[i] + bias_step)
    rounding = 1e-14 * (abs(loss) + penalty * norm)
    scale = 1.0
    for _ in range(30):
        tried = _log_loss(margins + scale * (change + bias_step), target, weight)
        gain = tried - loss + penalty * (np.abs(coef + scale * step).sum() - norm)
        if gain <= 0.01 * scale * expected + rounding:
            return scale, tried, True
        scale *= 0.5
    return 0.0, loss, False
