"""From the latents of every token to those of a prompt, sparse all the way (paper, section 5)."""

import numpy as np
from scipy.sparse import csr_array

POOLINGS = ("last", "max", "mean", "top")
"""The last token, the largest value, the mean, and the token whose latents sum to most."""


def pool_latents(latents: csr_array, lengths: np.ndarray) -> dict[str, csr_array]:
    """Pool latents (n_tokens, d_sae) of prompts one after the other, (n_prompts,) tokens each.

    Returns:
        Latents of prompts (n_prompts, d_sae), zeros not stored, for each of `POOLINGS`.
    """
    n, width = len(lengths), latents.shape[1]
    ends = np.cumsum(lengths)
    prompts = np.repeat(np.arange(n), lengths)
    place = np.repeat(prompts, np.diff(latents.indptr)) * width + latents.indices
    order = np.argsort(place, kind="stable")
    cells, starts, count = np.unique(place[order], return_index=True, return_counts=True)
    values, shape = latents.data[order], (n, width)
    at = np.divmod(cells, width)
    largest = np.maximum.reduceat(values, starts) if len(cells) else values
    # a latent that is off somewhere is nowhere below zero
    largest = np.where(count < np.asarray(lengths)[at[0]], np.maximum(largest, 0), largest)
    total = np.add.reduceat(values, starts) if len(cells) else values
    mean = total / np.asarray(lengths)[at[0]]
    sums = latents.sum(axis=1)
    spans = zip(ends - lengths, ends, strict=True)
    top = [int(start + sums[start:end].argmax()) for start, end in spans]
    pooled = {"last": latents[ends - 1], "top": latents[top]}
    pooled |= {
        name: csr_array((own.astype(np.float32), at), shape=shape)
        for name, own in (("max", largest), ("mean", mean))
    }
    return {name: pooled[name] for name in POOLINGS}


def pool_activations(activations: np.ndarray, lengths: np.ndarray) -> dict[str, np.ndarray]:
    """Pool activations (n_tokens, d_model) of prompts in the same way, but for ``top``.

    Returns:
        (n_prompts, d_model) float32 by pooling.
    """
    ends = np.cumsum(lengths)
    starts, sizes = ends - lengths, np.asarray(lengths)[:, None]
    return {
        "last": activations[ends - 1],
        "max": np.maximum.reduceat(activations, starts),
        "mean": (np.add.reduceat(activations, starts) / sizes).astype(np.float32),
    }
