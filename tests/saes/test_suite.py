"""SAEs of every architecture, and the controls that have learnt nothing."""

import hashlib
import json
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from probing_core.errors import UserError
from probing_core.experiments.activations import read_tokens
from probing_core.experiments.saes import (
    compute_saes,
    sae_key,
    sae_keys,
    sae_table,
    study_saes,
    study_suite,
)
from probing_core.experiments.untrained import untrained_study
from probing_core.profiles import Architecture, Control, TrainedSAE, load_profile
from probing_core.saes.controls import alike
from probing_core.saes.encoding import encode
from probing_core.saes.gate import check_band, measure, pass_gate
from probing_core.saes.sources import identity, load_folder, sae_id
from probing_core.saes.training import streams, train_saes

HOOK = "blocks.3.hook_resid_post"
BUDGET = {"width": 256, "l0": 16, "steps": 100, "batch_tokens": 256}
UNCHANGED = {
    "quick": "747dacdcca51cbcee4f21c9bc98893dec9e9a43d476d81f9f9b19c3d7882edda",
    "minilm": "e5c37e746cef67c50b12ce679f88c283f5d94b5487df9ec4b2dc7a331cc62910",
    "smollm2": "f618adc66dd923a06e1ad993b3e3a1c82179b65ffb74375327dccad7358f6a92",
}
"""Digests of the ids and identities of the profiles' SAEs before there were suites."""


def spec(name, **changes):
    if name in get_args(Control):
        return TrainedSAE(control=name, **BUDGET | changes)
    return TrainedSAE(architecture=name, **BUDGET | changes)


@pytest.fixture(scope="module")
def tokens(small_study):
    parts = np.concatenate([read_tokens(small_study, tag) for tag in small_study.tags])
    return parts[np.random.default_rng(0).permutation(len(parts))]


def trained(specs, tokens):
    return train_saes(specs, tokens[1000:], model="minilm", hook=HOOK)


@pytest.fixture(scope="module")
def suite(tokens):
    """One SAE of each architecture and each control, by name; on one stream but the slowest."""
    slow = "matching_pursuit"
    names = [name for name in (*get_args(Architecture), *get_args(Control)) if name != slow]
    saes = [sae for sae, _ in trained([spec(name) for name in names], tokens)]
    ((sae, _),) = trained([spec(slow, steps=15)], tokens)
    return dict(zip(names, saes, strict=True)) | {slow: sae}


@pytest.fixture(scope="module")
def saved(suite, tmp_path_factory):
    """The same, saved and loaded again."""
    folders = {name: tmp_path_factory.mktemp(name) for name in suite}
    for name, sae in suite.items():
        sae.save_inference_model(folders[name])
    return {name: load_folder(folder) for name, folder in folders.items()}


@pytest.fixture(scope="module")
def measured(saved, tokens):
    return {name: measure(sae, tokens[:1000]) for name, sae in saved.items()}


@pytest.mark.parametrize("name", get_args(Architecture))
def test_every_architecture_reaches_its_l0_and_explains_more_than_chance(measured, name):
    l0, explained, dead = measured[name]
    assert 16 / 1.5 < l0 < 16 * 1.5
    assert explained > measured["random"][1] + 0.05 and 0 <= dead < 0.9


@pytest.mark.parametrize("name", get_args(Control))
def test_every_control_has_the_l0_of_the_others_and_passes_its_gate(saved, tokens, name):
    source = spec(name)
    gate = {"band": source.gate, "expected_l0": 16.0, "expected_width": 256}
    report = pass_gate(saved[name], tokens[:1000], sae_id=sae_id(source), hook=HOOK, **gate)
    assert report.l0 == pytest.approx(16, abs=0.5)
    with pytest.raises(UserError, match="outside"):
        check_band(replace(report, l0=100.0), source.gate, 16.0)


def test_a_trained_sae_explains_more_than_any_control_but_principal_components(measured):
    here = [name for name in get_args(Control) if name not in ("pca", "reinitialised")]
    others = {name: measured[name][1] for name in here}
    assert measured["topk"][1] > max(others.values())


@pytest.mark.parametrize("name", [*get_args(Architecture), *get_args(Control)])
def test_saved_and_loaded_again_it_encodes_the_same(suite, saved, tokens, name):
    before, after = (encode(sae[name], tokens[:200]).toarray() for sae in (suite, saved))
    if name in ("batchtopk", "matryoshka"):  # a threshold stands in for the rest of the batch
        both = (before != 0) & (after != 0)
        assert both.sum() > 0.8 * (before != 0).sum()
        before, after = before * both, after * both
    np.testing.assert_allclose(after, before, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "frozen", "moved"),
    [("frozen_decoder", "W_dec", "W_enc"), ("frozen_encoder", "W_enc", "W_dec")],
)
def test_frozen_weights_did_not_move_and_the_others_did(suite, name, frozen, moved):
    def directions(sae, tensor):
        rows = getattr(sae, tensor).detach()
        rows = rows if tensor == "W_dec" else rows.T
        return rows / rows.norm(dim=1, keepdim=True)

    for tensor, similar in ((frozen, True), (moved, False)):
        cosine = (directions(suite[name], tensor) * directions(suite["random"], tensor)).sum(1)
        assert bool((cosine > 0.9999).all()) == similar


def test_what_an_sae_becomes_does_not_depend_on_who_shares_its_stream(suite, tokens):
    for name in ("topk", "gated", "shuffled", "pca"):
        ((alone, seconds),) = trained([spec(name)], tokens)
        assert seconds > 0
        for tensor, values in alone.state_dict().items():
            torch.testing.assert_close(values, suite[name].state_dict()[tensor], rtol=0, atol=0)


def test_another_seed_gives_other_weights(suite, tokens):
    ((other, _),) = train_saes([spec("topk", seed=1)], tokens[1000:], model="minilm", hook=HOOK)
    assert not torch.allclose(other.W_dec, suite["topk"].W_dec, atol=1e-2)


def test_principal_components_are_those_of_scikit_learn_both_ways(suite, tokens):
    theirs = PCA(128, svd_solver="full").fit(tokens[1000:])
    wanted = theirs.transform(tokens[:300])
    both = np.concatenate([wanted, -wanted], axis=1)
    floor = np.sort(both, axis=1)[:, -16][:, None]
    found = encode(suite["pca"], tokens[:300]).toarray()
    latents = np.maximum(found[:, :128], found[:, 128:])
    expected = np.where(np.abs(wanted) >= floor, np.abs(wanted), 0)
    # where two are as strong, which is kept is free
    assert np.isclose(latents, expected, atol=1e-2).mean() > 0.999


def test_shuffled_weights_are_the_same_numbers_of_each_input_dimension(suite):
    for tensor, axis in (("W_enc", 1), ("W_dec", 0)):
        ours, theirs = getattr(suite["shuffled"], tensor), getattr(suite["topk"], tensor)
        torch.testing.assert_close(ours.sort(axis).values, theirs.sort(axis).values)
        assert not torch.equal(ours, theirs)


def test_a_basis_has_no_more_directions_than_the_model(tokens):
    with pytest.raises(UserError, match="an even width of at most 768"):
        trained([spec("pca", width=1024)], tokens)


def test_a_control_has_one_architecture():
    with pytest.raises(ValueError, match="has the architecture 'topk'"):
        TrainedSAE(control="pca", architecture="relu", width=8, l0=2)


@pytest.mark.parametrize("name", UNCHANGED)
def test_saes_of_the_profiles_are_who_they_were(name):
    known = [
        [model.name, sae_id(source), identity(source)]
        for model in load_profile(name).models
        for source in model.saes
    ]
    text = json.dumps(known, sort_keys=True)
    assert hashlib.sha256(text.encode()).hexdigest() == UNCHANGED[name]


@pytest.mark.parametrize("name", UNCHANGED)
def test_suites_of_the_profiles_hold_all_controls_and_two_more_seeds(name):
    suite = load_profile(name).models[0].suite
    assert {source.control for source in suite} == {None, *get_args(Control)}
    assert {source.seed for source in suite} == {0, 1, 2}
    kinds = {source.architecture for source in (*suite, *load_profile(name).models[0].saes)}
    assert len(kinds) >= 6


def with_suite(study, *suite):
    return replace(study, model=study.model.model_copy(update={"suite": suite}))


def test_the_suite_is_computed_beside_the_saes_and_leaves_them_alone(small_study):
    relu, random = spec("relu", gate={"min_explained_variance": 0.1}), spec("random")
    study = with_suite(small_study, relu, random)
    assert study_suite(study) == [relu, random] and study_saes(study) == study_saes(small_study)
    assert sae_keys(study) == sae_keys(small_study)
    compute_saes(study, study_suite(study))
    table = sae_table(study, study_suite(study)).set_index("architecture")
    assert list(table.index) == ["relu", "random"]
    assert table["dead_latents"].between(0, 1).all() and (table["train_seconds"] > 0).all()
    assert list(sae_table(study)["sae_id"]) == ["topk-w512-l0_16-60steps-batch512"]


def test_one_that_fails_its_gate_does_not_keep_the_others_from_the_store(small_study):
    strict = spec("topk", seed=7, gate={"min_explained_variance": 0.99})
    good = spec("random", seed=7)
    study = with_suite(small_study, strict, good)
    with pytest.raises(UserError, match=r"less than 0\.99"):
        compute_saes(study, study_suite(study))
    assert study.store.read_json(sae_key(study, good)) is not None
    assert study.store.read_json(sae_key(study, strict)) is None


def test_the_control_of_a_model_re_initialised_trains_on_tokens_like_the_real_ones(small_study):
    control = spec("reinitialised")
    study = with_suite(small_study, control)
    compute_saes(study, [control])
    (row,) = sae_table(study, [control]).to_dict("records")
    assert row["architecture"] == "reinitialised" and row["l0"] == pytest.approx(16, abs=0.5)
    other = untrained_study(study)
    assert other.revision != study.revision and other.tags == study.tags
    tokens, real = (
        np.concatenate([read_tokens(one, tag) for tag in one.tags]) for one in (other, study)
    )
    assert not np.allclose(tokens[:9], real[:9], atol=0.1)
    moved = alike(tokens, real)
    np.testing.assert_allclose(moved.mean(0), real.mean(0), atol=1e-3)
    far = [np.linalg.norm(rows - rows.mean(0), axis=1).mean() for rows in (moved, real)]
    assert far[0] == pytest.approx(far[1], rel=1e-3)


def test_an_sae_may_stand_in_both_lists_but_no_id_for_two(small_study):
    (own,) = small_study.model.saes
    assert study_suite(with_suite(small_study, own)) == [own]
    other = own.model_copy(update={"steps": 7, "name": sae_id(own)})
    with pytest.raises(UserError, match="Two SAEs have the id"):
        study_saes(with_suite(small_study, other))


def test_streams_are_shared_out_over_the_workers():
    many = [spec("topk", l0=l0) for l0 in range(1, 21)]
    assert [len(unit) for unit in streams(many, 1)] == [5, 5, 5, 5]
    assert [len(unit) for unit in streams(many[:5], 2)] == [3, 2]
    apart = [spec("topk"), spec("topk", seed=1), spec("topk", steps=9)]
    assert sorted(len(unit) for unit in streams(apart, 1)) == [1, 1, 1]
