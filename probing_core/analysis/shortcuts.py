"""Which tasks need no model, and what SAE probes change in the others."""

from typing import Any

import pandas as pd

from probing_core.analysis.effects import Effect, overall
from probing_core.analysis.quiver import picked_by_task, quiver
from probing_core.probes.surface import BAG

NEAR = 0.02
"""AUC by which a shortcut may trail the best probe and still solve the task."""


def shortcut_table(shortcuts: pd.DataFrame, rows: pd.DataFrame, **options: Any) -> pd.DataFrame:
    """The best shortcut of every task beside its probe.

    Args:
        shortcuts: From `experiments.shortcuts`.
        rows: Those of the section ``standard``.
        options: As in `quiver.arrows`: ``hook``, and perhaps ``sae_ids``.

    Returns:
        Index dataset; columns feature (the one with the best validation AUC), feature_auc and
        bag_auc (test), probe_auc (test AUC of the probe picked by validation among all; NaN
        without one), solved (whether a shortcut comes within `NEAR` of it).
    """
    own = shortcuts[shortcuts["feature"].ne(BAG)].sort_values("val_auc", kind="stable")
    best = own.groupby("dataset", sort=False).last()
    table = best.rename(columns={"test_auc": "feature_auc"})[["feature", "feature_auc"]]
    bags = shortcuts[shortcuts["feature"].eq(BAG)].set_index("dataset")["test_auc"]
    probes = picked_by_task(rows, side="both", **options)
    table = table.assign(bag_auc=bags, probe_auc=probes.reindex(table.index))
    reached = table[["feature_auc", "bag_auc"]].max(axis=1)
    return table.assign(solved=reached >= table["probe_auc"] - NEAR).sort_index()


def verdict(audited: pd.DataFrame) -> str:
    """Whether a task needs a model, from `experiments.shortcuts.audited`."""
    (probe, reached), (best, told) = audited.iloc[:2].itertuples(index=False)
    if told >= reached - NEAR:
        return f"These classes need no model: '{best}' does as well, within {NEAR:g} AUC."
    return f"The probe is {reached - told:.3f} AUC ahead of the best shortcut, '{best}'."


def without_solved(table: pd.DataFrame, rows: pd.DataFrame, **options: Any) -> list[Effect]:
    """What SAE probes add to a quiver on all tasks, and on those that a shortcut does not solve.

    Empty where no SAE probe stands beside a baseline.
    """
    frame = quiver(rows[rows["regime"] == "standard"], **options)
    left = frame[~frame["dataset"].isin(table.index[table["solved"]])]
    return [overall(part) for part in (frame, left) if len(part)]
