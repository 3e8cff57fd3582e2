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

from probing_core.probes.solvers.l1_descent import Columns, Model, Prox, descend
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
    X: np.ndarray | sparse.csr_array, y: np.ndarray, cs: Sequence[float], warm: Sequence[float] = ()
) -> list[LinearFit]:
    """Fit one L1 logistic regression for every C.

    Args:
        X: (n, d) float32, dense or sparse; the work is done in float64.
        y: (n,) 0/1, both classes present.
        cs: C values, in any order.
        warm: More C values; those below all of `cs` come along as warm starts, which is cheaper
            than one cold fit at a large C.

    Returns:
        The fits in the order of `cs`.
    """
    columns = sparse.csc_array(X)
    data = columns.data.astype(np.float64)
    squares = np.bincount(columns.indices, data**2, minlength=len(y))
    path = np.unique([*cs, *(c for c in warm if c < min(cs))])
    coef, intercept, converged = follow(
        Columns(data, columns.indices.astype(np.int64), columns.indptr.astype(np.int64)),
        y.astype(np.float64),
        1.0 / path,
        np.geomspace(1.0, PASSES, N_STEPS),
        2.0 / (squares.max() + 1.0),
    )
    coef, intercept = coef.astype(X.dtype), intercept.astype(X.dtype)
    places = np.searchsorted(path, cs)
    return [LinearFit(coef[at], intercept[at], bool(converged[at])) for at in places]


@njit(cache=True)
def follow(
    X: Columns, y: np.ndarray, penalties: np.ndarray, times: np.ndarray, step_size: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Follow the flow of every penalty.

    Args:
        X: The columns.
        y: (n,) float64 0/1.
        penalties: (fits,), falling.
        times: (steps,) ends of the steps, in passes.
        step_size: Length of a pass.

    Returns:
        (fits, d) coefficients, (fits,) intercepts, (fits,) bool: whether the flow came to rest and
        every step was solved.
    """
    n_fits, n_steps, d = penalties.size, times.size, X.indptr.size - 1
    coefs, intercepts = np.zeros((n_fits, d)), np.zeros(n_fits)
    converged = np.zeros(n_fits, np.bool_)
    # The end of each step for the penalty before: the warm start of that step for this one.
    starts, biases = np.zeros((n_steps, d)), np.full(n_steps, np.log(y.mean() / (1.0 - y.mean())))
    # Entries visited bound the time, whatever the shape.
    max_epochs = max(1500, min(20_000, int(VISITS / (X.data.size + 1))))
    for fit in range(n_fits):
        now, now_bias, time, last = np.zeros(d), 0.0, 0.0, 0.0
        before, before_bias = np.zeros(d), 0.0
        shift, shift_bias = np.zeros(d), 0.0
        solved = True
        for at in range(n_steps):
            length = times[at] - time
            growth = length / last if at > 0 else 0.0
            beyond = (1.0 + growth) ** 2 / (1.0 + 2.0 * growth) - 1.0
            prox = Prox(
                penalties[fit],
                (1.0 + 2.0 * growth) / ((1.0 + growth) * length * step_size),
                now + beyond * (now - before),
                now_bias + beyond * (now_bias - before_bias),
            )
            warm, warm_bias = starts[at].copy(), biases[at]
            if fit > 0:
                # The step before moved from one penalty to the next; so does this one, roughly.
                starts[at] += shift
                biases[at] += shift_bias
            biases[at], done = _prox_newton(X, y, prox, starts[at], biases[at], max_epochs)
            solved &= done
            shift, shift_bias = starts[at] - warm, biases[at] - warm_bias
            moved = np.abs(starts[at] - now).max() / length
            before, before_bias, last = now, now_bias, length
            now, now_bias, time = starts[at].copy(), biases[at], times[at]
            if moved <= REST * np.abs(now).max():
                converged[fit] = solved
                break
        coefs[fit], intercepts[fit] = now, now_bias
    return coefs, intercepts, converged


@njit(cache=True)
def _prox_newton(
    X: Columns, y: np.ndarray, prox: Prox, coef: np.ndarray, intercept: float, max_epochs: int
) -> tuple[float, bool]:
    """Minimise one step's objective from the start `coef` (changed in place) and `intercept`.

    Returns:
        (intercept, whether the optimality conditions hold).
    """
    logits = np.full(y.size, intercept)
    for j in range(coef.size):
        if coef[j] != 0.0:
            for entry in range(X.indptr[j], X.indptr[j + 1]):
                logits[X.indices[entry]] += coef[j] * X.data[entry]
    slope, curvature = np.zeros(y.size), np.zeros(y.size)
    working_set = np.zeros(coef.size, dtype=np.int64)
    step, change = np.zeros(coef.size), np.zeros(y.size)
    epochs = 0
    loss = _log_loss(logits, y)
    for _ in range(MAX_NEWTON):
        _derivatives(logits, y, slope, curvature)
        worst, n_working = _violations(X, slope, coef, prox, working_set)
        gap = intercept - prox.intercept_center
        worst = max(worst, abs(slope.sum() + prox.weight * gap))
        enough = max(
            RELATIVE_TOLERANCE * prox.penalty, PROX_TOLERANCE * prox.weight * np.abs(coef).max()
        )
        if worst <= enough or epochs >= max_epochs:
            return intercept, worst <= enough
        model = Model(slope, curvature, gap)
        step[:], change[:] = 0.0, 0.0
        used, intercept_step = descend(
            X, model, prox, coef, step, working_set[:n_working], 0.3 * worst,
            min(max_epochs - epochs, MAX_EPOCHS), change,
        )  # fmt: skip
        epochs += used
        scale, loss, found = _line_search(
            y, model, prox, logits, change, coef, step, intercept_step, loss
        )
        if not found:
            return intercept, worst <= 10.0 * enough
        intercept += scale * intercept_step
        coef += scale * step
        logits += scale * change
    return intercept, False


@njit(cache=True)
def _log_loss(logits: np.ndarray, y: np.ndarray) -> float:
    """Sum of the rows' log-losses.

    Logarithms of 32 factors are taken at once: each factor is at most 2, and a logarithm costs as
    much as all the rest.
    """
    total, product = 0.0, 1.0
    for i in range(logits.size):
        z = logits[i] if y[i] < 0.5 else -logits[i]
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
    X: Columns, slope: np.ndarray, coef: np.ndarray, prox: Prox, working_set: np.ndarray
) -> tuple[float, int]:
    """Largest breach of the optimality conditions; fills `working_set`, returns its size."""
    worst, n_working = 0.0, 0
    for j in range(coef.size):
        gradient = prox.weight * (coef[j] - prox.center[j])
        for entry in range(X.indptr[j], X.indptr[j + 1]):
            gradient += X.data[entry] * slope[X.indices[entry]]
        if coef[j] != 0.0:
            breach = abs(gradient + (prox.penalty if coef[j] > 0.0 else -prox.penalty))
        else:
            breach = max(0.0, abs(gradient) - prox.penalty)
        if coef[j] != 0.0 or breach > 0.0:
            working_set[n_working] = j
            n_working += 1
        worst = max(worst, breach)
    return worst, n_working


@njit(cache=True)
def _line_search(
    y: np.ndarray, model: Model, prox: Prox, logits: np.ndarray, change: np.ndarray,
    coef: np.ndarray, step: np.ndarray, intercept_step: float, loss: float,
) -> tuple[float, float, bool]:  # fmt: skip
    """Halve the step until the objective falls enough; returns (scale, new loss, found).

    A step whose promised gain is below rounding is taken whole: the loss cannot judge it.
    """
    norm = np.abs(coef).sum()
    pull = prox.weight * (np.dot(coef - prox.center, step) + model.gap * intercept_step)
    bend = 0.5 * prox.weight * (np.dot(step, step) + intercept_step * intercept_step)
    promised = np.dot(model.slope, change) + pull
    promised += prox.penalty * (np.abs(coef + step).sum() - norm)
    rounding = 1e-14 * (abs(loss) + prox.penalty * norm)
    scale = 1.0
    for _ in range(30):
        tried = _log_loss(logits + scale * change, y)
        gain = tried - loss + prox.penalty * (np.abs(coef + scale * step).sum() - norm)
        gain += scale * pull + scale * scale * bend
        if gain <= 0.01 * scale * promised + rounding:
            return scale, tried, True
        scale *= 0.5
    return 0.0, loss, False
