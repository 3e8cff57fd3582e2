"""Choose rows of a tidy result frame: baselines, SAE probes, hooks in depth order."""

import math
import re
from collections.abc import Sequence

import pandas as pd

from probing_core.probes.methods import BASELINES, SAE_METHOD

DEFAULT_RANKING = "mean_difference"


def baseline_rows(rows: pd.DataFrame, *, hook: str | None = None) -> pd.DataFrame:
    """Keep the rows of the five baselines, of one hook or of all, in their order."""
    here = rows if hook is None else rows[rows["hook"] == hook]
    return here[here["method"].isin(BASELINES)]


def sae_rows(
    rows: pd.DataFrame, *, ranking: str | None = DEFAULT_RANKING,
    sae_ids: Sequence[str] | None = None, ks: Sequence[int] | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Keep the rows of L1 SAE probes that read latent values, not binarised ones, in their order.

    Of each choice, the ranking of latents, the SAEs and the numbers of latents, None keeps all.
    """
    chosen = (rows["method"] == SAE_METHOD) & (rows["penalty"].fillna("l1") == "l1")
    chosen &= rows["binarize"].astype("boolean").fillna(False).eq(False).to_numpy(dtype=bool)
    rankings = None if ranking is None else [ranking]
    for column, wanted in (("ranking", rankings), ("sae_id", sae_ids), ("k", ks)):
        if wanted is not None:
            chosen &= rows[column].isin(list(wanted))
    return rows[chosen]


def sae_catalogue(rows: pd.DataFrame) -> pd.DataFrame:
    """List the SAEs of the rows by width and L0: ``sae_id``, ``sae_width``, mean ``sae_l0``."""
    table = rows[rows["method"] == SAE_METHOD].groupby("sae_id", as_index=False)
    table = table.agg(sae_width=("sae_width", "first"), sae_l0=("sae_l0", "mean"))
    return table.sort_values(["sae_width", "sae_l0"], kind="stable").reset_index(drop=True)


def largest_l0_saes(rows: pd.DataFrame) -> list[str]:
    """Name the SAE with the largest L0 of every width, narrowest first (paper, section 3.1)."""
    catalogue = sae_catalogue(rows)
    return catalogue.groupby("sae_width", sort=True)["sae_id"].last().tolist()


def hook_depth(hook: str) -> float:
    """Place of a hook in the model: -1 for the embedding, a block's number, infinity for others."""
    if "embed" in hook:
        return -1.0
    found = re.search(r"blocks\.(\d+)\.", hook)
    return float(found.group(1)) if found else math.inf


def hook_label(hook: str) -> str:
    """Give the short name a figure shows for a hook: ``embed`` or the block's number."""
    depth = hook_depth(hook)
    if depth == -1.0:
        return "embed"
    return hook if math.isinf(depth) else str(int(depth))


def ordered_hooks(rows: pd.DataFrame) -> list[str]:
    """List the hooks of the rows from the embedding to the last block."""
    return sorted(rows["hook"].unique(), key=lambda hook: (hook_depth(hook), hook))


def width_label(width: float) -> str:
    """Write a dictionary width as the paper does: 2048 as ``2k``, 131072 as ``131k``."""
    if width >= 1e6:
        return f"{width // 1e6:.0f}m"
    return f"{width // 1000:.0f}k" if width >= 1000 else f"{width:.0f}"


def task_number(dataset: str) -> tuple[int, str]:
    """Sort key of a dataset tag: the number it starts with; tags without one come last."""
    head = dataset.split("_", 1)[0]
    return (int(head) if head.isdigit() else 10**9, dataset)


def shared_tasks(rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Keep the tasks that every group has, so that means of groups compare like with like.

    Groups differ in the columns ``by``; a row without a test AUC counts as absent. Where no task
    is in every group, all stay.
    """
    done = rows[rows["test_auc"].notna()]
    groups = done.groupby(list(by), dropna=False).ngroup()
    complete = groups.groupby(done["dataset"]).nunique() == groups.nunique()
    names = complete.index[complete]
    return done[done["dataset"].isin(names)] if len(names) else done


def per_task(rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Average test AUC within each group and task, so that every task weighs the same."""
    return rows.groupby([*by, "dataset"], as_index=False, dropna=False)["test_auc"].mean()
