"""Where SAEs come from, what they are called, and what their keys cover."""

import shutil
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from scipy.sparse import csr_array

from probing_core.errors import UserError
from probing_core.experiments.saes import latents_input, read_latents, sae_key, study_saes
from probing_core.profiles import FolderSAE, GateBand, ReleasedSAE, TrainedSAE, load_profile
from probing_core.saes.sources import (
    expand,
    expected_l0,
    identity,
    load_external,
    load_folder,
    sae_id,
)

WEIGHTS = "sae_weights.safetensors"


@pytest.fixture(scope="module")
def stored(small_study):
    (source,) = study_saes(small_study)
    return small_study.store.path(sae_key(small_study, source))


@pytest.fixture
def folder(stored, tmp_path):
    return shutil.copytree(stored, tmp_path / "my-sae")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "topk-w1024-l0_16"),
        ({"seed": 1}, "topk-w1024-l0_16-seed1"),
        ({"steps": 150}, "topk-w1024-l0_16-150steps"),
        ({"steps": 150, "seed": 1}, "topk-w1024-l0_16-150steps-seed1"),
        ({"batch_tokens": 512}, "topk-w1024-l0_16-batch512"),
        ({"learning_rate": 0.001}, "topk-w1024-l0_16-lr0.001"),
        ({"gate": GateBand(l0_factor=2)}, "topk-w1024-l0_16"),
        ({"seed": 1, "name": "mine"}, "mine"),
    ],
)
def test_id_of_a_trained_sae_tells_what_differs_from_the_defaults(settings, expected):
    assert sae_id(TrainedSAE(width=1024, l0=16, **settings)) == expected


@pytest.mark.parametrize("profile", ["quick", "minilm"])
def test_saes_of_the_profiles_have_plain_ids(profile):
    for source in expand(load_profile(profile).models[0].saes):
        assert sae_id(source) == f"topk-w{source.width}-l0_{source.l0}"


def test_identity_of_a_trained_sae_is_its_training_and_nothing_else():
    plain = TrainedSAE(width=1024, l0=16)
    named = plain.model_copy(update={"name": "mine", "gate": GateBand(l0_factor=2)})
    assert identity(plain) == identity(named)
    for changed in ({"seed": 1}, {"steps": 5}, {"learning_rate": 1e-4}, {"batch_tokens": 64}):
        assert identity(plain.model_copy(update=changed)) != identity(plain)


def test_replaced_weights_in_the_same_folder_are_another_sae(folder, small_study):
    source = FolderSAE(folder=folder)
    model = small_study.model.model_copy(update={"saes": (source,)})

    def read():
        study = replace(small_study, model=model)
        where = latents_input(study, study.tags[0], source)
        latents = csr_array(read_latents(study.store, where))
        return identity(source), sae_key(study, source), latents

    before = read()
    tensors = load_file(folder / WEIGHTS)
    tensors["W_enc"] = tensors["W_enc"] * 1.01
    save_file(tensors, folder / WEIGHTS)
    after = read()
    assert before[0] != after[0] and before[1] != after[1]
    assert (before[2] != after[2]).nnz > 0


def test_moved_folder_is_the_same_sae(folder, stored):
    assert identity(FolderSAE(folder=folder)) == identity(FolderSAE(folder=stored))


def test_folders_of_one_name_are_refused_unless_one_is_given_a_name(tmp_path):
    first, second = (FolderSAE(folder=tmp_path / place / "my-sae") for place in ("a", "b"))
    with pytest.raises(UserError, match="Two SAEs have the id 'my-sae'") as error:
        expand((first, second))
    message = str(error.value)
    assert str(first.folder) in message and str(second.folder) in message
    assert "'name'" in message and "\n" not in message
    renamed = second.model_copy(update={"name": "other"})
    assert [sae_id(source) for source in expand((first, renamed))] == ["my-sae", "other"]


def test_sae_listed_twice_is_refused():
    source = TrainedSAE(width=1024, l0=16)
    with pytest.raises(UserError, match="Two SAEs have the id 'topk-w1024-l0_16'"):
        expand((source, source))


def test_pattern_under_one_name_is_refused():
    named = ReleasedSAE(release="gemma-scope-9b-pt-res", id="layer_20/width_16k/*", name="mine")
    with pytest.raises(UserError, match="Two SAEs have the id 'mine': gemma-scope-9b-pt-res/layer"):
        expand((named,))


def test_local_folder_is_a_source(folder):
    source = FolderSAE(folder=folder)
    assert load_external(source).cfg.d_sae == 512
    assert sae_id(source) == "my-sae"


def test_folder_without_an_sae_is_named_in_one_line(tmp_path):
    for folder in (tmp_path, tmp_path / "absent"):
        for read in (load_folder, lambda folder: identity(FolderSAE(folder=folder))):
            with pytest.raises(UserError, match=f"{folder} holds no readable cfg.json"):
                read(folder)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("name", ["cfg.json", WEIGHTS])
def test_damaged_folder_is_another_sae_or_named_in_one_line(stored, tmp_path_factory, name, data):
    folder = tmp_path_factory.getbasetemp() / "damaged"
    shutil.copytree(stored, folder, dirs_exist_ok=True)
    before = identity(FolderSAE(folder=folder))
    content = bytearray((folder / name).read_bytes())
    place = data.draw(st.integers(0, min(len(content), 2000) - 1))  # the header of the weights
    if data.draw(st.booleans()):
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[place:]
    (folder / name).write_bytes(content)
    assert identity(FolderSAE(folder=folder)) != before
    message = str(folder)
    try:
        load_folder(folder)
    except UserError as error:
        message = str(error)
    assert str(folder) in message and "\n" not in message


@pytest.mark.parametrize("read", [load_external, identity])
def test_released_sae_while_offline_names_the_remedy(read):
    source = ReleasedSAE(release="gemma-scope-9b-pt-res", id="layer_20/width_16k/average_l0_408")
    assert expected_l0(source) == 408
    with pytest.raises(UserError, match="not on this machine and the hub did not serve"):
        read(source)
