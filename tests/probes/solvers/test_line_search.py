import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize._dcsrch import DCSRCH

from probing_core.probes.solvers.line_search import (
    CURVATURE,
    INTERVAL,
    MOST,
    SUFFICIENT_DECREASE,
    accepts,
    advance,
    begin,
)


def searched(value, slope, first):
    """Every trial until one is accepted or the search ends."""
    trials, step = [], first
    search = begin(value(0.0), slope(0.0), first)
    for _ in range(60):
        trials.append(step)
        facts = (step, value(step), slope(step))
        if accepts(value(0.0), slope(0.0), *facts):
            break
        step = advance(search, *facts)
        if np.isnan(step):
            break
    return trials


def scipys(value, slope, first):
    """The trials of SciPy's port of MINPACK-2, with L-BFGS-B's constants."""
    trials = []

    def recorded(step):
        trials.append(step)
        return value(step)

    DCSRCH(recorded, slope, SUFFICIENT_DECREASE, CURVATURE, INTERVAL, 0.0, MOST)(
        first, phi0=value(0.0), derphi0=slope(0.0), maxiter=60
    )
    return trials


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 100_000), st.floats(1e-3, 30.0))
def test_trials_are_those_of_scipy(seed, first):
    # A line through a logistic loss with a ridge, as the solver meets it, and a wave on top.
    chance = np.random.default_rng(seed)
    a, b, wave = chance.standard_normal(8) * 3, chance.standard_normal(8) * 3, chance.random() * 2

    def value(t):
        return np.logaddexp(0, a + b * t).sum() + 0.01 * t * t + wave * np.sin(t)

    def slope(t):
        return (b / (1 + np.exp(-(a + b * t)))).sum() + 0.02 * t + wave * np.cos(t)

    assume(slope(0.0) < -1e-6)
    ours, theirs = searched(value, slope, first), scipys(value, slope, first)
    np.testing.assert_allclose(ours, theirs[: len(ours)], rtol=1e-9)
    assert len(ours) == len(theirs)


def test_a_step_that_falls_enough_and_flattens_is_accepted():
    assert accepts(1.0, -1.0, 1.0, 0.5, -0.1)
    assert not accepts(1.0, -1.0, 1.0, 0.5, -0.95)
    assert not accepts(1.0, -1.0, 1.0, 1.0, 0.0)


def test_a_step_of_zero_ends_the_search():
    assert np.isnan(advance(begin(1.0, -1.0, 1.0), 0.0, 1.0, -1.0))


@pytest.mark.parametrize("first", [1e-4, 1e4])
def test_a_first_trial_far_off_is_mended(first):
    trials = searched(lambda t: (t - 1.0) ** 2, lambda t: 2 * (t - 1.0), first)
    assert 0.0 < trials[-1] < 2.0
