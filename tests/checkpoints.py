"""The paper's checkpoints in small: true architectures, depths, file names and formats."""

import json

import numpy as np
import torch
from sae_lens.loading.pretrained_saes_directory import get_norm_scaling_factor
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers.trainers import BpeTrainer
from transformers import AutoModelForCausalLM, AutoTokenizer, Gemma2Config, LlamaConfig

from probing_core.saes.sources import expand, expected_l0, repository

WIDTH, SAE_WIDTH = 64, 1024
SMALL = {"hidden_size": WIDTH, "intermediate_size": 96, "num_attention_heads": 4, "head_dim": 16}
SMALL |= {"num_key_value_heads": 2, "max_position_embeddings": 1024}


def write_model(folder, kind, layers, prompts, seed=0, **shape):
    """A random checkpoint with a tokenizer of the same kind as the true one's, BOS in front.

    Small, unless its configuration is told otherwise.
    """
    folder.mkdir(parents=True)
    gemma = kind == "gemma"
    marks = (
        ["<pad>", "<eos>", "<bos>", "<unk>"] if gemma else ["<|begin_of_text|>", "<|end_of_text|>"]
    )
    bos, eos = (marks[2], marks[1]) if gemma else marks
    tokenizer = Tokenizer(models.BPE(byte_fallback=gemma, unk_token="<unk>" if gemma else None))
    if gemma:
        tokenizer.normalizer = normalizers.Replace(" ", "▁")
        tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
        marks += [f"<0x{byte:02X}>" for byte in range(256)]
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
    alphabet = [] if gemma else pre_tokenizers.ByteLevel.alphabet()
    trainer = BpeTrainer(
        vocab_size=512, special_tokens=marks, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(prompts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    named = {"bos_token": bos, "eos_token": eos, "add_bos_token": True}
    named |= {"pad_token": "<pad>", "unk_token": "<unk>"} if gemma else {}
    named["tokenizer_class"] = "GemmaTokenizer" if gemma else "PreTrainedTokenizerFast"
    (folder / "tokenizer_config.json").write_text(json.dumps(named))
    config = (Gemma2Config if gemma else LlamaConfig)(
        **{"vocab_size": tokenizer.get_vocab_size()} | SMALL | shape,
        num_hidden_layers=layers,
        bos_token_id=tokenizer.token_to_id(bos),
        eos_token_id=tokenizer.token_to_id(eos),
        pad_token_id=0 if gemma else None,
    )
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder, max_shard_size="1GB" if shape else "1MB")
    return folder


@torch.inference_mode()
def token_activations(folder, layer, prompts):
    """Residual stream (n_tokens, d_model) after a layer, BOS left out."""
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = [tokenizer(p, truncation=True, max_length=48)["input_ids"] for p in prompts]
    longest = max(map(len, ids))
    padded = torch.tensor([row + [0] * (longest - len(row)) for row in ids])
    real = torch.arange(longest) < torch.tensor([[len(row)] for row in ids])
    states = model(padded, output_hidden_states=True).hidden_states[layer + 1]
    return states[:, 1:][real[:, 1:]]


def fitted_sae(tokens, l0, seed=0):
    """Latents that look for tokens, each on for the same share, and the decoder that fits best."""
    generator = torch.Generator().manual_seed(seed)
    center, chosen = tokens.mean(0), torch.randperm(len(tokens), generator=generator)
    encoder = torch.nn.functional.normalize(tokens[chosen[:SAE_WIDTH]] - center).T.contiguous()
    before = (tokens - center) @ encoder
    share = min(l0, 0.7 * SAE_WIDTH) / SAE_WIDTH
    threshold = torch.quantile(before[chosen[:1500]], 1 - share, dim=0).clamp(min=1e-3)
    weights = {"W_enc": encoder, "b_enc": -center @ encoder, "b_dec": center}
    weights["W_dec"] = best_decoder(before * (before > threshold), tokens - center)
    return weights | {"threshold": threshold}


def best_decoder(latents, wanted):
    """The decoder (d_sae, d_model) that rebuilds best, by ridge regression."""
    ridge = 0.01 * latents.square().sum() / SAE_WIDTH * torch.eye(SAE_WIDTH)
    return torch.linalg.solve(latents.T @ latents + ridge, latents.T @ wanted)


def write_gemma_scope(folder, weights):
    """As Gemma Scope: one archive of arrays."""
    folder.mkdir(parents=True)
    np.savez(folder / "params.npz", **{name: t.numpy() for name, t in weights.items()})


def write_llama_scope(folder, tokens, hook, l0, scale):
    """As Llama Scope: inputs times `scale`, one threshold for what a latent adds to the output."""
    weights = fitted_sae(tokens, l0)
    before, decoder = tokens @ weights["W_enc"] + weights["b_enc"], weights["W_dec"]
    for _ in range(2):
        added = (before * decoder.norm(dim=1)).clamp(min=0)
        threshold = torch.quantile(added[::4].flatten()[::3], 1 - l0 / SAE_WIDTH).item()
        decoder = best_decoder(before * (added > threshold), tokens - weights["b_dec"])
    # the latents' own scale is free: here it makes decoders of norm 1.5, as published
    own = decoder.norm(dim=1).clamp(min=1e-6) * scale / 1.5
    tensors = {
        "encoder.weight": (weights["W_enc"] * own / scale).T,
        "encoder.bias": weights["b_enc"] * own,
        "decoder.weight": (decoder * scale / own[:, None]).T,
        "decoder.bias": weights["b_dec"] * scale,
    }
    (folder / "checkpoints").mkdir(parents=True)
    tensors = {name: t.to(torch.bfloat16).contiguous() for name, t in tensors.items()}
    save_file(tensors, folder / "checkpoints" / "final.safetensors")
    norm = WIDTH**0.5 / scale
    config = {
        "act_fn": "jumprelu",
        "d_model": WIDTH,
        "d_sae": SAE_WIDTH,
        "dataset_average_activation_norm": {"in": norm, "out": norm},
        "hook_point_in": hook,
        "jump_relu_threshold": threshold,
        "norm_activation": "dataset-wise",
        "sparsity_include_decoder_norm": True,
        "top_k": 50,
    }
    (folder / "hyperparams.json").write_text(json.dumps(config))


KINDS = {
    "ReLU (orig.)": "AutoEncoder",
    "ReLU (new)": "AutoEncoder",
    "Gated": "GatedAutoEncoder",
    "TopK": "AutoEncoderTopK",
    "Jump ReLU": "JumpReluAutoEncoder",
    "Batch TopK": "BatchTopKSAE",
    "p-anneal": "AutoEncoder",
    "Matryoshka": "MatryoshkaBatchTopKSAE",
}
"""What dictionary_learning calls the architectures that pages name."""


def write_saebench(folder, weights, architecture, l0):
    """As SAEBench: the state of an SAE of dictionary_learning, and what trained it."""
    kind = KINDS[architecture]
    encoder, decoder, cut = weights["W_enc"], weights["W_dec"], weights["threshold"]
    # all but JumpReLU subtract the decoder's bias before they encode
    before = torch.zeros(SAE_WIDTH)
    linear = {"encoder.weight": encoder.T, "encoder.bias": before, "decoder.weight": decoder.T}
    matrices = {"W_enc": encoder, "b_enc": before, "W_dec": decoder, "b_dec": weights["b_dec"]}
    state = {
        "AutoEncoder": linear | {"encoder.bias": -cut, "bias": weights["b_dec"]},
        "GatedAutoEncoder": {
            "encoder.weight": encoder.T,
            "decoder.weight": decoder.T,
            "decoder_bias": weights["b_dec"],
            "gate_bias": -cut,
            "mag_bias": before,
            "r_mag": before,
        },
        "AutoEncoderTopK": linear | {"b_dec": weights["b_dec"], "k": torch.tensor(l0)},
        "JumpReluAutoEncoder": matrices | {"b_enc": weights["b_enc"], "threshold": cut},
        "BatchTopKSAE": linear | {"b_dec": weights["b_dec"], "threshold": cut.mean()},
        "MatryoshkaBatchTopKSAE": matrices | {"threshold": cut.mean()},
    }[kind]
    folder.mkdir(parents=True)
    torch.save({name: tensor.contiguous() for name, tensor in state.items()}, folder / "ae.pt")
    trainer = {"dict_class": kind, "activation_dim": WIDTH, "dict_size": SAE_WIDTH, "k": l0}
    trainer |= {"layer": 12, "lm_name": "google/gemma-2-2b"}
    text = json.dumps({"trainer": trainer, "buffer": {"ctx_len": 1024}})
    (folder / "config.json").write_text(text)


LAYERS = {"google/gemma-2-9b": 42, "meta-llama/Llama-3.1-8B": 32, "google/gemma-2-2b": 26}


def write_paper(root, profile, prompts):
    """Every repository that the profile `paper` downloads from, in small; by name."""
    made = {}
    for model in profile.models:
        kind = "llama" if "llama" in model.name else "gemma"
        made[model.name] = write_model(root / model.name, kind, LAYERS[model.name], prompts)
        layer = int(model.main_hook.split(".")[1])
        tokens = token_activations(made[model.name], layer, prompts)
        fitted = {}
        for source in expand(model.saes):
            name, path = repository(source)
            made[name], l0 = root / name, int(expected_l0(source))
            if kind == "llama":
                scale = get_norm_scaling_factor(source.release, source.id)
                write_llama_scope(root / name / path, tokens, model.main_hook, l0, scale)
                continue
            weights = fitted.get(l0) or fitted.setdefault(l0, fitted_sae(tokens, l0))
            if source.loader:
                write_saebench(root / name / path, weights, source.architecture, l0)
            else:
                write_gemma_scope(root / name / path, weights)
    return made
