"""Read upstream's tables: exact floats, every flaw named in one line, then tidy result rows.

A folder of results may be a fork's, half copied, or cut off. What can be read is read; what cannot
is named, and the rest is kept. What a table does not say stays empty: all rows have one
split, seed 42 and scikit-learn, but whether a fit converged or how long it took is not known.
"""

import csv
import io
import json
import math
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from probing_core.datasets.registry import TASKS
from probing_core.errors import nearest
from probing_core.rows import ROW_SCHEMA, to_frame
from reproduction.upstream.layout import MAIN_LAYER, SMALL, V1, Table

WIDTHS = {"16k": 2**14, "32k": 2**15, "65k": 2**16, "131k": 2**17, "262k": 2**18}
WIDTHS |= {"524k": 2**19, "1m": 2**20}
LLAMA_SAE = ("l16r_32x", 2**17, 55.0)
"""Name, width and L0, of which the files say the first."""
ARCHITECTURES = {
    "relu_google_gemma-2-2b_standard": "ReLU (orig.)",
    "old_relu_google_gemma-2-2b_standard": "ReLU (orig.)",
    "standard_new": "ReLU (new)",
    "gated": "Gated",
    "top_k": "TopK",
    "jump_relu": "Jump ReLU",
    "batch_top_k": "Batch TopK",
    "p_anneal": "p-anneal",
    "matryoshka_batch_top_k": "Matryoshka",
}
"""In the order of their release (table 2)."""
_SHIFT_SAE, _COLA_SAE = "layer_20/width_131k/average_l0_114", "layer_20/width_1m/average_l0_193"
_COLA_RUNS = {0: "original labels", 1: "clean labels", 2: "only where they disagree"}
_FILLED = ("test_auc", "layer", "num_train", "ratio", "frac", "corrupt_frac")
"""Columns without which a row says nothing."""
_TEXT = {
    "dataset", "method", "sae_id", "reg_type", "run_type", "kind", "sae_aggregation_method",
    "explanation", "Neuronpedia", "Human Label", "sae1", "sae2", "binarize", "prompt", "file",
    "latent", "sae_width",
}  # fmt: skip
Remark = Callable[[str], None]
Record = tuple[int, list[str]]
"""Number of its last line, and its cells."""


class Unusable(ValueError):
    """A table that is left out, and why."""


def read_table(path: Path, table: Table, remark: Remark) -> pd.DataFrame:
    """Read one CSV.

    Args:
        path: The file, which should be the table.
        table: What it should hold.
        remark: Takes what is to be said about it, a line each.

    Returns:
        Text columns as text, all others float64 with NaN where a cell is empty.

    Raises:
        Unusable: If it is no text, a column is missing, or no row can be read.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unusable("no UTF-8 text; skipped.") from None
    except OSError as error:
        raise Unusable(f"cannot be read ({error.strerror}); skipped.") from None
    if text.startswith("version https://git-lfs"):
        raise Unusable("a Git LFS pointer, not the table; skipped. Run 'git lfs pull' there.")
    header, records = _records(text, table, remark)
    if missing := [column for column in table.columns if column not in header]:
        hint = nearest(missing[0], [c for c in header if c not in table.columns] or header)
        raise Unusable(f"no column '{missing[0]}'; skipped. {hint if header else 'It is empty.'}")
    frame = _frame(header, records, table, remark)
    if frame.empty:
        raise Unusable("no rows that can be read; skipped.")
    _compare(frame, table, remark)
    return frame


def _records(text: str, table: Table, remark: Remark) -> tuple[list[str], list[Record]]:
    """Header and complete records."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    read: list[Record] = []
    kept, flaw = "the {} rows before it are kept.", ""
    try:
        read += ((reader.line_num, cells) for cells in reader if cells)
    except csv.Error as error:
        flaw = f"broken off in line {reader.line_num} ({error}); "
    header = read.pop(0)[1] if read else []
    if flaw:
        remark(flaw + kept.format(len(read)))
    records = [record for record in read if len(record[1]) == len(header)]
    broken = [line for line, cells in read if len(cells) != len(header)]
    if broken and broken[-1] == reader.line_num:
        remark(f"truncated in line {broken.pop()}; {kept.format(len(records))}")
    elif table.newline and records and not text.endswith("\n"):
        line, _ = records.pop()
        remark(f"truncated in line {line}, whose end is missing; {kept.format(len(records))}")
    if n := len(broken):
        remark(f"{n} lines have too many or too few cells, the first is line {broken[0]}.")
    return header, records


def _frame(header: list[str], records: list[Record], table: Table, remark: Remark) -> pd.DataFrame:
    """Convert cells; a record whose needed number is none is dropped and named."""
    bad: dict[int, str] = {}
    columns: dict[str, list[Any]] = {}
    for place, name in enumerate(header):
        cells = columns[name] = [record[place] for _, record in records]
        if name in _TEXT:
            continue
        columns[name] = [_number(cell) for cell in cells]
        for at, value in enumerate(columns[name]):
            strange, empty = math.isinf(value), math.isnan(value)
            if (strange and name in table.columns) or (empty and name in _FILLED):
                bad.setdefault(at, f"{cells[at][:40]!r} in '{name}' is no number")
    if bad:
        first = min(bad)
        also = f", and {len(bad) - 1} more such" if len(bad) > 1 else ""
        remark(f"line {records[first][0]}: {bad[first]}{also}; dropped.")
    frame = pd.DataFrame(columns).drop(index=sorted(bad)).reset_index(drop=True)
    return frame.replace(math.inf, math.nan)


def _number(cell: str) -> float:
    """The number a cell holds, NaN for an empty one, infinity for anything else."""
    if cell in ("", "None", "nan", "NaN"):
        return math.nan
    with suppress(ValueError):
        return value if math.isfinite(value := float(cell)) else math.inf
    return math.inf


def _compare(frame: pd.DataFrame, table: Table, remark: Remark) -> None:
    """Say where a readable table is not upstream's own."""
    if "dataset" in frame:
        names = frame["dataset"].unique()
        if strange := [str(name) for name in names if name not in TASKS]:
            said = f"{len(strange)} unknown tasks, the first is {strange[0][:60]!r}."
            remark(f"{said} {nearest(strange[0], TASKS)}")
        if table.whole and 0 < len(names) < len(TASKS):
            whole = f", upstream has {table.n_rows}" if table.n_rows else ""
            remark(
                f"covers {len(names)} of {len(TASKS)} tasks in {len(frame)} rows{whole}: a run of"
                " someone's own or part of the table; imported as it is."
            )
            return
    if table.n_rows is not None and len(frame) != table.n_rows:
        remark(f"{len(frame)} rows where upstream's table has {table.n_rows}; imported as it is.")


def typed(rows: pd.DataFrame) -> pa.Table:
    """Rows as a table of the row schema; floats stay exactly as they were parsed."""
    return pa.Table.from_pandas(rows, schema=ROW_SCHEMA, preserve_index=False)


def hook_name(layer: int | str) -> str:
    """The hook of a layer: ``hook_embed``, ``blocks.20.hook_resid_post``."""
    return "hook_embed" if layer == "embed" else f"blocks.{layer}.hook_resid_post"


def snap(values: pd.Series) -> pd.Series:
    """Ratios without float noise: 0.49999999999999994 is 0.5."""
    near = (values * 20).round() / 20
    return near.round(9).where((values - near).abs() < 1e-6, values)


def _baselines(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    rows = _shared(frame, table)
    penalty = frame["method"].eq("logreg").map({True: "l2", False: None})
    return rows.assign(method=frame["method"], penalty=penalty)


def _saes(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    flags = frame["binarize"] if "binarize" in frame else pd.Series("False", index=frame.index)
    rows = _shared(frame, table).assign(
        hook=frame["layer"].map(lambda layer: hook_name(int(layer))),
        method="sae_logreg",
        k=frame["k"].astype("Int64"),
        penalty=frame["reg_type"],
        ranking=table.ranking,
        binarize=flags.eq("True"),
    )
    if table.model != SMALL or "sae_l0" not in frame or frame["sae_l0"].isna().any():
        return _name_saes(rows, frame["sae_id"])
    # The architecture study, where the L0 is no part of an SAE's name.
    names, l0 = frame["sae_id"], frame["sae_l0"].round().astype(int)
    kind = names.str.replace(r"^gemma-2-2b_|_width-2pow14_date-0107$", "", regex=True)
    rows["sae_architecture"] = kind.map(ARCHITECTURES).fillna(kind)
    return rows.assign(
        sae_id=names + "/l0_" + l0.astype(str), sae_width=2**14, sae_l0=l0.astype(float)
    )


def _shift(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """Covariate shift: logistic regression, and where the table has it one SAE probe."""
    rows = _shared(frame.assign(test_auc=frame["test_auc_baseline"]), table)
    parts = [typed(rows.assign(method="logreg", penalty="l2"))]
    if "test_auc_sae" in frame:
        probed = frame.assign(test_auc=frame["test_auc_sae"])
        parts.append(typed(_probe(probed, table, k=128, ranking=V1)))
    return to_frame(parts)


def _pruned(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """SAE probes on the k most relevant of eight latents, on shifted data (figure 20)."""
    parts = []
    for judge in [one for one in ("llm", "human") if f"ood_auc_{one}" in frame]:
        aucs = {"test_auc": frame[f"ood_auc_{judge}"], "val_auc": frame[f"val_auc_{judge}"]}
        kept = {"k": frame["k"].astype("Int64"), "ranking": f"relevance_{judge}"}
        parts.append(typed(_probe(frame.assign(**aucs), table, **kept)))
    return to_frame(parts)


def _latents(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """Probes on one latent each (tables 5 and 6); row ``all`` is the eight of table 5 together."""
    names = {"latent": "latent", "Relevance": "llm_rank", "Human Relevance": "human_rank"}
    names |= {"coef": "coefficient", "Neuronpedia": "description"}
    names |= {"best_feature": "latent", "explanation": "description"}
    k = np.where(frame["latent"].eq("all"), 8, 1) if "latent" in frame else 1
    aucs = frame["ood_auc" if "ood_auc" in frame else "test_auc"]
    return _probe(frame.assign(test_auc=aucs), table, k=k, hyperparameters=_json(frame, names))


def _cola_probes(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """Three classifiers tested against three sets of CoLA labels (figure 9)."""
    kind = frame["run_type"]
    rows = _shared(frame.assign(dataset="87_glue_cola"), table).assign(
        regime_value=frame["run_num"],
        method=kind.eq("baseline").map({True: "logreg", False: "sae_logreg"}),
        k=kind.map({"sae_128": 128, "sae_1": 1}).astype("Int64"),
        hyperparameters=[json.dumps({"labels": _COLA_RUNS.get(int(n))}) for n in frame["run_num"]],
    )
    return _name_saes(rows, kind.ne("baseline").map({True: _COLA_SAE, False: None}))


def _multi_token(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """Probes on all tokens of a prompt (figures 11, 22 and table 9)."""
    kind = frame["kind"]
    others = [kind.str.startswith("attn"), kind.str.startswith("baseline")]
    rows = _shared(frame, table).assign(
        method=np.select(others, ["attention", "concatenated_pca"], "sae_logreg"),
        k=frame["k"].astype("Int64"),
        ranking=V1,
        binarize=kind.str.endswith("_binarized"),
        hyperparameters=_json(frame, {"sae_aggregation_method": "pooling"}),
    )
    return _name_saes(rows, frame["sae_id"].replace("", None))


READERS: dict[str, Callable[[pd.DataFrame, Table], pd.DataFrame]] = {
    "baselines": _baselines, "saes": _saes, "shift": _shift, "pruned": _pruned,
    "latents": _latents, "single_latents": _latents, "cola_probes": _cola_probes,
    "multi_token": _multi_token,
}  # fmt: skip
"""Readers of tables that hold probes. Win rates and judgements are kept as they are."""


def _shared(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """The columns every row has; all others are empty."""
    value = frame[table.value] if table.value else pd.Series(np.nan, index=frame.index)
    empty = pd.DataFrame(None, index=frame.index, columns=ROW_SCHEMA.names, dtype=object)
    rows = empty.assign(
        section=table.section, protocol="paper", solver="reference", seed=42, model=table.model,
        prepend_bos=True, position=None if table.kind == "multi_token" else "last",
        regime=table.regime, hook=hook_name(table.layer or MAIN_LAYER[table.model]),
        regime_value=value if table.value == "num_train" else snap(value),
        dataset=table.dataset or None,
    )  # fmt: skip
    given = frame.rename(columns={"num_train": "n_train"})
    said = ("dataset", "val_auc", "test_auc", "test_acc", "test_f1", "n_train")
    return rows.assign(**{column: given[column] for column in said if column in given})


def _probe(frame: pd.DataFrame, table: Table, **columns: Any) -> pd.DataFrame:
    """Rows of SAE probes that all read the SAE of figure 7."""
    rows = _shared(frame, table).assign(method="sae_logreg", penalty="l1", binarize=False)
    return _name_saes(rows, pd.Series(_SHIFT_SAE, index=frame.index)).assign(**columns)


def _name_saes(rows: pd.DataFrame, names: pd.Series) -> pd.DataFrame:
    """Fill in the SAE and what its name says of it."""
    parts = names.astype("string").str.extract(r"width_(?P<width>\w+)/average_l0_(?P<l0>\d+)")
    rows["sae_id"] = names.where(names.notna(), None)
    rows["sae_width"], rows["sae_l0"] = parts["width"].map(WIDTHS), parts["l0"].astype("Float64")
    rows.loc[names == LLAMA_SAE[0], ["sae_width", "sae_l0"]] = list(LLAMA_SAE[1:])
    rows.loc[parts["width"].notna(), "sae_architecture"] = "jumprelu"
    return rows


def _json(frame: pd.DataFrame, names: dict[str, str]) -> list[str]:
    """Named cells of every row as JSON; empty ones are left out."""
    known = {column: name for column, name in names.items() if column in frame}
    return [
        json.dumps(
            {
                known[c]: int(v) if isinstance(v, float) and v.is_integer() else v
                for c, v in row.items()
                if v == v and v not in ("", None)
            },
            sort_keys=True,
        )
        for row in frame[list(known)].to_dict("records")
    ]
