"""The line search of Moré and Thuente (1994), one trial at a time, compiled.

The trials are those of MINPACK-2's dcsrch with the constants L-BFGS-B gives it, so that our L-BFGS
visits the iterates SciPy's visits. Most first trials are accepted; `advance` serves the others. A
search is an array of `SIZE` floats, which the compiled solver and the batched one both can hold.
"""

from __future__ import annotations

import numpy as np
from numba import njit

SUFFICIENT_DECREASE = 1e-3
CURVATURE = 0.9
INTERVAL = 0.1
MOST = 1e10
SIZE = 14
# Places in a search: value and slope at step 0; the best point; the other end; state.
(
    _F0, _G0, _BEST, _F_BEST, _G_BEST, _OTHER, _F_OTHER, _G_OTHER,
    _BRACKETED, _SECOND_STAGE, _LOW, _HIGH, _WIDTH, _WIDTH_BEFORE,
) = range(SIZE)  # fmt: skip


@njit(cache=True)
def accepts(value0, slope0, step, value, slope):
    """Whether a trial satisfies both Wolfe conditions.

    Args:
        value0: Value at step 0.
        slope0: Slope at step 0, negative.
        step: The trial.
        value: Value there.
        slope: Slope there.

    Returns:
        True if the value has fallen enough and the slope is flat enough.
    """
    line = value0 + SUFFICIENT_DECREASE * step * slope0
    return value <= line and abs(slope) <= -CURVATURE * slope0


@njit(cache=True)
def begin(value0, slope0, step):
    """A new search, for a first trial that was refused.

    Args:
        value0: Value at step 0.
        slope0: Slope at step 0, negative.
        step: The first trial.

    Returns:
        (SIZE,) float64, changed by `advance`.
    """
    search = np.zeros(SIZE)
    search[_F0], search[_G0] = value0, slope0
    search[_F_BEST], search[_G_BEST] = value0, slope0
    search[_F_OTHER], search[_G_OTHER] = value0, slope0
    search[_HIGH], search[_WIDTH], search[_WIDTH_BEFORE] = 5.0 * step, MOST, 2.0 * MOST
    return search


@njit(cache=True)
def advance(search, step, value, slope):
    """The next trial after one that was refused.

    Args:
        search: From `begin`; changed in place.
        step: The trial refused.
        value: Value there.
        slope: Slope there.

    Returns:
        A step; NaN where the search ends at `step` (interval down to tolerance, or a bound).
    """
    gentle = SUFFICIENT_DECREASE * search[_G0]
    line = search[_F0] + step * gentle
    if value <= line and slope >= 0.0:
        search[_SECOND_STAGE] = 1.0
    narrow = search[_BRACKETED] > 0.0 and not _has_room(search, step)
    if narrow or step == 0.0 or (step == MOST and value <= line and slope <= gentle):
        return np.nan
    # At first the function minus its line is searched, which has a minimiser within reach.
    tilt = 0.0
    if search[_SECOND_STAGE] == 0.0 and line < value <= search[_F_BEST]:
        tilt = gentle
    _tilt(search, -tilt)
    tried = _next(search, step, value - step * tilt, slope - tilt)
    _tilt(search, tilt)
    best, other = search[_BEST], search[_OTHER]
    if search[_BRACKETED] > 0.0:
        if abs(other - best) >= 0.66 * search[_WIDTH_BEFORE]:
            tried = best + 0.5 * (other - best)
        search[_WIDTH_BEFORE], search[_WIDTH] = search[_WIDTH], abs(other - best)
        search[_LOW], search[_HIGH] = min(best, other), max(best, other)
    else:
        search[_LOW] = tried + 1.1 * (tried - best)
        search[_HIGH] = tried + 4.0 * (tried - best)
    tried = min(max(tried, 0.0), MOST)
    if search[_BRACKETED] > 0.0 and not _has_room(search, tried):
        tried = best
    return tried


@njit(cache=True)
def _has_room(search, step):
    """Whether a bracketed step lies inside an interval still worth dividing."""
    low, high = search[_LOW], search[_HIGH]
    return low < step < high and high - low > INTERVAL * high


@njit(cache=True)
def _tilt(search, slope):
    """Add a line through the origin to both ends of the interval."""
    search[_F_BEST] += search[_BEST] * slope
    search[_G_BEST] += slope
    search[_F_OTHER] += search[_OTHER] * slope
    search[_G_OTHER] += slope


@njit(cache=True)
def _cubic(near, f_near, g_near, far, f_far, g_far):
    """Minimiser of the cubic through two points, as a share of the way from near to far."""
    ahead = far - near
    theta = 3.0 * (f_near - f_far) / ahead + g_near + g_far
    scale = max(abs(theta), abs(g_near), abs(g_far))
    root = (theta / scale) ** 2 - (g_near / scale) * (g_far / scale)
    gamma = np.copysign(scale * np.sqrt(max(0.0, root)), ahead)
    return (gamma - g_near + theta) / (2.0 * gamma - g_near + g_far)


@njit(cache=True)
def _next(search, step, value, slope):
    """A safeguarded cubic, quadratic or secant step; moves the ends of the interval."""
    best, f_best, g_best = search[_BEST], search[_F_BEST], search[_G_BEST]
    other, f_other, g_other = search[_OTHER], search[_F_OTHER], search[_G_OTHER]
    ahead = step - best
    if value > f_best:
        cubic = best + _cubic(best, f_best, g_best, step, value, slope) * ahead
        quadratic = best + g_best / ((f_best - value) / ahead + g_best) / 2.0 * ahead
        search[_OTHER], search[_F_OTHER], search[_G_OTHER] = step, value, slope
        search[_BRACKETED] = 1.0
        if abs(cubic - best) <= abs(quadratic - best):
            return cubic
        return cubic + (quadratic - cubic) / 2.0
    secant = step - slope / (slope - g_best) * ahead if slope != g_best else step
    search[_BEST], search[_F_BEST], search[_G_BEST] = step, value, slope
    if slope * np.sign(g_best) < 0.0:
        cubic = step - _cubic(step, value, slope, best, f_best, g_best) * ahead
        search[_OTHER], search[_F_OTHER], search[_G_OTHER] = best, f_best, g_best
        search[_BRACKETED] = 1.0
        return cubic if abs(cubic - step) > abs(secant - step) else secant
    if abs(slope) < abs(g_best):
        return _flattening(search, best, f_best, g_best, step, value, slope, secant)
    if search[_BRACKETED] > 0.0:
        share = _cubic(step, value, slope, other, f_other, g_other)
        return step + share * (other - step)
    return search[_HIGH] if step > best else search[_LOW]


@njit(cache=True)
def _flattening(search, best, f_best, g_best, step, value, slope, secant):
    """The step where the slope keeps its sign and becomes flatter."""
    ahead = step - best
    theta = 3.0 * (f_best - value) / ahead + g_best + slope
    scale = max(abs(theta), abs(g_best), abs(slope))
    root = (theta / scale) ** 2 - (g_best / scale) * (slope / scale)
    gamma = np.copysign(scale * np.sqrt(max(0.0, root)), -ahead)
    share = (gamma - slope + theta) / (gamma + (g_best - slope) + gamma)
    if share < 0.0 and gamma != 0.0:
        cubic = step - share * ahead
    else:
        cubic = search[_HIGH] if step > best else search[_LOW]
    nearer = abs(cubic - step) < abs(secant - step)
    if search[_BRACKETED] > 0.0:
        tried = cubic if nearer else secant
        bound = step + 0.66 * (search[_OTHER] - step)
        return min(bound, tried) if step > best else max(bound, tried)
    tried = cubic if abs(cubic - step) > abs(secant - step) else secant
    return min(max(tried, search[_LOW]), search[_HIGH])
