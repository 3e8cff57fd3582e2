"""Section 08: what an SAE costs its language model, whose loss is taken with the SAE in its place.

*Loss recovered* is 1 where the reconstruction predicts the next token as well as the activations
themselves, and 0 where it does no better than zeros. Tokens are of test prompts. The first of each
prompt (BOS) is left as it is: no SAE here trains on it.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from probing_core.experiments.activations import load_held
from probing_core.experiments.executor import run_units
from probing_core.experiments.saes import load_sae, sae_key
from probing_core.experiments.study import Study, once
from probing_core.models.adapter import LanguageModel
from probing_core.models.extraction import length_sorted_batches, pad
from probing_core.profiles import SAESource
from probing_core.saes.encoding import reconstruct
from probing_core.store import Key, Store

log = logging.getLogger(__name__)
_VERSION = 1
_PROMPTS = 64
"""Prompts in all, the same number of each task, at least one."""
_BATCH_TOKENS = 1024
"""Padded tokens at once: a head makes a logit for every word of its vocabulary."""
Change = Callable[[np.ndarray], np.ndarray]


@once
def _prompts(study: Study) -> list[str]:
    tags = study.training_tags
    found = []
    for tag in tags:
        test = study.split(tag).test[: max(1, _PROMPTS // len(tags))]
        found += [study.dataset(tag).prompts[row] for row in test]
    return found


@once
def _key(study: Study, source: SAESource) -> Key:
    sae = sae_key(study, source)
    return Key.of(
        "losses",
        sae.label,
        version=_VERSION,
        sae=sae.digest,
        revision=study.revision,
        dtype=study.dtype,
        prepend_bos=study.model.prepend_bos,
        max_tokens=study.profile.max_tokens,
        prompts=_prompts(study),
    )


def compute_losses(study: Study, saes: Sequence[SAESource]) -> None:
    """Measure what the store lacks of some SAEs that are stored already."""
    lacking = [one for one in saes if study.store.read_json(_key(study, one)) is None]
    if not lacking:
        return
    log.info("Loss of %s with %d SAEs in its place", study.model.name, len(lacking))
    work = [(_key(study, one), one, study.store.path(sae_key(study, one))) for one in lacking]
    how = (study.model, study.dtype, study.profile, study.main_hook, study.device)
    workers = min(study.device_workers, len(lacking))
    units = [(study.store.root, how, _prompts(study), work[n::workers]) for n in range(workers)]
    run_units(_loss_unit, units, label="losses", workers=workers, executor=study.executor)


def loss_recovered(study: Study, source: SAESource) -> float:
    """Loss recovered by an SAE; NaN where it was not measured, or the model predicts no tokens."""
    stored = study.store.read_json(_key(study, source)) or {}
    clean, zeroed, replaced = (stored.get(name) for name in ("clean", "zeroed", "replaced"))
    if clean is None or zeroed is None or replaced is None:
        return float("nan")
    return (zeroed - replaced) / (zeroed - clean)


def _loss_unit(
    root: Path, how: tuple[Any, ...], prompts: list[str], work: list[tuple[Key, SAESource, Path]]
) -> None:
    """Store the losses of a model, in nats a token: clean, with zeros, and with each SAE."""
    model, dtype, profile, hook, device = how
    store = Store(root)
    loaded = load_held(model.source, dtype, profile.device, root)
    measure = partial(mean_loss, loaded, prompts, hook, model.prepend_bos, profile.max_tokens)
    common = {"clean": measure(None), "zeroed": measure(np.zeros_like)} if loaded.causal else {}
    for key, source, folder in work:
        measured: dict[str, float] = {}
        if common:
            sae = load_sae(source, folder)
            rebuilt = measure(lambda rows: reconstruct(sae, rows, device)[0])  # noqa: B023, called at once
            measured = common | {"replaced": rebuilt}
        store.write_json(key, measured)


def mean_loss(
    model: LanguageModel,
    prompts: Sequence[str],
    hook: str,
    prepend_bos: bool,
    max_tokens: int,
    change: Change | None,
) -> float:
    """Mean next-token loss of prompts, in nats, with `change` of (m, d_model) activations."""
    ids, _ = model.tokenize(prompts, max_tokens, prepend_bos=prepend_bos)
    lengths = np.array([len(row) for row in ids])
    total, count = 0.0, 0
    for rows in length_sorted_batches(lengths, _BATCH_TOKENS):
        tokens, mask = pad([ids[row] for row in rows], model)
        inner = mask.bool()
        inner[:, 0] = False

        def changed(activation: torch.Tensor, inner: torch.Tensor = inner) -> torch.Tensor:
            activation = activation.clone()
            given = change(activation[inner].float().cpu().numpy())  # type: ignore[misc]
            activation[inner] = torch.from_numpy(given).to(activation)
            return activation

        losses = model.losses(tokens, mask, {hook: changed} if change else {})
        total, count = total + float(losses.sum()), count + int(mask[:, 1:].sum())
    return total / count
