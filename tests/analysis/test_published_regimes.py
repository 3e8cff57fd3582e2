"""The quiver on the paper's own tables gives the paper's regime figures, under each tie policy."""

import functools

import pandas as pd
import pytest

from probing_core.analysis.comparison import compare, head_to_head
from probing_core.analysis.quiver import quiver
from tests import published

HOOK, SAES = published.MAIN_HOOK, published.QUIVER_SAES
RULES = {
    "upstream_literal": ("as_published", None),
    "tie_rule_in_text": ("sae_narrow_large_k", None),
    "ties_to_baseline": ("baseline", None),
    "neutral_ties": ("neutral", 9),
}
EXAMPLES = ("26_headline_isfrontpage", "36_sciq_tf", "114_nyc_borough_Manhattan")


@functools.cache
def rows(regime: str, generation: str) -> pd.DataFrame:
    return published.regime_rows(regime, generation)


@functools.cache
def picks(regime: str, generation: str, rule: str) -> pd.DataFrame:
    ties, decimals = RULES[rule]
    here = rows(regime, generation)
    return quiver(here, hook=HOOK, sae_ids=SAES, ties=ties, decimals=decimals)


def noise(generation: str) -> pd.DataFrame:
    return compare(rows("label_noise", generation), "label_noise", hook=HOOK, sae_ids=SAES[:1])


def by_value(frame: pd.DataFrame, column: str) -> dict[float, float]:
    return frame.groupby("regime_value")[column].mean().to_dict()


def numbers(values: dict[str, float]) -> dict[float, float]:
    return {float(name): value for name, value in values.items()}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("regime", ["scarcity", "imbalance"])
@pytest.mark.parametrize("generation", ["v1", "head"])
def test_figure_6_is_reproduced_under_every_tie_policy(generation, regime, rule):
    entry = published.expected()[f"fig6.{generation}.{regime}.{rule}"]
    within = {"abs": entry["suggested_abs_tol"]}
    found, value = picks(regime, generation, rule), entry["value"]
    assert by_value(found, "difference") == pytest.approx(numbers(value["delta"]), **within)
    if rule == "neutral_ties":
        means = (value["mean_without"], value["mean_with"])
    else:
        means = (value["overall_mean_without"], value["overall_mean_with"])
    assert found["without_auc"].mean() == pytest.approx(means[0], **within)
    assert found["with_auc"].mean() == pytest.approx(means[1], **within)


@pytest.mark.parametrize("regime", ["scarcity", "imbalance"])
def test_figures_17a_and_17b_count_the_picks_of_the_rule_in_the_text(regime):
    value = published.expected()[f"fig6.v1.{regime}.tie_rule_in_text"]["value"]
    found = picks(regime, "v1", "tie_rule_in_text")
    counts = found.groupby("regime_value")["picked_sae"].sum().to_dict()
    assert counts == pytest.approx(numbers(value["sae_chosen_count"]))
    assert 100 * found["picked_sae"].mean() == pytest.approx(value["pct_rows_sae_chosen"])
    wide = found.loc[found["picked_sae"] == 1, "picks"].str.endswith("k=128").mean()
    assert wide == pytest.approx(value["share_of_sae_choices_by_k"]["128"], abs=1e-9)


@pytest.mark.parametrize("generation", ["v1", "head"])
def test_figure_6_under_label_noise_is_reproduced_and_matched_by_task(generation):
    entry = published.expected()[f"fig6.{generation}.corrupt"]["value"]
    found = noise(generation)
    assert by_value(found, "difference") == pytest.approx(numbers(entry["delta"]), abs=1e-6)
    assert by_value(found, "without_auc") == pytest.approx(numbers(entry["logreg"]), abs=1e-6)
    wins = found.groupby("regime_value")["picked_sae"].mean() * 100
    assert wins.to_dict() == pytest.approx(numbers(entry["sae_win_pct"]), abs=1e-6)


@pytest.mark.parametrize("generation", ["v1", "head"])
def test_figure_17c_as_drawn_compares_rows_by_position(generation):
    """Not by task: so the published panel shows close to a half at every fraction (PAPER D.6)."""
    entry = published.expected()[f"fig17c.{generation}.upstream_positional"]["value"]
    here = rows("label_noise", generation)
    probe = here[(here["sae_id"] == SAES[0]) & (here["k"] == 128)]
    logreg = here[here["method"] == "logreg"]
    share = {
        float(value): 100
        * float(
            (
                part["test_auc"].to_numpy()
                > logreg.loc[logreg["regime_value"] == value, "test_auc"].to_numpy()
            ).mean()
        )
        for value, part in probe.groupby("regime_value")
    }
    assert share == pytest.approx(numbers(entry), abs=1e-6)


@pytest.mark.parametrize("regime", ["scarcity", "imbalance"])
@pytest.mark.parametrize("generation", ["v1", "head"])
def test_figure_5_quivers_are_reproduced(generation, regime):
    entry = published.expected()[f"fig5.{generation}.{regime}.tie_rule_in_text"]["value"]
    found = picks(regime, generation, "tie_rule_in_text")
    for task in EXAMPLES:
        own = found[found["dataset"] == task]
        for side, column in (("without", "without_auc"), ("with_sae", "with_auc")):
            assert by_value(own, column) == pytest.approx(numbers(entry[task][side]), abs=1e-6)


@pytest.mark.parametrize("generation", ["v1", "head"])
def test_figure_5_under_label_noise_is_reproduced(generation):
    entry = published.expected()[f"fig5.{generation}.corrupt"]["value"]
    found = head_to_head(rows("label_noise", generation), hook=HOOK, sae_id=SAES[0])
    for task in EXAMPLES:
        own = found[found["dataset"] == task]
        assert by_value(own, "baseline") == pytest.approx(numbers(entry[task]["logreg"]), abs=1e-6)
        assert by_value(own, "sae") == pytest.approx(numbers(entry[task]["sae"]), abs=1e-6)


@pytest.mark.parametrize("generation", ["v1", "head"])
def test_the_heat_map_of_figure_16_is_reproduced(generation):
    entry = published.expected()[f"fig16.{generation}.summary"]["value"]
    frames = {
        name: picks(name, generation, "tie_rule_in_text") for name in ("scarcity", "imbalance")
    }
    for name, frame in {**frames, "corrupt": noise(generation)}.items():
        change = frame["difference"]
        found = {
            "min": change.min(),
            "max": change.max(),
            "mean": change.mean(),
            "cells": len(change),
            "frac_negative": (change < 0).mean(),
            "frac_positive": (change > 0).mean(),
        }
        assert found == pytest.approx(entry[name], abs=1e-6)
