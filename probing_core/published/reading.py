"""Read a table of upstream's: exact floats, every flaw named in one line, nothing pickled.

A folder of results comes from somewhere: it may be a fork's, half copied, or cut off. What can be
read is read; what cannot is named with its file, and the rest is kept.
"""

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from probing_core.datasets.registry import TASKS
from probing_core.errors import nearest
from probing_core.published.layout import Table

AUC_SLACK = 1e-9
"""Upstream's validation AUCs reach 1.0000000000000002."""
EMPTY = ("", "None", "nan", "NaN")
FILLED = ("test_auc", "layer", "num_train", "ratio", "frac", "corrupt_frac")
"""Columns without which a row says nothing."""
TEXT = frozenset(
    (
        "dataset", "method", "sae_id", "reg_type", "run_type", "kind", "sae_aggregation_method",
        "explanation", "Neuronpedia", "Human Label", "sae1", "sae2", "binarize", "prompt", "file",
        "latent", "sae_width",
    )
)  # fmt: skip
"""Columns that hold words."""


@dataclass(frozen=True)
class Remark:
    """Something a user should know about one file.

    Attributes:
        file: Where it lies below the folder.
        said: What is wrong, and what became of it, in one line.
    """

    file: str
    said: str

    def __str__(self) -> str:
        return f"{self.file}: {self.said}"


def read_table(path: Path, table: Table, name: str) -> tuple[pd.DataFrame | None, list[Remark]]:
    """Read one CSV.

    Args:
        path: The file.
        table: What it should be.
        name: How to name it in remarks.

    Returns:
        The frame (text columns as text, all others float64 with NaN where a cell is empty), or
        ``None`` when it cannot be used; and what is to be said about it.
    """
    remarks: list[Remark] = []

    def remark(said: str) -> None:
        remarks.append(Remark(name, " ".join(said.split())[:300]))

    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        remark("no UTF-8 text; skipped.")
        return None, remarks
    except OSError as error:
        remark(f"cannot be read ({error.strerror}); skipped.")
        return None, remarks
    if text.startswith("version https://git-lfs"):
        remark("a Git LFS pointer, not the table; skipped. Run 'git lfs pull' in that checkout.")
        return None, remarks
    header, records = _records(text, table, remark)
    if missing := [column for column in table.columns if column not in header]:
        hint = nearest(missing[0], [c for c in header if c not in table.columns] or header)
        remark(f"no column '{missing[0]}'; skipped. {hint if header else 'It is empty.'}")
        return None, remarks
    frame = _frame(header, records, table, remark)
    if frame.empty:
        remark("no rows that can be read; skipped.")
        return None, remarks
    _judge(frame, table, remark)
    return frame, remarks


def _records(
    text: str, table: Table, remark: Callable[[str], None]
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Header, and (line number, cells) of every complete record."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] = []
    records: list[tuple[int, list[str]]] = []
    broken: list[int] = []
    try:
        header = next(reader, [])
        for cells in reader:
            if len(cells) == len(header):
                records.append((reader.line_num, cells))
            elif cells:
                broken.append(reader.line_num)
    except csv.Error as error:
        remark(f"broken off in line {reader.line_num} ({error}); {_kept(records)}.")
    if broken and broken[-1] == reader.line_num:
        remark(f"truncated in line {broken.pop()}; {_kept(records)}.")
    elif table.newline and records and not text.endswith("\n"):
        line, _ = records.pop()
        remark(f"truncated in line {line}, whose end is missing; {_kept(records)}.")
    if broken:
        remark(
            f"{len(broken)} lines have too many or too few cells, the first is line {broken[0]}."
        )
    return header, records


def _kept(records: Sequence[object]) -> str:
    return f"the {len(records)} rows before it are kept"


def _frame(
    header: list[str],
    records: list[tuple[int, list[str]]],
    table: Table,
    remark: Callable[[str], None],
) -> pd.DataFrame:
    """Convert cells; a record whose needed number is none is dropped and named."""
    bad: dict[int, str] = {}
    columns: dict[str, list[object]] = {}
    for place, column in enumerate(header):
        cells = [record[place] for _, record in records]
        if column in TEXT:
            columns[column] = list(cells)
            continue
        values = [_number(cell) for cell in cells]
        needed = column in table.columns
        for number, value in enumerate(values):
            empty = value is not None and math.isnan(value)
            if (needed and value is None) or (empty and column in FILLED):
                bad.setdefault(number, f"{cells[number][:40]!r} in '{column}' is no number")
        columns[column] = [math.nan if value is None else value for value in values]
    if bad:
        first = min(bad)
        also = f", and {len(bad) - 1} more such" if len(bad) > 1 else ""
        remark(f"line {records[first][0]}: {bad[first]}{also}; dropped.")
    return pd.DataFrame(columns).drop(index=sorted(bad)).reset_index(drop=True)


def _number(cell: str) -> float | None:
    """The number a cell holds, NaN for an empty one, ``None`` for anything else."""
    if cell in EMPTY:
        return math.nan
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _judge(frame: pd.DataFrame, table: Table, remark: Callable[[str], None]) -> None:
    """Say where a readable table is not upstream's own."""
    if "dataset" in frame:
        names = frame["dataset"].unique()
        if strange := [str(name) for name in names if name not in TASKS]:
            hint = nearest(strange[0], TASKS)
            remark(f"{len(strange)} unknown tasks, the first is {strange[0][:60]!r}. {hint}")
        if table.tasks and 0 < len(names) < len(TASKS):
            remark(
                f"covers {len(names)} of {len(TASKS)} tasks in {len(frame)} rows"
                f"{f', upstream has {table.n_rows}' if table.n_rows else ''}: a run of someone's"
                " own or part of the table; imported as it is."
            )
            return
    if table.n_rows is not None and len(frame) != table.n_rows:
        remark(f"{len(frame)} rows where upstream's table has {table.n_rows}; imported as it is.")


def out_of_range(rows: pd.DataFrame) -> pd.Series:
    """Which rows have an AUC outside [0, 1], beyond rounding.

    Args:
        rows: Tidy rows.

    Returns:
        Booleans, one a row.
    """
    wrong = pd.Series(False, index=rows.index)
    for column in ("test_auc", "val_auc"):
        wrong |= (rows[column] < -AUC_SLACK) | (rows[column] > 1 + AUC_SLACK)
    return wrong
