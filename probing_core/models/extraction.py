"""One forward pass a prompt: activations at every hook, and a sample of tokens for SAEs."""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from probing_core.errors import UserError
from probing_core.models.adapter import LanguageModel, Run

log = logging.getLogger(__name__)


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

    activations: dict[tuple[str, str], np.ndarray]
    """Hook name and position to (n_prompts, d_model) float32."""
    tokens: np.ndarray
    """(at most count, d_model) float32 token activations at the sampled hook."""
    lengths: np.ndarray
    """(n_prompts,) int32 tokens a prompt, special tokens included, after truncation."""
    truncated: np.ndarray
    """(n_prompts,) bool, prompts longer than the limit."""
    seconds: float
    """Wall time of the batches, tokenisation apart."""


def extract(
    model: LanguageModel,
    prompts: Sequence[str],
    *,
    hooks: Sequence[str],
    positions: Sequence[str] = ("last",),
    prepend_bos: bool = True,
    max_tokens: int = 1024,
    batch_tokens: int = 2048,
    sample: TokenSample | None = None,
) -> Extraction:
    """Extract activations of prompts at several hooks in one pass.

    Layers above the last hook are not run. A position is the ``last`` real token (PAPER B.1) or
    the ``mean`` over real tokens. A batch has at most ``batch_tokens`` padded, or one prompt; where
    the device has no memory for that, all that follow have half.

    Raises:
        UserError: If the model lacks a hook, or the device has no memory for one prompt.
    """
    ids, cut = model.tokenize(prompts, max_tokens, prepend_bos=prepend_bos)
    lengths = np.array([len(row) for row in ids], dtype=np.int32)
    places = list(product(hooks, positions))
    kept = {place: np.empty((len(ids), model.d_model), np.float32) for place in places}
    wanted = _sampled_positions(lengths, sample)
    tokens: list[np.ndarray] = []
    start = time.perf_counter()
    with model.capture(hooks) as run:
        for rows, output, mask in run_batches(run, ids, lengths, batch_tokens, model):
            for hook, position in places:
                kept[hook, position][rows] = _pool(output[hook], mask, position)
            if sample is not None:
                tokens += _gather(output[sample.hook], rows, wanted)
    wall = time.perf_counter() - start
    sampled = np.concatenate(tokens) if tokens else np.empty((0, model.d_model), np.float32)
    return Extraction(kept, sampled, lengths, cut, wall)


def run_batches(
    run: Run, ids: list[list[int]], lengths: np.ndarray, batch_tokens: int, model: LanguageModel
) -> Iterator[tuple[np.ndarray, dict[str, torch.Tensor], torch.Tensor]]:
    """Rows, outputs and mask of every batch; all that are left are halved when memory runs out."""
    batches = list(length_sorted_batches(lengths, batch_tokens))
    while batches:
        rows = batches[0]
        try:
            batch, mask = pad([ids[row] for row in rows], model)
            yield rows, run(batch, mask), mask
            del batches[0]
            continue
        except torch.OutOfMemoryError:
            pass  # the error holds what the pass had made: let it go before the next attempt
        if len(rows) == 1:
            raise UserError(
                f"{model.device} has no memory for one prompt of {len(ids[rows[0]])} tokens"
                f" with {model.name}: lower max_tokens in the profile, or its dtype."
            )
        log.warning("Out of memory with %d prompts at once: half as many now", len(rows))
        torch.cuda.empty_cache()
        halves = [np.array_split(each, 2) for each in batches]
        batches = [half for pair in halves for half in pair if len(half)]


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
