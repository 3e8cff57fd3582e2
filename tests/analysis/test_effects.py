"""Effects on frames whose answer is known."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from probing_core.analysis.effects import effects, overall


def frame(differences: np.ndarray, seeds: int = 1) -> pd.DataFrame:
    """Settings from (values, tasks) differences, the same for every seed."""
    rows = [
        {
            "dataset": f"{task}_t", "regime": "scarcity", "regime_value": float(value),
            "seed": seed, "difference": differences[value, task], "picked_sae": 0.5,
        }
        for seed in range(seeds)
        for value in range(differences.shape[0])
        for task in range(differences.shape[1])
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_counts_and_means_are_over_tasks_not_over_seeds():
    change = np.array([[0.1, 0.2, -0.1, 0.001, 0.0]])
    (one,) = effects(frame(change, seeds=3))
    assert (one.better, one.worse, one.equal) == (2, 1, 2)
    assert one.difference.n == 5
    assert one.difference.mean == pytest.approx(change.mean())
    assert (one.n_seeds, one.seed_spread) == (3, 0.0)
    assert one.task_spread == pytest.approx(change.std(ddof=1))


def test_seed_spread_is_that_of_the_means_and_unknown_for_one_seed():
    change = np.random.default_rng(0).normal(size=(1, 8))
    both = frame(change, seeds=2)
    both.loc[both["seed"] == 1, "difference"] += 0.5
    assert effects(both)[0].seed_spread == pytest.approx(np.std([0, 0.5], ddof=1))
    assert np.isnan(effects(frame(change))[0].seed_spread)


def test_holm_multiplies_the_smallest_p_by_the_number_of_values():
    change = np.random.default_rng(1).normal(0.02, 0.05, size=(4, 30))
    change[2] += 0.1
    found = effects(frame(change))
    alone = [stats.wilcoxon(values).pvalue for values in change]
    assert [one.p_value for one in found] == pytest.approx(alone)
    best = int(np.argmin(alone))
    assert found[best].p_holm == pytest.approx(min(1.0, 4 * alone[best]))
    assert all(one.p_holm >= one.p_value for one in found)


def test_each_task_counts_once_overall_however_many_values_it_has():
    both = frame(np.array([[0.1, 0.3], [0.1, 0.5]]))
    some = both[~((both["dataset"] == "1_t") & (both["regime_value"] == 1.0))]
    assert overall(both).difference.mean == pytest.approx((0.1 + 0.4) / 2)
    assert overall(some).difference.mean == pytest.approx((0.1 + 0.3) / 2)


def test_no_difference_anywhere_is_no_effect():
    (one,) = effects(frame(np.zeros((1, 6))))
    assert (one.p_value, one.difference.low, one.difference.high) == (1.0, 0.0, 0.0)


def test_the_overall_effect_needs_no_picks():
    change = frame(np.array([[0.1, -0.3]])).drop(columns="picked_sae")
    assert overall(change).difference.mean == pytest.approx(-0.1)
    assert np.isnan(overall(change).picked_sae)
