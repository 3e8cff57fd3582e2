"""The figures on better SAEs, drawn from made effects; the page's words say what they show."""

import numpy as np
import pytest

from probing_core.analysis.architectures import win_rates
from probing_core.figures import evaluation
from probing_core.figures import improvements as draw
from tests.analysis.test_architectures import KINDS, made, suite_of
from tests.figures.conftest import check, texts

NAMES = [*KINDS, "topk-1", "random"]
GAINS = dict(zip(NAMES, (-0.03, -0.01, -0.02, 0.01, -0.015, -0.1), strict=True))


@pytest.fixture(scope="module")
def effects():
    frame = made(GAINS)
    frame["difference"] += np.random.default_rng(0).normal(0, 0.01, len(frame))
    frame["sae"] = frame["baseline"] + frame["difference"]
    return frame


@pytest.fixture(scope="module")
def suite():
    return suite_of(
        NAMES,
        control=[None] * 5 + ["random"],
        explained_variance=[0.3, 0.7, 0.6, 0.65, 0.7, 0.2],
        loss_recovered=[0.5, 0.9, 0.8, 0.85, 0.9, 0.1],
        dead_latents=0.01,
        seed=[0, 0, 0, 0, 1, 0],
    )


def test_architectures_stand_by_date_above_the_controls(effects, suite):
    drawing = draw.plot_by_date(effects, suite)
    check(drawing)
    shown = [label.get_text() for label in drawing.figure.axes[0].get_yticklabels()]
    assert shown == ["ReLU (new)", "TopK", "BatchTopK", "Matryoshka", "random weights"]
    assert "for each year" in drawing.alt and "would be seen" in drawing.alt


def test_the_headline_counts_the_regimes_with_a_slope(effects, suite):
    said = draw.trend_headline(effects, suite)
    assert said.startswith("Under standard conditions 0.0")
    assert said.endswith("in 1 of 1 regime the interval leaves out zero.")
    none = draw.trend_headline(effects[effects["sae_id"] == "topk"], suite)
    assert none.startswith("Too few")


def test_means_over_l0_are_drawn_beside_logistic_regression(effects, suite):
    drawing = draw.plot_by_l0(effects, suite, k=128)
    check(drawing)
    base = effects.groupby("dataset")["baseline"].mean().mean()
    heights = [line.get_ydata()[0] for line in drawing.figure.axes[0].lines]
    assert any(np.isclose(height, base) for height in heights)
    assert "Best architecture with k = 128" in drawing.alt and "Matryoshka" in drawing.alt


def test_the_win_matrix_writes_share_and_interval(effects, suite):
    best = draw.best_of_each(effects, suite)
    drawing = draw.plot_wins(win_rates(best), "standard", k=128)
    check(drawing)
    written = [text.get_text() for text in texts(drawing)]
    assert sum("%" in one for one in written) == 12 and "k = 128" in drawing.caption


def test_quality_is_drawn_for_every_sae_that_was_measured(effects, suite):
    drawing = draw.plot_quality(effects, suite, "loss_recovered")
    check(drawing)
    assert "n = 5" in drawing.alt
    assert "explained variance" in drawing.alt and "over loss recovered" in drawing.caption
    headless = draw.plot_quality(effects, suite.assign(loss_recovered=None), "loss_recovered")
    assert "over explained variance" in headless.caption and "loss" not in headless.alt
    nothing = dict(loss_recovered=None, explained_variance=None)
    unknown = draw.plot_quality(effects, suite.assign(**nothing), "loss_recovered")
    assert unknown.alt.startswith("Not run")


def test_sentences_name_controls_seeds_and_penalties(effects, suite):
    said = draw.control_sentence(effects, suite)
    assert "5 trained SAEs" in said and "random weights" in said and "Seeds" in said
    l2 = effects.assign(sae=effects["sae"] + 0.02)
    assert "0.020 [0.020, 0.020]" in draw.penalty_sentence(effects, l2)
    assert draw.penalty_sentence(effects, l2.iloc[:0]).startswith("No probes")


def test_the_suite_is_a_table_of_text(suite):
    table = draw.suite_cells(suite)
    assert table["SAE"].tolist()[-1] == "random weights"
    assert table["explained variance"].tolist()[0] == "0.30"


def test_one_sae_is_drawn_among_the_others(effects, suite):
    drawing = evaluation.plot_evaluation(effects, suite, "topk")
    check(drawing)
    assert drawing.alt.startswith("Probes on topk minus logistic regression: standard")
    missing = evaluation.plot_evaluation(effects, suite, "nobody")
    assert missing.alt.startswith("Not run")


def test_without_rows_nothing_is_drawn(effects, suite):
    none = effects.iloc[:0]
    for drawing in (draw.plot_by_date(none, suite), draw.plot_by_l0(none, suite, k=16)):
        assert drawing.caption.startswith("Not drawn")
