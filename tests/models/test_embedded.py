"""The models that packages ship: the right files, and the numbers of plain Transformers."""

import shutil

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from probing_core.errors import UserError
from probing_core.models import embedded
from probing_core.models.adapter import load_model, model_revision
from probing_core.models.embedded import EMBEDDED, check_files, embedded_folder, perplexity
from probing_core.store import Store

PROMPTS = ["The cat sat on the mat.", "No", "A much longer sentence about living rooms and cats."]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def smollm2(store):
    return load_model("smollm2", dtype="float32", device="cpu", store=store)


@pytest.fixture(scope="module")
def plain(smollm2, store):
    folder = embedded_folder("smollm2", store)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


@pytest.mark.parametrize(("name", "file"), [(n, f) for n, e in EMBEDDED.items() for f in e.files])
def test_a_changed_or_missing_file_is_refused(tmp_path, name, file):
    folder = shutil.copytree(embedded._checked(name), tmp_path / "mine")
    check_files(name, folder)
    with (folder / file).open("ab") as opened:
        opened.write(b" ")
    expected = EMBEDDED[name].files[file][:12]
    with pytest.raises(UserError, match=f"{file} has SHA-256 .* expected {expected}.*reinstall"):
        check_files(name, folder)
    (folder / file).unlink()
    with pytest.raises(UserError, match=f"{file} is missing; reinstall"):
        check_files(name, folder)


def test_revision_is_that_of_the_weights():
    assert model_revision("minilm") == "53aa51172d142c89"
    assert model_revision("smollm2") == "b179c9523d0e6a0f"


def test_smollm2_without_a_store_is_told_to_have_one():
    with pytest.raises(UserError, match="'smollm2' is unpacked into a store"):
        load_model("smollm2")


def test_smollm2_is_unpacked_once(store, smollm2, monkeypatch):
    monkeypatch.setattr(Store, "write_folder", None)  # not to be called again
    assert {path.name for path in embedded_folder("smollm2", store).iterdir()} >= {
        "model.safetensors", "config.json", "tokenizer.json", "checksums.json",
    }  # fmt: skip


def test_unpacked_weights_are_those_of_the_file_in_bfloat16(store, plain):
    import gguf

    (file,) = EMBEDDED["smollm2"].files
    reader = gguf.GGUFReader(embedded._checked("smollm2") / file)
    shipped = {t.name: gguf.dequantize(t.data, t.tensor_type) for t in reader.tensors}
    ours = plain.state_dict()
    for mine, theirs in (
        ("model.embed_tokens.weight", "token_embd.weight"),
        ("model.layers.7.mlp.up_proj.weight", "blk.7.ffn_up.weight"),
        ("model.layers.29.self_attn.v_proj.weight", "blk.29.attn_v.weight"),
        ("model.norm.weight", "output_norm.weight"),
    ):
        expected = torch.from_numpy(shipped[theirs].copy()).bfloat16().float()
        assert torch.equal(ours[mine], expected), mine


def test_smollm2_equals_plain_transformers_at_three_layers(smollm2, plain):
    ids = [row for (row,) in (smollm2.tokenize([p], 64, prepend_bos=False)[0] for p in PROMPTS)]
    assert [len(row) for row in ids][1] == 1
    hooks = ["hook_embed", *(f"blocks.{n}.hook_resid_post" for n in (0, 14, 28))]
    for row in ids:
        tokens = torch.tensor([row])
        with torch.no_grad():
            states = plain(tokens, output_hidden_states=True).hidden_states
        with smollm2.capture(hooks) as run:
            ours = run(tokens, torch.ones_like(tokens))
        for hook, layer in zip(hooks, (0, 1, 15, 29), strict=True):
            scale = states[layer].abs().max()
            np.testing.assert_allclose(ours[hook] / scale, states[layer] / scale, atol=1e-4)


def test_later_tokens_do_not_move_earlier_ones(smollm2):
    hook = "blocks.14.hook_resid_post"
    (long,) = smollm2.tokenize(PROMPTS[2:], 64, prepend_bos=False)[0]
    with smollm2.capture([hook]) as run:
        whole, start = (
            run(torch.tensor([ids]), torch.ones((1, len(ids)), dtype=torch.long))[hook]
            for ids in (long, long[:4])
        )
    np.testing.assert_allclose(whole[0, :4], start[0], atol=2e-2)


def test_bos_is_there_if_it_is_wanted(smollm2):
    bos = smollm2.bridge.tokenizer.bos_token_id
    (with_bos,), (cut,) = smollm2.tokenize(PROMPTS[2:], 8)
    (without,), _ = smollm2.tokenize(PROMPTS[2:], 8, prepend_bos=False)
    assert cut and len(with_bos) == len(without) == 8
    assert with_bos == [bos, *without[1:]]
    exact = len(smollm2.tokenize(PROMPTS[:1], 64, prepend_bos=False)[0][0])
    assert not smollm2.tokenize(PROMPTS[:1], exact, prepend_bos=False)[1][0]
    assert smollm2.tokenize(PROMPTS[:1], exact)[1][0]


def test_a_tokenizers_own_bos_can_be_left_out():
    minilm = load_model("minilm", device="cpu")
    (own,), _ = minilm.tokenize(PROMPTS[:1], 64)
    assert minilm.tokenize(PROMPTS[:1], 64, prepend_bos=False)[0] == [own[1:]]


def test_misread_weights_are_noticed(store, plain):
    tokenizer = AutoTokenizer.from_pretrained(embedded_folder("smollm2", store))
    low, high = embedded._PERPLEXITY
    assert low < perplexity(plain, tokenizer, embedded._TEXT) < high
    weights = plain.model.layers[3].self_attn.q_proj.weight
    right = weights.detach().clone()
    with torch.no_grad():
        weights.copy_(right.roll(1, 0))  # rows in another order, as of a file misread
        assert perplexity(plain, tokenizer, embedded._TEXT) > high
        weights.copy_(right)
