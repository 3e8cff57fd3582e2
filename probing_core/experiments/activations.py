"""Section 01: activations of every prompt at every hook, extracted once."""

import logging
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from probing_core.datasets import ProbingDataset
from probing_core.datasets.splits import protocol_key
from probing_core.experiments.executor import held, run_units
from probing_core.experiments.study import Study, once
from probing_core.models.adapter import LanguageModel, load_model
from probing_core.models.embedded import EMBEDDED, embedded_folder
from probing_core.models.extraction import TokenSample, extract
from probing_core.profiles import ModelProfile, Profile
from probing_core.store import Key, Store

log = logging.getLogger(__name__)
_VERSION = 2
_SUFFIX = ".safetensors"


def activation_key(study: Study, tag: str, hook: str, position: str | None = None) -> Key:
    """The key of one task's activations at one hook, at the model's own position by default."""
    return _activation_key(study, tag, hook, position or study.model.position)


@once
def _activation_key(study: Study, tag: str, hook: str, position: str) -> Key:
    where = {"hook": hook, "position": position, **_input(study, tag)}
    return Key.of("activations", f"{study.model.name}-{tag}-{hook}-{position}", **where)


@once
def tokens_key(study: Study, tag: str) -> Key:
    """The key of one task's sample of token activations at the main hook."""
    return Key.of(
        "tokens",
        f"{study.model.name}-{tag}-{study.main_hook}",
        hook=study.main_hook,
        count=study.profile.sae_tokens,
        protocol=protocol_key(study.profile.protocol),
        seed=study.profile.seeds[0],
        max_train=study.profile.standard.max_train,
        **_input(study, tag),
    )


@once
def _extraction_key(study: Study, tag: str) -> Key:
    """The key of what was measured while extracting a task: lengths and time."""
    return Key.of("extraction", f"{study.model.name}-{tag}", **_input(study, tag))


def length_keys(study: Study) -> list[Key]:
    """The keys of the tasks' token lengths."""
    return [_extraction_key(study, tag) for tag in study.tags]


def extraction_keys(study: Study) -> list[Key]:
    """The keys of all that is extracted from the study's tasks."""
    return [key for tag in study.tags for key in _keys(study, tag).values()]


@once
def _input(study: Study, tag: str) -> dict[str, Any]:
    return {
        "version": _VERSION,
        "dataset": study.dataset(tag).content_hash,
        "model": study.model.name,
        "revision": study.revision,
        "dtype": study.dtype,
        "prepend_bos": study.model.prepend_bos,
        "max_tokens": study.profile.max_tokens,
    }


def compute_activations(study: Study, tags: Sequence[str] = ()) -> None:
    """Extract what the store lacks of some tasks or shifted test sets, all tasks by default.

    One forward pass a prompt serves all hooks.
    """
    units = [unit for tag in tags or study.tags if (unit := _missing(study, tag))]
    if units:
        log.info("Extracting activations of %d tasks with %s", len(units), study.model.name)
        if study.model.source in EMBEDDED:
            embedded_folder(study.model.source, study.store)  # unpacked here, not in every worker
        units.sort(key=lambda unit: -sum(map(len, unit[3].prompts)))
    run_units(
        _extract_unit,
        units,
        label="activations",
        workers=study.device_workers,
        executor=study.executor,
    )


def read_activations(study: Study, tag: str) -> np.ndarray:
    """Activations of a task at the main hook, (n_prompts, d_model) float32."""
    return _read(study, tag, activation_key(study, tag, study.main_hook))[0]["activations"]


def read_tokens(study: Study, tag: str) -> np.ndarray:
    """Sampled token activations of a task at the main hook, (m, d_model) float32."""
    return _read(study, tag, tokens_key(study, tag))[0]["tokens"]


@once
def study_model(study: Study) -> LanguageModel:
    """The study's model, for what the store does not keep."""
    return _load(study.model.source, study.dtype, study.profile.device, study.store.root)


def activation_table(study: Study) -> pd.DataFrame:
    """One row a task: sizes, token lengths, truncation, and the time of the extraction.

    Returns:
        Columns dataset, source, n_prompts, n_available (before the cap), n_tokens,
        mean_tokens, median_tokens, p95_tokens, truncated (share), extract_seconds.
    """
    rows = []
    for tag, dataset in study.datasets.items():
        lengths, meta = _read(study, tag, _extraction_key(study, tag))
        tokens = lengths["tokens"]
        rows.append(
            {
                "dataset": tag,
                "source": dataset.source,
                "n_prompts": len(dataset),
                "n_available": dataset.n_available,
                "n_tokens": int(tokens.sum()),
                "mean_tokens": float(tokens.mean()),
                "median_tokens": float(np.median(tokens)),
                "p95_tokens": float(np.quantile(tokens, 0.95)),
                "truncated": float(lengths["truncated"].mean()),
                "extract_seconds": meta["seconds"],
            }
        )
    return pd.DataFrame(rows)


def token_lengths(study: Study) -> pd.DataFrame:
    """Tokens of every prompt: columns dataset, source, tokens."""
    frames = []
    for tag, dataset in study.datasets.items():
        tokens = _read(study, tag, _extraction_key(study, tag))[0]["tokens"].astype(int)
        frames.append(pd.DataFrame({"dataset": tag, "source": dataset.source, "tokens": tokens}))
    return pd.concat(frames, ignore_index=True)


def _read(study: Study, tag: str, key: Key) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Stored arrays and what was noted beside them; extracted anew where they are lacking."""
    for _ in range(2):
        if (stored := study.store.read_arrays(key)) is not None:
            return stored
        if unit := _missing(study, tag):
            _extract_unit(*unit)
    raise OSError(f"{study.store.path(key, _SUFFIX)} cannot be read back")


def _keys(study: Study, tag: str) -> dict[Any, Key]:
    """What is kept of a task, by hook and position or name.

    Other positions are kept at the main hook, tokens of tasks that have a training set.
    """
    places = list(product(study.model.hooks, [study.model.position]))
    places += product([study.main_hook], study.model.other_positions)
    keys: dict[Any, Key] = {place: activation_key(study, tag, *place) for place in places}
    if tag in study.datasets:
        keys["tokens"] = tokens_key(study, tag)
    return keys | {"extraction": _extraction_key(study, tag)}


def _missing(study: Study, tag: str) -> tuple[Any, ...] | None:
    """The unit of work that completes a task, or ``None`` when the store has all of it."""
    lacking = {
        name: key
        for name, key in _keys(study, tag).items()
        if not study.store.path(key, _SUFFIX).exists()
    }
    if not lacking:
        return None
    profile, dataset, seed = study.profile, study.dataset(tag), study.profile.seeds[0]
    sample = None
    if "tokens" in lacking:
        sample = TokenSample(study.main_hook, study.split(tag).train, profile.sae_tokens, seed)
    model = study.model.model_copy(update={"dtype": study.dtype})
    return study.store.root, profile, model, dataset, sample, lacking


def _extract_unit(
    root: Path,
    profile: Profile,
    model: ModelProfile,
    dataset: ProbingDataset,
    sample: TokenSample | None,
    lacking: dict[Any, Key],
) -> None:
    """Extract and store what is lacking of one task."""
    store = Store(root)
    loaded = load_held(model.source, model.dtype, profile.device, root)
    places = [name for name in lacking if name not in ("tokens", "extraction")]
    result = extract(
        loaded,
        dataset.prompts,
        hooks=tuple(dict.fromkeys([*(hook for hook, _ in places), model.main_hook])),
        positions=tuple(dict.fromkeys(position for _, position in places)),
        prepend_bos=model.prepend_bos,
        max_tokens=profile.max_tokens,
        batch_tokens=profile.batch_tokens,
        sample=sample,
    )
    for place in places:
        store.write_arrays(lacking[place], {"activations": result.activations[place]})
    if "tokens" in lacking:
        store.write_arrays(lacking["tokens"], {"tokens": result.tokens})
    if "extraction" in lacking:
        measured = {"seconds": result.seconds, "dtype": loaded.dtype, "device": loaded.device}
        arrays = {"tokens": result.lengths, "truncated": result.truncated.astype(np.uint8)}
        store.write_arrays(lacking["extraction"], arrays, measured)


def load_held(name: str, dtype: str, device: str, root: Path) -> LanguageModel:
    """A model, kept by this process until it needs another."""
    return held(_load, name, dtype, device, root)


def _load(name: str, dtype: str, device: str, root: Path) -> LanguageModel:
    return load_model(name, dtype=dtype, device=device, store=Store(root))
