"""The headline figure, and the figures of what is probed."""

import numpy as np
import pandas as pd
import pytest

from probing_core.analysis.comparison import NOT_COMPARED, compared
from probing_core.analysis.paired import mean_interval
from probing_core.datasets.regimes import REGIMES
from probing_core.figures import activations, front, standard
from probing_core.figures.words import of_the_paper, signed
from tests.figures.conftest import check, regime_rows, texts
from tests.study_rows import MAIN_HOOK, study_rows

OTHER = pd.Series([0.111, 0.125, 0.173], index=list("abc"))


def written(drawing) -> list[str]:
    return [text.get_text() for text in texts(drawing)]


def run_of(rows: pd.DataFrame):
    return front.regime_differences(compared(rows, hook=MAIN_HOOK))


def test_front_and_section_02_give_the_standard_quiver_one_interval(rows):
    estimate = run_of(rows)["standard"]
    assert estimate.families < estimate.n
    legend = written(standard.plot_quiver_scatter(rows, hook=MAIN_HOOK))
    assert any(estimate.text(4) in text for text in legend)


def test_headline_draws_the_run_and_empty_slots_for_what_it_lacks(rows):
    run = run_of(rows)
    assert list(run) == ["standard"]
    drawing = front.plot_headline(run)
    check(drawing)
    assert written(drawing).count(NOT_COMPARED) == len(REGIMES) - 1
    for estimate in (run["standard"], *(of_the_paper(name) for name in REGIMES)):
        assert signed(estimate.mean) in written(drawing)


def test_headline_draws_every_model_of_the_run(rows):
    run = run_of(rows)
    others = {"smollm2": {"standard": mean_interval(OTHER)}, "none": {}}
    drawing = front.plot_headline(run, others, model="minilm")
    check(drawing)
    assert {signed(OTHER.mean()), "minilm", "smollm2"} <= set(written(drawing))
    assert "none" not in written(drawing)
    assert drawing.caption.endswith("perhaps on other tasks or values: smollm2.")


def test_headline_without_any_run_shows_the_paper_alone():
    drawing = front.plot_headline({})
    check(drawing)
    assert "not compared with baselines in any regime" in drawing.alt
    assert written(drawing).count(NOT_COMPARED) == len(REGIMES)


def test_headline_of_every_regime_lists_their_changes():
    some = pd.Series([-0.02, -0.03, -0.01, -0.02], index=list("abcd"))
    run = dict.fromkeys(REGIMES, mean_interval(some)) | {"scarcity": mean_interval(some + 0.02)}
    drawing = front.plot_headline(run)
    check(drawing)
    assert NOT_COMPARED not in (*written(drawing), drawing.caption)
    assert "\u22120.020 under standard conditions, 0.000 under data scarcity" in drawing.alt
    assert "and \u22120.020 under covariate shift (4 tasks)" in drawing.alt
    assert "4 of 5 intervals leave out zero, 4 of them below it" in drawing.alt
    only = front.headline_sentence({"standard": run["standard"]})
    assert "toolbox with SAE probes trails the one without by 0.020" in only


def test_settings_of_one_task_are_averaged_before_the_interval():
    assert {one.n for one in run_of(regime_rows()).values()} == {6}


def test_run_without_sae_probes_has_no_regime_to_show():
    assert run_of(study_rows(saes=())) == {}


def test_the_best_single_baseline_is_named_with_its_mean(rows):
    here = rows[(rows["hook"] == MAIN_HOOK) & (rows["method"] == "logreg")]
    said = front.baseline_sentence(rows, hook=MAIN_HOOK)
    assert f"logistic regression, mean test AUC {here['test_auc'].mean():.3f}" in said
    assert "No baseline" in front.baseline_sentence(rows.head(0), hook=MAIN_HOOK)


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
    assert (f"cut at {limit}" in written(drawing)) == (limit is not None)
    assert f"at most {lengths['tokens'].median():.0f} tokens" in drawing.alt


def test_sources_that_reach_the_cut_are_not_ranked_among_themselves():
    lengths = pd.DataFrame({"source": list("aabbcc"), "tokens": [64, 64, 64, 60, 5, 7]})
    longest = "in 1 source at least half of the prompts reach the cut"
    assert longest in activations.plot_token_lengths(lengths, max_tokens=64).alt
    assert "a has the longest (median 64)" in activations.plot_token_lengths(lengths).alt


def test_note_on_cut_prompts_weighs_tasks_by_size(table):
    assert "30.8% of prompts, in 1 task," in activations.length_note(table)
    none = activations.length_note(table.assign(truncated=0.0))
    assert none == "No prompt is longer than the model reads."
    assert "not in the published" in activations.length_note(table.assign(truncated=np.nan))
