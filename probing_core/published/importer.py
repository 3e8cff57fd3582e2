"""Import a folder of upstream's results: every table it holds, as tidy rows, with a report."""

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from probing_core.errors import UserError
from probing_core.published.source import REPORT_KEY, ROWS_KEY, side_key
from probing_core.rows import to_frame
from probing_core.published.layout import TABLES, Table
from probing_core.published.reading import Remark, out_of_range, read_table
from probing_core.published.tidy import READERS, typed
from probing_core.store import Store

log = logging.getLogger(__name__)
PICKLED = (".pk", ".pick", ".pt", ".joblib")
"""How suffixes of files begin that only unsafe readers open."""
_SETTING = [
    "section", "model", "hook", "dataset", "regime", "regime_value", "method", "sae_id", "ranking",
    "k", "penalty", "binarize", "hyperparameters",
]  # fmt: skip
_JUDGES = ("chatgpt-4o-latest", "claude-3.5-sonnet", "llama-3.1-405b-instruct")


@dataclass(frozen=True)
class Import:
    """What a folder of results held.

    Attributes:
        rows: Tidy rows, in the order of upstream's tables; ``unit_key`` names the table.
        sides: Tables that hold no probes: ``win_rates`` (regime, sae1, sae2, win_rate) and
            ``judgements`` (original, ensemble and one column a judge; no prompts).
        files: SHA-256 by file that was read.
        missing: Tables that are not there.
        remarks: What was wrong with those that are.
        pickled: Files that were not opened because reading one can run any code.
    """

    rows: pd.DataFrame
    sides: dict[str, pd.DataFrame]
    files: dict[str, str]
    missing: tuple[Table, ...]
    remarks: tuple[Remark, ...]
    pickled: tuple[str, ...]

    def lines(self) -> list[str]:
        """The report, one thing a line."""
        found = [f"{len(self.rows):,} rows from {len(self.files)} tables"]
        found += [f"flaw     {remark}" for remark in self.remarks]
        found += [f"missing  {table.path} ({table.makes})" for table in self.missing]
        if self.pickled:
            found.append(
                f"unopened {len(self.pickled)} pickled files, such as {self.pickled[0]}: opening"
                " one can run any code, so the rows in them (multi-token probes, tokens of AIMade)"
                " are lost unless multi_token/all_metrics.csv holds them"
            )
        return found


def results_folder(folder: Path) -> Path:
    """Find ``results`` in a checkout.

    Args:
        folder: The checkout, or its folder ``results``.

    Raises:
        UserError: If it is no folder, or holds no table that we know.
    """
    if not folder.is_dir():
        raise UserError(
            f"{folder} is no folder. Give a checkout of github.com/JoshEngels/SAE-Probes,"
            " or its folder 'results'."
        )
    for candidate in (folder, folder / "results"):
        if any((candidate / place).is_file() for table in TABLES for place in table.places):
            return candidate
    raise UserError(
        f"{folder} holds no results of SAE-Probes: there is no"
        f" {TABLES[0].path.split('/')[0]}/ or any other of its {len(TABLES)} tables. Give a"
        " checkout of github.com/JoshEngels/SAE-Probes, or its folder 'results'."
    )


def import_results(folder: Path) -> Import:
    """Read every table of upstream's that a folder holds.

    Args:
        folder: A checkout of upstream, or its folder ``results``.

    Returns:
        Rows, side tables and report. Substitutes are marked by their ``unit_key``: where
        upstream's standard table is not there, the rows without flipped labels stand in for it,
        which are the same runs (PAPER 0.2).

    Raises:
        UserError: If the folder holds no results, or none that can be read.
    """
    root = results_folder(folder)
    parts: list[pa.Table] = []
    sides: dict[str, list[pd.DataFrame]] = {}
    files: dict[str, str] = {}
    missing: list[Table] = []
    remarks: list[Remark] = []
    for table in TABLES:
        name = next((place for place in table.places if (root / place).is_file()), None)
        if name is None:
            missing.append(table)
            continue
        frame, said = read_table(root / name, table, name)
        remarks += said
        if frame is None:
            continue
        if table.kind in READERS:
            try:
                parts.append(typed(_rows(frame, table, name, remarks)))
            except (TypeError, ValueError, OverflowError, pa.ArrowException) as error:
                reason = " ".join(str(error).split())[:120]
                remarks.append(Remark(name, f"a cell does not fit its column ({reason}); skipped."))
                continue
        files[name] = hashlib.sha256((root / name).read_bytes()).hexdigest()
        if table.kind not in READERS:
            sides.setdefault(table.kind, []).append(_side(frame, table))
    if not files:
        raise UserError(f"{root}: no table could be read. {' '.join(map(str, remarks[:3]))}")
    rows = _standard_substitutes(_once(to_frame(parts)))
    return Import(
        rows=rows,
        sides={kind: pd.concat(found, ignore_index=True) for kind, found in sides.items()},
        files=files,
        missing=tuple(missing),
        remarks=tuple(remarks),
        pickled=tuple(sorted(_pickled(root))[:1000]),
    )


def store_import(store: Store, found: Import) -> None:
    """Keep an import where the pages find it; it takes the place of an earlier one.

    Args:
        store: Where.
        found: What `import_results` returned.
    """
    store.write_rows(ROWS_KEY, typed(found.rows))
    for kind, frame in found.sides.items():
        store.write_rows(side_key(kind), pa.Table.from_pandas(frame, preserve_index=False))
    report: dict[str, Any] = {
        "files": found.files,
        "missing": [table.path for table in found.missing],
        "remarks": [str(remark) for remark in found.remarks],
        "pickled": len(found.pickled),
        "rows": len(found.rows),
    }
    store.write_json(REPORT_KEY, report)


def _rows(frame: pd.DataFrame, table: Table, name: str, remarks: list[Remark]) -> pd.DataFrame:
    """One table as tidy rows; impossible and repeated ones are left out and named."""
    rows = READERS[table.kind](frame, table.options).assign(unit_key=name)
    if (wrong := out_of_range(rows)).any():
        remarks.append(Remark(name, f"{wrong.sum()} rows with an AUC outside 0 to 1; dropped."))
        rows = rows[~wrong]
    again = rows.duplicated(_SETTING)
    if again.any():
        remarks.append(Remark(name, f"{again.sum()} rows repeat a setting; the first is kept."))
        rows = rows[~again]
    return rows


def _once(rows: pd.DataFrame) -> pd.DataFrame:
    """Drop what upstream keeps in two tables, such as an extract beside the whole."""
    return rows[~rows.duplicated(_SETTING)].reset_index(drop=True)


def _side(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    if table.kind == "win_rates":
        return frame[["sae1", "sae2", "win_rate"]].assign(**table.options)
    kept = [column for column in _JUDGES if column in frame]
    return frame[["original_target", "ensemble", *kept]]


def _standard_substitutes(rows: pd.DataFrame) -> pd.DataFrame:
    """Add standard rows of SAE probes from those without flipped labels, where there are none."""
    clean = rows[
        rows["regime"].eq("label_noise")
        & rows["regime_value"].eq(0)
        & rows["method"].eq("sae_logreg")
    ].assign(regime="standard", section="standard", regime_value=float("nan"))
    have = rows[rows["section"].eq("standard") & rows["method"].eq("sae_logreg")]
    keys = [name for name in _SETTING if name not in ("regime_value", "hyperparameters")]
    joined = clean[keys].merge(have[keys].drop_duplicates(), on=keys, how="left", indicator=True)
    lacking = clean[joined["_merge"].eq("left_only").to_numpy()]
    return to_frame([typed(rows), typed(lacking)])


def _pickled(root: Path) -> Iterator[str]:
    """Pickled files of the checkout, none of which is opened."""
    top = root.parent if root.name == "results" else root
    for place in (root, top / "data"):
        if place.is_dir():
            for path in place.rglob("*"):
                if path.suffix.startswith(PICKLED):
                    yield path.relative_to(top).as_posix()
