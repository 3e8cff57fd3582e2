"""Import a folder of upstream's results: every table it holds, as tidy rows, with a report.

``python -m reproduction.upstream.importer FOLDER`` writes anew the rows that ship.
"""

import functools
import hashlib
import json
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from probing_core.errors import UserError
from probing_core.published.source import REPORT_KEY, ROWS_KEY, SHIPPED, Import, side_key
from probing_core.rows import to_frame
from probing_core.store import Store
from reproduction.upstream.layout import TABLES, Table
from reproduction.upstream.reading import READERS, Remark, Unusable, read_table, typed

PICKLED = (".pk", ".pick", ".pt", ".joblib")
"""How suffixes of files begin that only unsafe readers open."""
_SETTING = [
    "section", "model", "hook", "dataset", "regime", "regime_value", "method", "sae_id", "ranking",
    "k", "penalty", "binarize", "hyperparameters",
]  # fmt: skip
_JUDGED = ["original_target", "ensemble"]
_JUDGED += ["chatgpt-4o-latest", "claude-3.5-sonnet", "llama-3.1-405b-instruct"]


def results_folder(folder: Path) -> Path:
    """Find ``results`` in a checkout, or take it as given; a UserError if it holds no table."""
    for candidate in (folder, folder / "results"):
        if any((candidate / place).is_file() for table in TABLES for place in table.places):
            return candidate
    said = f"holds none of the {len(TABLES)} result tables" if folder.is_dir() else "is no folder"
    raise UserError(
        f"{folder} {said}. Give a checkout of github.com/JoshEngels/SAE-Probes, or its folder"
        " 'results'."
    )


def import_results(folder: Path) -> Import:
    """Read every table of upstream's that a checkout, or its folder ``results``, holds.

    Returns:
        Rows, side tables and report. Where upstream's standard table is not there, the rows
        without flipped labels, which are the same runs, stand in: their ``unit_key`` says so.

    Raises:
        UserError: If the folder holds no results, or none that can be read.
    """
    root = results_folder(folder)
    parts: list[pa.Table] = []
    sides: dict[str, list[pd.DataFrame]] = {}
    files: dict[str, str] = {}
    missing: list[str] = []
    remarks: list[str] = []
    for table in TABLES:
        name = next((place for place in table.places if (root / place).is_file()), None)
        if name is None:
            missing.append(table.path)
            continue
        remark = functools.partial(_remark, remarks, name)
        try:
            frame = read_table(root / name, table, remark)
            if table.kind in READERS:
                parts.append(typed(_rows(frame, table, name, remark)))
            else:
                sides.setdefault(table.kind, []).append(_side(frame, table))
        except Unusable as error:
            remark(str(error))
        except (TypeError, ValueError, OverflowError, pa.ArrowException) as error:
            remark(f"a cell does not fit its column ({str(error)[:120]}); skipped.")
        else:
            files[name] = hashlib.sha256((root / name).read_bytes()).hexdigest()
    if not files:
        raise UserError(f"{root}: no table could be read. {' '.join(remarks[:3])}")
    merged = to_frame(parts)
    # What upstream keeps in two tables, such as an extract beside the whole, is taken once.
    rows = _with_substitutes(merged[~merged.duplicated(_SETTING)].reset_index(drop=True))
    tables = {kind: pd.concat(found, ignore_index=True) for kind, found in sides.items()}
    top = root.parent if root.name == "results" else root
    every = [path for place in (root, top / "data") for path in place.rglob("*")]
    unsafe = [path.relative_to(top) for path in every if path.suffix.startswith(PICKLED)]
    pickled = sorted(map(Path.as_posix, unsafe))[:1000]
    report = {"files": files, "missing": missing, "remarks": remarks, "pickled": pickled}
    return Import(rows, tables, report | {"rows": len(rows)})


def store_import(store: Store, found: Import) -> None:
    """Keep an import where the pages find it, in the place of an earlier one."""
    store.write_rows(ROWS_KEY, typed(found.rows))
    for kind, frame in found.sides.items():
        store.write_rows(side_key(kind), pa.Table.from_pandas(frame, preserve_index=False))
    store.write_json(REPORT_KEY, found.report)


def report_lines(found: Import) -> list[str]:
    """What an import found, flawed, missed and left unopened, one thing a line."""
    report, makes = found.report, {table.path: table.makes for table in TABLES}
    lines = [f"{report['rows']:,} rows from {len(report['files'])} tables"]
    lines += [f"flaw     {remark}" for remark in report["remarks"]]
    lines += [f"missing  {path} ({makes[path]})" for path in report["missing"]]
    if pickled := report["pickled"]:
        lines.append(
            f"unopened {len(pickled)} pickled files, such as {pickled[0]}: opening one can run any"
            " code, so the rows in them (multi-token probes, tokens of AIMade) are lost unless"
            " multi_token/all_metrics.csv holds them"
        )
    return lines


def ship(found: Import, folder: Path = SHIPPED) -> None:
    """Write an import as the files that ship with the package."""
    sides = {kind: pa.Table.from_pandas(frame) for kind, frame in found.sides.items()}
    for name, table in {"rows": typed(found.rows), **sides}.items():
        pq.write_table(
            table.replace_schema_metadata(), folder / f"{name}.parquet", compression="zstd",
            compression_level=22, row_group_size=len(table), data_page_size=2**26,
            dictionary_pagesize_limit=2**26, write_page_checksum=True,
        )  # fmt: skip
    (folder / "report.json").write_text(json.dumps(found.report, indent=1) + "\n", "utf-8")


def _remark(remarks: list[str], name: str, said: str) -> None:
    remarks.append(f"{name}: " + " ".join(said.split())[:300])


def _rows(frame: pd.DataFrame, table: Table, name: str, remark: Remark) -> pd.DataFrame:
    """One table as tidy rows; impossible and repeated ones are left out and named."""
    rows = READERS[table.kind](frame, table).assign(unit_key=name)
    # Upstream's validation AUCs reach 1.0000000000000002.
    aucs = rows[["test_auc", "val_auc"]].astype(float).round(9)
    if (wrong := ((aucs < 0) | (aucs > 1)).any(axis=1)).any():
        remark(f"{wrong.sum()} rows with an AUC outside 0 to 1; dropped.")
        rows = rows[~wrong]
    if (again := rows.duplicated(_SETTING)).any():
        remark(f"{again.sum()} rows repeat a setting; the first is kept.")
        rows = rows[~again]
    return rows


def _side(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """A table that holds no probes, without prompts."""
    if table.kind == "win_rates":
        return frame[["sae1", "sae2", "win_rate"]].assign(name=Path(table.path).stem)
    return frame[[column for column in _JUDGED if column in frame]]


def _with_substitutes(rows: pd.DataFrame) -> pd.DataFrame:
    """Add standard rows of SAE probes from those without flipped labels, where there are none."""
    probes = rows[rows["method"].eq("sae_logreg")]
    clean = probes[probes["regime"].eq("label_noise") & probes["regime_value"].eq(0)].assign(
        regime="standard", section="standard", regime_value=float("nan")
    )
    have = probes[probes["section"].eq("standard")]
    keys = [name for name in _SETTING if name not in ("regime_value", "hyperparameters")]
    both = clean[keys].merge(have[keys].drop_duplicates(), on=keys, how="left", indicator=True)
    return to_frame([typed(rows), typed(clean[both["_merge"].eq("left_only").to_numpy()])])


if __name__ == "__main__":
    ship(import_results(Path(sys.argv[1])))
