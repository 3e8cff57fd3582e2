"""Tokens per second of the extraction beside a plain Transformers forward pass.

Both run on the same batches, one thread each, in turns within one process; the plain pass
runs all layers, ours stops at the last hook. Measured once a machine and kept in the store.
"""

import time
from typing import Any

import numpy as np
import pandas as pd
import torch

from probing_core.experiments.study import Study
from probing_core.models import minilm
from probing_core.models.adapter import LanguageModel, load_model
from probing_core.models.extraction import length_sorted_batches, pad
from probing_core.store import Key

_PROMPTS_A_TASK = 8
_LARGEST_PLAIN = 1_000_000_000
"""Parameters above which a second copy of the model is not loaded for comparison."""


def throughput_table(study: Study) -> pd.DataFrame:
    """Measure, or read, tokens per second of both ways.

    Returns:
        Columns way (``ours``, ``plain transformers``), tokens_per_second, dtype, threads,
        n_tokens; nothing of published rows.
    """
    if study.published:
        return pd.DataFrame()
    key = Key.of(
        "throughput",
        study.model.name,
        version=1,
        model=study.revision,
        dtype=study.dtype,
        device=study.device,
        hooks=list(study.hooks),
        batch_tokens=study.profile.batch_tokens,
        max_tokens=study.profile.max_tokens,
        tasks=[dataset.content_hash for dataset in study.datasets.values()],
    )
    if (stored := study.store.read_json(key)) is None:
        stored = measure_throughput(study)
        study.store.write_json(key, stored)
    return pd.DataFrame(stored)


def measure_throughput(study: Study, *, rounds: int = 2) -> list[dict[str, Any]]:
    """Time both ways in turns on the same batches; the best of the rounds counts.

    Args:
        study: Whose model and prompts.
        rounds: Turns.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model = load_model(study.model.name, dtype=study.dtype, device=study.device)
        batches, n_tokens = _batches(study, model)
        plain = _plain_model(study, model)
        ours_s, plain_s = [], []
        for _ in range(rounds):
            with model.capture(study.hooks) as capture:
                ours_s.append(_seconds(capture.run, batches, study.device))
            if plain is not None:
                plain_s.append(_seconds(plain, batches, study.device))
    finally:
        torch.set_num_threads(threads)
    shared = {"dtype": study.dtype, "threads": 1, "n_tokens": n_tokens}
    rows = [{"way": "ours", "tokens_per_second": n_tokens / min(ours_s), **shared}]
    if plain_s:
        rate = n_tokens / min(plain_s)
        rows.append({"way": "plain transformers", "tokens_per_second": rate, **shared})
    return rows


def _batches(
    study: Study, model: LanguageModel
) -> tuple[list[tuple[torch.Tensor, torch.Tensor]], int]:
    prompts = [p for dataset in study.datasets.values() for p in dataset.prompts[:_PROMPTS_A_TASK]]
    ids, _ = model.tokenize(prompts, study.profile.max_tokens)
    lengths = np.array([len(row) for row in ids])
    groups = length_sorted_batches(lengths, study.profile.batch_tokens)
    return [pad([ids[row] for row in rows], model) for rows in groups], int(lengths.sum())


def _plain_model(study: Study, model: LanguageModel) -> Any | None:
    """A function that runs the plain Transformers model on one batch."""
    from transformers import AutoModel

    if sum(p.numel() for p in model.bridge.parameters()) > _LARGEST_PLAIN:
        return None
    name = study.model.name
    source = str(minilm.minilm_folder()) if name == minilm.NAME else name
    dtype = getattr(torch, study.dtype)
    plain = AutoModel.from_pretrained(source, dtype=dtype).to(study.device).eval()

    @torch.inference_mode()
    def run(tokens: torch.Tensor, mask: torch.Tensor) -> None:
        plain(input_ids=tokens, attention_mask=mask)

    return run


def _seconds(run: Any, batches: list[tuple[torch.Tensor, torch.Tensor]], device: str) -> float:
    start = time.perf_counter()
    for tokens, mask in batches:
        run(tokens, mask)
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - start
