"""What pages 90 and 91 say and draw, from the numbers kept with the project."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text

from probing_core.analysis.quiver import TIES
from probing_core.figures.style import OTHER_COLOURS, PAGE_WIDTH, image_bytes
from probing_core.probes.methods import BASELINE, SAE
from reproduction import errata, figures
from reproduction.claims import CLAIMS, NOT_AT_HAND, NOT_BUILT, check_claims
from tests.study_rows import MAIN_HOOK, study_rows


@pytest.fixture(scope="module")
def drawings(facts):
    return {
        "ties": figures.plot_ties(facts["ties"], facts["values"]),
        "bands": figures.plot_bands(facts["values"]),
        "positions": figures.plot_positions(facts["positions"], facts["noise"]["sae_win_pct"]),
    }


def drawn_text(figure):
    """Every text of a figure but the numbers on its axes."""
    ticks = [
        label
        for axes in figure.axes
        for label in (*axes.get_xticklabels(), *axes.get_yticklabels())
    ]
    found = figure.findobj(Text)
    return [text for text in found if text.get_text().strip() and text not in ticks]


def test_every_claim_has_a_check_and_its_place_in_the_paper(facts):
    assert len(CLAIMS) == 18
    assert all(claim["words"] and claim["where"] and claim["stated"] for claim in CLAIMS)


def test_on_the_papers_own_rows_both_verdicts_agree(facts, gemma, pool):
    checked = check_claims(facts, gemma, ks=[16, 128], **pool)
    assert (checked.verdicts["this run"].head(6) == "agrees").all(), checked.numbers.head(6)
    counts = checked.verdicts["published tables"].value_counts().to_dict()
    assert counts == {"bear it out": 12, "give its number": 4, "cannot tell": 2}
    assert (checked.numbers["this run"] == NOT_BUILT).sum() == 11
    assert "bear out 12" in checked.said[0] and "agrees with 6" in checked.said[1]
    assert len(checked.said) == 2


def test_a_shallow_model_with_narrow_saes_cannot_speak_to_layer_and_width(facts):
    rows = study_rows(6)
    saes = sorted(rows["sae_id"].dropna().unique())
    options = {"hook": MAIN_HOOK, "sae_ids": saes, "ranking": "mean_difference"}
    checked = check_claims(facts, rows, ks=[16, 128], **options)
    silent = checked.verdicts["this run"] == "cannot speak"
    assert silent[silent].index.tolist() == [2, 3]
    assert "layer 3" in checked.numbers["this run"][2]
    assert "deepest block probed is 3" in checked.said[2]
    assert "widest SAE has 4,096 latents" in checked.said[3]
    deep = rows.assign(hook=rows["hook"].replace(MAIN_HOOK, "blocks.11.hook_resid_post"))
    options["hook"] = "blocks.11.hook_resid_post"
    again = check_claims(facts, deep.assign(sae_width=2**14), ks=[16, 128], **options)
    assert not (again.verdicts["this run"] == "cannot speak").any()


def test_claims_of_another_ranking_and_of_an_empty_run_do_not_fail(facts, gemma, pool):
    ranking = {"ranking": "normalized_mean_difference"}
    later = check_claims(facts, gemma, ks=[16, 128], **pool | ranking)
    assert (later.verdicts["this run"] == "agrees").sum() >= 4
    empty = check_claims(facts, gemma.iloc[:0], ks=[16, 128], **pool)
    assert (empty.numbers["this run"] == "not in this run").sum() == 6


def test_a_fact_that_the_tables_cannot_give_is_said_to_be_absent(facts, gemma, pool):
    checked = check_claims(facts | {"shift": None}, gemma.iloc[:0], ks=[16, 128], **pool)
    assert checked.numbers["recomputed"][6] == NOT_AT_HAND
    assert checked.verdicts["published tables"][6] == "cannot tell"


def test_errata_that_a_sentence_settles_take_their_numbers_from_the_facts(facts):
    said = errata.sentences(facts)
    for key, words in (
        (
            "not_ood_found",
            "All 48 rows of the table named OOD equal the standard runs",
        ),
        ("not_ood_found", "On shifted prompts it is 0.723, lower on 8 of 8 tasks"),
        ("pruning_found", "The sign differs on 1 of 3 tasks"),
        ("pruning_found", "7_hist_fig_ispolitician +0.077 stated, \u22120.078 in the table"),
        ("count_found", "0 fit 60 tasks and 3 fit 46 (1, 9, 4 wins)"),
        ("count_found", "From 40 to 65 tasks all fit 46 only"),
        ("mlp_found", "Of 225 configurations"),
        ("mlp_found", "hidden layers 16 × 16 × 16, learning rate 0.0032"),
        ("gap_found", "\u22120.022 under data scarcity, \u22120.019 under class imbalance"),
    ):
        assert words in said[key]


def test_the_erratum_on_layers_says_whether_the_table_is_at_hand(facts):
    said = errata.sentences(facts)["layers_found"]
    assert "0.027" in said and "not imported" in said
    layers = {"llama_layers": {"8": {"max_delta": 0.5}, "16": {"max_delta": 0.25}}}
    said = errata.sentences(facts | layers)["layers_found"]
    assert "0.500" in said and "0.250" in said and "not imported" not in said


def test_the_small_errata_take_their_numbers_from_the_facts(facts):
    table = errata.errata_table(facts).set_index("where")["data"]
    assert table["section 4.3.1"].startswith("22.0%")
    picked = "figure 17 shows 43 to 113 under scarcity and 49 to 82 under imbalance"
    assert table["section 3.2"] == picked


def test_every_figure_fits_the_page_with_text_of_8_points_and_names_its_sides(drawings):
    for name, drawing in drawings.items():
        assert len(image_bytes(drawing)) > 10_000, name
        assert drawing.figure.get_figwidth() <= PAGE_WIDTH, name
        left, right = (axes.get_title("left") for axes in drawing.figure.axes[:2])
        assert "as published" in left and "corrected" in right, name
        drawing.figure.draw_without_rendering()
        edge = drawing.figure.bbox
        for text in drawn_text(drawing.figure):
            box = text.get_window_extent()
            assert text.get_fontsize() >= 8, name
            assert edge.x0 <= box.x0 and box.x1 <= edge.x1, (name, text.get_text())
            assert edge.y0 <= box.y0 and box.y1 <= edge.y1, (name, text.get_text())


def test_rules_for_ties_are_no_colour_of_a_probe(drawings):
    lines = [line for axes in drawings["ties"].figure.axes for line in axes.lines]
    named = {to_hex(line.get_color()).upper() for line in lines if line.get_label()[0] != "_"}
    assert len(named) == len(TIES) and named <= set(OTHER_COLOURS)
    assert not named & {BASELINE, SAE}


def test_the_rule_for_ties_turns_the_sign_at_two_prompts(drawings):
    said = drawings["ties"].alt
    assert "+0.010 as published" in said and "\u22120.083 by the text's rule" in said
    assert "+0.029 with ties averaged" in said and "0.000 with ties to baselines" in said
    assert "From 28 prompts on all rules agree within 0.005" in said


def test_rules_that_never_agree_are_not_said_to_agree(facts):
    apart = {"2": 0.1, "1024": 0.2}
    ties = {rule: dict.fromkeys(apart, 0.0) for rule in facts["ties"]} | {"upstream_literal": apart}
    fair = dict.fromkeys(apart, {"mean": 0.0, "low": -0.1, "high": 0.1, "n": 5})
    drawing = figures.plot_ties(ties, {"scarcity": {"corrected": fair}})
    assert "With 1024 training prompts" in drawing.alt and "agree" not in drawing.alt


def test_pairing_clears_zero_where_no_published_band_does(drawings, facts):
    said, caption = drawings["bands"].alt, drawings["bands"].caption
    for regime, label in (("scarcity", "data scarcity"), ("imbalance", "class imbalance")):
        table = facts["values"][regime]["corrected"].values()
        clear = [one["low"] > 0 or one["high"] < 0 for one in table]
        assert f"{label}: 0 of {len(clear)} intervals leave out zero as published" in said
        assert f"published, {sum(clear)} corrected" in said and sum(clear) > 5
    assert "2 survive Holm's correction" in caption
    for left, right in np.array(drawings["bands"].figure.axes).reshape(-1, 2):
        assert left.get_ylim() == right.get_ylim()


def test_matching_tasks_lowers_the_share_of_sae_probes_ahead(drawings):
    said = drawings["positions"].alt
    assert "41 to 52% of rows" in said
    assert "matched by task on 9% at 0 and 51% at 0.5" in said
