"""Agreement of two models, beside scipy and by its own properties."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from probing_core.analysis.comparison import compared
from probing_core.analysis.replication import (
    both_effects,
    by_position,
    rank_agreement,
    with_baselines_at,
)
from probing_core.datasets import TASKS
from probing_core.published.source import published_rows
from reproduction.upstream.layout import GEMMA, LLAMA
from tests.study_rows import MAIN_HOOK, study_rows

TAGS = list(TASKS)
numbers = st.lists(st.floats(-0.5, 0.5), min_size=8, max_size=30)


@settings(max_examples=20, deadline=None)
@given(values=numbers, seed=st.integers(0, 99))
def test_rho_is_scipys_and_its_interval_is_in_range(values, seed):
    noise = np.random.default_rng(seed).normal(0, 0.1, len(values))
    frame = pd.DataFrame({"first": values, "second": values + noise}, index=TAGS[: len(values)])
    found = rank_agreement(frame)
    if frame["first"].nunique() == 1:
        assert np.isnan(found.rho)
        return
    assert found.rho == pytest.approx(stats.spearmanr(frame["first"], frame["second"]).statistic)
    assert np.isnan(found.low) or -1 <= found.low <= found.high <= 1
    turned = rank_agreement(frame.assign(second=-frame["second"]))
    assert turned.rho == pytest.approx(-found.rho)


def test_three_tasks_tell_no_correlation():
    frame = pd.DataFrame({"first": [1.0, 2, 3], "second": [1.0, 2, 3]}, index=TAGS[:3])
    assert np.isnan(rank_agreement(frame).rho)


def test_one_family_has_no_interval():
    tags = [tag for tag in TAGS if "_hist_fig_" in tag]
    values = np.arange(float(len(tags) + 3))
    names = [*tags, "5_hist_fig_ismale", "6_hist_fig_isamerican", "7_hist_fig_ispolitician"]
    frame = pd.DataFrame({"first": values, "second": values}, index=names)
    found = rank_agreement(frame)
    assert found.rho == pytest.approx(1) and np.isnan(found.low)


def settings_of(values, tags=TAGS[:5]):
    rows = [(tag, v, 0.1 * i + v) for i, tag in enumerate(tags) for v in values]
    return pd.DataFrame(rows, columns=["dataset", "regime_value", "difference"])


def test_only_tasks_and_values_that_both_have_are_compared():
    first = {"scarcity": settings_of([1.0, 2.0]), "imbalance": settings_of([0.5])}
    second = {"scarcity": settings_of([2.0, 3.0], TAGS[2:7]), "standard": settings_of([0.0])}
    pairs = both_effects(first, second)
    assert list(pairs) == ["scarcity"] and set(pairs["scarcity"].index) == set(TAGS[2:5])
    assert (pairs["scarcity"]["first"] >= 2).all()


def test_two_models_of_the_paper_are_set_beside_each_other():
    hooks = {GEMMA: "blocks.20.hook_resid_post", LLAMA: "blocks.16.hook_resid_post"}
    found = [
        compared(published_rows(None, "regimes", model), hook=hook) for model, hook in hooks.items()
    ]
    pairs = both_effects(*found)
    assert "scarcity" in pairs
    agreement = rank_agreement(pairs["scarcity"])
    assert agreement.n > 100 and agreement.low < agreement.rho < agreement.high


def test_baselines_of_another_layer_compete_as_if_they_were_of_this_one():
    rows = study_rows()
    other = next(hook for hook in rows["hook"].unique() if hook != MAIN_HOOK)
    mixed = with_baselines_at(rows, MAIN_HOOK, of=other)
    assert set(mixed["hook"]) == {MAIN_HOOK}
    theirs, ours = (
        frame[(frame["hook"] == hook) & (frame["method"] != "sae_logreg")]
        .groupby("method")["test_auc"]
        .mean()
        for frame, hook in ((rows, other), (mixed, MAIN_HOOK))
    )
    pd.testing.assert_series_equal(ours, theirs)
    saes = rows[(rows["hook"] == MAIN_HOOK) & (rows["method"] == "sae_logreg")]
    assert len(mixed) == len(saes) + len(rows[(rows["hook"] == other)])


def test_positions_are_columns_and_one_position_is_none():
    rows = pd.DataFrame(
        {"dataset": ["a", "a", "b"], "position": ["last", "mean", "last"], "test_auc": [1, 0.5, 1]}
    )
    assert by_position(rows).to_dict("index") == {"a": {"last": 1, "mean": 0.5}}
    assert by_position(rows[rows["position"] == "last"]).empty
