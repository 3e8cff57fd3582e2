"""The figures of covariate shift, drawn from the published rows and from made ones."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from probing_core.analysis.paired import over_repeats
from probing_core.figures.shift import BROKEN, plot_parts, plot_shift, training_sentence
from probing_core.probes.methods import PARTS
from tests.figures.conftest import check, texts

HOOK = "blocks.20.hook_resid_post"
NUMBERS = Path(__file__).parents[3] / "shared" / "published_numbers.json"


@pytest.fixture(scope="module")
def published(shipped):
    return shipped[(shipped["section"] == "shift") & (shipped["model"] == "google/gemma-2-9b")]


def with_parts(published, gain=0.0):
    """The published rows with parts of the SAE: a reconstruction a little worse, a poor error."""
    dense = published[published["method"] == "logreg"]
    sae = published.loc[published["method"] == "sae_logreg", "sae_id"].iloc[0]
    made = [
        dense.assign(method=part, sae_id=sae, test_auc=dense["test_auc"] - loss + gain)
        for part, loss in zip(PARTS, (0.02, 0.2), strict=True)
    ]
    return pd.concat([published, *made], ignore_index=True)


def test_figure_7_draws_the_published_numbers_and_the_broken_set_apart(published):
    drawing = plot_shift(published, hook=HOOK)
    check(drawing)
    aucs = published.pivot(index="dataset", columns="method", values="test_auc")
    gaps = aucs["sae_logreg"] - aucs["logreg"]
    written = {text.get_text() for text in texts(drawing)}
    for gap in (*gaps, gaps.drop(BROKEN).mean()):
        assert f"{gap:+.3f}".replace("-", "\u2212") in written
    assert "over 7 tasks, ahead on 2; 90_glue_qnli, broken, \u22120.169" in drawing.alt
    assert "one seed, no interval" in drawing.caption


def test_published_rows_of_figure_7_are_those_expected(published):
    if not NUMBERS.is_file():
        pytest.skip("the list of published numbers is not beside the project")
    expected = json.loads(NUMBERS.read_text("utf-8"))["entries"]["fig7.ood"]["value"]
    aucs = published.pivot(index="dataset", columns="method", values="test_auc")
    assert aucs["logreg"].mean() == pytest.approx(expected["average"]["baseline"]["mean"])
    assert aucs["sae_logreg"].mean() == pytest.approx(expected["average"]["sae"]["mean"])


def test_seeds_give_each_task_an_interval(published):
    rng = np.random.default_rng(0)
    seeds = [
        published.assign(seed=seed, test_auc=published["test_auc"] + rng.normal(0, 0.01, 16))
        for seed in range(5)
    ]
    drawing = plot_shift(pd.concat(seeds, ignore_index=True), hook=HOOK)
    check(drawing)
    assert "t intervals over 5 seeds" in drawing.caption
    assert np.isfinite(over_repeats(np.array([0.1, 0.2])).low)
    assert np.isnan(over_repeats(np.array([0.1])).low)


def test_parts_are_compared_with_the_activation_task_by_task(published):
    rows = with_parts(published)
    drawing = plot_parts(rows, with_parts(published, 0.01), hook=HOOK)
    check(drawing)
    assert "on shifted prompts: latents \u22120.094" in drawing.alt
    assert "reconstruction \u22120.020" in drawing.alt and "error \u22120.200" in drawing.alt
    assert "reconstruction \u22120.010" in drawing.alt
    names = [label.get_text() for label in drawing.figure.axes[0].get_yticklabels()]
    assert [name.rpartition(": ")[2] for name in names] == ["latents", "reconstruction", "error"]


def test_without_rows_each_figure_says_so(published):
    for drawing in (
        plot_shift(published.iloc[:0], hook=HOOK),
        plot_parts(published, published.iloc[:0], hook=HOOK),
    ):
        check(drawing)
        assert drawing.caption.startswith("Not drawn.")


def test_training_rows_of_their_own_are_set_beside_the_same_ones(published):
    moved = published.assign(test_auc=published["test_auc"] + 0.01)
    sae = moved["method"] == "sae_logreg"
    moved.loc[sae, "test_auc"] -= 0.05
    options = {"hook": HOOK, "sae_ids": ["no such SAE"]}
    assert "on different prompts" in training_sentence(published, moved, **options)
    assert training_sentence(published.iloc[:0], moved, **options) == ""
    published, moved = (one.assign(n_train=100) for one in (published, moved))
    said = training_sentence(published, moved, **options)
    assert "is \u22120.094;" in said and said.endswith("drawn here, \u22120.144.")
    assert "on the same prompts" in training_sentence(published, published, **options)
