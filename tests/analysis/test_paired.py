"""Paired statistics against SciPy and against their own definitions."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from probing_core.analysis.paired import (
    MARGIN,
    RESAMPLES,
    SEED,
    mean_interval,
    paired_effect,
    signless_zero,
)
from probing_core.datasets.registry import TASKS, family_of

TAGS = list(TASKS)
samples = st.lists(st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=2, max_size=60)


def alone(values) -> pd.Series:
    """Values of tasks of which none shares prompts with another."""
    return pd.Series(np.asarray(values, dtype=float), index=[f"my_{i}" for i in range(len(values))])


def in_families(values) -> pd.Series:
    """Values of built-in tasks, some of which share prompts."""
    return pd.Series(np.asarray(values, dtype=float), index=TAGS[: len(values)])


def test_interval_of_tasks_that_stand_alone_is_scipys_bca_interval():
    sample = np.sort(np.random.default_rng(5).normal(size=30))
    theirs = stats.bootstrap(
        (sample,), np.mean, n_resamples=RESAMPLES, rng=np.random.default_rng(SEED), method="BCa"
    ).confidence_interval
    ours = mean_interval(alone(sample))
    assert (ours.low, ours.high, ours.interval) == (theirs.low, theirs.high, "BCa")


def test_interval_covers_a_known_mean_about_as_often_as_it_says():
    generator = np.random.default_rng(0)
    found = [mean_interval(alone(generator.normal(0.3, 1, 40))) for _ in range(100)]
    assert 88 <= sum(one.low <= 0.3 <= one.high for one in found) <= 99


@settings(max_examples=30, deadline=None)
@given(samples, st.randoms(use_true_random=False))
def test_order_of_tasks_moves_nothing_and_the_interval_holds_the_mean(values, chance):
    sample = in_families(values)
    order = list(range(len(values)))
    chance.shuffle(order)
    one, other = mean_interval(sample), mean_interval(sample.iloc[order])
    ends = [[each.mean, each.low, each.high] for each in (one, other)]
    np.testing.assert_allclose(*ends, atol=1e-12)
    assert np.isnan(one.low) or one.low - 1e-12 <= one.mean <= one.high + 1e-12


def test_tasks_of_one_family_count_as_one_in_interval_and_test():
    groups = pd.Series(TAGS).groupby([family_of(tag) for tag in TAGS])
    threes = [list(tags)[:3] for _, tags in groups if len(tags) >= 3]
    single = np.random.default_rng(2).normal(size=len(threes))
    tied = pd.Series(np.repeat(single, 3), index=[tag for tags in threes for tag in tags])
    ours, own = paired_effect(tied), mean_interval(alone(single))
    assert (ours.difference.n, ours.difference.families) == (3 * len(threes), len(threes))
    assert (ours.difference.low, ours.difference.high) == pytest.approx((own.low, own.high))
    assert ours.p_value == pytest.approx(stats.wilcoxon(single).pvalue)
    naive = mean_interval(alone(tied))
    assert naive.high - naive.low < 0.75 * (own.high - own.low)


def test_degenerate_sample_falls_back_to_percentile_and_says_so():
    interval = mean_interval(alone([0.25] * 6))
    assert (interval.low, interval.high, interval.interval) == (0.25, 0.25, "percentile")


def test_a_single_family_has_no_interval():
    family = [tag for tag in TAGS if family_of(tag) == "117_us_state_FL"][:2]
    interval = mean_interval(pd.Series([0.4, 0.5], index=family))
    assert (interval.interval, interval.text()) == ("none", "0.450")
    assert np.isnan(interval.low)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (np.array([0.1, 0.2]), "indexed by dataset"),
        (pd.Series([0.1, 0.2]), "indexed by dataset"),
        (pd.Series([], dtype=float), "at least one"),
        (alone([0.1, np.nan]), "finite"),
        (alone([np.inf]), "finite"),
        (pd.Series([0.1, 0.2], index=["a", "a"]), "'a' occurs twice"),
    ],
)
def test_an_interval_that_would_not_be_over_task_families_is_refused(bad, why):
    with pytest.raises(ValueError, match=why):
        mean_interval(bad)


@settings(max_examples=30, deadline=None)
@given(samples)
def test_swapping_the_sides_swaps_counts_and_sign_and_the_p_value_is_scipys(values):
    change = in_families(values)
    forth, back = paired_effect(change), paired_effect(-change)
    assert (forth.better, forth.worse, forth.equal) == (back.worse, back.better, back.equal)
    assert forth.better + forth.worse + forth.equal == len(values)
    assert forth.difference.mean == pytest.approx(-back.difference.mean)
    means = change.groupby(family_of).mean()
    expected = stats.wilcoxon(means).pvalue if means.any() else 1.0
    assert forth.p_value == pytest.approx(expected) == pytest.approx(back.p_value)


def test_differences_within_the_margin_count_as_equal():
    one = paired_effect(alone([0.0, MARGIN + 1e-3, -MARGIN - 1e-3, MARGIN - 1e-3]))
    assert (one.better, one.worse, one.equal) == (1, 1, 2)


@pytest.mark.parametrize(
    ("value", "text"),
    [(-0.0004, "0.000"), (-0.0006, "\u22120.001"), (0.0, "0.000"), (1.5, "1.500")],
)
def test_zero_has_no_sign_and_minus_is_a_minus(value, text):
    assert signless_zero(value) == text
