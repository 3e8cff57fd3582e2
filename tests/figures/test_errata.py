"""The errata: what each figure says, from the published numbers that the package carries."""

import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.text import Text

import probing_core
from probing_core.figures import errata, errata_counts
from probing_core.figures.style import PAGE_WIDTH, image_bytes
from probing_core.probes.mlp import DECAYS, LAYERS, RATES, drawn_settings

PANELS = ("both_last", "baseline_last_vs_sae_max", "quiver_vs_quiver")
PRINTED = (2.2, 19.6, 8.7)
STATED = {"66_living-room": 0.024, "90_glue_qnli": 0.052, "7_hist_fig_ispolitician": 0.077}
MADE_UP = {
    "8": {
        "mean_delta": -0.0021, "se": 0.0008, "min_delta": -0.031, "max_delta": 0.027,
        "n_improved": 6, "n_worse": 12, "n_equal": 95, "mean_without": 0.92, "mean_with": 0.918,
    },
    "16": {
        "mean_delta": -0.003, "se": 0.0009, "min_delta": -0.034, "max_delta": 0.0098,
        "n_improved": 0, "n_worse": 13, "n_equal": 100, "mean_without": 0.935, "mean_with": 0.932,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def facts():
    path = Path(probing_core.__file__).parent / "published" / "facts.json"
    return json.loads(path.read_text("utf-8"))


@pytest.fixture(scope="module")
def drawings(facts):
    tokens = facts["tokens"]
    return {
        "ties": errata.plot_ties(facts["ties"], facts["values"]),
        "bands": errata.plot_bands(facts["values"]),
        "positions": errata.plot_positions(facts["positions"], facts["noise"]["sae_win_pct"]),
        "llama": errata.plot_llama_layers(MADE_UP),
        "not_ood": errata.plot_not_ood(facts["not_ood"]),
        "pruning": errata.plot_pruning_sign(facts["pruning"], STATED),
        "count": errata.plot_task_count(
            PRINTED, [tokens[panel]["b_wins_n"] for panel in PANELS], tokens["both_last"]["n"]
        ),
        "mlp": errata.plot_mlp_search(drawn_settings(42), LAYERS, RATES, DECAYS),
    }


def shown_text(drawing):
    drawing.figure.draw_without_rendering()
    texts = drawing.figure.findobj(Text)
    ticks = {
        id(label)
        for axes in drawing.figure.axes
        for label in (*axes.get_xticklabels(), *axes.get_yticklabels())
    }
    return [text for text in texts if text.get_text().strip() and id(text) not in ticks]


def test_every_erratum_is_drawn_at_page_width_with_text_of_8_points(drawings):
    for name, drawing in drawings.items():
        assert len(image_bytes(drawing)) > 10_000, name
        assert drawing.figure.get_figwidth() <= PAGE_WIDTH, name
        assert min(text.get_fontsize() for text in shown_text(drawing)) >= 8, name


def test_every_erratum_names_what_is_published_on_the_left_and_what_corrects_it_on_the_right(
    drawings,
):
    for name, drawing in drawings.items():
        if name == "not_ood":
            continue  # two tables, neither of which corrects the other
        left, right = (axes.get_title("left") for axes in drawing.figure.axes[:2])
        assert "as published" in left or "as stated" in left, name
        assert "corrected" in right or "as run" in right, name


def test_no_text_is_cut_off_at_the_edge_of_a_figure(drawings):
    for name, drawing in drawings.items():
        edge = drawing.figure.bbox
        for text in shown_text(drawing):
            box = text.get_window_extent()
            assert edge.x0 <= box.x0 and box.x1 <= edge.x1, (name, text.get_text())
            assert edge.y0 <= box.y0 and box.y1 <= edge.y1, (name, text.get_text())


def test_the_rule_for_ties_turns_the_sign_at_two_prompts(drawings):
    said = drawings["ties"].alt
    assert "+0.010 as published" in said and "−0.083 by the text's rule" in said
    assert "+0.029 with ties averaged" in said and "0.000 with ties to baselines" in said
    assert "From 28 prompts on all rules agree within 0.005" in said


def test_rules_that_never_agree_are_not_said_to_agree(facts):
    apart = {"2": 0.1, "1024": 0.2}
    ties = {rule: dict.fromkeys(apart, 0.0) for rule in facts["ties"]} | {"upstream_literal": apart}
    fair = dict.fromkeys(apart, {"mean": 0.0, "low": -0.1, "high": 0.1, "n": 5})
    drawing = errata.plot_ties(ties, {"scarcity": {"corrected": fair}})
    assert "With 1024 training prompts" in drawing.alt and "agree" not in drawing.alt


def test_pairing_clears_zero_where_no_published_band_does(drawings, facts):
    said, caption = drawings["bands"].alt, drawings["bands"].caption
    for regime, label in (("scarcity", "data scarcity"), ("imbalance", "class imbalance")):
        clear = [
            one["low"] > 0 or one["high"] < 0
            for one in facts["values"][regime]["corrected"].values()
        ]
        assert f"{label}: 0 of {len(clear)} intervals leave out zero as published" in said
        assert f"published, {sum(clear)} corrected" in said
        assert sum(clear) > 5
    assert "2 survive Holm's correction" in caption


def test_both_panels_of_a_regime_share_their_scale(drawings):
    grid = np.array(drawings["bands"].figure.axes).reshape(-1, 2)
    for left, right in grid:
        assert left.get_ylim() == right.get_ylim()


def test_matching_tasks_lowers_the_share_of_sae_probes_ahead(drawings):
    said = drawings["positions"].alt
    assert "41 to 52% of rows" in said
    assert "matched by task on 9% at 0 and 51% at 0.5" in said


def test_llama_without_tables_is_said_to_be_not_run():
    drawing = errata.plot_llama_layers(None)
    assert drawing.alt == "Not run: Llama's standard tables were not at hand."


def test_llama_layers_state_their_ranges_and_counts(drawings):
    said = drawings["llama"].alt
    assert "layer 8 differences run from −0.031 to +0.027" in said
    assert "better on 6 and worse on 12 tasks" in said
    assert "layer 16 differences run from −0.034 to +0.010" in said
    assert "layer 16, 0.935 and 0.932" in drawings["llama"].caption


def test_the_table_named_ood_is_the_standard_one(drawings):
    said = drawings["not_ood"].alt
    assert "All 48 rows" in said and "up to 2.5e-07: mean AUC 0.924" in said
    assert "On shifted prompts it is 0.723, lower on 8 of 8 tasks" in said
    assert "6 probes a task averaged" in drawings["not_ood"].caption


def test_pruning_hurts_the_one_task_whose_sign_the_text_turns(drawings):
    said = drawings["pruning"].alt
    assert said.startswith("The sign differs on 1 of 3 tasks")
    assert "7 hist fig ispolitician +0.077 stated, −0.078 in the table" in said
    hatched = [
        bar for axes in drawings["pruning"].figure.axes for bar in axes.patches if bar.get_hatch()
    ]
    assert [bar.get_width() > 0 for bar in hatched] == [True, False]


def test_a_text_with_the_right_signs_leaves_nothing_hatched(facts):
    drawing = errata.plot_pruning_sign(facts["pruning"], {"66_living-room": 0.024})
    assert drawing.alt.startswith("The sign differs on 0 of 1 task:")
    assert not any(bar.get_hatch() for axes in drawing.figure.axes for bar in axes.patches)


def test_only_46_tasks_can_give_the_printed_win_rates(drawings):
    drawing = drawings["count"]
    assert drawing.alt == (
        "Of the 3 printed rates 0 fit 60 tasks and 3 fit 46; from 40 to 65 the only number that "
        "every rate fits: 46."
    )
    assert "(1, 9, 4 wins)" in drawing.caption


def test_the_counts_nearest_to_the_printed_rates_are_the_wins_of_the_tables(facts):
    for printed, panel in zip(PRINTED, PANELS, strict=True):
        found = facts["tokens"][panel]
        count, distance = errata_counts.nearest_share(printed, found["n"])
        assert count == found["b_wins_n"]
        assert abs(distance) <= errata_counts.ROUNDING
        assert abs(errata_counts.nearest_share(printed, 60)[1]) > 0.3


def test_of_225_configurations_one_is_used(drawings):
    drawing = drawings["mlp"]
    assert "Of 225 configurations the text says 10 are tried per task" in drawing.alt
    assert "the code uses 1: hidden layers 16 × 16 × 16, learning rate 0.0032" in drawing.alt
    left, right = drawing.figure.axes
    assert [len(line.get_xdata()) for line in left.lines] == [225, 10]
    assert [len(line.get_xdata()) for line in right.lines] == [225, 1]
