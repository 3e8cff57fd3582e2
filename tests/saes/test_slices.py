"""An SAE too wide for a GPU goes there in slices, and codes the same."""

import numpy as np
import pytest
import torch
from sae_lens.saes import (
    GatedSAE,
    GatedSAEConfig,
    JumpReLUSAE,
    JumpReLUSAEConfig,
    StandardSAE,
    StandardSAEConfig,
    TopKSAE,
    TopKSAEConfig,
)

from bench.shapes import GB, count_encoding
from probing_core.saes import encoding
from probing_core.saes.encoding import LATENTS_AT_ONCE, WEIGHTS_AT_ONCE, encode, on_device
from probing_core.saes.gate import measure

SEPARABLE = [
    (JumpReLUSAE, JumpReLUSAEConfig),
    (StandardSAE, StandardSAEConfig),
    (GatedSAE, GatedSAEConfig),
]
SLICE = 30_000
"""Bytes of weights: a slice holds 59 or so of 500 latents, the last one fewer."""


def random_sae(sae_class, config_class, **changes):
    torch.manual_seed(0)
    settings = {"d_in": 64, "d_sae": 500, "apply_b_dec_to_input": True}
    sae = sae_class(config_class(**settings | changes))
    with torch.no_grad():
        for tensor in sae.parameters():
            tensor.copy_(torch.randn_like(tensor) / 8)
    return sae


@pytest.fixture
def activations():
    return np.random.default_rng(0).standard_normal((40, 64), dtype=np.float32)


@pytest.mark.parametrize("kind", SEPARABLE)
def test_slices_equal_the_whole(kind, activations, monkeypatch):
    sae = random_sae(*kind)
    whole, measured = encode(sae, activations), measure(sae, activations)
    parts = list(on_device(sae, "cpu", SLICE))
    assert len(parts) > 5 and sum(part.cfg.d_sae for part in parts) == 500
    assert all(sum(t.nbytes for t in part.state_dict().values()) <= SLICE + 512 for part in parts)
    monkeypatch.setattr(encoding.sys, "maxsize", SLICE)
    sliced = encode(sae, activations)
    assert whole.nnz > 100 and abs(whole - sliced).max() < 1e-5
    assert (whole.nnz, whole.shape) == (sliced.nnz, sliced.shape)
    assert measure(sae, activations) == pytest.approx(measured, abs=1e-5)


def test_latents_that_compete_stay_together():
    sae = random_sae(TopKSAE, TopKSAEConfig, k=8)
    assert list(on_device(sae, "cpu", SLICE)) == [sae]


def test_a_million_latents_stay_below_24_gb_of_gpu_memory():
    counted = count_encoding(3584)
    held = max(counted["encode_gb"], counted["reconstruct_gb"])
    assert counted["weights_gb"] > 24 > held > WEIGHTS_AT_ONCE / GB
    assert held * GB < 1.01 * (WEIGHTS_AT_ONCE + 5 * LATENTS_AT_ONCE)


def test_latents_keep_no_zeros(activations):
    sae = random_sae(*SEPARABLE[0])
    dense = sae.encode(torch.from_numpy(activations)).detach().numpy()
    latents = encode(sae, activations)
    assert np.allclose(latents.toarray(), dense, atol=1e-5) and (latents.data != 0).all()
    assert (latents.data.dtype, latents.indices.dtype) == (np.float32, np.int32)
