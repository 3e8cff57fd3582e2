from dataclasses import replace

import numpy as np
import pytest
import torch
from sae_lens import SAE

from probing_core.errors import UserError
from probing_core.experiments.activations import read_tokens
from probing_core.experiments.saes import sae_key, sae_table, study_saes
from probing_core.profiles import GateBand, TrainedSAE
from probing_core.saes.encoding import encode, latents_from_arrays, latents_to_arrays
from probing_core.saes.gate import measure, pass_gate
from probing_core.saes.sources import load_folder
from probing_core.saes.training import train_saes

HOOK = "blocks.3.hook_resid_post"


@pytest.fixture(scope="module")
def tokens(small_study):
    return np.concatenate([read_tokens(small_study, tag) for tag in small_study.tags])


@pytest.fixture(scope="module")
def folder(small_study):
    (source,) = study_saes(small_study)
    return small_study.store.path(sae_key(small_study, source))


@pytest.fixture(scope="module")
def sae(folder):
    return load_folder(folder)


def gate(sae, tokens, **changes):
    settings = {"sae_id": "mine", "hook": HOOK, "band": GateBand(), "expected_l0": 16.0}
    return pass_gate(sae, tokens, **(settings | changes))


def test_trained_sae_explains_tokens_it_has_not_seen(small_study):
    (row,) = sae_table(small_study).to_dict("records")
    assert row["l0"] == pytest.approx(16, abs=0.5)
    assert 0.3 < row["explained_variance"] < 1


def test_report_of_another_program_is_measured_again(small_study):
    (source,) = study_saes(small_study)
    key = sae_key(small_study, source)
    before = sae_table(small_study)
    stored = small_study.store.read_json(key)
    for wrong in ({"gate": stored["gate"] | {"density": 0.1}}, {"report": 1}, None):
        small_study.store.write_json(key, wrong)
        columns = ["sae_id", "l0", "explained_variance"]
        assert sae_table(small_study)[columns].equals(before[columns])


def test_narrower_gate_stops_an_sae_that_is_stored_already(small_study):
    (source,) = study_saes(small_study)
    strict = source.model_copy(update={"gate": GateBand(min_explained_variance=0.999)})
    assert sae_key(small_study, strict) == sae_key(small_study, source)
    model = small_study.model.model_copy(update={"saes": (strict,)})
    with pytest.raises(UserError, match="less than 0.999"):
        sae_table(replace(small_study, model=model))


def test_sae_is_saved_in_saelens_own_format(folder):
    theirs = SAE.load_from_disk(folder)
    assert theirs.cfg.architecture() == "topk"
    assert theirs.cfg.metadata.hook_name == HOOK


def test_same_seed_trains_the_same_sae(tokens):
    spec = TrainedSAE(width=128, l0=8, steps=5, batch_tokens=256)
    first, second = (train_saes([spec], tokens, model="minilm", hook=HOOK)[0][0] for _ in range(2))
    torch.testing.assert_close(first.W_dec, second.W_dec)


@pytest.mark.parametrize("architecture", ["topk", "batchtopk"])
def test_every_architecture_trains_and_saves(architecture, tokens, tmp_path):
    spec = TrainedSAE(architecture=architecture, width=256, l0=16, steps=40, batch_tokens=256)
    ((trained, seconds),) = train_saes([spec], tokens, model="minilm", hook=HOOK)
    trained.save_inference_model(tmp_path)
    loaded = load_folder(tmp_path)
    report = gate(loaded, tokens, band=GateBand(l0_factor=3, min_explained_variance=0.05))
    assert report.width == 256 and seconds > 0


def test_explained_variance_is_one_minus_error_over_variance(sae, tokens):
    with torch.no_grad():
        rebuilt = sae(torch.from_numpy(tokens)).numpy()
    expected = 1 - ((tokens - rebuilt) ** 2).sum() / ((tokens - tokens.mean(0)) ** 2).sum()
    l0, explained, dead = measure(sae, tokens)
    assert explained == pytest.approx(expected, abs=1e-4)
    assert l0 == pytest.approx(16, abs=0.5)
    silent = ~encode(sae, tokens).toarray().any(0)
    assert dead == pytest.approx(silent.mean())


def test_encoding_equals_saelens_and_survives_the_store_format(sae, minilm_activations):
    activations = minilm_activations["113_movie_sent"][0]
    with torch.no_grad():
        theirs = sae.encode(torch.from_numpy(activations)).numpy()
    ours = encode(sae, activations)
    np.testing.assert_allclose(ours.toarray(), theirs, atol=1e-5)
    again = latents_from_arrays(latents_to_arrays(ours))
    assert (again != ours).nnz == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hook": "blocks.1.hook_resid_post"}, "reads blocks.3.hook_resid_post, not blocks.1"),
        ({"expected_l0": 400.0}, "outside 100.0 to 1600.0"),
        ({"expected_width": 99}, "has 512 latents, expected 99"),
        (
            {"band": GateBand(min_explained_variance=0.999)},
            "of the token variance, less than 0.999",
        ),
    ],
)
def test_gate_stops_an_sae_that_is_not_as_expected(sae, tokens, changes, message):
    with pytest.raises(UserError, match=message):
        gate(sae, tokens, **changes)


def test_gate_stops_an_sae_of_another_model(sae, tokens):
    with pytest.raises(UserError, match="reads width 384, the model has 100"):
        gate(sae, tokens[:, :100])


def test_gate_stops_wrong_weights(folder, tokens):
    broken = load_folder(folder)
    with torch.no_grad():
        broken.W_dec.copy_(torch.randn_like(broken.W_dec))
    with pytest.raises(UserError, match="of the token variance"):
        gate(broken, tokens)
