"""Means and counts of rows of the standard regime: by layer, by baseline, by SAE and k."""

from typing import Literal

import pandas as pd

from probing_core.analysis.selection import (
    BASELINES,
    DEFAULT_RANKING,
    baseline_rows,
    ordered_hooks,
    per_task,
    sae_catalogue,
    sae_rows,
    shared_tasks,
)


def baselines_by_task(rows: pd.DataFrame) -> pd.DataFrame:
    """Test AUC by (hook, dataset) of every baseline, on tasks that have them all at every hook."""
    shared = shared_tasks(baseline_rows(rows), ["hook", "method"])
    table = per_task(shared, ["hook", "method"]).pivot_table(
        index=["hook", "dataset"], columns="method", values="test_auc"
    )
    table.columns.name = None
    return table[[name for name in BASELINES if name in table]]


def layer_means(rows: pd.DataFrame) -> pd.DataFrame:
    """Average test AUC over tasks (figures 13a and 18a): hooks in depth order, baselines across.

    The column ``combined`` is the mean of the others.
    """
    means = baselines_by_task(rows).groupby("hook").mean()
    means = means.reindex(ordered_hooks(baseline_rows(rows)))
    return means.assign(combined=means.mean(axis=1))


def best_method_counts(
    rows: pd.DataFrame, *, ties: Literal["share", "first"] = "share"
) -> pd.DataFrame:
    """Count, per hook, the tasks on which each baseline has the best test AUC.

    A task is split equally among tied methods, or goes to the ``first`` of `BASELINES`, as in the
    paper's figure.

    Returns:
        Index hook in depth order, one column per baseline; each row sums to its tasks.
    """
    table = baselines_by_task(rows)
    best = table.eq(table.max(axis=1), axis=0).astype(float)
    if ties == "first":
        best = best.where(best.cumsum(axis=1) == 1, 0.0)
    shares = best.div(best.sum(axis=1), axis=0).groupby("hook").sum()
    return shares.reindex(ordered_hooks(baseline_rows(rows)))


def sae_means(rows: pd.DataFrame, *, hook: str, ranking: str = DEFAULT_RANKING) -> pd.DataFrame:
    """Average test AUC over the tasks that every SAE of a hook and k has, for each of them.

    Sorted by ``sae_width``, ``sae_l0`` and ``k``, beside ``sae_id`` and ``test_auc``.
    """
    chosen = shared_tasks(sae_rows(rows[rows["hook"] == hook], ranking=ranking), ["sae_id", "k"])
    means = per_task(chosen, ["sae_id", "k"]).groupby(["sae_id", "k"], as_index=False)
    table = means["test_auc"].mean().merge(sae_catalogue(chosen), on="sae_id")
    order = ["sae_width", "sae_l0", "k"]
    return table.sort_values(order)[["sae_id", *order, "test_auc"]].reset_index(drop=True)
