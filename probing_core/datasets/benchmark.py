"""The leak-free splits as a product: in one line, and as one file for those without this code."""

import hashlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from probing_core.datasets.prompts import ProbingDataset, load_dataset
from probing_core.datasets.registry import TASKS
from probing_core.datasets.splits import (
    MAX_TRAIN,
    VERSION,
    Split,
    kept_together,
    standard_split,
)
from probing_core.profiles import Protocol

SEEDS = (42, 43, 44, 45, 46)
_HELD = 5
"""One in so many training prompts, at most 100, validates (PAPER B.4)."""


@dataclass(frozen=True)
class SplitDataset(ProbingDataset):
    """A task with the rows of a standard split, (n,) int64 each; its content hash names it.

    ``train`` leaves out ``validation``; a probe is refitted on both.
    """

    protocol: Protocol
    seed: int
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def load_task(
    task: Any, *, protocol: Protocol | None = None, name: str | None = None,
    max_prompts: int | None = None, seed: int = 42, max_train: int = MAX_TRAIN,
) -> ProbingDataset:  # fmt: skip
    """Load a task, and split it where a protocol is named.

    Args:
        task: As `load_dataset` takes it.
        protocol: Such as ``leak_free``: no prompt is on two sides, nor nearly.
        name: The task's tag; by default its own.
        max_prompts: Keep at most this many rows, both classes alike, in file order.
        seed: Of the split.
        max_train: Training prompts at most.

    Returns:
        The task; a `SplitDataset` where a protocol is named.

    Raises:
        UserError: If the task is unknown, or cannot be probed or split.
    """
    dataset = load_dataset(task, name=name, max_prompts=max_prompts)
    if protocol is None:
        return dataset
    split = standard_split(dataset, protocol=protocol, seed=seed, max_train=max_train)
    own = {field.name: getattr(dataset, field.name) for field in fields(dataset)}
    held = _held(dataset, split, protocol)
    sides = {"train": split.train[~held], "validation": split.train[held], "test": split.test}
    return SplitDataset(**own, protocol=protocol, seed=seed, **sides)


def _held(dataset: ProbingDataset, split: Split, protocol: Protocol) -> np.ndarray:
    """Whether each training row is among the last that validate, or repeats one of them, (n,)."""
    size = len(split.train)
    held = np.arange(size) >= size - min(size // _HELD, 100)
    groups = kept_together(dataset, split, protocol)
    return held if groups is None else np.isin(groups, groups[held])


def content_hash(prompts: pd.Series, targets: pd.Series) -> str:
    """What the file knows a task by: of prompts and raw targets, as text."""
    text = "\n".join(prompts + "\t" + targets)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def split_table(dataset: ProbingDataset) -> pa.Table:
    """The rows of a task, each with its side by seed; none of a row that no side has."""
    prompts = pd.Series(dataset.prompts)
    targets = pd.Series([dataset.class_names[label] for label in dataset.labels])
    named = {"version": VERSION, "task": dataset.tag, "hash": content_hash(prompts, targets)}
    frame = pd.DataFrame({"row": np.arange(len(dataset), dtype=np.int16)}).assign(**named)
    for seed in SEEDS:
        split = load_task(dataset, protocol="leak_free", seed=seed)
        side = np.full(len(dataset), None, dtype=object)
        for name in ("train", "validation", "test"):
            side[getattr(split, name)] = name
        frame[f"seed_{seed}"] = side
    return pa.Table.from_pandas(frame, preserve_index=False)


def write_benchmark(path: Path) -> None:
    """Write the splits of all tasks as one parquet file of indices."""
    tables = [split_table(load_dataset(tag)) for tag in TASKS]
    pq.write_table(pa.concat_tables(tables), path, compression="zstd")
