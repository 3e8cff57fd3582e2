"""Prompts with binary labels: the paper's tasks, your own CSV, or a Hugging Face dataset.

Labels follow the sorted order of the raw targets, as the paper's label encoder does, so label 1
is the alphabetically or numerically later target (PAPER B.2, D.3).
"""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from probing_core.datasets.registry import find_task
from probing_core.errors import UserError, nearest

MIN_PROMPTS = 104
"""100 test prompts and the smallest training set that has a validation split (PAPER B.3, B.4)."""


@dataclass(frozen=True)
class ProbingDataset:
    """Prompts and labels of one task, in file order."""

    tag: str
    prompts: tuple[str, ...]
    labels: np.ndarray
    """(n_prompts,) int8, 0 or 1."""
    class_names: tuple[str, str]
    source: str
    n_available: int
    """Prompts of the task before a cap."""

    def __len__(self) -> int:
        return len(self.prompts)

    @property
    def n_smaller(self) -> int:
        """Prompts of the smaller class."""
        return int(min(self.labels.sum(), (1 - self.labels).sum()))

    @cached_property
    def content_hash(self) -> str:
        """Digest of prompts and labels; part of every store key."""
        digest = hashlib.sha256()
        for prompt in self.prompts:
            data = prompt.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "little") + data)
        digest.update(np.ascontiguousarray(self.labels, dtype=np.int8).tobytes())
        return digest.hexdigest()[:20]


def load_dataset(task: Any, *, max_prompts: int | None = None) -> ProbingDataset:
    """Load a task by tag, by the path of a CSV file, or from a table in memory.

    Args:
        task: A built-in tag, a path ending in ``.csv`` (``.zst`` and ``.gz`` too), a pandas
            frame, or a Hugging Face ``Dataset``; the last three need the columns ``prompt``
            and ``target``.
        max_prompts: Keep at most this many rows, both classes alike, in file order.

    Raises:
        UserError: If the task is unknown or its content cannot be probed.
    """
    if isinstance(task, ProbingDataset):
        dataset = task
    elif isinstance(task, (str, Path)) and not _is_file_name(task):
        dataset = _builtin(str(task))
    elif isinstance(task, (str, Path)):
        path = Path(task)
        dataset = from_frame(_read_csv(path), tag=path.name.split(".")[0], source=path.name)
    elif isinstance(task, pd.DataFrame):
        dataset = from_frame(task, tag="your-task", source="table in memory")
    elif hasattr(task, "to_pandas"):
        name = getattr(getattr(task, "info", None), "dataset_name", None) or "your-task"
        dataset = from_frame(task.to_pandas(), tag=str(name), source="Hugging Face dataset")
    else:
        raise UserError(f"Cannot load a task from {type(task).__name__}: give a tag or a CSV path.")
    return dataset if max_prompts is None else _cap(dataset, max_prompts)


def load_shifted(tag: str) -> ProbingDataset:
    """The shifted test set of a task (PAPER B.8); `UserError` where it has none."""
    task = find_task(tag)
    if not task.shifted:
        raise UserError(f"Task '{tag}' has no shifted test set; eight tasks have one: try 'list'.")
    frame = _read_csv(_package_data() / "OOD data" / f"{tag}_OOD.csv.zst")
    return from_frame(frame, tag=f"{tag}_shifted", source=task.source, min_prompts=2)


def from_frame(
    frame: pd.DataFrame, *, tag: str, source: str, min_prompts: int = MIN_PROMPTS
) -> ProbingDataset:
    """Encode the labels of a table with the columns ``prompt`` and ``target``.

    Raises:
        UserError: Naming the first row or column at fault, such as an empty prompt or a third
            target.
    """
    for column in ("prompt", "target"):
        if column not in frame.columns:
            hint = nearest(column, [str(name) for name in frame.columns])
            raise UserError(f"{tag}: there is no column '{column}'. {hint}")
    prompts, targets = frame["prompt"].tolist(), frame["target"]
    for number, prompt in enumerate(prompts, start=1):
        if not isinstance(prompt, str) or not prompt.strip():
            kind = "empty" if isinstance(prompt, str) or pd.isna(prompt) else type(prompt).__name__
            raise UserError(f"{tag}: the prompt in row {number} is {kind}; remove or fill it.")
    missing = targets.isna() | (targets.astype(str).str.strip() == "")
    if missing.any():
        row = int(np.flatnonzero(missing)[0]) + 1
        raise UserError(f"{tag}: the target in row {row} is missing; remove or fill it.")
    classes = sorted(targets.unique().tolist(), key=lambda value: (str(type(value)), value))
    if len(classes) != 2:
        shown = ", ".join(map(repr, classes[:4]))
        raise UserError(
            f"{tag}: a probe needs two classes, 'target' holds {len(classes)}: {shown}."
        )
    if len(prompts) < min_prompts:
        raise UserError(
            f"{tag}: {len(prompts)} prompts are too few; the split needs at least {min_prompts}"
            " (100 to test, 4 to train)."
        )
    return ProbingDataset(
        tag=tag,
        prompts=tuple(prompts),
        labels=(targets == classes[1]).to_numpy(dtype=np.int8),
        class_names=(str(classes[0]), str(classes[1])),
        source=source,
        n_available=len(prompts),
    )


def _builtin(tag: str) -> ProbingDataset:
    task = find_task(tag)
    path = _package_data() / "cleaned_data" / f"{tag}.csv.zst"
    dataset = from_frame(_read_csv(path), tag=tag, source=task.source)
    if len(dataset) != task.n_prompts or dataset.class_names != task.class_names:
        raise UserError(
            f"{tag}: {path.name} has {len(dataset)} prompts, {task.n_prompts} were expected;"
            " reinstall the package sae-probes."
        )
    return dataset


def _package_data() -> Path:
    """The folder of sae-probes' data, found without importing the package.

    The import takes seconds and switches convergence warnings off for the whole process.
    """
    spec = find_spec("sae_probes")
    if spec is None or spec.origin is None:
        raise UserError("The paper's data is not installed: run 'pip install sae-probes'.")
    return Path(spec.origin).parent / "data"


def _is_file_name(task: str | Path) -> bool:
    name = str(task).lower().removesuffix(".zst").removesuffix(".gz")
    return isinstance(task, Path) or name.endswith((".csv", ".tsv")) or "/" in name


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        separator = "\t" if ".tsv" in path.name.lower() else ","
        return pd.read_csv(path, sep=separator, keep_default_na=False)
    except FileNotFoundError:
        raise UserError(f"There is no file {path}.") from None
    except (ValueError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"{path} is not a readable CSV: {str(error)[:160]}.") from None


def _cap(dataset: ProbingDataset, max_prompts: int) -> ProbingDataset:
    if len(dataset) <= max_prompts:
        return dataset
    positive, negative = np.flatnonzero(dataset.labels == 1), np.flatnonzero(dataset.labels == 0)
    n_positive = min(len(positive), max(max_prompts // 2, max_prompts - len(negative)))
    rows = np.sort(np.r_[positive[:n_positive], negative[: max_prompts - n_positive]])
    kept = tuple(dataset.prompts[row] for row in rows)
    return replace(dataset, prompts=kept, labels=dataset.labels[rows])
