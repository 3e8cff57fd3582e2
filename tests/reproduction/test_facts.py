"""The numbers kept with the project are those of the published rows, and pages read them."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from probing_core.analysis.quiver import quiver
from probing_core.published.importer import store_import
from probing_core.published.layout import GEMMA, V1
from probing_core.published.source import SHIPPED
from probing_core.store import Store
from reproduction.errata import PANELS, PRINTED_WIN_RATES, STATED_PRUNING, STATED_TASKS
from reproduction.facts import FACTS, compute_facts, compute_paper, load_facts
from reproduction.recipes.tables import QUIVER_SAES


def leaves(value, place=""):
    """Every number of a nest with its place; those that an unstable sort decides are left out."""
    if isinstance(value, list):
        value = dict(enumerate(value))
    if isinstance(value, dict):
        for name, inner in value.items():
            if name not in ("upstream_literal", "drawn", "drawn_half", "picked"):
                yield from leaves(inner, f"{place}/{name}")
    else:
        yield place, value


@pytest.fixture(scope="module")
def fresh(found):
    return json.loads(json.dumps(compute_facts(found)))


def test_facts_kept_with_the_project_are_those_of_the_rows_that_ship(facts, fresh):
    kept, again = dict(leaves({**facts, "from": ""})), dict(leaves({**fresh, "from": ""}))
    assert set(kept) == set(again) and len(kept) > 500
    assert not {place for place in kept if kept[place] != pytest.approx(again[place], abs=1e-9)}


def test_facts_that_an_unstable_sort_decides_are_near_those_of_the_rows(facts, fresh):
    for regime in ("scarcity", "imbalance"):
        kept, again = (one["values"][regime]["drawn"] for one in (facts, fresh))
        assert kept == pytest.approx(again, abs=2e-3)


def test_the_papers_differences_are_those_of_the_rows_and_stand_once(found):
    kept = json.loads((SHIPPED / "paper.json").read_text("utf-8"))
    for regime, numbers in compute_paper(found).items():
        assert kept[regime] == pytest.approx(numbers, abs=1e-9), regime
    written = json.loads(FACTS.read_text("utf-8"))
    assert set(written["one_probe"]) == {"standard", "scarcity", "imbalance"}
    shown = {round(one["mean"], 9) for one in kept.values()}
    assert not shown & {round(one["mean"], 9) for one in written["one_probe"].values()}


def test_facts_are_recomputed_from_a_store_that_holds_imported_tables(found, facts, tmp_path):
    store = Store(tmp_path)
    assert load_facts(store)["from"] == facts["from"]
    store_import(store, found)
    again = load_facts(store)
    assert again["from"] == f"{len(found.report['files'])} imported tables, recomputed"
    assert set(again) == set(facts) and again["shift"] == facts["shift"]


def test_what_flawed_or_few_tables_do_not_give_comes_from_the_kept_numbers(found, facts, tmp_path):
    store = Store(tmp_path)
    few = found.rows[found.rows["section"].isin(["shift", "cola"])]
    report = found.report | {"remarks": ["a.csv: covers 1 of 113 tasks"]}
    store_import(store, replace(found, rows=few, sides={}, report=report))
    again = load_facts(store)
    assert again["shift"] == facts["shift"] and again["values"] == facts["values"]
    assert again["cola"] == facts["cola"]  # whose labels are in another table, not imported here
    for said in ("1 flaw that the import named", "cola", "values", "kept with this book"):
        assert said in again["from"]


def test_rounding_validation_aucs_hardly_moves_figure_4(tables, pool):
    picks = quiver(tables.regime("standard"), ties="baseline", **pool)
    assert picks["difference"].mean() == pytest.approx(-0.003123, abs=1e-5)
    assert picks["picked_sae"].sum() == 14


def test_settings_without_any_sae_probe_are_not_compared(tables, pool):
    rows = tables.regime("standard")
    lone = rows["dataset"].eq("66_living-room") | rows["method"].ne("sae_logreg")
    assert quiver(rows[lone], **pool)["dataset"].tolist() == ["66_living-room"]


def test_the_standard_substitutes_equal_the_first_generations_own_table(tables):
    """PAPER 0.2: rows without flipped labels are the standard runs, to the last digit."""
    keys = ["dataset", "sae_id", "k"]
    own = tables.saes("standard", V1, sae_ids=QUIVER_SAES[GEMMA], ks=[16, 128])
    noise = tables.saes("label_noise", V1).query("regime_value == 0")
    both = own.set_index(keys)["test_auc"], noise.set_index(keys)["test_auc"]
    assert len(both[0]) == 678
    assert (both[0] - both[1].reindex(both[0].index)).abs().max() == 0


def test_the_table_named_ood_holds_the_standard_runs(facts):
    assert facts["not_ood"]["rows"] == 48
    assert facts["not_ood"]["largest_difference"] < 1e-6
    shifted = [one["standard"] - one["shifted"] for one in facts["not_ood"]["by_task"].values()]
    assert np.mean(shifted) > 0.1


def test_rows_of_figure_17c_lie_at_other_places_in_the_two_tables(tables, facts):
    probe = tables.saes("label_noise", V1, sae_ids=QUIVER_SAES[GEMMA][:1], ks=[128])
    sides = (probe, tables.logreg("label_noise"))
    order = [part.query("regime_value == 0")["dataset"].tolist() for part in sides]
    assert sorted(order[0]) == sorted(order[1])
    assert sum(a == b for a, b in zip(*order, strict=True)) < 10
    assert facts["positions"]["0"] > 40 and facts["noise"]["sae_win_pct"]["0"] < 9


def test_the_mlps_of_two_runs_agree_to_the_last_digit_as_a_fixed_setting_must(tables):
    """A random search would not: boosting draws its settings anew, and the two runs differ."""
    standard = tables.baseline("standard").set_index(["method", "dataset"])["val_auc"]
    scarce = tables.baseline("scarcity").query("regime_value == 1024")
    again = scarce.set_index(["method", "dataset"])["val_auc"]
    change = (standard.reindex(again.index) - again).abs()
    assert len(again["mlp"]) == 102 and change["mlp"].max() == 0
    assert (change["xgboost"] > 0).mean() > 0.5


def test_pruning_lowers_the_third_auc_that_the_text_raises(facts):
    measured = {task: facts["pruning"][task]["k1_minus_k8"] for task in STATED_PRUNING}
    right = [task for task in STATED_PRUNING if abs(measured[task] - STATED_PRUNING[task]) < 5e-4]
    assert right == ["66_living-room", "90_glue_qnli"]
    assert measured["7_hist_fig_ispolitician"] < -0.07


def test_printed_win_rates_are_counts_of_46_tasks_and_not_of_60(facts):
    tokens = facts["tokens"]
    assert tokens["both_last"]["n"] == 46 != STATED_TASKS
    for panel, printed in zip(PANELS, PRINTED_WIN_RATES, strict=True):
        assert round(tokens[panel]["b_wins_pct"], 1) == printed
        assert printed not in [round(100 * count / STATED_TASKS, 1) for count in range(61)]


def test_ties_decide_the_first_points_of_figure_6_and_no_later_ones(facts):
    rules = pd.DataFrame(facts["ties"])
    rules.index = rules.index.astype(float)
    spread = rules.max(axis=1) - rules.min(axis=1)
    assert spread[2.0] > 0.1 and spread[3.0] > 0.07
    assert spread[spread.index >= 103].max() < 0.004


def test_bands_of_figure_6_are_several_times_wider_than_paired_ones(facts):
    one = facts["values"]["scarcity"]
    ratio = {n: one["drawn_half"][n] / one["paired_half"][n] for n in one["drawn_half"]}
    assert min(ratio.values()) > 2.5
