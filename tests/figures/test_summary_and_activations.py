"""The headline figure and the figures of what is probed."""

import numpy as np
import pandas as pd
import pytest

from probing_core.analysis.paired import mean_interval
from probing_core.figures import activations, summary
from probing_core.figures.paper_numbers import DIFFERENCES, published
from probing_core.figures.words import (
    above_below,
    model_limits,
    protocol_sentence,
    signed,
    split_sentence,
)
from tests.figures.test_standard_page import check
from tests.study_rows import MAIN_HOOK, study_rows


def all_texts(drawing) -> list[str]:
    return [text.get_text() for axes in drawing.figure.axes for text in axes.texts]


def test_headline_draws_the_run_and_empty_slots_for_what_it_lacks(rows):
    run = summary.regime_differences(rows, hook=MAIN_HOOK)
    assert list(run) == ["standard"]
    drawing = summary.plot_headline(run)
    check(drawing)
    assert all_texts(drawing).count("not run yet") == len(DIFFERENCES) - 1
    assert signed(run["standard"].mean) in all_texts(drawing)


def test_headline_without_any_run_shows_the_paper_alone():
    drawing = summary.plot_headline({})
    check(drawing)
    assert "no regime has been run yet" in drawing.alt
    assert all_texts(drawing).count("not run yet") == len(DIFFERENCES)


def test_headline_of_every_regime_has_no_empty_slot():
    run = {paper.regime: mean_interval([-0.02, 0.01, 0.0]) for paper in DIFFERENCES}
    drawing = summary.plot_headline(run)
    check(drawing)
    assert "not run yet" not in all_texts(drawing)
    assert "not run yet" not in drawing.caption


def test_run_without_sae_probes_has_no_regime_to_show():
    assert summary.regime_differences(study_rows(saes=()), hook=MAIN_HOOK) == {}


def test_settings_of_one_task_are_averaged_before_the_interval(rows):
    noisy = pd.concat(
        [rows.assign(regime="label_noise", regime_value=value) for value in (0.1, 0.2)]
    )
    run = summary.regime_differences(noisy, hook=MAIN_HOOK)
    assert run["label_noise"].n == rows["dataset"].nunique()


def test_headline_says_who_trails():
    run = {"standard": mean_interval([-0.02, -0.03, -0.01, -0.02])}
    assert "trails the one without by 0.020" in summary.headline_sentence(run)
    run = {"standard": mean_interval([0.02, 0.03, 0.01, 0.02])}
    assert "beats the one without by 0.020" in summary.headline_sentence(run)
    run = {"standard": mean_interval([0.0, 0.0])}
    assert "without do not differ" in summary.headline_sentence(run)
    run = {"standard": mean_interval([-0.03, 0.03, -0.02, 0.02])}
    assert "may be chance" in summary.headline_sentence(run)


def test_headline_of_several_regimes_lists_their_changes():
    run = {
        "standard": mean_interval([-0.02, -0.03, -0.01, -0.02]),
        "scarcity": mean_interval([-0.03, 0.03, -0.02, 0.02]),
        "imbalance": mean_interval([0.02, 0.03, 0.01, 0.02]),
    }
    said = summary.headline_sentence(run)
    assert "\u22120.020 under standard conditions, 0.000 under data scarcity" in said
    assert "and +0.020 under class imbalance (4 tasks)" in said
    assert "2 of 3 intervals leave out zero, 1 of them below it" in said


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    sources = ["Headlines", "Historical figures", "Headlines", "A source with a long name, indeed"]
    return pd.DataFrame(
        {
            "dataset": ["1_a", "2_b", "3_c", "4_d"],
            "source": sources,
            "n_prompts": [728, 5000, 1500, 900],
            "n_available": [728, 5000, 4000, 900],
            "truncated": [0.0, 0.5, 0.0, 0.0],
        }
    )


@pytest.mark.parametrize("count", [1, 4])
def test_tasks_are_drawn_by_source(table, count):
    drawing = activations.plot_tasks_by_source(table.head(count))
    check(drawing)
    if count == 4:
        labels = [tick.get_text() for tick in drawing.figure.axes[0].get_yticklabels()]
        assert labels[0] == "Headlines (2)"
        assert "728 to 5,000" in drawing.alt


@pytest.mark.parametrize("limit", [None, 64, 4096])
def test_token_lengths_are_drawn_with_and_without_a_limit(table, limit):
    lengths = pd.DataFrame({"source": np.repeat(table["source"], 50), "tokens": np.arange(3, 203)})
    drawing = activations.plot_token_lengths(lengths, max_tokens=limit)
    check(drawing)
    assert (f"cut at {limit}" in all_texts(drawing)) == (limit is not None)


def test_sources_that_reach_the_cut_are_not_ranked_among_themselves():
    lengths = pd.DataFrame({"source": list("aabbcc"), "tokens": [64, 64, 64, 60, 5, 7]})
    longest = "in 1 source at least half of the prompts reach the cut"
    assert longest in activations.plot_token_lengths(lengths, max_tokens=64).alt
    assert "a has the longest (median 64)" in activations.plot_token_lengths(lengths).alt


def test_throughput_names_both_speeds():
    table = pd.DataFrame(
        {
            "way": ["ours", "plain transformers"],
            "tokens_per_second": [19_000.0, 20_000.0],
            "dtype": "bfloat16",
            "threads": 2,
            "n_tokens": 50_000,
        }
    )
    drawing = activations.plot_throughput(table)
    check(drawing)
    assert "95%" in drawing.caption
    assert "19,000" in drawing.alt
    alone = activations.plot_throughput(table.head(1))
    check(alone)
    assert alone.alt.endswith("the plain pass was not timed.")
    assert activations.plot_throughput(table.head(0)).alt == "Not run: a measurement of speed."


def test_note_on_cut_prompts_weighs_tasks_by_size(table):
    assert "30.8%" in activations.length_note(table)
    assert "1 task" in activations.length_note(table)
    none = activations.length_note(table.assign(truncated=0.0))
    assert none == "No prompt is longer than the model reads."


def test_fine_print_names_protocol_split_and_the_models_limits(rows):
    text = protocol_sentence(rows)
    assert text == "Protocol paper, solver fast, seed 42, model minilm."
    assert split_sentence(rows) == "Per task, 1,024 training prompts and 300 test prompts."
    assert "[SEP]" in model_limits("minilm")
    assert "[SEP]" not in model_limits("gemma-2-9b")


def test_differences_carry_their_sign():
    assert [signed(value) for value in (0.01, -0.01, 0.0001)] == ["+0.010", "\u22120.010", "0.000"]
    assert "trails" in above_below(mean_interval([-1.0, -2.0, -1.5]), "a", "b")
    assert "14 of 113" in published("standard")
