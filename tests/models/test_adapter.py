import json
import shutil

import numpy as np
import pytest
import torch

from probing_core.errors import UserError
from probing_core.models.adapter import load_model, model_revision, resolve_device, resolve_dtype
from probing_core.models.embedded import EMBEDDED, embedded_folder

HOOKS = [f"blocks.{n}.hook_resid_post" for n in (1, 3, 5)]
PROMPTS = ["The cat sat on the mat.", "No", "A much longer sentence about living rooms and cats."]


@pytest.fixture(scope="module")
def model():
    return load_model("minilm", dtype="float32", device="cpu")


def padded(model, prompts=PROMPTS):
    ids, _ = model.tokenize(prompts, 64)
    width = max(map(len, ids))
    tokens = torch.tensor([row + [model.pad_id] * (width - len(row)) for row in ids])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in ids])
    return tokens, mask


def test_activations_equal_plain_transformers(model):
    from transformers import AutoModel

    plain = AutoModel.from_pretrained(embedded_folder("minilm")).eval()
    tokens, mask = padded(model)
    with torch.no_grad():
        states = plain(tokens, attention_mask=mask, output_hidden_states=True).hidden_states
    with model.capture(["hook_embed", *HOOKS]) as run:
        ours = run(tokens, mask)
    for hook, layer in zip(["hook_embed", *HOOKS], (0, 2, 4, 6), strict=True):
        real = mask.bool()
        np.testing.assert_allclose(ours[hook][real], states[layer][real], atol=2e-5)


def test_layers_above_the_last_hook_are_not_run(model):
    ran = []
    watch = [(name, lambda value, hook, name=name: ran.append(name)) for name in HOOKS]
    with model.bridge.hooks(fwd_hooks=watch), model.capture(HOOKS[:2]) as run:
        run(*padded(model))
    assert ran == HOOKS[:2]


def test_hooks_inside_a_norm_still_fire(model):
    inside = "blocks.1.ln1.hook_normalized"
    with model.capture([inside]) as run:
        kept = run(*padded(model))[inside]
    assert kept.float().mean(-1).abs().max() < 1e-4
    assert kept.float().std(-1).mean() == pytest.approx(1, abs=0.05)


def test_no_hook_is_left_behind(model):
    with model.capture(HOOKS) as run:
        run(*padded(model))
    assert not model.bridge.hook_dict[HOOKS[0]].fwd_hooks


def test_prompts_are_cut_on_the_left_as_transformers_does(model):
    from transformers import AutoTokenizer

    plain = AutoTokenizer.from_pretrained(embedded_folder("minilm"), truncation_side="left")
    prompts = [" ".join(f"word{n}" for n in range(count)) for count in (1, 3, 4, 5, 50, 400)]
    ids, cut = model.tokenize(prompts, 16)
    assert ids == plain(prompts, truncation=True, max_length=16)["input_ids"]
    assert cut.tolist() == [len(row) > 16 for row in plain(prompts)["input_ids"]]


def test_tokens_never_exceed_the_model(model):
    (ids,), (cut,) = model.tokenize(["word " * 2000], 4096)
    assert len(ids) == model.max_positions == 512 and cut


def test_unknown_hook_offers_the_nearest(model):
    message = "no hook 'blocks.3.resid_post'. Did you mean 'blocks.3"
    with pytest.raises(UserError, match=message), model.capture(["blocks.3.resid_post"]):
        pass


def test_unknown_model_offers_the_nearest():
    with pytest.raises(UserError, match="Unknown model 'minilmm'. Did you mean 'minilm'"):
        load_model("minilmm")


def test_hub_model_while_offline_names_the_remedy():
    with pytest.raises(UserError, match="is not on this machine and the hub.*use 'minilm'"):
        model_revision("roneneldan/TinyStories-1M")


@pytest.fixture
def folder(tmp_path):
    """MiniLM as somebody's own folder, to be changed at will."""
    return shutil.copytree(embedded_folder("minilm"), tmp_path / "mine")


def change_a_token(path):
    tokenizer = json.loads(path.read_text("utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["cat"], vocabulary["mat"] = vocabulary["mat"], vocabulary["cat"]
    path.write_text(json.dumps(tokenizer), "utf-8")


def test_local_folder_is_a_model_with_a_revision_of_its_own(model, folder):
    loaded = load_model(str(folder), device="cpu")
    assert loaded.d_model == model.d_model
    assert model_revision(str(folder)) != model_revision("minilm")
    moved = folder.rename(folder.with_name("moved"))
    assert model_revision(str(moved)) == model_revision(str(shutil.copytree(moved, folder)))


def test_one_changed_token_is_another_revision_and_other_numbers(folder):
    before, loaded = model_revision(str(folder)), load_model(str(folder), device="cpu")
    change_a_token(folder / "tokenizer.json")
    changed = load_model(str(folder), device="cpu")
    assert changed.tokenize(PROMPTS, 64)[0] != loaded.tokenize(PROMPTS, 64)[0]
    assert model_revision(str(folder)) != before


@pytest.mark.parametrize("name", [*EMBEDDED["minilm"].files, "vocab.txt"])
def test_each_file_that_decides_numbers_decides_the_revision(folder, name):
    before = model_revision(str(folder))
    (folder / "README.md").write_text("words")
    assert model_revision(str(folder)) == before
    with (folder / name).open("ab") as file:
        file.write(b" ")
    assert model_revision(str(folder)) != before


@pytest.mark.parametrize(
    ("gone", "missing"),
    [
        (["config.json"], "config.json"),
        (["model.safetensors"], "weights"),
        (["tokenizer.json", "vocab.txt"], "tokenizer.json or vocabulary"),
    ],
)
def test_incomplete_folder_is_told_what_it_lacks(folder, gone, missing):
    for name in gone:
        (folder / name).unlink()
    for read in (model_revision, load_model):
        with pytest.raises(UserError, match=f"mine' has no {missing}.*; it must hold") as error:
            read(str(folder))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.safetensors", lambda whole: whole[: len(whole) // 2]),
        ("model.safetensors", lambda whole: b"x" * 3000),
        ("model.safetensors", lambda whole: b""),
        ("tokenizer.json", lambda whole: whole[:1000]),
        ("tokenizer.json", lambda whole: b"{}"),
        ("config.json", lambda whole: whole[:100]),
    ],
)
def test_folder_with_a_damaged_file_is_named_in_one_line(folder, name, content):
    path = folder / name
    path.write_bytes(content(path.read_bytes()))
    with pytest.raises(UserError, match="mine' cannot be loaded; if a file is damaged") as error:
        load_model(str(folder), device="cpu")
    assert "\n" not in str(error.value) and "hub" not in str(error.value)


def test_auto_dtype_is_bfloat16_only_where_it_is_fast():
    fast = torch.cpu._is_avx512_bf16_supported() or torch.backends.cpu.get_cpu_capability() == "AMX"
    assert resolve_dtype("auto", "cpu") == ("bfloat16" if fast else "float32")
    assert resolve_dtype("auto", "cuda") == "bfloat16"
    assert resolve_dtype("float32", "cuda") == "float32"


@pytest.mark.parametrize(
    ("name", "there"),
    [("cuda", torch.cuda.is_available()), ("mps", torch.backends.mps.is_available())],
)
def test_a_missing_device_is_named_with_the_remedy(name, there):
    if there:
        assert resolve_device(name) == name
        return
    with pytest.raises(UserError, match=f"no {name.upper()} device; set device in the profile"):
        resolve_device(name)


def test_auto_device_is_the_first_that_is_there():
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    assert resolve_device("auto") == ("cuda" if cuda else "mps" if mps else "cpu")
