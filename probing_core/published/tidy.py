"""Upstream's tables as tidy result rows, one reader a kind of table.

What a table does not say stays empty: the code, seed and solver behind every row are upstream's
(one split, seed 42, scikit-learn), but whether a fit converged or how long it took is not known.
"""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from probing_core.rows import ROW_SCHEMA, to_frame
from probing_core.published.layout import MAIN_LAYER, SMALL, V1

WIDTHS = {"16k": 2**14, "32k": 2**15, "65k": 2**16, "131k": 2**17, "262k": 2**18}
WIDTHS |= {"524k": 2**19, "1m": 2**20}
LLAMA_SAE = ("l16r_32x", 2**17, 55.0)
"""Name, width and L0 (PAPER B.1): its file names say neither."""
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
SHIFT_SAE = "layer_20/width_131k/average_l0_114"
COLA_RUNS = {0: "original labels", 1: "clean labels", 2: "only where they disagree"}
COLA_SAE = "layer_20/width_1m/average_l0_193"
TABLE_STEP = 20
_SNAP = 1e-6


def baselines(frame: pd.DataFrame, options: dict[str, Any]) -> pd.DataFrame:
    """Baselines in one regime."""
    rows = _shared(frame, options)
    penalty = frame["method"].eq("logreg").map({True: "l2", False: None})
    rows["method"], rows["penalty"] = frame["method"], penalty
    return rows


def saes(frame: pd.DataFrame, options: dict[str, Any]) -> pd.DataFrame:
    """SAE probes in one regime."""
    rows = _shared(frame, options)
    layers = frame["layer"].map(lambda layer: hook_name(int(layer)))
    rows["hook"], rows["method"] = layers, "sae_logreg"
    rows["k"], rows["penalty"] = frame["k"].astype("Int64"), frame["reg_type"]
    rows["ranking"] = options["ranking"]
    flags = frame["binarize"] if "binarize" in frame else pd.Series("False", index=frame.index)
    rows["binarize"] = flags.eq("True")
    if options["model"] == SMALL and "sae_l0" in frame and frame["sae_l0"].notna().all():
        l0 = frame["sae_l0"].round().astype(int)
        return _name_architectures(rows, frame["sae_id"], l0)
    return _name_saes(rows, frame["sae_id"])


def shift(frame: pd.DataFrame, options: dict[str, Any]) -> pd.DataFrame:
    """Covariate shift: logistic regression, and where the table has it one SAE probe (B.8)."""
    options = {**options, "regime": "covariate_shift"}
    parts = []
    for column, method in (("test_auc_baseline", "logreg"), ("test_auc_sae", "sae_logreg")):
        if column in frame:
            rows = _shared(frame.assign(test_auc=frame[column]), options)
            rows["method"], rows["penalty"] = method, "l2" if method == "logreg" else "l1"
            if method == "sae_logreg":
                rows["k"], rows["ranking"], rows["binarize"] = 128, V1, False
                rows = _name_saes(rows, pd.Series(SHIFT_SAE, index=frame.index))
            parts.append(rows)
    return _joined(parts)


def pruned(frame: pd.DataFrame, options: dict[str, Any]) -> pd.DataFrame:
    """SAE probes on the k most relevant of eight latents, on shifted data (figure 20)."""
    parts = []
    for judge in ("llm", "human"):
        if f"ood_auc_{judge}" not in frame:
            continue
        aucs = {"test_auc": frame[f"ood_auc_{judge}"], "val_auc": frame[f"val_auc_{judge}"]}
        rows = _shared(frame.assign(**aucs), {**options, "regime": "covariate_shift"})
        rows["section"], rows["ranking"] = "pruning", f"relevance_{judge}"
        rows["method"], rows["penalty"], rows["binarize"] = "sae_logreg", "l1", False
        rows["k"] = frame["k"].astype("Int64")
        parts.append(_name_saes(rows, pd.Series(SHIFT_SAE, index=frame.index)))
    return _joined(parts)


def latents(frame: pd.DataFrame, options: dict[str, Any]) -> pd.DataFrame:
    """Probes on one latent each, on shifted data (table 5); row ``all`` is the eight together."""
    rows = _shared(
        frame.assign(test_auc=frame["ood_auc"]), {**options, "regime": "covariate_shift"}
    )
    rows["section"] = "latents_raw" if options.get("raw") else "latents"
    alone = frame["latent"].ne("all")
    rows["method"], rows["penalty"], rows["binarize"] = "sae_logreg", "l1", False
    rows["k"] = np.where(alone, 1, 8)
    names = {"latent": "latent", "Relevance": "llm_rank", "Human Relevance": "human_rank"}
    names |= {"coef": "coefficient", "Neuronpedia": "description"}
    rows["hyperparameters"] = _json(frame, names)
    return _name_saes(rows, pd.Series(SHIFT_SAE, index=frame.index))


def single_latents(frame: pd.DataFrame, options: dict[str, Any]) -> pd.DataFrame:
    """The best single latent of every task (table 6), chosen on its test AUC."""
    rows = _shared(frame, {**options, "regime": "standard"})
    rows["section"], rows["method"], rows["penalty"] = "single_latents", "sae_logreg", "l1"
    rows["k"], rows["binarize"] = 1, False
    names = {"best_feature": "latent", "explanation": "description"}
    rows["hyperparameters"] = _json(frame, names)
    return _name_saes(rows, pd.Series(SHIFT_SAE, index=frame.index))


def cola_probes(frame: pd.DataFrame, options: dict[str, Any]) -> pd.DataFrame:
    """Three classifiers tested against three sets of CoLA labels (figure 9)."""
    tagged = frame.assign(dataset="87_glue_cola")
    rows = _shared(tagged, {**options, "regime": "cola"})
    rows["section"], rows["regime_value"] = "cola", frame["run_num"]
    rows["method"] = frame["run_type"].map(
        {"baseline": "logreg", "sae_128": "sae_logreg", "sae_1": "sae_logreg"}
    )
    rows["k"] = frame["run_type"].map({"sae_128": 128, "sae_1": 1}).astype("Int64")
    rows["hyperparameters"] = [json.dumps({"labels": COLA_RUNS.get(int(n))}) for n in frame.run_num]
    named = frame["run_type"].ne("baseline").map({True: COLA_SAE, False: None})
    return _name_saes(rows, named)


def multi_token(frame: pd.DataFrame, options: dict[str, Any]) -> pd.DataFrame:
    """Probes on all tokens of a prompt (figures 11, 22 and table 9)."""
    rows = _shared(frame, {**options, "regime": "standard"})
    rows["section"] = "multi_token"
    kind = frame["kind"]
    rows["method"] = "sae_logreg"
    rows.loc[kind.str.startswith("attn"), "method"] = "attention"
    rows.loc[kind.str.startswith("baseline"), "method"] = "concatenated_pca"
    rows["k"], rows["ranking"] = frame["k"].astype("Int64"), V1
    rows["binarize"] = kind.str.endswith("_binarized")
    rows["hyperparameters"] = _json(frame, {"sae_aggregation_method": "pooling"})
    return _name_saes(rows, frame["sae_id"].replace("", None))


def typed(rows: pd.DataFrame) -> pa.Table:
    """Rows as a table of the row schema; floats stay exactly as they were parsed."""
    return pa.Table.from_pandas(rows, schema=ROW_SCHEMA, preserve_index=False)


def hook_name(layer: int | str) -> str:
    """The hook of a layer: ``hook_embed``, ``blocks.20.hook_resid_post``."""
    return "hook_embed" if layer == "embed" else f"blocks.{layer}.hook_resid_post"


def snap(values: pd.Series) -> pd.Series:
    """Ratios without float noise: 0.49999999999999994 is 0.5 (PAPER D.4)."""
    near = (values * TABLE_STEP).round() / TABLE_STEP
    return near.round(9).where((values - near).abs() < _SNAP, values)


def _shared(frame: pd.DataFrame, options: dict[str, Any]) -> pd.DataFrame:
    """The columns every row has; all others are empty."""
    rows = pd.DataFrame(index=frame.index)
    for name in ROW_SCHEMA.names:
        rows[name] = None
    regime, model = options["regime"], options["model"]
    section = "standard" if regime == "standard" else "regimes"
    rows["section"] = options.get("section", "shift" if regime == "covariate_shift" else section)
    rows["protocol"], rows["solver"], rows["seed"] = "paper", "reference", 42
    rows["model"], rows["regime"] = model, regime
    rows["hook"] = hook_name(options.get("layer", MAIN_LAYER[model]))
    value = options.get("value")
    rows["regime_value"] = np.nan
    if value:
        rows["regime_value"] = frame[value] if value == "num_train" else snap(frame[value])
    if "num_train" in frame:
        rows["n_train"] = frame["num_train"]
    rows["dataset"] = options.get("dataset")
    for column in ("dataset", "val_auc", "test_auc", "test_acc", "test_f1"):
        if column in frame:
            rows[column] = frame[column]
    return rows


def _joined(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Rows of several probes as one frame with the schema's types."""
    return to_frame([typed(part) for part in parts])


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
    rows["sae_id"] = names + "/l0_" + l0.astype(str)
    rows["sae_architecture"] = kind.map(ARCHITECTURES).fillna(kind)
    rows["sae_width"], rows["sae_l0"] = 2**14, l0.astype(float)
    return rows


def _json(frame: pd.DataFrame, names: dict[str, str]) -> list[str]:
    """Named cells of every row as JSON; empty ones are left out."""
    known = {column: name for column, name in names.items() if column in frame}
    return [
        json.dumps(
            {known[c]: _plain(v) for c, v in row.items() if v == v and v not in ("", None)},
            sort_keys=True,
        )
        for row in frame[list(known)].to_dict("records")
    ]


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


READERS: dict[str, Callable[[pd.DataFrame, dict[str, Any]], pd.DataFrame]] = {
    "baselines": baselines,
    "saes": saes,
    "shift": shift,
    "pruned": pruned,
    "latents": latents,
    "single_latents": single_latents,
    "cola_probes": cola_probes,
    "multi_token": multi_token,
}
"""Readers of tables that hold probes. Win rates and judgements are kept as they are."""
