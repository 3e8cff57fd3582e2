"""Figures of wrong labels: bars with intervals, curves with what confident learning flags."""

import numpy as np
import pandas as pd
import pytest

from probing_core.analysis.mislabelled import accuracies
from probing_core.experiments.mislabelled import COLUMNS, published_bars
from probing_core.experiments.study import open_study
from probing_core.figures import mislabelled as draw
from tests.analysis.test_mislabelled import scored
from tests.figures.conftest import check, texts


@pytest.fixture(scope="module")
def scores():
    rng = np.random.default_rng(1)
    clean = rng.integers(0, 2, 200)
    told = np.where(rng.random(200) < 0.2, 1 - clean, clean)
    parts = [
        scored(told, clean, np.clip(0.5 + size * (clean - 0.5) + rng.normal(0, 0.2, 200), 0, 1), m)
        for m, size in (("logreg", 0.8), ("sae_128", 0.5), ("sae_1", 0.2))
    ]
    return pd.concat(parts, ignore_index=True)


def test_accuracies_are_written_on_bars_and_the_given_labels_are_hatched(scores):
    drawing = draw.plot_accuracies(accuracies(scores))
    check(drawing)
    bars = drawing.figure.axes[0].patches
    assert [bar.get_hatch() for bar in bars].count("///") == 3
    assert bars[0].get_height() == 1.0
    assert sum(text.get_text() == "1.00" for text in texts(drawing)) >= 1
    assert drawing.alt.startswith("Accuracy against clean labels where the given ones differ")


def test_the_published_figure_9_is_drawn_with_its_numbers(tmp_path):
    drawing = draw.plot_accuracies(published_bars(open_study("published", tmp_path)))
    check(drawing)
    assert "logistic regression 0.46, SAE probe, k = 128 0.56, one latent 0.63" in drawing.alt


def test_a_panel_a_source_names_precision_and_what_is_flagged(scores):
    other = scores.assign(labels="council")
    drawing = draw.plot_finding(scores, other)
    check(drawing)
    assert [axes.get_title(loc="left") for axes in drawing.figure.axes] == [
        "tiny, planted",
        "tiny, council",
    ]
    legend = [text.get_text() for text in drawing.figure.axes[0].get_legend().get_texts()]
    assert legend[0].startswith("logistic regression 1.00 [")
    assert any("flagged" in text for text in legend) and legend[-1].startswith("by chance 0.")
    assert "logistic regression with" in drawing.alt


def test_table_7_names_the_latent_that_accuses(scores):
    cells = draw.accused_cells(scores.assign(latent=np.where(scores["method"] == "sae_1", 302, -1)))
    assert set(cells["probe"]) == {"logistic regression", "SAE probe, k = 128", "latent 302"}
    assert len(cells) == 15


def test_without_scores_the_figures_say_so():
    empty = pd.DataFrame(columns=COLUMNS)
    for drawing in (draw.plot_finding(empty), draw.plot_accuracies(accuracies(empty))):
        assert "not run" in drawing.alt.lower()
    assert draw.accused_cells(empty).empty
