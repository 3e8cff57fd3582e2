"""Numbers of the 113 tasks themselves, counted in the prompts rather than in upstream's tables."""

import functools
from typing import Any

import pandas as pd

from probing_core.datasets import load_dataset, standard_split
from probing_core.datasets.registry import TASKS
from reproduction.recipes.standard import one_probe
from reproduction.recipes.tables import Tables


@functools.cache
def audit_table() -> pd.DataFrame:
    """Sizes, balance and train-test overlap of every task under the published split.

    ``leak`` is the share of test prompts that are also training prompts, to three decimals.
    """
    found = {}
    for tag in TASKS:
        dataset = load_dataset(tag, max_prompts=5000)
        split = standard_split(dataset, protocol="paper", seed=42, max_train=1024)
        train = {dataset.prompts[row] for row in split.train}
        repeated = sum(dataset.prompts[row] in train for row in split.test)
        found[tag] = {
            "n": len(dataset),
            "positives": int(dataset.labels.sum()),
            "n_train": len(split.train),
            "leak": round(repeated / len(split.test), 3),
        }
    return pd.DataFrame.from_dict(found, orient="index")


def audit(tables: Tables) -> dict[str, Any]:
    """The tasks in numbers (section 2.1)."""
    table = audit_table()
    n, leak = table["n"], table["leak"]
    left = (n - table["n_train"]).mean()
    return {
        "n_datasets": len(table),
        "mean_rows": n.mean(),
        "n_rows_5000": int(n.eq(5000).sum()),
        "n_with_1024_train": int(table["n_train"].eq(1024).sum()),
        "mean_test_size_n_minus_train": left,
        "mean_test_size_code": left - 1,
        "min_n": int(n.min()),
        "mean_leak": leak.mean(),
        "median_leak": leak.median(),
        "n_leak_gt_20pct": int((leak > 0.2).sum()),
        "n_leak_gt_50pct": int((leak > 0.5).sum()),
        "all_balanced": bool((table["positives"] * 2 == n).all()),
    }


def leak_against_gap(tables: Tables) -> dict[str, float]:
    """Whether the gap between the probes depends on the overlap."""
    gap = -one_probe(tables, "standard").set_index("dataset")["difference"]
    leak = audit_table()["leak"].reindex(gap.index)
    low, high = gap[leak <= 0.05], gap[leak > 0.2]
    return {
        "gap_leak_le_5pct": low.mean(),
        "n_low": len(low),
        "gap_leak_gt_20pct": high.mean(),
        "n_high": len(high),
    }
