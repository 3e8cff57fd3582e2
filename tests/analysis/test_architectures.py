"""Better SAEs, better probes: trends, reseeds, win rates, from the published rows and made ones."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from probing_core.analysis.architectures import (
    ARCHITECTURES,
    best_of_each,
    effects_by_sae,
    quality_correlation,
    reseed_floor,
    trend,
    win_rates,
    win_table,
    with_intervals,
)
from probing_core.datasets import TASKS
from probing_core.published.source import published_rows

NUMBERS = Path(__file__).parents[3] / "shared" / "published_numbers.json"
HOOK = "blocks.12.hook_resid_post"
TAGS = list(TASKS)[::9]
KINDS = ("relu", "topk", "batchtopk", "matryoshka")


def made(gains, tags=TAGS):
    """Effects in one regime: of every SAE the same gain on all tasks, that differ in ease."""
    ease = pd.Series(np.linspace(0.6, 0.8, len(tags)), tags)
    rows = [
        {"regime": "standard", "sae_id": name, "dataset": tag, "baseline": ease[tag],
         "sae": ease[tag] + gain, "difference": gain}
        for name, gain in gains.items() for tag in tags
    ]  # fmt: skip
    return pd.DataFrame(rows)


def suite_of(names, **changes):
    """A suite in which ids are architectures, perhaps with a seed behind a dash."""
    columns = {"control": None, "width": 64, "l0_asked": 8.0, "l0": 8.0, "explained_variance": None}
    frame = pd.DataFrame({"architecture": [name.split("-")[0] for name in names]}, index=names)
    frame = frame.assign(reseed=["-" in name for name in names], **columns)
    return frame.assign(**changes)


@pytest.fixture(scope="module")
def published():
    rows = published_rows(None, "shift", "google/gemma-2-2b")
    found = rows.dropna(subset=["sae_id"]).groupby("sae_id")
    suite = found.agg(architecture=("sae_architecture", "first"), l0=("sae_l0", "mean"))
    return rows, suite.assign(control=None, reseed=False, width=2**14, l0_asked=suite["l0"])


def test_the_best_l0_of_each_architecture_is_that_of_figure_21(published):
    if not NUMBERS.is_file():
        pytest.skip("the list of published numbers is not beside the project")
    entries = json.loads(NUMBERS.read_text("utf-8"))["entries"]
    rows, suite = published
    for k in (16, 128):
        best = best_of_each(effects_by_sae(rows, hook=HOOK, k=k), suite)
        for name, mean in best.groupby("architecture")["sae"].mean().items():
            expected = entries["fig21.ood_best_l0"]["value"][f"k={k}|{name}"]
            assert mean == pytest.approx(expected, abs=1e-9)


def test_an_effect_is_the_probe_minus_the_baseline_of_the_same_setting(published):
    rows, _ = published
    found = effects_by_sae(rows, hook=HOOK, k=16).set_index(["sae_id", "dataset"])
    dense = rows[rows["method"] == "logreg"].set_index("dataset")["test_auc"]
    sparse = rows[(rows["k"] == 16)].groupby(["sae_id", "dataset"])["test_auc"].mean()
    for (sae, tag), one in found.iterrows():
        assert one["difference"] == pytest.approx(sparse[sae, tag] - dense[tag])


@given(slope=st.floats(-0.2, 0.2), start=st.floats(-0.1, 0.1))
def test_a_slope_over_dates_is_found_again(slope, start):
    gains = {name: start + slope * (ARCHITECTURES[name].year - 2024) for name in KINDS}
    found = trend(best_of_each(made(gains), suite_of(list(KINDS))))
    assert found.architectures == 4
    assert found.slope.mean == pytest.approx(slope, abs=1e-9)


def test_a_trend_needs_three_dates():
    names = ["jumprelu", "batchtopk"]  # of the same day
    assert trend(best_of_each(made(dict.fromkeys(names, 0.0)), suite_of(names))) is None


def test_noisier_tasks_hide_larger_slopes():
    rng = np.random.default_rng(0)
    floors = []
    for noise in (0.01, 0.05):
        effects = made(dict.fromkeys(KINDS, 0.0))
        effects["difference"] += rng.normal(0, noise, len(effects))
        floors.append(trend(best_of_each(effects, suite_of(list(KINDS)))).detectable)
    assert floors[1] > 3 * floors[0] > 0


def test_seeds_alone_make_the_floor():
    names = ["topk", "topk-1", "topk-2", "relu"]
    gains = {"topk": 0.01, "topk-1": 0.03, "topk-2": 0.015, "relu": -0.2}
    floor = reseed_floor(made(gains), suite_of(names))
    assert floor["standard"] == pytest.approx(0.02)
    assert reseed_floor(made({"relu": 0.0}), suite_of(["relu"])).empty


def test_controls_and_reseeds_stand_for_no_architecture():
    names = ["topk", "topk-1", "relu"]
    suite = suite_of(names, control=[None, None, "random"])
    best = best_of_each(made({"topk": 0.0, "topk-1": 0.1, "relu": 0.2}), suite)
    assert set(best["sae_id"]) == {"topk"}


def test_win_rates_of_a_pair_add_up_and_have_wilsons_interval():
    effects = made({"topk": 0.0, "relu": 0.0})
    better = (effects["sae_id"] == "topk") & effects["dataset"].isin(TAGS[:5])
    effects.loc[better, "sae"] += 0.01
    table = win_rates(effects.assign(architecture=effects["sae_id"]))
    shares = table.set_index(["first", "second"])
    assert shares.loc[("topk", "relu"), "share"] + shares.loc[("relu", "topk"), "share"] == 1
    wins = 5 + (len(TAGS) - 5) / 2  # a tie is half a win
    assert shares.loc[("topk", "relu"), "wins"] == wins
    whole = with_intervals(pd.DataFrame({"first": "a", "second": "b", "wins": [9], "n": [24]}))
    exact = stats.binomtest(9, 24).proportion_ci(method="wilson")
    assert tuple(whole.loc[0, ["low", "high"]]) == pytest.approx((exact.low, exact.high), abs=1e-9)


def test_published_win_rates_stand_in_where_there_are_no_probes():
    pairs = pd.DataFrame({"first": ["TopK"], "second": ["Gated"], "wins": [4.0], "n": [8]})
    effects, suite = made({"topk": 0.0}), suite_of(["topk"])
    assert win_table(effects, suite, "standard", pairs)["share"].tolist() == [0.5]


def test_quality_that_goes_with_probing_correlates():
    names = list(KINDS)
    suite = suite_of(names, explained_variance=[0.1, 0.2, 0.3, 0.4])
    gains = dict(zip(names, (0.0, 0.1, 0.2, 0.3), strict=True))
    found = quality_correlation(made(gains), suite)
    assert (found.rho, found.n) == (pytest.approx(1), 4)
    assert np.isnan(quality_correlation(made({"topk": 0.0}), suite).rho)
