"""The figures and sentences of the positive control, from made rows."""

import pytest

from probing_core.experiments.planted import HOOK, REGIME
from probing_core.figures.planted import gains, help_sentence, plot_planted, plot_planted_quiver
from probing_core.rows import to_frame, to_table
from tests.figures.conftest import check, texts

PROMPTS = (4, 64, 1024)
HELP = {"the truth": (0.2, 0.1, 0.05), "cosine 0.7": (0.1, 0.0, -0.1), "cosine 0": (-0.1,) * 3}


def planted_rows(help_of=HELP, n_tasks=6):
    """Rows in which a dictionary helps by so much at so many prompts, a little less on later."""
    rows = []
    for task in range(n_tasks):
        for place, prompts in enumerate(PROMPTS):
            where = {"dataset": f"feature-{task}", "regime_value": prompts, "seed": 42}
            where |= {"hook": HOOK, "regime": REGIME, "model": "planted", "n_train": prompts}
            base = 0.7 + 0.01 * task
            rows.append(where | {"method": "logreg", "val_auc": base, "test_auc": base})
            for name, gain in help_of.items():
                auc = base + gain[place] - 0.002 * task
                named = {"method": "sae_logreg", "sae_id": name, "ranking": "mean_difference"}
                named |= {"val_auc": auc, "test_auc": auc, "sae_width": 512, "penalty": "l1"}
                rows += [where | named | {"k": k} for k in (1, 16, 128)]
    return to_frame([to_table(rows)])


def test_each_dictionary_has_a_panel_the_best_first():
    drawing = plot_planted(planted_rows())
    check(drawing)
    titles = [axes.get_title(loc="left") for axes in drawing.figure.axes if axes.axison]
    assert titles == list(HELP)
    assert "intervals over features" in drawing.caption and "9 tests" in drawing.caption


def test_numbers_of_latents_other_than_the_drawn_one_are_thin_lines():
    written = {text.get_text() for text in texts(plot_planted(planted_rows(), k=128))}
    assert {"k = 1", "k = 16"} <= written and "k = 128" not in written


def test_the_sentence_names_the_weakest_dictionary_and_the_most_prompts_that_help():
    said = plot_planted(planted_rows()).alt
    assert "down to cosine 0.7 at 4 training prompts, by 0.095 [" in said
    assert "up to the truth at 1024 training prompts, by 0.045 [" in said
    assert said.endswith("but nowhere with cosine 0.")


def test_dictionaries_that_never_help_are_listed_in_words():
    nothing = dict.fromkeys(("bad", "worse", "worst"), (-0.1,) * 3)
    rows = planted_rows({"the truth": (0.2, 0.1, 0.05)} | nothing)
    assert help_sentence(gains(rows, 16), 16).endswith("but nowhere with bad, worse or worst.")
    rows = planted_rows({"the truth": (0.2, 0.1, 0.05)})
    assert "nowhere" not in help_sentence(gains(rows, 16), 16)


def test_a_control_that_sees_nothing_says_what_that_means():
    said = plot_planted(planted_rows({"the truth": (-0.1, 0.0, -0.2)})).alt
    assert "beats logistic regression nowhere: the largest difference is \u22120.005" in said
    assert said.endswith("What this control cannot see, the study cannot either.")


def test_the_quiver_is_shown_with_its_picks():
    drawing = plot_planted_quiver(planted_rows())
    check(drawing)
    written = [text.get_text() for text in texts(drawing)]
    assert "the truth: 100% picked" in written and "cosine 0: 0% picked" in written
    assert "the quiver gains with the truth (0.112 [" in drawing.alt
    assert "does neither for sure with cosine 0 (0.000 [0.000, 0.000])" in drawing.alt


def test_a_dictionary_that_misleads_validation_is_said_to_lose():
    rows = planted_rows({"cosine 0": (-0.1,) * 3})
    rows.loc[rows["method"] == "sae_logreg", "val_auc"] = 1.0
    said = plot_planted_quiver(rows).alt
    assert "the quiver loses with cosine 0 (\u22120.105 [" in said


@pytest.mark.parametrize("plot", [plot_planted, plot_planted_quiver])
def test_without_rows_a_figure_says_so(plot):
    drawing = plot(planted_rows().iloc[:0])
    check(drawing)
    assert drawing.caption.startswith("Not drawn. Not compared")
