"""The figures on many tokens show both sides, shade the unfair pair, and say who leads."""

import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from probing_core.figures import tokens as draw
from probing_core.figures.style import FAINT
from tests.analysis.test_tokens import made
from tests.figures.conftest import check, texts


@pytest.fixture(scope="module")
def rows():
    return made(sae_logreg_max=0.8, logreg_mean=0.81)


def test_figure_22_is_not_drawn_without_binarised_rows_and_says_what_its_probes_read(rows):
    assert "not run" in draw.plot_wins(rows, binarised=True).alt.lower()
    sparse = rows[rows["method"] == "sae_logreg"].assign(binarize=True)
    drawing = draw.plot_wins(pd.concat([rows, sparse]), binarised=True)
    check(drawing)
    assert "whether a latent is on" in drawing.caption


def test_bars_show_both_sides_and_one_pair_is_shaded(rows):
    drawing = draw.plot_wins(rows)
    check(drawing)
    (axes,) = drawing.figure.axes
    shaded = [
        one for one in axes.patches if one.get_facecolor()[:3] == pytest.approx(to_rgb(FAINT))
    ]
    assert len(axes.patches) == 1 + 2 * 4 and len(shaded) == 1
    assert "last token against max-pooled SAE 0.100" in drawing.alt
    assert "every pooling on both sides \N{MINUS SIGN}0.010" in drawing.alt


def test_every_probe_has_a_dot_and_its_number(rows):
    drawing = draw.plot_probes(rows)
    check(drawing)
    written = [one.get_text() for one in texts(drawing)]
    assert {"0.825", "0.815", "SAE probe, max", "logistic regression, mean"} <= set(written)
    assert drawing.alt.startswith("tiny: best are logistic regression, mean 0.825")


def test_the_sentence_sets_the_unfair_pair_beside_the_fair_one(rows):
    said = draw.fair_sentence(rows)
    assert "minus a last-token baseline is 0.100" in said
    assert draw.fair_sentence(rows.iloc[:0]).startswith("These rows hold no")


def test_tables_hold_every_task_and_sizes_in_gigabytes(rows):
    cells = draw.task_cells(rows)
    assert len(cells) == 4 and cells["SAE probe, max"].iloc[0].startswith("0.8")
    sizes = {"model": "tiny", "tokens": 2000, "file": 4e9, "activations": 1e12, "latents": 5e9}
    table = draw.size_cells(pd.DataFrame([sizes | {"peak_memory": float("nan")}]))
    assert table["all tasks' activations, GB"].item() == "1,000"
    assert table["file, GB"].item() == "4" and table["peak memory, GB"].item() == ""


def test_without_rows_nothing_is_drawn(rows):
    assert draw.plot_wins(rows.iloc[:0]).alt.startswith("Not run")
    assert draw.plot_probes(rows.iloc[:0]).alt.startswith("Not run")
