"""Numbers of standard conditions: figures 1, 3, 4, 13, 15 and 18a, b."""

import re
from typing import Any

import numpy as np
import pandas as pd

from probing_core.analysis.comparison import first_held, head_to_head
from probing_core.analysis.means import best_method_counts, layer_means
from probing_core.analysis.paired import MARGIN
from probing_core.analysis.quiver import arrows, pick, quiver
from probing_core.analysis.selection import (
    BASELINES,
    baseline_rows,
    hook_label,
    largest_l0_saes,
    width_label,
)
from probing_core.published.layout import GEMMA, HEAD, LLAMA, V1
from reproduction.recipes.tables import QUIVER_K, QUIVER_SAES, REGIMES, NotComputable, Tables

DRAWN_LAYER = {GEMMA: 20, LLAMA: 8}
"""Layer of the baselines in figures 4 and 18b as drawn; for Llama a default argument (D.6)."""


def by_layer(tables: Tables, model: str = GEMMA) -> dict[str, Any]:
    """Means by layer (figures 13a, 18a); the bar is a spread of method means, as drawn."""
    rows = _baselines(tables, model)
    means = layer_means(rows)
    spread = means[[m for m in BASELINES if m in means]]
    n = spread.shape[1] * rows["dataset"].nunique()
    table = means.assign(combined_ci=1.96 * spread.std(axis=1, ddof=0) / np.sqrt(n))
    return table.rename(index=hook_label).to_dict()


def best_by_layer(tables: Tables, model: str = GEMMA) -> dict[str, Any]:
    """Tasks on which each baseline is best, by layer (figure 13b)."""
    counts = best_method_counts(_baselines(tables, model), ties="first").astype(int)
    return counts.rename(index=hook_label).to_dict("index")


def by_width_and_k(tables: Tables, ranking: str) -> dict[str, float]:
    """Mean AUC of the SAE with the largest L0 of every width, by k (figures 3 and 14)."""
    rows = tables.saes("standard", ranking)
    rows = rows[rows["sae_id"].isin(largest_l0_saes(rows))]
    groups = rows.groupby(["sae_width", "sae_l0", "k"])["test_auc"]
    return {f"{width_label(w)}|l0={l0:.0f}|k={k}": own.mean() for (w, l0, k), own in groups}


def by_sae_and_k(
    tables: Tables, ranking: str, model: str = GEMMA, **only: Any
) -> dict[str, dict[str, float]]:
    """Mean AUC of every SAE and k that the tables hold, and of SAEs with all ten k."""
    means = (
        tables.saes("standard", ranking, model, **only).groupby(["sae_id", "k"])["test_auc"].mean()
    )
    groups = means.groupby("sae_id")
    over_k = groups.mean()[groups.size() == 10]
    named = {f"{sae}|k={k}": mean for (sae, k), mean in means.items()}
    return {"per_sae_k": named, "per_sae_mean_over_k": over_k.to_dict()}


def sae_means(tables: Tables, ranking: str, model: str = GEMMA) -> dict[str, float]:
    """Mean AUC of the quiver's SAE probes."""
    only = {"sae_ids": QUIVER_SAES[model], "ks": QUIVER_K}
    return by_sae_and_k(tables, ranking, model, **only)["per_sae_k"]


def by_k(tables: Tables, ranking: str, model: str = GEMMA) -> dict[str, Any]:
    """Mean and median AUC by k: of the widest SAE of Gemma (figure 15), of Llama's only one."""
    rows = tables.saes("standard", ranking, model)
    rows = rows[rows["sae_id"].isin(largest_l0_saes(rows))]
    rows = rows[rows["sae_width"].eq(2**20) | (model == LLAMA)]
    if rows.empty:
        raise NotComputable("no SAE of width 1m in the folder")
    return rows.groupby("k")["test_auc"].agg(["mean", "median"]).to_dict()


def one_probe(tables: Tables, regime: str, ranking: str = V1, model: str = GEMMA) -> pd.DataFrame:
    """One SAE probe (k = 128) beside logistic regression, as figure 1 pairs them."""
    rows, pool = tables.both(regime, ranking, model), tables.pool(model, ranking)
    sae = first_held(rows, pool.pop("sae_ids"))
    return head_to_head(rows, sae_id=sae, **pool)


def one_against_one(tables: Tables, ranking: str = V1, model: str = GEMMA) -> dict[str, float]:
    """How these two compare under standard conditions, task by task."""
    change = one_probe(tables, "standard", ranking, model)["difference"]
    far = {"better_by_0005": change > MARGIN, "worse_by_0005": change < -MARGIN}
    counts = {name: int(side.sum()) for name, side in far.items()}
    counts |= _counts(change, "sae_better", "equal", "sae_worse")
    return counts | change.agg(["mean", "median"]).to_dict()


def quivers(
    tables: Tables, ranking: str = V1, model: str = GEMMA, layer: Any = None
) -> dict[str, Any]:
    """Quivers without and with SAE probes, ties to the first listed (figures 4 and 18b).

    Baselines are those of the layer drawn by default, which for Llama is not the SAEs'; they
    compete as if they read the SAEs' hook, as the figure has it.
    """
    pool = tables.pool(model, ranking)
    base = tables.baseline("standard", model, DRAWN_LAYER[model] if layer is None else layer)
    saes = tables.saes("standard", ranking, model)
    rows = pd.concat([base.assign(hook=pool["hook"]), saes], ignore_index=True)
    found = quiver(rows, ties="baseline", decimals=None, **pool)
    change, picked = found["difference"], found["picked_sae"]
    only = pick(arrows(rows, **pool), "baselines", "baseline", None)["picks"]
    names = found["picks"].str.replace(r"^(.*), k=(\d+)$", r"sae_\1_k\2", regex=True)
    return _counts(change, "n_improved", "n_equal", "n_worse") | {
        "mean_delta": change.mean(),
        "se": change.std(ddof=0) / np.sqrt(len(change)),
        "n_sae_chosen": int(picked.sum()),
        "pct_sae_chosen": 100 * picked.mean(),
        "mean_without": found["without_auc"].mean(),
        "mean_with": found["with_auc"].mean(),
        "min_delta": change.min(),
        "max_delta": change.max(),
        "chosen_methods": names.value_counts().to_dict(),
        "baseline_chosen": only.value_counts().to_dict(),
    }


def bars(tables: Tables, version: str | None = None) -> dict[str, Any]:
    """Pooled means with 1.96 standard errors over all rows (figure 1 as drawn).

    With a version of the figure (PAPER A, figure 1) its SAE bars, else logistic regression's.
    """
    hard = ["scarcity", "imbalance"]
    both_k = {"v1": ["normal", *hard], "head": hard, "head_notebook": hard}
    if version and version not in (*both_k, "k128.v1", "k128.head"):
        raise NotComputable(f"no version '{version}' of figure 1 is known")
    saes, found = QUIVER_SAES[GEMMA][:1], {}
    for name, regime in REGIMES.items():
        if not version:
            rows = tables.logreg(regime)
        elif name == "ood":
            rows = tables.saes(regime, V1)
        else:
            later = version.endswith("head") or (version == "head_notebook" and name == "normal")
            ks = QUIVER_K if name in both_k.get(version, ()) else (128,)
            rows = tables.saes(regime, HEAD if later else V1, sae_ids=saes, ks=ks)
        found[name] = pooled(rows["test_auc"])
    return found


def pooled(values: pd.Series) -> dict[str, float]:
    """Mean, 1.96 standard errors and count, every row alike."""
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    return {"mean": values.mean(), "ci95_halfwidth": half, "n": len(values)}


def layer_in(text: str) -> str | int | None:
    """The layer that a key or a recipe names, such as ``layer16``, ``layer_embed`` or ``.l16``."""
    for pattern in (r"(?:layer|[._]l)[ _-]?(embed|\d+)(?!\w)", r"layer[ _-]?(embed|\d+)"):
        if found := re.search(pattern, text):
            return found[1] if found[1] == "embed" else int(found[1])
    return None


def _baselines(tables: Tables, model: str) -> pd.DataFrame:
    here = baseline_rows(tables.regime("standard", model))
    if here["hook"].nunique() < 2:
        raise NotComputable(f"baselines of {model} at {here['hook'].nunique()} layers only")
    return here


def _counts(change: pd.Series, more: str, same: str, less: str) -> dict[str, int]:
    """Tasks that gain, stay and lose, under three names."""
    sides = {more: change > 0, same: change == 0, less: change < 0}
    return {name: int(side.sum()) for name, side in sides.items()}
