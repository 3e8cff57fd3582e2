"""Section 01: activations of every prompt at every hook, extracted once."""

import logging
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from probing_core.datasets import ProbingDataset
from probing_core.experiments.executor import run_units
from probing_core.published.source import published_tasks
from probing_core.experiments.study import Study
from probing_core.models.adapter import LanguageModel, load_model
from probing_core.models.extraction import TokenSample, extract
from probing_core.profiles import ModelProfile, Profile
from probing_core.store import Key, Store

log = logging.getLogger(__name__)
_VERSION = 1


def activation_key(study: Study, tag: str, hook: str) -> Key:
    """The key of one task's activations at one hook."""
    return Key.of(
        "activations", f"{study.model.name}-{tag}-{hook}", hook=hook, **_input(study, tag)
    )


def tokens_key(study: Study, tag: str) -> Key:
    """The key of one task's sample of token activations at the main hook."""
    return Key.of(
        "tokens",
        f"{study.model.name}-{tag}-{study.main_hook}",
        hook=study.main_hook,
        count=study.profile.sae_tokens,
        protocol=study.profile.protocol,
        seed=study.profile.seeds[0],
        max_train=study.profile.standard.max_train,
        **_input(study, tag),
    )


def extraction_key(study: Study, tag: str) -> Key:
    """The key of what was measured while extracting a task: lengths and time."""
    return Key.of("extraction", f"{study.model.name}-{tag}", **_input(study, tag))


def _input(study: Study, tag: str) -> dict[str, Any]:
    return {
        "version": _VERSION,
        "dataset": study.datasets[tag].content_hash,
        "model": study.model.name,
        "revision": study.revision,
        "dtype": study.dtype,
        "position": study.profile.position,
        "max_tokens": study.profile.max_tokens,
    }


def compute_activations(study: Study) -> None:
    """Extract what the store lacks: one forward pass a prompt, for all hooks together."""
    units = [unit for tag in study.tags if (unit := _missing(study, tag))]
    if units:
        log.info("Extracting activations of %d tasks with %s", len(units), study.model.name)
        units.sort(key=lambda unit: -sum(map(len, unit[3].prompts)))
    run_units(
        _extract_unit,
        units,
        label="activations",
        workers=study.device_workers,
        executor=study.executor,
    )


def read_activations(study: Study, tag: str, hook: str) -> np.ndarray:
    """Activations of a task at a hook, (n_prompts, d_model) float32; extracted if missing."""
    key = activation_key(study, tag, hook)
    if (stored := study.store.read_arrays(key)) is None:
        _extract_missing(study, tag)
        stored = study.store.read_arrays(key)
    return stored[0]["activations"] if stored else np.empty((0, 0), np.float32)


def read_tokens(study: Study, tag: str) -> np.ndarray:
    """Sampled token activations of a task at the main hook, (m, d_model) float32."""
    key = tokens_key(study, tag)
    if (stored := study.store.read_arrays(key)) is None:
        _extract_missing(study, tag)
        stored = study.store.read_arrays(key)
    return stored[0]["tokens"] if stored else np.empty((0, 0), np.float32)


def activation_table(study: Study) -> pd.DataFrame:
    """One row a task: sizes, token lengths, truncation, and throughput of the extraction.

    Returns:
        Columns dataset, source, n_prompts, n_available (before the cap), n_tokens,
        mean_tokens, median_tokens, p95_tokens, truncated (share), extract_seconds,
        tokens_per_second. Of published rows only what is known without a model.
    """
    if study.published:
        return published_tasks(study)
    compute_activations(study)
    rows = []
    for tag, dataset in study.datasets.items():
        lengths, meta = _read_extraction(study, tag)
        tokens = int(lengths["tokens"].sum())
        rows.append(
            {
                "dataset": tag,
                "source": dataset.source,
                "n_prompts": len(dataset),
                "n_available": dataset.n_available,
                "n_tokens": tokens,
                "mean_tokens": float(lengths["tokens"].mean()),
                "median_tokens": float(np.median(lengths["tokens"])),
                "p95_tokens": float(np.quantile(lengths["tokens"], 0.95)),
                "truncated": float(lengths["truncated"].mean()),
                "extract_seconds": meta["seconds"],
                "tokens_per_second": tokens / meta["seconds"],
            }
        )
    return pd.DataFrame(rows)


def token_lengths(study: Study) -> pd.DataFrame:
    """Tokens of every prompt: columns dataset, source, tokens; none of published rows."""
    if study.published:
        return pd.DataFrame(columns=["dataset", "source", "tokens"])
    compute_activations(study)
    parts = [
        pd.DataFrame(
            {
                "dataset": tag,
                "source": dataset.source,
                "tokens": _read_extraction(study, tag)[0]["tokens"],
            }
        )
        for tag, dataset in study.datasets.items()
    ]
    return pd.concat(parts, ignore_index=True)


def _read_extraction(study: Study, tag: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    key = extraction_key(study, tag)
    if (stored := study.store.read_arrays(key)) is None:
        _extract_missing(study, tag)
        stored = study.store.read_arrays(key)
    return stored if stored else ({}, {})


def _extract_missing(study: Study, tag: str) -> None:
    if unit := _missing(study, tag):
        _extract_unit(*unit)


def _missing(study: Study, tag: str) -> tuple[Any, ...] | None:
    """The unit of work that completes a task, or ``None`` when the store has all of it."""
    keys = {hook: activation_key(study, tag, hook) for hook in study.hooks}
    lacking = {
        hook: key
        for hook, key in keys.items()
        if not study.store.path(key, ".safetensors").exists()
    }
    others = {"tokens": tokens_key(study, tag), "extraction": extraction_key(study, tag)}
    if not lacking and all(study.store.path(k, ".safetensors").exists() for k in others.values()):
        return None
    rows = study.split(tag).train
    model = study.model.model_copy(update={"dtype": study.dtype})
    sample = TokenSample(study.main_hook, rows, study.profile.sae_tokens, study.profile.seeds[0])
    return (
        study.store.root, study.profile, model, study.datasets[tag], sample, lacking, others,
    )  # fmt: skip


def _extract_unit(
    root: Any,
    profile: Profile,
    model: ModelProfile,
    dataset: ProbingDataset,
    sample: TokenSample,
    lacking: dict[str, Key],
    others: dict[str, Key],
) -> None:
    """Extract and store the activations of one task."""
    store = Store(root)
    loaded = _loaded(model.name, model.dtype, profile.device)
    result = extract(
        loaded,
        dataset.prompts,
        hooks=tuple(dict.fromkeys([*lacking, sample.hook])),
        position=profile.position,
        max_tokens=profile.max_tokens,
        batch_tokens=profile.batch_tokens,
        sample=sample,
    )
    for hook, key in lacking.items():
        store.write_arrays(key, {"activations": result.activations[hook]})
    store.write_arrays(others["tokens"], {"tokens": result.tokens})
    measured = {"seconds": result.seconds, "dtype": loaded.dtype, "device": loaded.device}
    arrays = {"tokens": result.lengths, "truncated": result.truncated.astype(np.uint8)}
    store.write_arrays(others["extraction"], arrays, measured)


@lru_cache(maxsize=1)
def _loaded(name: str, dtype: str, device: str) -> LanguageModel:
    """One model a process, kept between units."""
    return load_model(name, dtype=dtype, device=device)
