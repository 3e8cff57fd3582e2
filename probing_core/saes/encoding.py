"""Encoding activations once into sparse latents."""

from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array, vstack

_BYTES_AT_ONCE = 64 << 20


@torch.inference_mode()
def encode(sae: Any, activations: np.ndarray) -> csr_array:
    """Encode (n, d_model) float32 activations, holding at most 64 MiB of dense latents at once.

    Returns:
        (n, d_sae) float32 latents, zeros not stored.
    """
    rows = max(1, _BYTES_AT_ONCE // (4 * sae.cfg.d_sae))
    device = next(sae.parameters()).device
    parts = []
    for start in range(0, len(activations), rows):
        dense = sae.encode(torch.from_numpy(activations[start : start + rows]).to(device))
        parts.append(csr_array(dense.float().cpu().numpy()))
    return vstack(parts, format="csr", dtype=np.float32)


def latents_to_arrays(latents: csr_array) -> dict[str, np.ndarray]:
    """The arrays of a CSR matrix, for the store."""
    return {
        "data": latents.data.astype(np.float32),
        "indices": latents.indices.astype(np.int32),
        "indptr": latents.indptr.astype(np.int64),
        "shape": np.array(latents.shape, dtype=np.int64),
    }


def latents_from_arrays(arrays: dict[str, np.ndarray]) -> csr_array:
    """The CSR matrix of stored arrays."""
    parts = (arrays["data"], arrays["indices"], arrays["indptr"])
    return csr_array(parts, shape=tuple(int(size) for size in arrays["shape"]))
