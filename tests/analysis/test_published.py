"""Our statistics on the paper's own tables give the paper's own numbers."""

import numpy as np
import pandas as pd
import pytest

from probing_core.analysis.comparison import compare, head_to_head
from probing_core.analysis.effects import overall
from probing_core.analysis.paired import paired_difference
from probing_core.analysis.quiver import quiver
from probing_core.figures.latents import sae_means
from probing_core.figures.layers import best_method_counts, layer_means
from probing_core.figures.paper_numbers import DIFFERENCES
from tests import published

HOOK = published.MAIN_HOOK
SAES = published.QUIVER_SAES


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return published.standard_rows()


@pytest.fixture(scope="module")
def regimes() -> dict[str, pd.DataFrame]:
    return {name: published.regime_rows(name) for name in published.SAE_FILES}


def test_figure_4_is_reproduced_with_ties_to_baselines(rows):
    picks = quiver(rows, hook=HOOK, ties="baseline", sae_ids=SAES, decimals=None)
    assert len(picks) == 113
    assert picks["difference"].mean() == pytest.approx(-0.0031226460718501866, abs=1e-9)
    assert picks["difference"].std(ddof=0) / 113**0.5 == pytest.approx(0.001507996553, abs=1e-9)
    assert picks["without_auc"].mean() == pytest.approx(0.9399762998876823, abs=1e-9)
    assert picks["with_auc"].mean() == pytest.approx(0.9368536538158322, abs=1e-9)
    assert picks["picked_sae"].sum() == 14
    counts = paired_difference(picks["with_auc"], picks["without_auc"], margin=0)
    assert (counts.better, counts.worse, counts.equal) == (4, 10, 99)


def test_figure_4_with_the_later_ranking_is_reproduced(rows):
    picks = quiver(
        rows, hook=HOOK, ties="baseline", sae_ids=SAES, decimals=None,
        ranking="normalized_mean_difference",
    )  # fmt: skip
    assert picks["difference"].mean() == pytest.approx(-0.0033515976045908136, abs=1e-9)
    assert picks["picked_sae"].sum() == 16


def test_rounding_validation_aucs_hardly_moves_figure_4(rows):
    picks = quiver(rows, hook=HOOK, ties="baseline", sae_ids=SAES)
    assert picks["difference"].mean() == pytest.approx(-0.003123, abs=1e-5)
    assert picks["picked_sae"].sum() == 14


@pytest.mark.parametrize(
    ("ties", "n", "expected"),
    [
        ("neutral", 2, 0.029198009081738318),
        ("neutral", 3, -0.015381439309034725),
        ("neutral", 103, -0.011688527881737815),
        ("baseline", 2, 0.0),
        ("baseline", 3, 0.0),
        ("sae_narrow_large_k", 2, -0.08321546397466562),
        ("sae_narrow_large_k", 3, -0.0812891463137867),
    ],
)
def test_tie_rules_give_the_known_scarcity_differences(regimes, ties, n, expected):
    here = regimes["scarcity"].query("regime_value == @n")
    picks = quiver(here, hook=HOOK, ties=ties, sae_ids=SAES)
    assert picks["difference"].mean() == pytest.approx(expected, abs=1e-6)


def test_figure_13a_means_are_reproduced(rows):
    means = layer_means(rows)
    assert means.index.tolist()[0] == "hook_embed"
    expected = {
        "hook_embed": [0.6887, 0.6662, 0.6534, 0.6825, 0.6863, 0.6754],
        "blocks.9.hook_resid_post": [0.9220, 0.9047, 0.8711, 0.9125, 0.9186, 0.9058],
        HOOK: [0.9414, 0.9269, 0.8872, 0.9329, 0.9366, 0.9250],
        "blocks.31.hook_resid_post": [0.9383, 0.9213, 0.8828, 0.9293, 0.9329, 0.9209],
        "blocks.41.hook_resid_post": [0.9382, 0.9185, 0.8761, 0.9257, 0.9306, 0.9178],
    }
    for hook, numbers in expected.items():
        assert means.loc[hook].tolist() == pytest.approx(numbers, abs=5.1e-5)
    assert means.loc[HOOK, "logreg"] == pytest.approx(0.9413958567404387, abs=1e-9)


def test_figure_13b_counts_are_reproduced(rows):
    counts = best_method_counts(rows, ties="first").astype(int)
    assert counts.loc["hook_embed"].tolist() == [44, 7, 5, 17, 40]
    assert counts.loc[HOOK].tolist() == [84, 4, 0, 13, 12]
    assert counts.loc["blocks.41.hook_resid_post"].tolist() == [76, 3, 1, 7, 26]


def test_width_table_and_figure_15_are_reproduced(rows):
    table = sae_means(rows, hook=HOOK).pivot_table(
        index="sae_width", columns="k", values="test_auc"
    )
    narrow = [0.7416, 0.8016, 0.8456, 0.8738, 0.8934, 0.9089, 0.9169, 0.9214, 0.9229, 0.9250]
    wide = [0.7434, 0.7889, 0.8273, 0.8576, 0.8790, 0.8963, 0.9081, 0.9142, 0.9166, 0.9195]
    assert table.loc[2**14].tolist() == pytest.approx(narrow, abs=5.1e-5)
    assert table.loc[2**20].tolist() == pytest.approx(wide, abs=5.1e-5)
    assert table.loc[2**20, 512] == pytest.approx(0.9195291115223977, abs=1e-9)


def test_head_to_head_is_reproduced(rows):
    pair = head_to_head(rows, hook=HOOK, sae_id=SAES[0])
    exact = paired_difference(pair["sae"], pair["baseline"], margin=0)
    assert (exact.better, exact.equal, exact.worse) == (8, 7, 98)
    assert exact.difference.mean == pytest.approx(-0.019962796039423393, abs=1e-9)
    assert pair["difference"].median() == pytest.approx(-0.008074222045217683, abs=1e-9)
    beyond = paired_difference(pair["sae"], pair["baseline"])
    assert (beyond.better, beyond.worse) == (2, 64)


def test_numbers_typed_for_the_paper_are_those_of_its_tables(rows, regimes):
    shifted = published.shifted_rows()
    shifted["difference"] = shifted["test_auc_sae"] - shifted["test_auc_baseline"]
    named = {"regime": "covariate_shift", "regime_value": np.nan, "seed": 42, "picked_sae": 0.0}
    frames = {"covariate_shift": shifted.assign(**named)}
    for name, part in {"standard": rows, **regimes}.items():
        frames[name] = compare(part, name, hook=HOOK, sae_ids=SAES)
    assert set(frames) == {paper.regime for paper in DIFFERENCES}
    for paper in DIFFERENCES:
        found = overall(frames[paper.regime]).difference
        assert found.n == paper.n_tasks
        typed = [paper.mean, paper.low, paper.high]
        assert [found.mean, found.low, found.high] == pytest.approx(typed, abs=5.1e-6), paper.regime
