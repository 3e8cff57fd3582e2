"""The figure of pruned probes: a panel a task, a line a judge, and what it says of them."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from probing_core.experiments.pruning import COLUMNS, CONTROL, published_curve
from probing_core.experiments.study import open_study
from probing_core.figures.pruning import plot_pruning
from tests.figures.conftest import check, texts


def curves(judges=("MiniLM", CONTROL), datasets=("66_living-room", "90_glue_qnli"), seeds=(1, 2)):
    """AUC under the shift falls by 0.01 a latent for a judge, and stays for the control."""
    rows = [
        (name, judge, kept, seed, 0.9, 0.7 - 0.01 * kept * (judge != CONTROL) + 0.02 * seed)
        for name, judge, kept, seed in product(datasets, judges, range(1, 9), seeds)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def test_pruning_draws_a_panel_a_task_and_a_line_a_judge_with_the_range_over_seeds():
    drawing = plot_pruning(curves())
    check(drawing)
    panels = [axes for axes in drawing.figure.axes if axes.axison]
    assert [axes.get_title(loc="left") for axes in panels] == ["66 living-room", "90 glue qnli"]
    under = next(line for line in panels[0].lines if line.get_marker() == "o")
    assert np.allclose(under.get_ydata(), 0.73 - 0.01 * np.arange(1, 9))
    band = panels[0].collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == pytest.approx((0.64, 0.73))
    assert "lowest to highest of 2 seeds" in drawing.caption
    assert f"lies above that of {CONTROL}" in drawing.caption
    assert drawing.alt == (
        "Ranked by MiniLM, one instead of 8 latents raises AUC under the shift on 2 of 2 tasks:"
        " +0.070 66_living-room, +0.070 90_glue_qnli. Ranked by class difference, one instead of 8"
        " latents raises AUC under the shift on 0 of 2 tasks: 0.000 66_living-room, 0.000"
        " 90_glue_qnli."
    )


@pytest.mark.parametrize("count", [1, 4, 8])
def test_any_number_of_tasks_and_judges_fits_the_page(count):
    names = [f"{number}_a_task_with_a_long_name_indeed" for number in range(count)]
    judges = ("MiniLM", "endpoint", "people", CONTROL)
    drawing = plot_pruning(curves(judges, names, (42,)))
    check(drawing)
    assert {*judges, "without shift"} <= {text.get_text() for text in texts(drawing)}
    assert "one seed, no interval" in drawing.caption


def test_a_task_without_shifted_prompts_shows_what_it_has():
    frame = curves(datasets=("113_movie_sent",)).assign(shifted_auc=np.nan)
    drawing = plot_pruning(frame)
    check(drawing)
    assert "Ranked by MiniLM: no task has shifted prompts." in drawing.alt


def test_the_published_rows_draw_with_the_changes_of_section_4_1(tmp_path):
    drawing = plot_pruning(published_curve(open_study("published", tmp_path)))
    check(drawing)
    assert drawing.alt.startswith(
        "Ranked by o1, one instead of 8 latents raises AUC under the shift on 2 of 3 tasks:"
        " +0.024 66_living-room, +0.052 90_glue_qnli, \u22120.078 7_hist_fig_ispolitician."
    )
    assert CONTROL not in drawing.caption + drawing.alt


def test_nothing_judged_is_said():
    assert plot_pruning(curves().iloc[:0]).alt == "Not run: SAE probes on judged latents."
