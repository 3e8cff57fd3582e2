"""What a run says to the paper's claims, as far as its sections go."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from probing_core.analysis.comparison import compare, first_held, head_to_head
from probing_core.analysis.effects import Effect, effects, overall
from probing_core.analysis.paired import MeanInterval, signless_zero
from probing_core.analysis.selection import hook_label
from probing_core.datasets.regimes import REGIMES
from probing_core.figures.latents import sae_means
from probing_core.figures.layers import best_method_counts, layer_means
from probing_core.figures.regimes import SIGNIFICANT
from probing_core.figures.style import METHODS
from probing_core.figures.words import signed, tasks

AGREES, DIFFERS, OPEN = "agrees", "differs", "does not settle it"
UNVALIDATED = 3
"""Up to so many training prompts there is no validation: picks are made on the training AUC."""


@dataclass(frozen=True)
class Finding:
    """What a run found: a few numbers, and ``agrees``, ``differs`` or ``does not settle it``."""

    text: str
    verdict: str


def one_probe(
    rows: pd.DataFrame, *, hook: str, sae_ids: Sequence[str], ks: Sequence[int], ranking: str,
    ties: str = "",
) -> Finding:  # fmt: skip
    """One SAE probe minus logistic regression, regime by regime."""
    found: dict[str, MeanInterval] = {}
    for name, part in rows.groupby("regime", sort=False):
        sae = first_held(part, sae_ids)
        pair = head_to_head(part, hook=hook, sae_id=sae, k=max(ks), ranking=ranking)
        if len(pair):
            found[str(name)] = overall(pair.assign(picked_sae=0.0)).difference
    text = ", ".join(f"{signed(one.mean)} {name.replace('_', ' ')}" for name, one in found.items())
    return _judged(text, list(found.values()))


def quiver(
    rows: pd.DataFrame, *, hook: str, sae_ids: Sequence[str], ks: Sequence[int], ranking: str,
    ties: str,
) -> Finding:  # fmt: skip
    """What SAE probes add to the toolbox under standard conditions."""
    frame = compare(rows, "standard", hook=hook, ties=ties, sae_ids=sae_ids, ks=ks, ranking=ranking)
    if frame.empty:
        return _nothing()
    total = overall(frame)
    mean = total.difference
    text = f"{mean.text(4)}, picked on {total.picked_sae:.0%} of {tasks(mean.n)}"
    return Finding(text, DIFFERS if mean.low > 0 else AGREES)


def layers(
    rows: pd.DataFrame, *, hook: str, sae_ids: Sequence[str], ks: Sequence[int], ranking: str,
    ties: str = "",
) -> Finding:  # fmt: skip
    """Which layer is best for baselines, and which baseline is most often the best there."""
    plain = rows[rows["regime"] == "standard"]
    if plain.empty:
        return _nothing()
    top = str(layer_means(plain)["combined"].idxmax())
    counts = best_method_counts(plain).loc[top]
    best = str(counts.idxmax())
    number = f"{counts[best]:.1f}".removesuffix(".0")
    text = f"layer {hook_label(top)}, {METHODS[best][3]} best on {number} of {counts.sum():.0f}"
    return Finding(text, AGREES if best == "logreg" else DIFFERS)


def latents(
    rows: pd.DataFrame, *, hook: str, sae_ids: Sequence[str], ks: Sequence[int], ranking: str,
    ties: str = "",
) -> Finding:  # fmt: skip
    """How mean AUC moves with k, L0 and width."""
    means = sae_means(rows[rows["regime"] == "standard"], hook=hook, ranking=ranking)
    if means.empty:
        return _nothing()
    by_k = means.groupby("k")["test_auc"].mean()
    by_l0 = means.groupby(["sae_width", "sae_l0"])["test_auc"].mean()
    steps = by_l0.groupby("sae_width").agg(lambda line: line.iloc[-1] - line.iloc[0])
    by_width = means.groupby("sae_width")["test_auc"].mean()
    change = by_width.iloc[-1] - by_width.iloc[0]
    text = (
        f"{signless_zero(by_k.iloc[0])} with k = {by_k.index[0]} to {signless_zero(by_k.iloc[-1])}"
        f" with k = {by_k.index[-1]}"
    )
    more = by_k.iloc[-1] > by_k.iloc[0]
    if (by_l0.groupby("sae_width").size() > 1).any():
        text += f"; {signed(float(steps.mean()))} from the smallest L0 to the largest"
        more &= float(steps.mean()) > 0
    text += f"; {signed(float(change))} from the narrowest to the widest"
    return Finding(text, AGREES if more and change < by_k.iloc[-1] - by_k.iloc[0] else DIFFERS)


def values(
    rows: pd.DataFrame, *, hook: str, sae_ids: Sequence[str], ks: Sequence[int], ranking: str,
    ties: str,
) -> Finding:  # fmt: skip
    """At how many values of scarcity and imbalance SAE probes change the quiver."""
    said, gains = [], 0
    for name in [name for name in REGIMES if REGIMES[name].quiver]:
        frame = compare(rows, name, hook=hook, ties=ties, sae_ids=sae_ids, ks=ks, ranking=ranking)
        if frame.empty:
            continue
        found = effects(frame)
        gained, lost = apart_from_zero(found)
        gains += len(validated(name, gained))
        said.append(f"{name}: {len(gained)} of {len(found)} values gain, {len(lost)} lose")
    return Finding("; ".join(said), DIFFERS if gains else AGREES) if said else _nothing()


def noise(
    rows: pd.DataFrame, *, hook: str, sae_ids: Sequence[str], ks: Sequence[int], ranking: str,
    ties: str = "",
) -> Finding:  # fmt: skip
    """One SAE probe minus logistic regression under label noise."""
    frame = compare(rows, "label_noise", hook=hook, sae_ids=sae_ids, ks=ks, ranking=ranking)
    if frame.empty:
        return _nothing()
    mean = overall(frame).difference
    return _judged(mean.text(), [mean])


def apart_from_zero(found: Sequence[Effect]) -> tuple[list[float], list[float]]:
    """Values of a regime at which SAE probes gain, and lose, after Holm's correction."""
    sure = [one for one in found if one.p_holm < SIGNIFICANT]
    gained = [one.value for one in sure if one.difference.mean > 0]
    return gained, [one.value for one in sure if one.difference.mean < 0]


def validated(regime: str, values: Sequence[float]) -> list[float]:
    """Values at which probes are picked on other prompts than they were fitted to (B.4)."""
    return [value for value in values if regime != "scarcity" or value > UNVALIDATED]


def _judged(text: str, estimates: list[MeanInterval]) -> Finding:
    """Judge a claim that SAE probes trail: every interval must lie below zero."""
    if not estimates:
        return _nothing()
    if any(one.low > 0 for one in estimates):
        return Finding(text, DIFFERS)
    return Finding(text, AGREES if all(one.high < 0 for one in estimates) else OPEN)


def _nothing() -> Finding:
    return Finding("not in this run", OPEN)


FINDINGS: dict[str, Callable[..., Finding]] = {
    "one_probe": one_probe,
    "quiver": quiver,
    "layers": layers,
    "latents": latents,
    "values": values,
    "noise": noise,
}
