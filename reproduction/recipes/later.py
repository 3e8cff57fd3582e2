"""Numbers of the later sections: shifted data, latents, CoLA, many tokens, architectures."""

import json
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd

from probing_core.analysis.paired import MARGIN
from probing_core.analysis.tokens import by_probe, first_best
from probing_core.experiments.multi_token import with_last_tokens
from reproduction.recipes.early import pooled
from reproduction.recipes.tables import REGIMES, NotComputable, Tables
from reproduction.upstream.layout import GEMMA, MAIN_LAYER, SMALL, V1
from reproduction.upstream.reading import hook_name

LARGE, SMALL_L0 = "layer_20/width_16k/average_l0_408", "layer_20/width_16k/average_l0_68"


def shifted(tables: Tables) -> dict[str, Any]:
    """Both probes on the eight shifted test sets (figure 7)."""
    rows = tables.section("shift")
    table = rows.pivot_table(index="dataset", columns="method", values="test_auc")
    table = table.rename(columns={"logreg": "baseline", "sae_logreg": "sae"})
    average = {side: pooled(table[side]) for side in ("baseline", "sae")}
    better = int((table["sae"] > table["baseline"]).sum())
    return {"per_dataset": table.to_dict("index"), "average": average, "n_sae_better": better}


def shifted_small(tables: Tables) -> dict[str, Any]:
    """All SAE probes of Gemma-2-2B on shifted data, each minus logistic regression.

    ``picked`` are those with the best validation AUC of a task, averaged where several tie.
    """
    base = tables.logreg("covariate_shift", SMALL).set_index("dataset")["test_auc"]
    rows = tables.saes("covariate_shift", V1, SMALL)
    change, by = rows["test_auc"] - rows["dataset"].map(base), rows["dataset"]
    val = rows["val_auc"].round(9)
    picked = change[val.eq(val.groupby(by).transform("max"))].groupby(by).mean()
    probes = len(rows.groupby(["sae_id", "k"]))
    means = {"mean": change.mean(), "ahead": (change > 0).mean(), "picked": picked.mean()}
    return means | {"probes": probes, "n": len(picked), "picked_ahead": int((picked > 0).sum())}


def pruning(tables: Tables) -> dict[str, Any]:
    """AUC on shifted data by the number of latents kept (figure 20, upstream's later runs)."""
    found: dict[str, Any] = {}
    groups = tables.section("pruning").groupby(["dataset", "ranking"], sort=False)
    for (task, judge), part in groups:
        by, own = judge.removeprefix("relevance_"), part.set_index("k")
        test, said = own["test_auc"].to_dict(), found.setdefault(task, {})
        said[f"ood_auc_{by}"], said[f"val_auc_{by}"] = test, own["val_auc"].to_dict()
        change = test.get(1, np.nan) - test.get(8, np.nan)
        said["k1_minus_k8" + ("_human" if by == "human" else "")] = change
    return found


def latent_table(tables: Tables, task: str, *, section: str) -> dict[str, Any]:
    """Probes on one latent each (table 5), by latent; ranks where the table has them."""
    rows = tables.section(section)
    rows = rows[rows["dataset"].eq(task)]
    if rows.empty:
        raise NotComputable(f"no latents of {task} in the folder")
    found = {}
    for row in rows.itertuples():
        facts = json.loads(str(row.hyperparameters))
        known = {"val_auc": row.val_auc, "ood_auc": row.test_auc, "coef": facts.get("coefficient")}
        found[str(facts["latent"])] = known | facts
    return found


def best_latents(tables: Tables) -> dict[str, Any]:
    """The best single latent of every task (table 6)."""
    rows = tables.section("single_latents")
    latents = rows["hyperparameters"].map(lambda text: json.loads(text)["latent"]).astype(int)
    auc = rows["test_auc"]
    pairs = zip(rows["dataset"], latents, auc, strict=True)
    return auc.agg(["mean", "median"]).to_dict() | {
        "n": len(rows),
        "n_ge_0_9": int((auc >= 0.9).sum()),
        "most_common": latents.value_counts().to_dict(),
        "per_dataset": {task: [latent, value] for task, latent, value in pairs},
    }


def cola(tables: Tables) -> dict[str, Any]:
    """Classifiers on CoLA against three sets of labels, and how the labels differ (figure 9)."""
    rows = tables.section("cola")
    kind = np.where(rows["method"].eq("logreg"), "baseline", "sae_" + rows["k"].astype(str))
    names = rows["regime_value"].astype(int).astype(str) + "|" + kind
    scores = rows[["test_acc", "test_auc"]].to_dict("records")
    said: dict[str, Any] = {"runs": dict(zip(names, scores, strict=True))}
    sheet = tables.sides.get("judgements")
    if sheet is None:
        return said
    original, clean = sheet["original_target"], sheet["ensemble"]
    judges = sheet.drop(columns=["original_target", "ensemble"])
    votes = judges.sum(axis=1)
    majority = votes > judges.notna().sum(axis=1) / 2
    differ = original.ne(clean)
    return said | {
        "n": len(sheet), "n_disagree": int(differ.sum()),
        "original_label_accuracy": [1, 1 - differ.mean(), 0],
        "original_positive_rate": original.mean(), "ensemble_positive_rate": clean.mean(),
        "ensemble_equals_majority": int(majority.eq(clean.eq(1)).sum()),
        "disagree_original1_ensemble0": int((differ & original.eq(1)).sum()),
        "disagree_original0_ensemble1": int((differ & original.eq(0)).sum()),
        "single_judge_agreement_with_original": judges.eq(original, axis=0).mean().to_dict(),
        "unanimous": int((votes.eq(0) | votes.eq(judges.shape[1])).sum()),
        "nan_in_judges": judges.isna().sum().to_dict(),
    }  # fmt: skip


def multi_token(tables: Tables, ranking: str = V1, binarize: bool = False) -> dict[str, Any]:
    """Win rates of probes on last tokens, pooled tokens and both (figures 11 and 22)."""
    test, val = (token_columns(tables, ranking, binarize, c) for c in ("test_auc", "val_auc"))
    test["baseline_quiver"] = first_best(test, val, ["baseline_last", "attn"])
    test["sae_quiver"] = first_best(test, val, ["sae_last", "sae_max"])
    said: dict[str, Any] = {"mean_auc": test.mean().to_dict()}
    for panel, first, second in (
        ("both_last", "baseline_last", "sae_last"),
        ("baseline_last_vs_sae_max", "baseline_last", "sae_max"),
        ("quiver_vs_quiver", "baseline_quiver", "sae_quiver"),
        ("attn_vs_sae_max", "attn", "sae_max"),
        ("baseline_last_vs_concat", "baseline_last", "concat"),
    ):
        change = test[first] - test[second]
        won = {"a": change > MARGIN, "b": change < -MARGIN}
        said[panel] = {f"{side}_wins_n": int(wins.sum()) for side, wins in won.items()}
        said[panel] |= {f"{side}_wins_pct": 100 * wins.mean() for side, wins in won.items()}
        said[panel]["n"] = len(change)
    return said


def token_columns(tables: Tables, ranking: str, binarize: bool, column: str) -> pd.DataFrame:
    """One column a probe, one row a task of the multi-token table."""
    hook, standard = hook_name(MAIN_LAYER[GEMMA]), tables.regime("standard")
    rows = with_last_tokens(tables.section("multi_token"), standard, hook, ranking)
    large, small = (by_probe(rows, column, sae_id=one) for one in (LARGE, SMALL_L0))
    end = " binarised" if binarize else ""
    sae = {how: f"sae_logreg {how}{end}" for how in ("max", "mean", "last")}
    if sae["last"] not in large:
        raise NotComputable("no SAE probes on last tokens in the folder")
    found = {"attn": large["attention"], "concat": large["concatenated_pca"]}
    found |= {f"sae_{how}": large[sae[how]] for how in ("max", "mean")}
    found |= {f"sae68_{how}": small[sae[how]] for how in ("max", "mean")}
    found |= {"baseline_last": large["logreg last"], "sae_last": large[sae["last"]]}
    return pd.DataFrame(found).reindex(large["attention"].dropna().index)


def table_9(tables: Tables) -> dict[str, Any]:
    """Test AUC of the pooled probes by task (table 9)."""
    found = token_columns(tables, V1, False, "test_auc")
    found.columns = found.columns.str.replace("sae_", "sae408_").str.replace("baseline", "base")
    return found.to_dict("index")


def architectures(tables: Tables, under: str = "covariate_shift") -> dict[str, float]:
    """Mean AUC by k, architecture and L0 (figure 21)."""
    rows = tables.saes(under, V1, SMALL)
    means = rows.groupby(["k", "sae_architecture", "sae_l0"])["test_auc"].mean()
    return {f"k={k}|{name}|l0={l0:.0f}": mean for (k, name, l0), mean in means.items()}


def best_l0(tables: Tables) -> dict[str, float]:
    """The best mean over L0, by k and architecture (figure 21, last row)."""
    means = pd.Series(architectures(tables))
    return means.groupby(means.index.str.rsplit("|", n=1).str[0]).max().to_dict()


def digitised_architectures(tables: Tables) -> dict[str, float]:
    """Figure 21 in every regime that the tables hold."""
    found: dict[str, float] = {}
    for name, regime in REGIMES.items():
        with suppress(NotComputable):
            said = architectures(tables, regime)
            found |= {f"{name}|{key}": mean for key, mean in said.items()}
    return found


def medians_by_architecture(tables: Tables, k: int = 16) -> dict[str, Any]:
    """SAE minus logistic regression at each architecture's best L0 (figure 12)."""
    rows = tables.saes("standard", V1, SMALL, ks=[k])
    base = tables.logreg("standard", SMALL).set_index("dataset")["test_auc"]
    found: dict[str, Any] = {}
    for name, part in rows.groupby("sae_architecture"):
        best = part.groupby("sae_l0")["test_auc"].mean().idxmax()
        own = part[part["sae_l0"].eq(best)].set_index("dataset")["test_auc"]
        q1, median, q3 = (own - base).dropna().quantile([0.25, 0.5, 0.75])
        found[str(name)] = {"median": median, "q1": q1, "q3": q3}
    return found


def l0s(tables: Tables) -> dict[str, list[int]]:
    """The L0s of every architecture."""
    groups = tables.saes("covariate_shift", V1, SMALL).groupby("sae_architecture")["sae_l0"]
    return {str(name): sorted(map(int, own.unique())) for name, own in groups}


def small_baselines(tables: Tables) -> dict[str, float]:
    """Logistic regression of Gemma-2-2B by regime (titles of figure 21)."""
    found: dict[str, float] = {}
    for name, regime in REGIMES.items():
        rows = tables.logreg(regime, SMALL)
        by_task = rows.groupby("dataset")["test_auc"].mean()
        found |= {name: by_task.mean(), f"{name}_groups": len(by_task)}
        found[f"{name}_row_mean"] = rows["test_auc"].mean()
    return found


def win_rates(tables: Tables, name: str) -> dict[str, Any]:
    """How often one architecture beats another (upstream's tables beside figure 12)."""
    sheet = tables.sides.get("win_rates")
    own = sheet[sheet["name"].eq(name)] if sheet is not None else pd.DataFrame()
    if own.empty:
        raise NotComputable(f"improvements/{name}.csv is not in the folder")
    pairs = dict(zip(own["sae1"] + ">" + own["sae2"], own["win_rate"], strict=True))
    return {"mean_win_rate": own.groupby("sae1")["win_rate"].mean().to_dict(), "pairs": pairs}
