"""Probes that read every token beside those of the last one: who wins, naively and fairly (§5)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from probing_core.analysis.paired import MARGIN, MeanInterval, mean_interval
from probing_core.probes.methods import METHODS, SAE_METHOD

_POOLED = ("last", "max", "mean")
BASELINES = (*(f"logreg {how}" for how in _POOLED), "attention", "attention_8", "softmax_pooling")
SAES = tuple(f"{SAE_METHOD} {how}" for how in (*_POOLED, "top"))
FAIR = "every pooling on both sides"
"""The comparison that the paper's rows lack: they hold no pooled activations."""
COMPARISONS: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "last token on both sides": (BASELINES[:1], SAES[:1]),
    "last token against max-pooled SAE": (BASELINES[:1], SAES[1:2]),
    "the paper's quivers": (("logreg last", "attention"), SAES[:2]),
    FAIR: (BASELINES, SAES),
}
"""Probes without an SAE and with one; of several the one with the best validation AUC counts."""
ILLUSION = "last token against max-pooled SAE"
"""The comparison of figure 11 in which one side reads more tokens than the other."""


@dataclass(frozen=True)
class TokenComparison:
    """One of `COMPARISONS` over tasks.

    Attributes:
        name: Its key.
        wins: Shares of tasks that the baseline and the SAE win by more than the margin.
        intervals: Wilson's 95 % intervals of these shares over tasks.
        difference: SAE minus baseline, test AUC.
    """

    name: str
    wins: tuple[float, float]
    intervals: tuple[tuple[float, float], tuple[float, float]]
    difference: MeanInterval


def probe_names(rows: pd.DataFrame) -> pd.Series:
    """What a probe is called here: its method, and how tokens are pooled before it."""
    pooled = rows["position"].where(rows["method"].isin(["logreg", SAE_METHOD]))
    on = rows["binarize"].astype("boolean").fillna(False).astype(bool)
    named = rows["method"] + (" " + pooled).fillna("")
    return named + np.where(on, " binarised", "")


def probe_label(name: str) -> str:
    """The same for a reader."""
    method, _, how = name.partition(" ")
    return f"{METHODS[method].label}{f', {how}' if how else ''}"


def by_probe(rows: pd.DataFrame, column: str = "test_auc") -> pd.DataFrame:
    """A column of one model's rows, a row a task and a column a probe of `probe_names`.

    Of several SAEs it is the one with the largest L0, of several k the largest.
    """
    probes = rows[rows["method"] == SAE_METHOD]
    if len(probes):
        best = probes.loc[probes["sae_l0"].astype(float).idxmax(), "sae_id"]
        own = (probes["sae_id"] == best) & (probes["k"] == probes["k"].max())
        rows = pd.concat([rows[rows["method"] != SAE_METHOD], probes[own]])
    return rows.assign(probe=probe_names(rows)).pivot_table(
        index="dataset", columns="probe", values=column
    )


def compare(rows: pd.DataFrame, *, margin: float = MARGIN) -> list[TokenComparison]:
    """Every one of `COMPARISONS` that the rows of one model hold both sides of."""
    test, val = by_probe(rows), by_probe(rows, "val_auc")
    found = []
    for name, sides in COMPARISONS.items():
        if name == FAIR and BASELINES[1] not in test:
            continue
        aucs = [_picked(test, val, [one for one in side if one in test]) for side in sides]
        both = pd.concat(aucs, axis=1).dropna()
        if both.empty:
            continue
        change = both[1] - both[0]
        counts = [int((change < -margin).sum()), int((change > margin).sum())]
        ends = [proportion_confint(count, len(change), method="wilson") for count in counts]
        shares = (counts[0] / len(change), counts[1] / len(change))
        found.append(TokenComparison(name, shares, (ends[0], ends[1]), mean_interval(change)))
    return found


def _picked(test: pd.DataFrame, val: pd.DataFrame, names: Sequence[str]) -> pd.Series:
    """Test AUC of the probe with the best validation AUC; the first of equal ones, as published."""
    if not names:
        return pd.Series(dtype=float)
    known = val[list(names)].fillna(-1.0)
    place = known.to_numpy().argmax(axis=1)
    return pd.Series(test[list(names)].to_numpy()[np.arange(len(test)), place], test.index)
