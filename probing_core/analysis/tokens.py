"""Probes that read every token beside those of the last one: who wins, naively and fairly (§5)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from probing_core.analysis.architectures import with_intervals
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
        low: Lower ends of Wilson's 95 % intervals of these shares over tasks.
        high: Upper ends.
        difference: SAE minus baseline, test AUC.
    """

    name: str
    wins: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
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


def by_probe(rows: pd.DataFrame, column: str = "test_auc", sae_id: str = "") -> pd.DataFrame:
    """A column of one model's rows, a row a task and a column a probe of `probe_names`.

    Of several SAEs it is the one with the largest L0 if none is named, of several k the largest.
    """
    probes = rows[rows["method"] == SAE_METHOD]
    if len(probes):
        best = sae_id or probes.sort_values("sae_l0", kind="stable")["sae_id"].iloc[-1]
        own = (probes["sae_id"] == best) & (probes["k"] == probes["k"].max())
        rows = pd.concat([rows[rows["method"] != SAE_METHOD], probes[own]])
    return rows.assign(probe=probe_names(rows)).pivot_table(
        index="dataset", columns="probe", values=column
    )


def compare(
    rows: pd.DataFrame, *, margin: float = MARGIN, binarised: bool = False
) -> list[TokenComparison]:
    """Every one of `COMPARISONS` that the rows of one model hold both sides of.

    With `binarised` SAE probes read of each pooled latent only whether it is on.
    """
    test, val = by_probe(rows), by_probe(rows, "val_auc")
    found = []
    for name, (baselines, probes) in COMPARISONS.items():
        if name == FAIR and BASELINES[1] not in test:
            continue
        own = [f"{probe} binarised" for probe in probes] if binarised else probes
        sides = ([one for one in side if one in test] for side in (baselines, own))
        aucs = [first_best(test, val, side) for side in sides]
        change = (aucs[1] - aucs[0]).dropna()
        if change.empty:
            continue
        wins = [(change < -margin).sum(), (change > margin).sum()]
        sides_won = with_intervals(pd.DataFrame({"wins": wins, "n": len(change)}))
        shares, low, high = (sides_won[column].tolist() for column in ("share", "low", "high"))
        found.append(TokenComparison(name, shares, low, high, mean_interval(change)))
    return found


def first_best(test: pd.DataFrame, val: pd.DataFrame, names: Sequence[str]) -> pd.Series:
    """Test AUC of the probe with the best validation AUC; the first of equal ones, as published."""
    if not names:
        return pd.Series(dtype=float)
    known = val[list(names)].fillna(-1.0)
    place = known.to_numpy().argmax(axis=1)
    return pd.Series(test[list(names)].to_numpy()[np.arange(len(test)), place], test.index)
