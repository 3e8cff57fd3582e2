"""Rows in the JSON layouts of others: `sae-probes`, and the evaluation of SAEBench made of it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from probing_core.analysis.selection import sae_rows
from probing_core.store import write_atomically

_SETTINGS = {"standard": "normal", "scarcity": "scarcity", "imbalance": "imbalance"}
"""What sae-probes calls the regimes that it has."""
_SCORES = {"test_accuracy": "test_acc", "test_auc": "test_auc", "test_f1": "test_f1"}


def save_as_sae_probes(rows: pd.DataFrame, folder: Path, *, sae_id: str) -> list[Path]:
    """Write one SAE's probes as sae-probes 0.4 writes its results, a file a task and setting.

    The latents that a probe kept are not in rows, so ``indices`` is missing.

    Returns:
        The paths, below ``sae_probes_MODEL`` in the folder.
    """
    own = sae_rows(rows, ranking=None, sae_ids=[sae_id])
    own = own[own["regime"].isin(_SETTINGS) & own["test_auc"].notna()]
    paths = []
    keys = ["model", "regime", "dataset", "hook", "regime_value"]
    for (model, regime, dataset, hook, value), part in own.groupby(keys, dropna=False):
        setting = _SETTINGS[regime]
        extra = {"scarcity": f"_{value:.0f}_", "imbalance": f"_frac{value:g}_"}.get(setting, "_")
        where = folder / f"sae_probes_{model}" / f"{setting}_setting"
        metrics = [_metrics(row, setting) for row in part.to_dict("records")]
        paths.append(where / f"{dataset}_{hook}{extra}l1.json")
        paths[-1].parent.mkdir(parents=True, exist_ok=True)
        write_atomically(paths[-1], json.dumps(metrics, indent=4).encode())
    return paths


def _metrics(row: dict[str, Any], setting: str) -> dict[str, Any]:
    found = {name: row[name] for name in ("test_f1", "test_acc", "test_auc", "val_auc")}
    found |= {"k": int(row["k"]), "dataset": row["dataset"], "hook_name": row["hook"]}
    found |= {"reg_type": "l1", "binarize": False}
    if setting == "scarcity":
        found["num_train"] = int(row["n_train"])
    if setting == "imbalance":
        found["frac"] = row["regime_value"]
    return found


def as_saebench(rows: pd.DataFrame, *, sae_id: str) -> dict[str, Any]:
    """One SAE's standard regime as SAEBench's ``sparse_probing_sae_probes`` has its results.

    Means are over tasks; ``llm`` is logistic regression on activations.
    """
    here = rows[(rows["regime"] == "standard") & rows["test_auc"].notna()]
    own = sae_rows(here, sae_ids=[sae_id])
    dense = here[(here["method"] == "logreg") & here["hook"].isin(own["hook"])]
    details = []
    for dataset, part in own.groupby("dataset"):
        base = dense[dense["dataset"] == dataset]
        by_k = dict(_by_k(part))
        details.append({"dataset_name": dataset, **_flat(base, by_k), "sae_metrics_by_k": by_k})
    by_k = dict(_by_k(own.groupby(["k", "dataset"], as_index=False)[list(_SCORES.values())].mean()))
    flat = _flat(dense, by_k)
    sides = {side: {n: v for n, v in flat.items() if n.startswith(side)} for side in ("llm", "sae")}
    return {
        "eval_type_id": "sparse_probing_sae_probes",
        "eval_config": {"model_name": own["model"].iloc[0], "k_values": sorted(map(int, by_k))},
        "sae_lens_release_id": sae_id,
        "sae_lens_id": sae_id,
        "eval_result_metrics": sides,
        "sae_metrics_by_k": by_k,
        "eval_result_details": details,
    }


def _by_k(part: pd.DataFrame) -> Iterator[tuple[str, dict[str, float]]]:
    for k, one in part.groupby("k"):
        yield f"{k}", {name: float(one[column].mean()) for name, column in _SCORES.items()}


def _flat(dense: pd.DataFrame, by_k: dict[str, dict[str, float]]) -> dict[str, float]:
    """Scores by the names that SAEBench flattens them to."""
    flat = {f"llm_{name}": float(dense[column].mean()) for name, column in _SCORES.items()}
    return flat | {
        f"sae_top_{k}_{name}": score for k, found in by_k.items() for name, score in found.items()
    }
