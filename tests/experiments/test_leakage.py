"""Pairs of probes that differ in the leak alone, in every regime of the section."""

import numpy as np
import pytest

from probing_core.analysis.leakage import conclusions, costs, paired, sae_ranks
from probing_core.datasets.regimes import REGIMES, Draw
from probing_core.experiments import leakage, sections
from probing_core.experiments.activations import read_activations
from probing_core.experiments.study import open_study
from probing_core.probes.evaluate import evaluate_label_sets
from probing_core.probes.inputs import Inputs
from probing_core.profiles import TrainedSAE
from tests.conftest import TAGS, small_profile

GRID = {
    "methods": ["logreg", "knn"], "k": [4, 16], "seeds": [42, 43], "max_train": 200,
}  # fmt: skip
TAG = "66_living-room"
SHIFTED = {TAG, "5_hist_fig_ismale"}
REGIMES_HERE = {"standard", "scarcity", "label_noise", "covariate_shift"}


@pytest.fixture(scope="module")
def study(small_study):
    profile = small_profile(
        sections={"leakage": GRID},
        suite_regimes={"scarcity": {"values": [40]}, "label_noise": {"values": [0.3]}},
    )
    (model,) = profile.models
    twin = TrainedSAE(width=512, l0=16, steps=60, batch_tokens=512, seed=1)
    model = model.model_copy(update={"suite": (twin,)})
    profile = profile.model_copy(update={"models": (model,)})
    return open_study(profile, small_study.store)


@pytest.fixture(scope="module")
def rows(study):
    return sections.rows(study, "leakage")


def test_every_probe_is_tested_with_repeats_and_without_on_the_same_training_rows(rows):
    own = rows[rows["section"] == "leakage"]
    assert set(own["regime"]) == REGIMES_HERE
    assert set(own.loc[own["regime"] == "covariate_shift", "dataset"]) == SHIFTED
    assert set(own["dataset"]) == set(TAGS) and rows["test_auc"].notna().all()
    pairs = paired(rows)
    assert len(pairs) == (own["protocol"] == "leak_free").sum()
    sizes = own.groupby(["dataset", "regime", "seed"])["n_train"].nunique()
    assert (sizes == 1).all()
    own = own[(own["regime"] == "standard") & (own["seed"] == 42)]
    tested = own.groupby(["dataset", "protocol"])["n_test"].max().unstack()
    assert (tested["leak_free"] <= tested["leak_free_exact"]).all()
    assert tested.loc[TAG, "leak_free"] < tested.loc[TAG, "size_matched"]


def test_a_leak_free_score_is_that_of_the_fit_by_hand(study, rows):
    dataset, x = study.datasets[TAG], read_activations(study, TAG)
    setting = REGIMES["standard"].draw(dataset, 0, Draw("leak_free", 43, 200))
    split, groups = setting.split, dataset.groups("near")
    assert not np.isin(groups[split.test], groups[split.train]).any()
    (by_hand,) = evaluate_label_sets(
        "knn",
        [setting.train_labels],
        dataset.labels[split.test].astype(int),
        shared=Inputs(x[split.train], x[split.test]),
        groups=groups[split.train],
    )
    here = rows.query("dataset == @TAG and seed == 43 and method == 'knn' and regime == 'standard'")
    (row,) = here[here["protocol"] == "leak_free"].to_dict("records")
    assert row["test_auc"] == pytest.approx(by_hand.test_auc)
    assert row["val_auc"] == pytest.approx(by_hand.val_auc)


def test_costs_are_means_over_tasks_of_the_difference(rows):
    pairs = paired(rows)
    plain = pairs[(pairs["regime"] == "standard") & (pairs["method"] == "knn")]
    found = costs(pairs[pairs["regime"] == "standard"])
    assert set(found) == {("minilm", n) for n in ("logreg", "knn", "sae_logreg 4", "sae_logreg 16")}
    by_hand = (plain["leaky"] - plain["clean"]).groupby(plain["dataset"]).mean().mean()
    assert found["minilm", "knn"].difference.mean == pytest.approx(by_hand)


def test_the_papers_comparison_is_made_under_both_protocols_on_the_same_settings(rows):
    found = conclusions(rows)
    assert set(found) == {("minilm", name) for name in REGIMES_HERE}
    for (_, name), one in found.items():
        assert one.change.mean == pytest.approx(one.clean.mean - one.leaky.mean)
        assert one.change.n == len(SHIFTED if name == "covariate_shift" else TAGS)


def test_every_sae_of_the_suite_has_a_place_under_both_protocols(rows):
    means, agreement = sae_ranks(rows)
    assert len(means) == agreement.n == 1 and means.notna().all(axis=None)


def test_repeats_are_counted_for_the_papers_split(study):
    table = leakage.repeats(study).set_index("dataset")
    assert list(table.index) == list(TAGS)
    assert (table["exact"] <= table["normalised"]).all()
    assert (table["normalised"] <= table["near"]).all()
    fewer = table["n_strict"] < table["n_train"]
    assert fewer.any() and (table.loc[~fewer, "n_unseen"] <= table.loc[~fewer, "n_test"]).all()
    assert table.loc[TAG, "n_shifted"] == 300


def test_published_rows_hold_no_leak_free_twin(small_study):
    study = open_study("published", small_study.store)
    assert sections.rows(study, "leakage").empty and not conclusions(
        sections.rows(study, "leakage")
    )
