"""Read upstream's tables: exact floats, every flaw named in one line, then tidy result rows.

A folder of results comes from somewhere: it may be a fork's, half copied, or cut off. What can be
read is read; what cannot is named, and the rest is kept. What a table does not say stays empty:
the code, seed and solver behind every row are upstream's (one split, seed 42, scikit-learn), but
whether a fit converged or how long it took is not known.
"""

import csv
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from probing_core.datasets.registry import TASKS
from probing_core.errors import nearest
from probing_core.published.layout import MAIN_LAYER, SMALL, V1, Table
from probing_core.rows import ROW_SCHEMA, to_frame

WIDTHS = {f"{k}k": 2**n for k, n in zip((16, 32, 65, 131, 262, 524), range(14, 20), strict=True)}
WIDTHS["1m"] = 2**20
LLAMA_SAE = ("l16r_32x", 2**17, 55.0)
"""Name, width and L0 (PAPER B.1): its file names say neither."""
ARCHITECTURES = {
    "relu_google_gemma-2-2b_standard": "ReLU (orig.)",
    "old_relu_google_gemma-2-2b_standard": "ReLU (orig.)", "standard_new": "ReLU (new)",
    "gated": "Gated", "top_k": "TopK", "jump_relu": "Jump ReLU", "batch_top_k": "Batch TopK",
    "p_anneal": "p-anneal", "matryoshka_batch_top_k": "Matryoshka",
}  # fmt: skip
"""In the order of their release (table 2)."""
_SHIFT_SAE, _COLA_SAE = "layer_20/width_131k/average_l0_114", "layer_20/width_1m/average_l0_193"
_COLA_RUNS = {0: "original labels", 1: "clean labels", 2: "only where they disagree"}
_FILLED = ("test_auc", "layer", "num_train", "ratio", "frac", "corrupt_frac")
"""Columns without which a row says nothing."""
_TEXT = frozenset((
    "dataset", "method", "sae_id", "reg_type", "run_type", "kind", "sae_aggregation_method",
    "explanation", "Neuronpedia", "Human Label", "sae1", "sae2", "binarize", "prompt", "file",
    "latent", "sae_width",
))  # fmt: skip
"""Columns that hold words."""
_AUC_SLACK, _SNAP = 1e-9, 1e-6
"""Upstream's validation AUCs reach 1.0000000000000002, and its ratios carry float noise."""
Remark = Callable[[str], None]


class UnusableTable(Exception):
    """A table that cannot be used, and why."""


def read_table(path: Path, table: Table, remark: Remark) -> pd.DataFrame:
    """Read one CSV and remark on its flaws: text columns as text, all others float64.

    Raises:
        UnusableTable: When nothing of it can be read.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnusableTable("no UTF-8 text; skipped.") from None
    except OSError as error:
        raise UnusableTable(f"cannot be read ({error.strerror}); skipped.") from None
    if text.startswith("version https://git-lfs"):
        pointer = "a Git LFS pointer, not the table; skipped. Run 'git lfs pull' in that checkout."
        raise UnusableTable(pointer)
    header, records = _records(text, table, remark)
    if missing := [column for column in table.columns if column not in header]:
        hint = nearest(missing[0], [c for c in header if c not in table.columns] or header)
        raise UnusableTable(
            f"no column '{missing[0]}'; skipped. {hint if header else 'It is empty.'}"
        )
    frame = _frame(header, records, table, remark)
    if frame.empty:
        raise UnusableTable("no rows that can be read; skipped.")
    _compare(frame, table, remark)
    return frame


def _records(
    text: str, table: Table, remark: Remark
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Header, and (line number, cells) of every complete record."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] = []
    records: list[tuple[int, list[str]]] = []
    broken: list[int] = []
    kept = "the {} rows before it are kept."
    try:
        header = next(reader, [])
        for cells in reader:
            if len(cells) == len(header):
                records.append((reader.line_num, cells))
            elif cells:
                broken.append(reader.line_num)
    except csv.Error as error:
        remark(f"broken off in line {reader.line_num} ({error}); {kept.format(len(records))}")
    if broken and broken[-1] == reader.line_num:
        remark(f"truncated in line {broken.pop()}; {kept.format(len(records))}")
    elif table.newline and records and not text.endswith("\n"):
        line, _ = records.pop()
        remark(f"truncated in line {line}, whose end is missing; {kept.format(len(records))}")
    if broken:
        said = "lines have too many or too few cells, the first is line"
        remark(f"{len(broken)} {said} {broken[0]}.")
    return header, records


def _frame(
    header: list[str], records: list[tuple[int, list[str]]], table: Table, remark: Remark
) -> pd.DataFrame:
    """Convert cells; a record whose needed number is none is dropped and named."""
    bad: dict[int, str] = {}
    columns: dict[str, list[Any]] = {}
    for place, column in enumerate(header):
        cells = [record[place] for _, record in records]
        columns[column] = cells if column in _TEXT else [_number(cell) for cell in cells]
        if column in _TEXT:
            continue
        for number, value in enumerate(columns[column]):
            wrong = value is None and column in table.columns
            if wrong or (column in _FILLED and value is not None and math.isnan(value)):
                bad.setdefault(number, f"{cells[number][:40]!r} in '{column}' is no number")
    if bad:
        first = min(bad)
        also = f", and {len(bad) - 1} more such" if len(bad) > 1 else ""
        remark(f"line {records[first][0]}: {bad[first]}{also}; dropped.")
    frame = pd.DataFrame(columns).drop(index=sorted(bad)).reset_index(drop=True)
    return frame.astype({column: float for column in header if column not in _TEXT})


def _number(cell: str) -> float | None:
    """The number a cell holds, NaN for an empty one, ``None`` for anything else."""
    if cell in ("", "None", "nan", "NaN"):
        return math.nan
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _compare(frame: pd.DataFrame, table: Table, remark: Remark) -> None:
    """Say where a readable table is not upstream's own."""
    if "dataset" in frame:
        names = frame["dataset"].unique()
        if strange := [str(name) for name in names if name not in TASKS]:
            hint = nearest(strange[0], TASKS)
            remark(f"{len(strange)} unknown tasks, the first is {strange[0][:60]!r}. {hint}")
        if table.whole and 0 < len(names) < len(TASKS):
            whole = f", upstream has {table.n_rows}" if table.n_rows else ""
            remark(
                f"covers {len(names)} of {len(TASKS)} tasks in {len(frame)} rows{whole}: a run of"
                " someone's own or part of the table; imported as it is."
            )
            return
    if table.n_rows is not None and len(frame) != table.n_rows:
        remark(f"{len(frame)} rows where upstream's table has {table.n_rows}; imported as it is.")


def out_of_range(rows: pd.DataFrame) -> pd.Series:
    """Which tidy rows have an AUC outside [0, 1], beyond rounding; booleans."""
    aucs = rows[["test_auc", "val_auc"]].astype(float)
    return ((aucs < -_AUC_SLACK) | (aucs > 1 + _AUC_SLACK)).any(axis=1)


def typed(rows: pd.DataFrame) -> pa.Table:
    """Rows as a table of the row schema; floats stay exactly as they were parsed."""
    return pa.Table.from_pandas(rows, schema=ROW_SCHEMA, preserve_index=False)


def hook_name(layer: int | str) -> str:
    """The hook of a layer: ``hook_embed``, ``blocks.20.hook_resid_post``."""
    return "hook_embed" if layer == "embed" else f"blocks.{layer}.hook_resid_post"


def snap(values: pd.Series) -> pd.Series:
    """Ratios without float noise: 0.49999999999999994 is 0.5 (PAPER D.4)."""
    near = (values * 20).round() / 20
    return near.round(9).where((values - near).abs() < _SNAP, values)


def _baselines(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    rows = _shared(frame, table)
    penalty = frame["method"].eq("logreg").map({True: "l2", False: None})
    return rows.assign(method=frame["method"], penalty=penalty)


def _saes(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    flags = frame["binarize"] if "binarize" in frame else pd.Series("False", index=frame.index)
    rows = _shared(frame, table).assign(
        hook=frame["layer"].astype(int).map(hook_name), method="sae_logreg",
        k=frame["k"].astype("Int64"), penalty=frame["reg_type"], ranking=table.ranking,
        binarize=flags.eq("True"),
    )  # fmt: skip
    if table.model == SMALL and "sae_l0" in frame and frame["sae_l0"].notna().all():
        return _name_architectures(rows, frame["sae_id"], frame["sae_l0"].round().astype(int))
    return _name_saes(rows, frame["sae_id"])


def _shift(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """Covariate shift: logistic regression, and where the table has it one SAE probe (B.8)."""
    rows = _shared(frame.assign(test_auc=frame["test_auc_baseline"]), table)
    parts = [rows.assign(method="logreg", penalty="l2")]
    if "test_auc_sae" in frame:
        probe = _probe(frame.assign(test_auc=frame["test_auc_sae"]), table)
        parts.append(probe.assign(k=128, ranking=V1))
    return to_frame([typed(part) for part in parts])


def _pruned(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """SAE probes on the k most relevant of eight latents, on shifted data (figure 20)."""
    parts = []
    for judge in ("llm", "human"):
        if f"ood_auc_{judge}" in frame:
            aucs = {"test_auc": frame[f"ood_auc_{judge}"], "val_auc": frame[f"val_auc_{judge}"]}
            rows = _probe(frame.assign(**aucs), table)
            parts.append(rows.assign(k=frame["k"].astype("Int64"), ranking=f"relevance_{judge}"))
    return to_frame([typed(part) for part in parts])


def _latents(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """Probes on one latent each (tables 5 and 6); row ``all`` is the eight of table 5 together."""
    names = {"latent": "latent", "Relevance": "llm_rank", "Human Relevance": "human_rank"}
    names |= {"coef": "coefficient", "Neuronpedia": "description"}
    names |= {"best_feature": "latent", "explanation": "description"}
    shifted = "ood_auc" in frame
    rows = _probe(frame.assign(test_auc=frame["ood_auc"]) if shifted else frame, table)
    k = np.where(frame["latent"].eq("all"), 8, 1) if "latent" in frame else 1
    return rows.assign(k=k, hyperparameters=_json(frame, names))


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
        k=frame["k"].astype("Int64"), ranking=V1, binarize=kind.str.endswith("_binarized"),
        hyperparameters=_json(frame, {"sae_aggregation_method": "pooling"}),
    )  # fmt: skip
    return _name_saes(rows, frame["sae_id"].replace("", None))


READERS: dict[str, Callable[[pd.DataFrame, Table], pd.DataFrame]] = {
    reader.__name__.removeprefix("_"): reader
    for reader in (_baselines, _saes, _shift, _pruned, _latents, _cola_probes, _multi_token)
} | {"single_latents": _latents}
"""Readers of tables that hold probes. Win rates and judgements are kept as they are."""


def _shared(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """The columns every row has; all others are empty."""
    rows = pd.DataFrame(None, index=frame.index, columns=ROW_SCHEMA.names, dtype=object)
    value: Any = np.nan
    if table.value:
        number = frame[table.value]
        value = number if table.value == "num_train" else snap(number)
    rows = rows.assign(
        section=table.section, protocol="paper", solver="reference", seed=42, model=table.model,
        hook=hook_name(table.layer or MAIN_LAYER[table.model]), dataset=table.dataset or None,
        regime=table.regime, regime_value=value,
    )  # fmt: skip
    for column in ("dataset", "val_auc", "test_auc", "test_acc", "test_f1"):
        if column in frame:
            rows[column] = frame[column]
    return rows.assign(n_train=frame["num_train"]) if "num_train" in frame else rows


def _probe(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """Rows of a table whose SAE probes all read the SAE of figure 7."""
    rows = _shared(frame, table).assign(method="sae_logreg", penalty="l1", binarize=False)
    return _name_saes(rows, pd.Series(_SHIFT_SAE, index=frame.index))


def _name_saes(rows: pd.DataFrame, names: pd.Series) -> pd.DataFrame:
    """Fill in the SAE and what its name says of it."""
    parts = names.astype("string").str.extract(r"width_(?P<width>\w+)/average_l0_(?P<l0>\d+)")
    rows["sae_id"] = names.where(names.notna(), None)
    rows["sae_width"], rows["sae_l0"] = parts["width"].map(WIDTHS), parts["l0"].astype("Float64")
    llama, width, l0 = LLAMA_SAE
    rows.loc[names == llama, ["sae_width", "sae_l0"]] = [width, l0]
    rows.loc[parts["width"].notna(), "sae_architecture"] = "jumprelu"
    return rows


def _name_architectures(rows: pd.DataFrame, names: pd.Series, l0: pd.Series) -> pd.DataFrame:
    """Fill in SAEs of the architecture study, whose L0 is no part of their name."""
    kind = names.str.replace(r"^gemma-2-2b_|_width-2pow14_date-0107$", "", regex=True)
    ids, kinds = names + "/l0_" + l0.astype(str), kind.map(ARCHITECTURES).fillna(kind)
    return rows.assign(sae_id=ids, sae_architecture=kinds, sae_width=2**14, sae_l0=l0.astype(float))


def _json(frame: pd.DataFrame, names: dict[str, str]) -> list[str]:
    """Named cells of every row as JSON, whole numbers without a point; empty ones are left out."""
    known = {column: name for column, name in names.items() if column in frame}
    said = []
    for row in frame[list(known)].to_dict("records"):
        cells = {known[c]: v for c, v in row.items() if v == v and v not in ("", None)}
        whole = {c: int(v) for c, v in cells.items() if isinstance(v, float) and v.is_integer()}
        said.append(json.dumps(cells | whole, sort_keys=True))
    return said
