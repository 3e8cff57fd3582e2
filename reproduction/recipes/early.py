"""Numbers of the tasks, of standard conditions and of the hard regimes (sections 2 and 3)."""

import functools
import re
from typing import Any

import numpy as np
import pandas as pd

from probing_core.analysis import selection
from probing_core.analysis.comparison import first_held, head_to_head
from probing_core.analysis.means import best_method_counts, layer_means
from probing_core.analysis.paired import MARGIN
from probing_core.analysis.quiver import arrows, pick, quiver
from probing_core.datasets import load_dataset, standard_split
from probing_core.datasets.registry import TASKS
from reproduction.recipes.tables import (
    QUIVER_K,
    QUIVER_SAES,
    REGIMES,
    RULES,
    NotComputable,
    Tables,
)
from reproduction.upstream.layout import GEMMA, HEAD, LLAMA, V1

EXAMPLES = ("26_headline_isfrontpage", "36_sciq_tf", "114_nyc_borough_Manhattan")
DRAWN_LAYER = {GEMMA: 20, LLAMA: 8}
"""Layer of the baselines in figures 4 and 18b as drawn; for Llama a default argument (D.6)."""


def by_layer(tables: Tables, model: str = GEMMA) -> dict[str, Any]:
    """Means by layer (figures 13a, 18a); the bar is a spread of method means, as drawn."""
    rows = _all_layers(tables, model)
    means = layer_means(rows)
    spread = means.drop(columns="combined")
    n = spread.shape[1] * rows["dataset"].nunique()
    table = means.assign(combined_ci=1.96 * spread.std(axis=1, ddof=0) / np.sqrt(n))
    return table.rename(index=selection.hook_label).to_dict()


def best_by_layer(tables: Tables, model: str = GEMMA) -> dict[str, Any]:
    """Tasks on which each baseline is best, by layer (figure 13b)."""
    counts = best_method_counts(_all_layers(tables, model), ties="first").astype(int)
    return counts.rename(index=selection.hook_label).to_dict("index")


def _all_layers(tables: Tables, model: str) -> pd.DataFrame:
    rows = selection.baseline_rows(tables.regime("standard", model))
    if (layers := rows["hook"].nunique()) < 2:
        raise NotComputable(f"baselines of {model} at {layers} layers only")
    return rows


def by_width_and_k(tables: Tables, ranking: str) -> dict[str, float]:
    """Mean AUC of the SAE with the largest L0 of every width, by k (figures 3 and 14)."""
    rows = tables.saes("standard", ranking)
    rows = rows[rows["sae_id"].isin(selection.largest_l0_saes(rows))]
    groups = rows.groupby(["sae_width", "sae_l0", "k"])["test_auc"]
    return {
        f"{selection.width_label(w)}|l0={l0:.0f}|k={k}": own.mean() for (w, l0, k), own in groups
    }


def by_sae_and_k(tables: Tables, ranking: str, model: str = GEMMA, **only: Any) -> dict[str, Any]:
    """Mean AUC of every SAE and k that the tables hold, and of SAEs with all ten k."""
    rows = tables.saes("standard", ranking, model, **only)
    means = rows.groupby(["sae_id", "k"])["test_auc"].mean()
    over_k = means.groupby("sae_id").mean()[means.groupby("sae_id").size() == 10]
    named = {f"{sae}|k={k}": mean for (sae, k), mean in means.items()}
    return {"per_sae_k": named, "per_sae_mean_over_k": over_k.to_dict()}


def sae_means(tables: Tables, ranking: str, model: str = GEMMA) -> dict[str, float]:
    """Mean AUC of the quiver's SAE probes."""
    only = {"sae_ids": QUIVER_SAES[model], "ks": QUIVER_K}
    return by_sae_and_k(tables, ranking, model, **only)["per_sae_k"]


def by_k(tables: Tables, ranking: str, model: str = GEMMA) -> dict[str, Any]:
    """Mean and median AUC by k: of the widest SAE of Gemma (figure 15), of Llama's only one."""
    rows = tables.saes("standard", ranking, model)
    rows = rows[rows["sae_id"].isin(selection.largest_l0_saes(rows))]
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


def quivers(tables: Tables, ranking: str = V1, model: str = GEMMA, layer: Any = None) -> Any:
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
        "mean_delta": change.mean(), "se": change.std(ddof=0) / np.sqrt(len(change)),
        "min_delta": change.min(), "max_delta": change.max(),
        "n_sae_chosen": int(picked.sum()), "pct_sae_chosen": 100 * picked.mean(),
        "mean_without": found["without_auc"].mean(), "mean_with": found["with_auc"].mean(),
        "chosen_methods": names.value_counts().to_dict(),
        "baseline_chosen": only.value_counts().to_dict(),
    }  # fmt: skip


def bars(tables: Tables, version: str | None = None) -> dict[str, Any]:
    """Pooled means of figure 1 as drawn: a version's SAE bars, or logistic regression's."""
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


def _counts(change: pd.Series, more: str, same: str, less: str) -> dict[str, int]:
    """Tasks that gain, stay and lose, under three names."""
    sides = {more: change > 0, same: change == 0, less: change < 0}
    return {name: int(side.sum()) for name, side in sides.items()}


def quivers_by_value(
    tables: Tables, regime: str, ranking: str, rule: str, model: str = GEMMA
) -> dict[str, Any]:
    """What SAE probes add to the quiver at every value of a regime (figures 6, 17a, b, 19)."""
    found = tables.picks(model, regime, ranking, rule)
    change, picked = found["difference"], found["picked_sae"]
    without, with_sae = found["without_auc"].mean(), found["with_auc"].mean()
    said = {"delta": by_value(found, "difference"), "n_rows": len(found)}
    said["overall_mean_delta"] = change.mean()
    if rule == "neutral_ties":
        rows = arrows(tables.both(regime, ranking, model), **tables.pool(model, ranking))
        only = pick(rows, "baselines", *RULES[rule])["picks"]
        return said | {
            "paired_ci95_halfwidth": paired_half_width(found),
            "mean_without": without,
            "mean_with": with_sae,
            "mean_ties_without": only.str.count(r" \| ").mean() + 1,
            "mean_ties_with": found["picks"].str.count(r" \| ").mean() + 1,
            "mean_sae_share_of_ties": picked.mean(),
        }
    chosen = found.loc[picked.eq(1), "picks"]
    return said | {
        "ci95_halfwidth": unpaired_half_width(found),
        "mean_without": by_value(found, "without_auc"),
        "mean_with": by_value(found, "with_auc"),
        "overall_mean_without": without, "overall_mean_with": with_sae,
        "pct_rows_sae_chosen": 100 * picked.mean(),
        "sae_chosen_count": picked.groupby(found["regime_value"]).sum().astype(int).to_dict(),
        "share_of_sae_choices_by_k": {k: chosen.str.endswith(f"k={k}").mean() for k in QUIVER_K},
        "fraction_rows_delta_lt0": (change < 0).mean(),
        "fraction_rows_delta_gt0": (change > 0).mean(),
    }  # fmt: skip


def noise_by_value(tables: Tables, ranking: str = V1, model: str = GEMMA) -> dict[str, Any]:
    """One SAE probe beside logistic regression under label noise (figures 6 and 19, right)."""
    found = tables.compared(model, ranking)
    return {
        "delta": by_value(found, "difference"),
        "ci95_halfwidth": unpaired_half_width(found),
        "logreg": by_value(found, "without_auc"),
        "sae": by_value(found, "with_auc"),
        "sae_win_pct": {x: 100 * share for x, share in by_value(found, "picked_sae").items()},
        "overall_logreg": found["without_auc"].mean(),
        "overall_sae": found["with_auc"].mean(),
    }


def wins_by_position(tables: Tables, ranking: str = V1) -> dict[float, float]:
    """Percentage of places where the SAE row beats the logistic row, whatever the task (D.6)."""
    probe = tables.saes("label_noise", ranking, sae_ids=QUIVER_SAES[GEMMA][:1], ks=[128])
    logreg, share = tables.logreg("label_noise"), {}
    for value, part in probe.groupby("regime_value"):
        other = logreg.loc[logreg["regime_value"].eq(value), "test_auc"].to_numpy()
        both = min(len(part), len(other))
        wins = part["test_auc"].to_numpy()[:both] > other[:both]
        share[float(value)] = 100 * float(wins.mean())
    return share


def examples(tables: Tables, regime: str, ranking: str, rule: str) -> dict[str, Any]:
    """Test AUC on the three tasks of figure 5, without and with SAE probes."""
    noise = regime == "label_noise"
    found = tables.compared(GEMMA, ranking) if noise else tables.picks(GEMMA, regime, ranking, rule)
    without, with_sae = ("logreg", "sae") if noise else ("without", "with_sae")
    return {
        task: {without: by_value(own, "without_auc"), with_sae: by_value(own, "with_auc")}
        for task, own in found.groupby("dataset")
        if task in EXAMPLES
    }


def heat_map(tables: Tables, ranking: str) -> dict[str, Any]:
    """What the cells of figure 16 hold, in short."""
    hard, rule, said = ("scarcity", "imbalance"), "tie_rule_in_text", {}
    frames = {name: tables.picks(GEMMA, name, ranking, rule) for name in hard}
    for name, frame in (frames | {"corrupt": tables.compared(GEMMA, ranking)}).items():
        change = frame["difference"]
        signs = {"frac_negative": (change < 0).mean(), "frac_positive": (change > 0).mean()}
        said[name] = change.agg(["min", "max", "mean"]).to_dict() | signs | {"cells": len(change)}
    return said


def unpaired_half_width(found: pd.DataFrame) -> dict[float, float]:
    """Half-widths as figure 6 draws them: the two means taken as if they were independent."""
    groups = found.groupby("regime_value")
    variances = groups["without_auc"].var() + groups["with_auc"].var()
    return (1.96 * np.sqrt(variances / groups.size())).to_dict()


def paired_half_width(found: pd.DataFrame) -> dict[float, float]:
    """Half-widths from the differences task by task."""
    return (1.96 * found.groupby("regime_value")["difference"].sem()).to_dict()


def by_value(frame: pd.DataFrame, column: str) -> dict[float, float]:
    """Means of a column by the regime's value."""
    return frame.groupby("regime_value")[column].mean().to_dict()


@functools.cache
def audit_table() -> pd.DataFrame:
    """Sizes, balance and share of test prompts that also train, by task (published split)."""
    found = []
    for tag in TASKS:
        data = load_dataset(tag, max_prompts=5000)
        split = standard_split(data, protocol="paper", seed=42, max_train=1024)
        train = {data.prompts[row] for row in split.train}
        leak = sum(data.prompts[row] in train for row in split.test) / len(split.test)
        found.append((tag, len(data), int(data.labels.sum()), len(split.train), round(leak, 3)))
    names = ["dataset", "n", "positives", "n_train", "leak"]
    return pd.DataFrame(found, columns=names).set_index("dataset")


def audit(tables: Tables | None = None) -> dict[str, Any]:
    """The tasks in numbers (section 2.1; PAPER B.2, D.1)."""
    table = audit_table()
    n, leak = table["n"], table["leak"]
    left = (n - table["n_train"]).mean()
    return {
        "n_datasets": len(n), "mean_rows": n.mean(), "min_n": int(n.min()),
        "n_rows_5000": int(n.eq(5000).sum()),
        "n_with_1024_train": int(table["n_train"].eq(1024).sum()),
        "mean_test_size_n_minus_train": left, "mean_test_size_code": left - 1,
        "mean_leak": leak.mean(), "median_leak": leak.median(),
        "n_leak_gt_20pct": int((leak > 0.2).sum()), "n_leak_gt_50pct": int((leak > 0.5).sum()),
        "all_balanced": bool((table["positives"] * 2 == n).all()),
    }  # fmt: skip


def leak_against_gap(tables: Tables) -> dict[str, float]:
    """Whether the gap between the probes depends on the overlap (PAPER D.1)."""
    gap = -one_probe(tables, "standard").set_index("dataset")["difference"]
    leak = audit_table()["leak"].reindex(gap.index)
    low, high = gap[leak <= 0.05], gap[leak > 0.2]
    counts = {"n_low": len(low), "n_high": len(high)}
    return counts | {"gap_leak_le_5pct": low.mean(), "gap_leak_gt_20pct": high.mean()}
