"""Pooling sparse latents over tokens is what it is on dense arrays."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from probing_core.saes.pooling import POOLINGS, pool_activations, pool_latents


@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=8), seed=st.integers(0, 99))
def test_sparse_pooling_equals_dense_pooling(lengths, seed):
    lengths, rng = np.array(lengths), np.random.default_rng(seed)
    dense = rng.normal(size=(lengths.sum(), 7)).astype(np.float32)
    dense[rng.random(dense.shape) < 0.6] = 0
    found = pool_latents(csr_array(dense), lengths)
    parts = np.split(dense, np.cumsum(lengths)[:-1])
    wanted = {
        "last": [part[-1] for part in parts],
        "max": [part.max(0) for part in parts],
        "mean": [part.mean(0) for part in parts],
        "top": [part[part.sum(1).argmax()] for part in parts],
    }
    assert tuple(found) == POOLINGS
    for name, pooled in found.items():
        np.testing.assert_allclose(pooled.toarray(), np.array(wanted[name]), atol=1e-5)
    for name, pooled in pool_activations(dense, lengths).items():
        np.testing.assert_allclose(pooled, np.array(wanted[name]), atol=1e-5)
