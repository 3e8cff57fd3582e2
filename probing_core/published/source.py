"""The published rows: the authors' result tables as tidy rows, shipped, or imported into a store.

``ORIGIN.md`` beside this module says what the shipped rows are made of. Tables imported into a
store take their place there.
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

from probing_core.rows import to_frame
from probing_core.store import Key, Store

log = logging.getLogger(__name__)
SHIPPED = Path(__file__).parent
SIDES = ("win_rates", "judgements")
ROWS_KEY, REPORT_KEY = Key.of("published", "rows"), Key.of("published", "report")


@dataclass(frozen=True)
class Import:
    """What a folder of results held.

    Attributes:
        rows: Tidy rows, in the order of upstream's tables; ``unit_key`` names the table.
        sides: Tables without probes: ``win_rates`` (sae1, sae2, win_rate, name) and
            ``judgements`` (original_target, ensemble and one column a judge; no prompts).
        report: ``files`` (SHA-256 by table), ``missing`` (paths), ``remarks`` (what was wrong),
            ``pickled`` (files not opened), ``rows`` (their number).
    """

    rows: pd.DataFrame
    sides: dict[str, pd.DataFrame]
    report: dict[str, Any]


def side_key(kind: str) -> Key:
    """The key of an imported table that holds no probes."""
    return Key.of("published", kind, side=kind)


def published_rows(store: Store | None, section: str, model: str) -> pd.DataFrame:
    """The published rows of one section and model.

    Args:
        store: Where imported tables may be; without any, the shipped rows are read.
        section: ``standard``, ``regimes``, ``shift``, ``pruning``, ``latents``, ``cola``, ….
        model: The model's name.

    Returns:
        Tidy rows in the order of upstream's tables; empty when they hold none.
    """
    found = _imported(store)
    # Before pandas sees it: most of the rows belong to other sections and models.
    here = (pc.field("section") == section) & (pc.field("model") == model)
    return to_frame([(found[0] if found else _shipped()).filter(here)])


def published_import(store: Store | None = None) -> Import:
    """All tables in use: imported ones if the store holds any, else those that ship."""
    found = _imported(store)
    if store is None or found is None:
        sides = {kind: pd.read_parquet(SHIPPED / f"{kind}.parquet") for kind in SIDES}
        report = json.loads((SHIPPED / "report.json").read_text(encoding="utf-8"))
        return Import(to_frame([_shipped()]), sides, report)
    kept = {kind: store.read_rows(side_key(kind)) for kind in SIDES}
    sides = {kind: table.to_pandas() for kind, table in kept.items() if table is not None}
    return Import(to_frame([found[0]]), sides, found[1])


def imported(store: Store | None) -> bool:
    """Whether the rows in use were imported into the store."""
    return _imported(store) is not None


def source_digest(store: Store | None) -> str:
    """A digest of the rows in use, for pages that are made from them."""
    if found := _imported(store):
        data = json.dumps(found[1], sort_keys=True).encode()
    else:
        data = (SHIPPED / "rows.parquet").read_bytes()
    return hashlib.sha256(data).hexdigest()[:20]


def _shipped() -> pa.Table:
    return pq.ParquetFile(SHIPPED / "rows.parquet").read(use_threads=False)


def _imported(store: Store | None) -> tuple[pa.Table, dict[str, Any]] | None:
    """Imported rows and their report; ``None`` without any, or where a file is damaged."""
    if store is None or not any(store.path(ROWS_KEY).parent.glob("*")):
        return None
    table, report = store.read_rows(ROWS_KEY), store.read_json(REPORT_KEY)
    if table is None or report is None:
        log.warning("The imported tables cannot be read: the published rows that ship are used.")
        return None
    return table, report
