"""Prompts with binary labels: the paper's tasks, your own CSV, or a Hugging Face dataset.

Labels follow the sorted order of the raw targets, as the paper's label encoder does, so label 1
is the alphabetically or numerically later target (PAPER B.2, D.3).
"""

import csv
import hashlib
import io
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from probing_core.datasets.duplicates import Level, find_groups
from probing_core.datasets.registry import find_task
from probing_core.errors import UserError, nearest
from probing_core.profiles import TASK_FILE, is_task_file

MIN_PROMPTS = 104
"""100 test prompts and the smallest training set that has a validation split (PAPER B.3, B.4)."""
csv.field_size_limit(2**31 - 1)


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

    def groups(self, level: Level) -> np.ndarray:
        """The group of repeated prompts that each is in, (n_prompts,) int64; computed once."""
        kept: dict[str, np.ndarray] = self.__dict__.setdefault("_groups", {})
        if level not in kept:
            kept[level] = find_groups(self.prompts, level)
        return kept[level]

    @cached_property
    def conflicting(self) -> np.ndarray:
        """Whether a prompt occurs with both labels, case and white space aside, (n_prompts,)."""
        groups = self.groups("normalised")
        ones = np.bincount(groups, weights=self.labels) / np.bincount(groups)
        return ((ones > 0) & (ones < 1))[groups]


def load_dataset(
    task: Any, *, name: str | None = None, max_prompts: int | None = None
) -> ProbingDataset:
    """Load a task by tag, by the path of a CSV file, or from a table in memory.

    Args:
        task: A built-in tag, a path ending in ``.csv`` (``.zst`` and ``.gz`` too), a pandas
            frame, or a Hugging Face ``Dataset``; the last three need the columns ``prompt``
            and ``target``.
        name: Its tag; by default `task_name` says.
        max_prompts: Keep at most this many rows, both classes alike, in file order.

    Raises:
        UserError: If the task is unknown or its content cannot be probed.
    """
    tag = name or task_name(task)
    if isinstance(task, ProbingDataset):
        dataset = task if task.tag == tag else replace(task, tag=tag)
    elif isinstance(task, str) and not is_task_file(task):
        dataset = replace(_builtin(task), tag=tag)
    elif isinstance(task, (str, Path)):
        path = Path(task)
        dataset = from_frame(read_table(path), tag=tag, source=path.name)
    elif isinstance(task, pd.DataFrame):
        dataset = from_frame(task, tag=tag, source="table in memory")
    elif hasattr(task, "to_pandas"):
        dataset = from_frame(task.to_pandas(), tag=tag, source="Hugging Face dataset")
    else:
        raise UserError(f"Cannot load a task from {type(task).__name__}: give a tag or a CSV path.")
    return dataset if max_prompts is None else _cap(dataset, max_prompts)


def task_name(task: Any) -> str:
    """A task's own name: a tag, a file's name without its ending, or ``your-task``."""
    if isinstance(task, ProbingDataset):
        return task.tag
    if isinstance(task, (str, Path)):
        return TASK_FILE.sub("", Path(task).name) if is_task_file(str(task)) else str(task)
    return str(getattr(getattr(task, "info", None), "dataset_name", None) or "your-task")


def load_shifted(tag: str) -> ProbingDataset:
    """The shifted test set of a task (PAPER B.8); `UserError` where it has none."""
    task = find_task(tag)
    if not task.shifted:
        raise UserError(f"Task '{tag}' has no shifted test set; eight tasks have one: try 'list'.")
    frame = read_table(_package_data() / "OOD data" / f"{tag}_OOD.csv.zst")
    return from_frame(frame, tag=f"{tag}_shifted", source=task.source, min_prompts=2)


def load_translations(path: Path | None = None) -> pd.DataFrame:
    """One phrase in many languages: columns language and text, one row a translation.

    Args:
        path: A CSV with a column ``language`` and a column ``text`` or ``translation``, in any
            case; by default the paper's fifteen of "living room" (figure 8).

    Raises:
        UserError: Naming the column or the row that is not there.
    """
    path = path or _package_data() / "OOD data" / "66_living-room_translations.csv.zst"
    frame = read_table(Path(path), "language and text")
    found = {}
    for wanted, names in {"language": ("language",), "text": ("text", "translation")}.items():
        own = [place for place, name in enumerate(frame) if str(name).strip().lower() in names]
        if len(own) != 1:
            raise UserError(f"{path}: {len(own) or 'no'} columns are called '{wanted}'; name one.")
        found[wanted] = frame.iloc[:, own[0]].str.strip()
    told = pd.DataFrame(found)
    blank = np.flatnonzero(told.eq("").any(axis=1))
    if told.empty or len(blank):
        row = blank[0] + 1 if len(blank) else 1
        raise UserError(f"{path}: row {row} lacks a language or a text; fill it.")
    return told


def from_frame(
    frame: pd.DataFrame, *, tag: str, source: str, min_prompts: int = MIN_PROMPTS
) -> ProbingDataset:
    """Encode the labels of a table with the columns ``prompt`` and ``target``.

    Raises:
        UserError: Naming the first row or column at fault, such as an empty prompt or a third
            target.
    """
    columns = list(frame.columns)
    for column in ("prompt", "target"):
        if column not in columns:
            hint = nearest(column, [str(name) for name in columns])
            raise UserError(f"{tag}: there is no column '{column}'. {hint}")
        if columns.count(column) > 1:
            raise UserError(f"{tag}: {columns.count(column)} columns are called '{column}'.")
    prompts, targets = frame["prompt"].tolist(), frame["target"]
    for number, prompt in enumerate(prompts, start=1):
        if not isinstance(prompt, str) or not prompt.strip():
            what = f"no text but {type(prompt).__name__}; in a frame, astype(str) makes it text"
            if isinstance(prompt, str) or (pd.api.types.is_scalar(prompt) and pd.isna(prompt)):
                what = "empty; remove or fill it"
            raise UserError(f"{tag}: the prompt in row {number} is {what}.")
    if len(prompts) < min_prompts:
        raise UserError(
            f"{tag}: there are {len(prompts) or 'no'} rows; the split needs at least {min_prompts}"
            " (100 to test, 4 to train)."
        )
    try:
        found = targets.unique().tolist()
    except TypeError:  # lists, which cannot be told apart
        raise UserError(f"{tag}: a target is a word, a number or a truth value.") from None
    if missing := [value for value in found if pd.isna(value) or not str(value).strip()]:
        row = int(np.flatnonzero(targets.isin(missing))[0]) + 1
        raise UserError(f"{tag}: the target in row {row} is missing; remove or fill it.")
    classes = sorted(found, key=lambda value: (str(type(value)), value))
    if len(classes) != 2:
        shown = ", ".join(map(repr, classes[:4]))
        raise UserError(
            f"{tag}: a probe needs two classes, 'target' holds {len(classes)}: {shown}."
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
    dataset = from_frame(read_table(path), tag=tag, source=task.source)
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


def read_table(path: Path, columns: str = "prompt and target") -> pd.DataFrame:
    """Read a table of text; its targets become numbers or truth values where all of them are.

    pandas would take a surplus first field for an index, and cut a text at a NUL.
    """
    if path.is_file() and not TASK_FILE.search(path.name):
        raise UserError(f"{path} is no CSV: its name ends in .csv, .tsv (or these and .gz, .zst).")
    try:
        text = pa.input_stream(str(path)).read().decode("utf-8-sig")  # unpacked by its ending
    except FileNotFoundError:
        raise UserError(f"There is no file {path}.") from None
    except (ValueError, OSError) as error:
        raise UserError(f"{path} is not a readable CSV: {str(error)[:160]}.") from None
    header, *rows = _rows(text, path.name, columns)
    frame = pd.DataFrame(rows, columns=header, dtype=object)
    if header.count("target") == 1:
        frame["target"] = _typed(frame["target"])
    return frame


def _rows(text: str, name: str, columns: str) -> list[list[str]]:
    """The header and the rows of a CSV or TSV, each as wide as the header; blank lines aside."""
    mark, nul = ("\t", "tab") if ".tsv" in name.lower() else (",", "comma"), "\0" in text
    reader = csv.reader(io.StringIO(text, ""), delimiter=mark[0], strict=True)
    rows: list[list[str]] = []
    line = 1

    def refused(what: str) -> UserError:
        return UserError(f"{name}: row {len(rows)} (line {line}) {what}.")

    try:
        for row in reader:
            if nul and any("\0" in cell for cell in row):
                raise refused("holds a NUL byte; remove it")
            if len(row) > 1 or "".join(row).strip():
                if rows and len(row) != (width := len(rows[0])):
                    raise refused(
                        f"has {len(row)} field{'s'[: len(row) - 1]}, the header has {width};"
                        f" quote a prompt that holds a {mark[1]} or a line break"
                    )
                rows.append(row)
            line = reader.line_num + 1
    except csv.Error:
        raise refused("has a stray quote; write each quote in a quoted prompt twice") from None
    if not rows:
        raise UserError(f"{name} is empty; its first line names the columns {columns}.")
    return rows


def _typed(targets: pd.Series) -> Any:
    """Targets as truth values or finite numbers if all are such, so that 9 comes before 10."""
    if {text.lower() for text in targets.unique()} == {"true", "false"}:
        return targets.str.lower() == "true"
    try:
        numbers = pd.to_numeric(targets)
    except ValueError:
        return targets
    return numbers if np.isfinite(numbers).all() else targets


def _cap(dataset: ProbingDataset, max_prompts: int) -> ProbingDataset:
    if len(dataset) <= max_prompts:
        return dataset
    positive, negative = np.flatnonzero(dataset.labels == 1), np.flatnonzero(dataset.labels == 0)
    n_positive = min(len(positive), max(max_prompts // 2, max_prompts - len(negative)))
    rows = np.sort(np.r_[positive[:n_positive], negative[: max_prompts - n_positive]])
    kept = tuple(dataset.prompts[row] for row in rows)
    return replace(dataset, prompts=kept, labels=dataset.labels[rows])
