"""Paired statistics against SciPy and against their own definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from probing_core.analysis.paired import (
    RESAMPLES,
    mean_interval,
    paired_difference,
    signless_zero,
)

samples = st.lists(st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=2, max_size=40)


def test_interval_is_scipys_bca_interval():
    sample = np.sort(np.random.default_rng(5).normal(size=30))
    ours = mean_interval(sample, seed=7)
    theirs = stats.bootstrap(
        (sample,), np.mean, n_resamples=RESAMPLES, rng=np.random.default_rng(7), method="BCa"
    ).confidence_interval
    assert (ours.low, ours.high, ours.interval) == (theirs.low, theirs.high, "BCa")


def test_interval_covers_a_known_mean_about_as_often_as_it_says():
    generator = np.random.default_rng(0)
    hits = 0
    for seed in range(100):
        interval = mean_interval(generator.normal(0.3, 1, 40), seed=seed)
        hits += interval.low <= 0.3 <= interval.high
    assert 88 <= hits <= 99


def test_order_of_tasks_does_not_move_the_interval():
    sample = np.random.default_rng(5).normal(size=30)
    assert mean_interval(sample) == mean_interval(sample[::-1])


def test_degenerate_sample_falls_back_to_percentile_and_says_so():
    interval = mean_interval([0.25] * 6)
    assert (interval.low, interval.high, interval.interval) == (0.25, 0.25, "percentile")


def test_single_value_has_no_interval():
    interval = mean_interval([0.4])
    assert interval.interval == "none"
    assert np.isnan(interval.low)
    assert interval.text() == "0.400"


@pytest.mark.parametrize("bad", [[], [[1.0, 2.0]], [0.1, float("nan")], [float("inf")]])
def test_sample_that_is_no_sample_is_refused(bad):
    with pytest.raises(ValueError, match="sample|values"):
        mean_interval(bad)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"\(2,\) and \(3,\)"):
        paired_difference([1, 2], [1, 2, 3])


@settings(max_examples=30, deadline=None)
@given(samples, st.integers(0, 5))
def test_swapping_the_sides_swaps_the_counts_and_the_sign(values, seed):
    first = np.array(values)
    second = np.random.default_rng(seed).permutation(first)
    forth = paired_difference(first, second)
    back = paired_difference(second, first)
    assert (forth.better, forth.worse, forth.equal) == (back.worse, back.better, back.equal)
    assert forth.difference.mean == pytest.approx(-back.difference.mean)
    assert forth.p_value == pytest.approx(back.p_value)
    assert forth.better + forth.worse + forth.equal == forth.n == len(values)


@settings(max_examples=30, deadline=None)
@given(samples)
def test_interval_holds_the_mean_and_the_p_value_is_scipys(values):
    other = np.zeros(len(values))
    paired = paired_difference(values, other)
    mean = paired.difference
    assert mean.low - 1e-12 <= mean.mean <= mean.high + 1e-12
    expected = stats.wilcoxon(values).pvalue if np.any(values) else 1.0
    assert paired.p_value == pytest.approx(expected)


def test_differences_within_the_margin_count_as_equal():
    paired = paired_difference([0.5, 0.506, 0.494, 0.504], [0.5] * 4, margin=0.005)
    assert (paired.better, paired.worse, paired.equal) == (1, 1, 2)


@pytest.mark.parametrize(
    ("value", "text"),
    [(-0.0004, "0.000"), (-0.0006, "\u22120.001"), (0.0, "0.000"), (1.5, "1.500")],
)
def test_zero_has_no_sign_and_minus_is_a_minus(value, text):
    assert signless_zero(value) == text
