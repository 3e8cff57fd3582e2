"""The results of one run, cut down to what a task's card and the table of tasks show."""

from collections.abc import Sequence

import pandas as pd

from probing_core.pages.text import directive, md, number, table

METHOD_NAMES = {
    "logreg": "Logistic regression",
    "pca": "PCA regression",
    "knn": "Nearest neighbours",
    "xgboost": "XGBoost",
    "mlp": "MLP",
}
SAE_METHOD = "sae_logreg"
_RANKING_NAMES = {
    "mean_difference": "mean difference",
    "normalized_mean_difference": "normalised",
}


def main_hook(rows: pd.DataFrame) -> str | None:
    """Find the hook that the SAE probes of a run read, or the commonest hook without any."""
    sae = rows[rows["method"] == SAE_METHOD]
    hooks = (sae if len(sae) else rows)["hook"].value_counts()
    return None if hooks.empty else str(sorted(hooks.index[hooks == hooks.max()])[0])


def picked_auc(rows: pd.DataFrame, *, sae: bool) -> pd.Series:
    """Choose one probe per task by validation AUC and report its test AUC.

    Ties go to the probe listed first: methods in the order of ``METHOD_NAMES``, then SAE
    id, ranking and the larger k. Choosing by the test AUC itself would flatter both sides.

    Args:
        rows: Tidy result rows of one hook.
        sae: Whether to choose among SAE probes or among baselines.

    Returns:
        Test AUC in [0, 1], indexed by dataset tag.
    """
    wanted = rows[(rows["method"] == SAE_METHOD) == sae].copy()
    order = {name: place for place, name in enumerate([*METHOD_NAMES, SAE_METHOD])}
    wanted["_method"] = wanted["method"].map(order).fillna(len(order))
    wanted["_val"] = -wanted["val_auc"].round(9)
    wanted["_k"] = -wanted["k"].astype("float64").fillna(0)
    keys = ["dataset", "_val", "_method", "sae_id", "ranking", "_k"]
    best = wanted.sort_values(keys, kind="stable").drop_duplicates("dataset")
    return best.set_index("dataset")["test_auc"].astype(float)


def result_tables(rows: pd.DataFrame) -> str:
    """Lay out every probe of one task as two small tables, folded away.

    Args:
        rows: Tidy result rows of one task.

    Returns:
        Markdown of a dropdown; empty when there are no rows.
    """
    if rows.empty:
        return ""
    parts = [_baseline_table(rows[rows["method"] != SAE_METHOD])]
    parts.append(_sae_table(rows[rows["method"] == SAE_METHOD]))
    body = "\n\n".join(part for part in parts if part)
    return directive("dropdown", body, argument="Test AUC of every method in this run", colons=4)


def _baseline_table(rows: pd.DataFrame) -> str:
    if rows.empty:
        return ""
    hooks = sorted(rows["hook"].unique(), key=_hook_order)
    grid = rows.pivot_table(index="method", columns="hook", values="test_auc", aggfunc="mean")
    known = [m for m in METHOD_NAMES if m in grid.index]
    methods = known + sorted(set(grid.index) - set(known))
    cells = [
        [md(METHOD_NAMES.get(m, m)), *(number(grid.loc[m].get(h)) for h in hooks)] for m in methods
    ]
    return table(["Baseline", *(md(_short_hook(h)) for h in hooks)], cells, _right(len(hooks)))


def _sae_table(rows: pd.DataFrame) -> str:
    if rows.empty:
        return ""
    ks = sorted({int(k) for k in rows["k"].dropna()})
    grid = rows.pivot_table(
        index=["sae_id", "ranking"], columns="k", values="test_auc", aggfunc="mean"
    )
    cells = [
        [md(sae), md(_RANKING_NAMES.get(ranking, ranking))]
        + [number(grid.loc[(sae, ranking)].get(k)) for k in ks]
        for sae, ranking in sorted(grid.index)
    ]
    return table(["SAE", "ranked by", *(f"k = {k}" for k in ks)], cells, "l" + _right(len(ks)))


def _right(columns: int) -> str:
    return "l" + "r" * columns


def _hook_order(hook: str) -> tuple[int, str]:
    digits = "".join(c for c in hook.split(".")[1] if c.isdigit()) if "." in hook else ""
    return (int(digits) if digits else -1, hook)


def _short_hook(hook: str) -> str:
    parts = hook.split(".")
    if len(parts) == 3 and parts[0] == "blocks" and parts[2] == "hook_resid_post":
        return f"layer {parts[1]}"
    return "embedding" if hook == "hook_embed" else hook


def select(rows: pd.DataFrame | None, tags: Sequence[str]) -> pd.DataFrame:
    """Keep the standard-condition rows of some tasks, as a frame that is never None."""
    if rows is None or rows.empty:
        return pd.DataFrame(columns=["dataset", "method", "hook", "k", "sae_id", "ranking"])
    kept = rows[rows["dataset"].isin(list(tags))]
    if "section" in kept:
        kept = kept[kept["section"] == "standard"]
    if "binarize" in kept:
        kept = kept[~kept["binarize"].fillna(False).astype(bool)]
    return kept
