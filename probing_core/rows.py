"""The tidy result row: one probe fit, the same columns everywhere."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pyarrow as pa

from probing_core.probes.result import ProbeResult

ROW_SCHEMA = pa.schema(
    [
        ("section", pa.string()),
        ("protocol", pa.string()),
        ("solver", pa.string()),
        ("model", pa.string()),
        ("hook", pa.string()),
        ("position", pa.string()),
        ("prepend_bos", pa.bool_()),
        ("dataset", pa.string()),
        ("regime", pa.string()),
        ("regime_value", pa.float64()),
        ("seed", pa.int64()),
        ("method", pa.string()),
        ("sae_id", pa.string()),
        ("sae_architecture", pa.string()),
        ("sae_width", pa.int64()),
        ("sae_l0", pa.float64()),
        ("sae_explained_variance", pa.float64()),
        ("ranking", pa.string()),
        ("k", pa.int64()),
        ("penalty", pa.string()),
        ("binarize", pa.bool_()),
        ("n_train", pa.int64()),
        ("n_test", pa.int64()),
        ("val_auc", pa.float64()),
        ("test_auc", pa.float64()),
        ("test_acc", pa.float64()),
        ("test_f1", pa.float64()),
        ("hyperparameters", pa.string()),
        ("converged", pa.bool_()),
        ("warning", pa.string()),
        ("fit_seconds", pa.float64()),
        ("unit_key", pa.string()),
        ("created_at", pa.string()),
    ]
)


def make_row(result: ProbeResult, **where: Any) -> dict[str, Any]:
    """One row: a probe's result and where it was fitted; what is not given is null.

    Raises:
        KeyError: If a name is no column.
    """
    if unknown := set(where) - set(ROW_SCHEMA.names):
        raise KeyError(f"no such column: {sorted(unknown)}")
    added = {
        "hyperparameters": json.dumps(result.hyperparameters, sort_keys=True),
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return dict.fromkeys(ROW_SCHEMA.names) | where | vars(result) | added


def to_table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Rows as a table of :data:`ROW_SCHEMA`."""
    return pa.Table.from_pylist(list(rows), schema=ROW_SCHEMA)


def to_frame(tables: Sequence[pa.Table]) -> pd.DataFrame:
    """Tables as one pandas frame, with nullable integers where rows may lack a value.

    Columns that a table lacks, as published ones do, are null.
    """
    table = pa.concat_tables([ROW_SCHEMA.empty_table(), *tables], promote_options="default")
    booleans = dict.fromkeys(["binarize", "prepend_bos"], "boolean")
    return table.to_pandas().astype({"k": "Int64", "sae_width": "Int64"} | booleans)
