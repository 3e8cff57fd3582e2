"""Probes tested on shifted prompts: on the same training rows, and as the paper trained them."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from probing_core.datasets import load_dataset, load_shifted
from probing_core.datasets.regimes import REGIMES, Draw
from probing_core.experiments import sections, shift
from probing_core.experiments.activations import read_activations
from probing_core.experiments.latents import task_latents
from probing_core.experiments.saes import latents_input, read_parts, study_sae, study_saes
from probing_core.experiments.study import open_study
from probing_core.probes.evaluate import evaluate_label_sets
from probing_core.probes.inputs import Inputs
from probing_core.probes.methods import PARTS
from probing_core.probes.sparse import evaluate_top_k
from probing_core.saes.encoding import reconstruct
from tests.conftest import HOOK, small_profile

GRID = {"methods": ["logreg", "diff_mean"], "k": [4, 16], "seeds": [42, 43], "max_train": 200}
TAG = "66_living-room"


@pytest.fixture(scope="module")
def study(small_study):
    return open_study(small_profile(sections={"shift": GRID}), small_study.store)


@pytest.fixture(scope="module")
def rows(study):
    return {name: sections.rows(study, name) for name in (shift.SECTION, shift.UNSHIFTED)}


def test_both_sides_of_a_comparison_see_the_same_training_rows(study, rows):
    found = rows["shift"]
    assert set(found["dataset"]) == {TAG, "5_hist_fig_ismale"} and set(found["seed"]) == {42, 43}
    assert set(found["method"]) == {"logreg", "diff_mean", "sae_logreg", *PARTS}
    assert set(found["n_train"]) == {200}
    sizes = found.groupby("dataset")["n_test"].agg(["min", "max"])
    assert sizes.loc[TAG].tolist() == [len(load_shifted(TAG))] * 2


def test_a_shifted_score_is_that_of_the_same_fit_by_hand(study, rows):
    tested = load_shifted(TAG)
    split = REGIMES["standard"].draw(study.datasets[TAG], 0, Draw("paper", 43, 200)).split
    labels = study.datasets[TAG].labels[split.train].astype(int)
    x, z = (read_activations(study, tag) for tag in (TAG, tested.tag))
    line = x[split.train][labels == 1].mean(0) - x[split.train][labels == 0].mean(0)
    row = rows["shift"].query("dataset == @TAG and seed == 43 and method == 'diff_mean'").iloc[0]
    assert row["test_auc"] == pytest.approx(roc_auc_score(tested.labels, z @ line))
    split = REGIMES["standard"].draw(study.datasets[TAG], 0, Draw("paper", 42, 200)).split
    labels = study.datasets[TAG].labels[split.train].astype(int)
    (source,) = study_saes(study)
    sae = study_sae(study, source)
    (made, _), (other, _) = reconstruct(sae, x), reconstruct(sae, z)
    for part, pair in zip(PARTS, ((made, other), (x - made, z - other)), strict=True):
        inputs = Inputs(pair[0][split.train], pair[1])
        (by_hand,) = evaluate_label_sets("logreg", [labels], tested.labels, shared=inputs)
        here = rows["shift"][rows["shift"]["method"] == part]
        (row,) = here.query("dataset == @TAG").to_dict("records")
        assert row["test_auc"] == pytest.approx(by_hand.test_auc)
        assert row["sae_width"] == 512 and row["hook"] == HOOK


def test_an_sae_probe_sees_the_rows_that_logistic_regression_sees(study, rows):
    (source,), tested = study_saes(study), load_shifted(TAG)
    split = REGIMES["standard"].draw(study.datasets[TAG], 0, Draw("paper", 43, 200)).split
    latents, other = (task_latents(study, tag, source) for tag in (TAG, tested.tag))
    ((_, by_hand),) = evaluate_top_k(
        latents[split.train],
        study.datasets[TAG].labels[split.train],
        other,
        tested.labels,
        ks=[16],
        ranking="mean_difference",
    )
    row = rows["shift"].query("dataset == @TAG and seed == 43 and k == 16").iloc[0]
    assert row["test_auc"] == pytest.approx(by_hand.test_auc)


def test_reconstruction_is_what_the_sae_decodes_of_its_latents(study):
    (source,) = study_saes(study)
    sae, x = study_sae(study, source), read_activations(study, TAG)
    with torch.inference_mode():
        decoded = sae.decode(sae.encode(torch.from_numpy(x))).numpy()
    made, missed = read_parts(study.store, latents_input(study, TAG, source))
    assert made == pytest.approx(decoded, abs=1e-5)
    assert made + missed == pytest.approx(x, abs=1e-5)


def test_unshifted_rows_are_the_same_probes_on_the_rest_of_the_task(study, rows):
    here = rows["unshifted"]
    assert set(here["regime"]) == {"standard"} and set(here["seed"]) == {42}
    assert set(here["dataset"]) == {TAG, "5_hist_fig_ismale"}
    same = here.merge(rows["shift"], on=["dataset", "seed", "method", "sae_id", "k"])
    assert len(same) == len(here)
    assert same["val_auc_x"].to_numpy() == pytest.approx(same["val_auc_y"].to_numpy())


def test_as_published_the_two_probes_see_different_rows(study):
    data = load_dataset(TAG)
    mine, theirs = shift._at_random(data, 42), shift.first_of_each(data, 42)
    firsts = [np.flatnonzero(data.labels[:1500] == label)[:512] for label in (0, 1)]
    assert sorted(theirs) == sorted(np.concatenate(firsts))
    assert set(mine) != set(theirs) and max(mine) < 1500
    assert np.bincount(data.labels[mine]).tolist() == [512, 512] and len(set(mine)) == 1024
    found = shift.as_published(study)
    assert set(found["method"]) == {"logreg", "sae_logreg"} and found["test_auc"].notna().all()
    assert set(found["regime"]) == {"covariate_shift"}


def test_a_profile_without_a_grid_has_five_seeds(small_study):
    assert len(shift.grid_of(open_study(small_profile(), small_study.store)).seeds) == 5
