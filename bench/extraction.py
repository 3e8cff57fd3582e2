"""Tokens per second of the extraction beside a plain Transformers forward pass.

Same prompts, same dtype, same batches, in turns within one process, one thread: the plain pass
runs all layers, ours the layers up to the last hook wanted.
"""

from __future__ import annotations

import time
from itertools import product
from typing import Any

import numpy as np
import torch

from bench.table import Row
from probing_core.experiments.study import Study, open_study
from probing_core.models.adapter import LanguageModel, load_model
from probing_core.models.embedded import embedded_folder
from probing_core.models.extraction import length_sorted_batches, pad
from probing_core.profiles import load_profile

TOKENS = 10_000
PROMPTS_A_TASK = 8


def measure() -> list[Row]:
    """Seconds for 10,000 tokens in float32 and bfloat16, to the main and to the last hook."""
    quick = load_profile("quick")
    rows = []
    for each, dtype in product(quick.models, ("float32", "bfloat16")):
        for last in dict.fromkeys((each.main_hook, each.hooks[-1])):
            hooks = each.hooks[: each.hooks.index(last) + 1]
            model = each.model_copy(update={"dtype": dtype, "hooks": hooks})
            mine, plain = speeds(open_study(quick.model_copy(update={"models": (model,)})))
            what = f"extraction, {each.name}, {dtype}, to {last}"
            theirs = "plain Transformers, all layers"
            rows.append(Row("extraction", what, TOKENS / mine, TOKENS / plain, theirs))
    return rows


def speeds(study: Study, *, rounds: int = 2) -> tuple[float, float]:
    """Tokens per second, ours and plain, in turns on the same batches; the best round counts."""
    name, device = study.model.source, study.device
    model = load_model(name, dtype=study.dtype, device=device, store=study.store)
    batches, n_tokens = _batches(study, model)
    plain = _plain_model(study)
    ours_s, plain_s = [], []
    for _ in range(rounds):
        with model.capture(study.model.hooks) as run:
            ours_s.append(_seconds(run, batches))
        plain_s.append(_seconds(plain, batches))
    return n_tokens / min(ours_s), n_tokens / min(plain_s)


def _batches(
    study: Study, model: LanguageModel
) -> tuple[list[tuple[torch.Tensor, torch.Tensor]], int]:
    prompts = [p for dataset in study.datasets.values() for p in dataset.prompts[:PROMPTS_A_TASK]]
    bos = study.model.prepend_bos
    ids, _ = model.tokenize(prompts, study.profile.max_tokens, prepend_bos=bos)
    lengths = np.array([len(row) for row in ids])
    groups = length_sorted_batches(lengths, study.profile.batch_tokens)
    return [pad([ids[row] for row in rows], model) for rows in groups], int(lengths.sum())


def _plain_model(study: Study) -> Any:
    """A function that runs the plain Transformers model on one batch."""
    from transformers import AutoModel

    dtype = getattr(torch, study.dtype)
    folder = str(embedded_folder(study.model.source, study.store))
    plain = AutoModel.from_pretrained(folder, dtype=dtype).eval()

    @torch.inference_mode()
    def run(tokens: torch.Tensor, mask: torch.Tensor) -> None:
        plain(input_ids=tokens, attention_mask=mask)

    return run


def _seconds(run: Any, batches: list[tuple[torch.Tensor, torch.Tensor]]) -> float:
    start = time.perf_counter()
    for tokens, mask in batches:
        run(tokens, mask)
    return time.perf_counter() - start
