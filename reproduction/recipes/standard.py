"""Numbers of standard conditions: figures 1, 3, 4, 13, 15 and 18a, b."""

import re
from typing import Any

import numpy as np
import pandas as pd

from probing_core.analysis.comparison import first_held, head_to_head
from probing_core.analysis.means import best_method_counts, layer_means
from probing_core.analysis.paired import MARGIN
from probing_core.analysis.quiver import arrows, pick, quiver
from probing_core.analysis.selection import baseline_rows, hook_label, largest_l0_saes, width_label
from probing_core.probes.methods import BASELINES
from probing_core.published.layout import GEMMA, GENERATIONS, HEAD, LLAMA, V1
from reproduction.recipes.tables import QUIVER_K, QUIVER_SAES, REGIME_NAMES, NotComputable, Tables

DRAWN_LAYER = {GEMMA: 20, LLAMA: 8}
"""Layer of the baselines in figures 4 and 18b as drawn; for Llama a default argument."""


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
    means = rows.groupby(["sae_width", "sae_l0", "k"])["test_auc"].mean()
    return {
        f"{width_label(width)}|l0={l0:.0f}|k={k}": mean for (width, l0, k), mean in means.items()
    }


def by_sae_and_k(tables: Tables, ranking: str) -> dict[str, Any]:
    """Mean AUC of every SAE and k that the tables hold, and of SAEs with all ten k."""
    means = tables.saes("standard", ranking).groupby(["sae_id", "k"])["test_auc"].mean()
    groups = means.groupby("sae_id")
    over_k = groups.mean()[groups.size() == 10]
    return {"per_sae_k": _named(means), "per_sae_mean_over_k": over_k.to_dict()}


def by_k(tables: Tables, ranking: str, model: str = GEMMA) -> dict[str, Any]:
    """Mean and median AUC by k: of the widest SAE of Gemma (figure 15), of Llama's only one."""
    rows = tables.saes("standard", ranking, model)
    rows = rows[rows["sae_id"].isin(largest_l0_saes(rows))]
    groups = rows[rows["sae_width"].eq(2**20) | (model == LLAMA)].groupby("k")["test_auc"]
    if not len(groups):
        raise NotComputable("no SAE of width 1m in the folder")
    return {"mean": groups.mean().to_dict(), "median": groups.median().to_dict()}


def sae_means(tables: Tables, ranking: str, model: str = GEMMA) -> dict[str, float]:
    """Mean AUC of the quiver's SAE probes."""
    rows = tables.saes("standard", ranking, model, sae_ids=QUIVER_SAES[model], ks=QUIVER_K)
    return _named(rows.groupby(["sae_id", "k"])["test_auc"].mean())


def one_probe(tables: Tables, regime: str, ranking: str = V1, model: str = GEMMA) -> pd.DataFrame:
    """One SAE probe (k = 128) beside logistic regression, as figure 1 pairs them."""
    rows, pool = tables.both(regime, ranking, model), tables.pool(model, ranking)
    sae = first_held(rows, pool.pop("sae_ids"))
    return head_to_head(rows, sae_id=sae, **pool)


def one_against_one(tables: Tables, ranking: str = V1, model: str = GEMMA) -> dict[str, float]:
    """How these two compare under standard conditions, task by task."""
    change = one_probe(tables, "standard", ranking, model)["difference"]
    return _counts(change, "sae_better", "equal", "sae_worse") | {
        "better_by_0005": int((change > MARGIN).sum()),
        "worse_by_0005": int((change < -MARGIN).sum()),
        "mean": change.mean(),
        "median": change.median(),
    }


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
        "chosen_methods": names.value_counts().to_dict(),
        "baseline_chosen": only.value_counts().to_dict(),
        "min_delta": change.min(),
        "max_delta": change.max(),
    }


def figure_4(tables: Tables, key: str, entry: dict[str, Any], ranking: str, model: str) -> Any:
    """Figure 4 or 18b; a layer in the key, in the value's names or in the recipe counts."""
    value = entry.get("value")
    named = {name: layer_in(str(name)) for name in value} if isinstance(value, dict) else {}
    if layers := {name: layer for name, layer in named.items() if layer is not None}:
        return {name: quivers(tables, ranking, model, at) for name, at in layers.items()}
    return quivers(tables, ranking, model, _layer(key, entry) if model == LLAMA else None)


def _layer(key: str, entry: dict[str, Any]) -> str | int | None:
    return layer_in(key) or layer_in(str(entry.get("recipe", "")))


def llama(tables: Tables, key: str, entry: dict[str, Any]) -> Any:
    """Whatever standard numbers the tables of Llama give: by probe, by method, by k."""
    layer = _layer(key, entry)
    if "head_to_head" in key:
        return one_against_one(tables, V1, LLAMA)
    if "quiver" in key:
        return quivers(tables, V1, LLAMA, layer)
    methods = tables.baseline("standard", LLAMA, layer).groupby("method")["test_auc"].mean()
    ours = sae_means(tables, V1, LLAMA) | methods.to_dict()
    named = [name for name in ours if name in key]
    if not isinstance(entry.get("value"), dict) and len(named) == 1:
        return ours[named[0]]
    both = by_k(tables, V1, LLAMA)
    numbered = both["median" if "median" in key else "mean"]
    return ours | both | numbered | {QUIVER_SAES[LLAMA][0]: numbered}


def printed(tables: Tables) -> dict[str, list[float]]:
    """Upstream's printed means: the standard ones of the later ranking, the others of v1."""
    ours = {}
    for title, regime, ranking, rule in (
        ("Standard Conditions", "standard", HEAD, "ties_to_baseline"),
        ("Data Scarcity", "scarcity", V1, "upstream_literal"),
        ("Class Imbalance", "imbalance", V1, "upstream_literal"),
    ):
        picks = tables.picks(GEMMA, regime, ranking, rule)
        probes = tables.saes(regime, ranking).groupby(["sae_id", "k"])["test_auc"].mean()
        alone = [probes[(sae, k)] for sae in QUIVER_SAES[GEMMA] for k in QUIVER_K]
        sides = [picks["without_auc"].mean(), picks["with_auc"].mean()]
        ours[title] = [*sides, tables.logreg(regime)["test_auc"].mean(), *alone]
    return ours


def legend(tables: Tables) -> dict[str, str]:
    """The legend of figure 4, of either generation."""
    numbers = {name: quivers(tables, ranking) for name, ranking in GENERATIONS.items()}
    said = "Mean delta: {mean_delta:.3f} +- {se:.3f}"
    return {name: said.format(**one) for name, one in numbers.items()}


def bars(tables: Tables, version: str | None = None) -> dict[str, Any]:
    """Pooled means with 1.96 standard errors over all rows (figure 1 as drawn).

    With a version of the figure its SAE bars, else logistic regression's.
    """
    hard = ("scarcity", "imbalance")
    both_k = {"v1": ("normal", *hard), "head": hard, "head_notebook": hard}
    if version and version not in (*both_k, "k128.v1", "k128.head"):
        raise NotComputable(f"no version '{version}' of figure 1 is known")
    found = {}
    for name, regime in REGIME_NAMES.items():
        if not version:
            rows = tables.logreg(regime)
        elif name == "ood":
            rows = tables.saes(regime, V1)
        else:
            later = version.endswith("head") or (version == "head_notebook" and name == "normal")
            one = {"sae_ids": QUIVER_SAES[GEMMA][:1], "ks": (128,)}
            if name in both_k.get(version, ()):
                one["ks"] = QUIVER_K
            rows = tables.saes(regime, HEAD if later else V1, **one)
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


def _named(means: pd.Series) -> dict[str, float]:
    return {f"{sae}|k={k}": mean for (sae, k), mean in means.items()}
