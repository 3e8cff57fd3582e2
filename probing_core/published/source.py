"""The published rows: the authors' result tables as tidy rows, shipped, or imported into a store.

What ships is made by ``python -m probing_core.published.importer FOLDER``; ``ORIGIN.md`` beside
this module says from what. Tables imported into a store take its place there.
"""

import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from probing_core.published.layout import TABLES
from probing_core.rows import to_frame
from probing_core.store import Key, Store

log = logging.getLogger(__name__)
SHIPPED = Path(__file__).parent
KEY = Key.of("published", "tables")
"""An import in a store: a folder of the files that ship."""


@dataclass(frozen=True)
class Import:
    """What a folder of results held.

    Attributes:
        rows: Tidy rows, in the order of upstream's tables; ``unit_key`` names the table.
        sides: Tables that hold no probes: ``win_rates`` (sae1, sae2, win_rate, name) and
            ``judgements`` (original_target, ensemble and one column a judge; no prompts).
        report: ``files`` (SHA-256 by table), ``missing`` (paths), ``remarks`` (what was wrong),
            ``pickled`` (files not opened because reading one can run any code), ``rows``.
    """

    rows: pd.DataFrame
    sides: dict[str, pd.DataFrame]
    report: dict[str, Any]

    def lines(self) -> list[str]:
        """The report, one thing a line."""
        report, makes = self.report, {table.path: table.makes for table in TABLES}
        found = [f"{report['rows']:,} rows from {len(report['files'])} tables"]
        found += [f"flaw     {remark}" for remark in report["remarks"]]
        found += [f"missing  {path} ({makes[path]})" for path in report["missing"]]
        if pickled := report["pickled"]:
            found.append(
                f"unopened {len(pickled)} pickled files, such as {pickled[0]}: opening one can run"
                " any code, so the rows in them (multi-token probes, tokens of AIMade) are lost"
                " unless multi_token/all_metrics.csv holds them"
            )
        return found


def published_rows(store: Store | None, section: str, model: str) -> pd.DataFrame:
    """The published rows of one section, such as ``standard`` or ``cola``, and model.

    Args:
        store: Where imported tables may be; without any, the shipped rows are read.
        section: As rows name it.
        model: As rows name it.

    Returns:
        Tidy rows in the order of upstream's tables; empty when they hold none.
    """
    # Before pandas sees it: most of the rows belong to other sections and models.
    here = (pc.field("section") == section) & (pc.field("model") == model)
    return to_frame([_table(_folder(store)).filter(here)])


def published_import(store: Store | None = None) -> Import:
    """The tables in use, all of them."""
    folder = _folder(store)
    sides = {name: folder / f"{name}.parquet" for name in ("win_rates", "judgements")}
    return Import(
        to_frame([_table(folder)]),
        {name: pd.read_parquet(path) for name, path in sides.items() if path.is_file()},
        json.loads((folder / "report.json").read_text(encoding="utf-8")),
    )


def imported(store: Store | None) -> bool:
    """Whether the rows in use were imported into the store."""
    return _folder(store) != SHIPPED


def source_digest(store: Store | None) -> str:
    """A digest of the rows in use, for pages that are made from them."""
    return hashlib.sha256((_folder(store) / "rows.parquet").read_bytes()).hexdigest()[:20]


def _table(folder: Path) -> pa.Table:
    # No threads: one that outlives the interpreter aborts the process at its exit.
    return pq.read_table(folder / "rows.parquet", use_threads=False, pre_buffer=False)


def _folder(store: Store | None) -> Path:
    """Where the tables in use lie: in the store, or what ships if those there are damaged."""
    if store is None or not store.path(KEY).exists():
        return SHIPPED
    found = store.read_folder(KEY)
    if found is None:
        log.warning("The imported tables are damaged: the published rows that ship are used.")
    return found or SHIPPED
