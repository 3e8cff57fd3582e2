"""Encoding activations once into sparse latents; an SAE too wide for a GPU goes there in slices."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array, hstack, vstack

from probing_core.errors import UserError

LATENTS_AT_ONCE = 1 << 30
"""Bytes of dense latents on a GPU at once, of which a pass holds up to five arrays."""
WEIGHTS_AT_ONCE = 8 << 30
"""Bytes of weights on a GPU at once; with the latents 14 GB."""
_ROWS_AT_ONCE = 512
"""Rows that an SAE of unknown width encodes at once."""
_SEPARABLE = {"standard", "jumprelu", "gated"}
"""Architectures where a latent does not depend on the others."""


@torch.inference_mode()
def encode(sae: Any, activations: np.ndarray, device: str = "cpu") -> csr_array:
    """Encode (n, d_model) float32 activations on a device.

    An object that is not SAELens's stays on its own: its ``encode`` takes (m, d_model) float32
    tensors and gives (m, d_sae).

    Returns:
        (n, d_sae) float32 latents, zeros not stored.

    Raises:
        UserError: If such an object gives anything else.
    """
    if not _of_saelens(sae):
        return _encode_plainly(sae, torch.from_numpy(activations))
    slices = []
    for part in on_device(sae, device):
        chunks = row_chunks(torch.from_numpy(activations), part)
        slices.append(vstack([_sparse(part.encode(chunk)) for chunk in chunks], format="csr"))
        del part  # or its weights stay while the next slice's come
    return slices[0] if len(slices) == 1 else hstack(slices, format="csr")


@torch.inference_mode()
def reconstruct(
    sae: Any, activations: np.ndarray, device: str = "cpu"
) -> tuple[np.ndarray, np.ndarray]:
    """What an SAE makes of (n, d_model) activations, the same shape in float32.

    And on how many of them each latent is active, (d_sae,) int64. Objects are as in `encode`, with
    a ``decode`` besides.
    """
    data = torch.from_numpy(np.ascontiguousarray(activations, dtype=np.float32))
    if not _of_saelens(sae):
        codes = _encode_plainly(sae, data)
        dense = (
            codes[start : start + _ROWS_AT_ONCE].toarray()
            for start in range(0, len(data), _ROWS_AT_ONCE)
        )
        made = [torch.as_tensor(sae.decode(torch.from_numpy(part))).float().cpu() for part in dense]
        return torch.cat(made).numpy(), np.bincount(codes.indices, minlength=codes.shape[1])
    rebuilt, counts = torch.zeros_like(data), list[torch.Tensor]()
    for part in on_device(sae, device):
        start, active = 0, torch.zeros(part.cfg.d_sae, dtype=torch.int64)
        for chunk in row_chunks(data, part):
            latents = part.encode(chunk)
            active += (latents != 0).sum(0).cpu()
            # each slice adds the decoder's bias, which counts once
            decoded = part.decode(latents) - (part.b_dec if counts else 0)
            rebuilt[start : start + len(chunk)] += decoded.float().cpu()
            start += len(chunk)
        counts.append(active)
        del part
    return rebuilt.numpy(), torch.cat(counts).numpy()


def on_device(sae: Any, device: str, at_once: int | None = None) -> Iterator[Any]:
    """The SAE on a device, or narrower ones whose latents side by side are its own.

    Each holds at most ``at_once`` bytes of weights. An SAE that is too large, and whose latents
    compete with each other, stays where it is.
    """
    at_once = at_once or (sys.maxsize if device == "cpu" else WEIGHTS_AT_ONCE)
    tensors = dict(sae.state_dict())
    size = sum(tensor.nbytes for tensor in tensors.values())
    if size <= at_once:
        yield sae.to(device)
    elif sae.cfg.architecture() not in _SEPARABLE:
        yield sae
    else:
        width = max(1, at_once * sae.cfg.d_sae // size)
        for start in range(0, sae.cfg.d_sae, width):
            yield _slice(sae, tensors, slice(start, min(start + width, sae.cfg.d_sae)), device)


def row_chunks(rows: torch.Tensor, sae: Any) -> Iterator[torch.Tensor]:
    """Rows (n, d_model) on the SAE's device, few enough that their dense latents fit there."""
    device = next(sae.parameters()).device
    at_once = 64 << 20 if device.type == "cpu" else LATENTS_AT_ONCE
    size = max(1, at_once // (4 * sae.cfg.d_sae))
    for chunk in torch.split(rows, size):
        yield chunk.to(device)


def _of_saelens(sae: Any) -> bool:
    return hasattr(getattr(sae, "cfg", None), "d_sae")


def _encode_plainly(sae: Any, activations: torch.Tensor) -> csr_array:
    """What any object with an ``encode`` makes of activations."""
    device = next((p.device for p in getattr(sae, "parameters", tuple)()), "cpu")
    parts = []
    for rows in activations.split(_ROWS_AT_ONCE):
        part = torch.as_tensor(sae.encode(rows.to(device)))
        if part.ndim != 2 or len(part) != len(rows):
            raise UserError(
                f"encode of {type(sae).__name__} gave {tuple(part.shape)}; for {len(rows)} rows it"
                f" has to give ({len(rows)}, d_sae)."
            )
        parts.append(_sparse(part))
    return vstack(parts, format="csr")


def _slice(sae: Any, tensors: dict[str, torch.Tensor], latents: slice, device: str) -> Any:
    """Some latents of an SAE, as an SAE of their own on a device."""
    config = replace(sae.cfg, d_sae=latents.stop - latents.start, device="meta")
    part = type(sae)(config)
    cut = {"W_enc": (slice(None), latents), "b_dec": (slice(None),)}
    state = {name: t[cut.get(name, (latents,))].to(device) for name, t in tensors.items()}
    part.load_state_dict(state, assign=True)
    part.cfg.device = device
    return part


def _sparse(dense: torch.Tensor) -> csr_array:
    """(n, width) latents without their zeros; found on the device, so that little leaves it."""
    rows, columns = dense.nonzero(as_tuple=True)
    values = dense[rows, columns].float().cpu().numpy()
    ends = np.cumsum(np.bincount(rows.cpu().numpy() + 1, minlength=len(dense) + 1))
    place = (columns.cpu().numpy().astype(np.int32), ends.astype(np.int32))
    return csr_array((values, *place), shape=tuple(dense.shape))


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
