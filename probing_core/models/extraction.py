"""One forward pass a prompt: activations at every hook, and a sample of tokens for SAEs."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from probing_core.models.adapter import LanguageModel


@dataclass(frozen=True)
class TokenSample:
    """At most ``count`` token activations to keep of some prompts, for SAEs: of training rows."""

    hook: str
    rows: np.ndarray
    count: int
    seed: int


@dataclass(frozen=True)
class Extraction:
    """What one pass over the prompts of a task gives."""

    activations: dict[str, np.ndarray]
    """Hook name to (n_prompts, d_model) float32."""
    tokens: np.ndarray
    """(at most count, d_model) float32 token activations at the sampled hook."""
    lengths: np.ndarray
    """(n_prompts,) int32 tokens a prompt, special tokens included, after truncation."""
    truncated: np.ndarray
    """(n_prompts,) bool, prompts longer than the limit."""
    seconds: float
    """Wall time of the forward passes, tokenisation apart."""


def extract(
    model: LanguageModel,
    prompts: Sequence[str],
    *,
    hooks: Sequence[str],
    position: str = "last",
    max_tokens: int = 1024,
    batch_tokens: int = 2048,
    sample: TokenSample | None = None,
) -> Extraction:
    """Extract activations of prompts at several hooks in one pass.

    Layers above the last hook are not run. ``position`` is the ``last`` real token (PAPER B.1) or
    the ``mean`` over real tokens. A batch has at most ``batch_tokens`` padded, or one prompt.

    Raises:
        UserError: If the model lacks a hook.
    """
    ids, cut = model.tokenize(prompts, max_tokens)
    lengths = np.array([len(row) for row in ids], dtype=np.int32)
    kept = {hook: np.empty((len(ids), model.d_model), np.float32) for hook in hooks}
    wanted = _sampled_positions(lengths, sample)
    tokens: list[np.ndarray] = []
    wall = 0.0
    with model.capture(hooks) as run:
        for rows in length_sorted_batches(lengths, batch_tokens):
            batch, mask = pad([ids[row] for row in rows], model)
            start = time.perf_counter()
            output = run(batch, mask)
            for hook in hooks:
                kept[hook][rows] = _pool(output[hook], mask, position)
            if sample is not None:
                tokens += _gather(output[sample.hook], rows, wanted)
            wall += time.perf_counter() - start
    sampled = np.concatenate(tokens) if tokens else np.empty((0, model.d_model), np.float32)
    return Extraction(kept, sampled, lengths, cut, wall)


def length_sorted_batches(lengths: np.ndarray, batch_tokens: int) -> Iterator[np.ndarray]:
    """Rows in batches, longest first, so that hardly any padding is computed."""
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        size = max(1, int(batch_tokens // lengths[order[start]]))
        yield order[start : start + size]
        start += size


def pad(rows: list[list[int]], model: LanguageModel) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and mask of a batch, both (rows, longest) int64, padded on the right."""
    ids = [torch.tensor(row) for row in rows]
    batch = pad_sequence(ids, batch_first=True, padding_value=model.pad_id)
    mask = pad_sequence([torch.ones_like(row) for row in ids], batch_first=True)
    return batch.to(model.device), mask.to(model.device)


def _pool(activation: torch.Tensor, mask: torch.Tensor, position: str) -> np.ndarray:
    if position == "last":
        last = mask.sum(1) - 1
        picked = activation[torch.arange(len(mask), device=mask.device), last]
    else:
        weight = mask.unsqueeze(-1).float()
        picked = (activation.float() * weight).sum(1) / weight.sum(1)
    return picked.float().cpu().numpy()


def _sampled_positions(lengths: np.ndarray, sample: TokenSample | None) -> dict[int, np.ndarray]:
    """Positions to keep of each sampled row, the first token (BOS or CLS) never among them."""
    if sample is None:
        return {}
    inner = np.maximum(lengths[sample.rows].astype(np.int64) - 1, 0)
    rng = np.random.default_rng(sample.seed)
    count = min(sample.count, int(inner.sum()))
    flat = np.sort(rng.choice(int(inner.sum()), size=count, replace=False))
    ends = np.cumsum(inner)
    owner = np.searchsorted(ends, flat, side="right")
    offset = flat - (ends - inner)[owner] + 1
    return {int(sample.rows[row]): offset[owner == row] for row in np.unique(owner)}


def _gather(
    activation: torch.Tensor, rows: np.ndarray, wanted: dict[int, np.ndarray]
) -> list[np.ndarray]:
    return [
        activation[number, wanted[int(row)]].float().cpu().numpy()
        for number, row in enumerate(rows)
        if int(row) in wanted
    ]
