"""What a run says to the paper's claims, as far as its sections and its model go."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from probing_core.analysis.comparison import NOT_COMPARED, compare, first_held, head_to_head
from probing_core.analysis.effects import SIGNIFICANT, Effect, effects, overall
from probing_core.analysis.means import best_method_counts, layer_means, sae_means
from probing_core.analysis.paired import MeanInterval, signless_zero
from probing_core.analysis.selection import hook_depth, hook_label
from probing_core.datasets.regimes import REGIMES
from probing_core.experiments.second import ModelRun
from probing_core.figures.words import signed, tasks
from probing_core.probes.methods import METHODS

AGREES, DIFFERS, OPEN = "agrees", "differs", "does not settle it"
CANNOT_SPEAK = "cannot speak"
SHALLOW, NARROW = 12, 2**14
"""Layers below which a model says nothing of depth; latents of the paper's narrowest SAE."""


@dataclass(frozen=True)
class Finding:
    """What a run found: a few numbers, the verdict on a claim, and why it cannot speak to it."""

    text: str
    verdict: str
    reason: str = ""


@dataclass(frozen=True)
class Run:
    """Tidy rows of a run, and the probes that compete in its quivers, see `compare`."""

    rows: pd.DataFrame
    hook: str
    sae_ids: Sequence[str]
    ks: Sequence[int]
    ranking: str
    ties: str = "neutral"
    second: ModelRun | None = None

    def regime(self, name: str) -> pd.DataFrame:
        """Its rows in one regime."""
        return self.rows[self.rows["regime"] == name]

    def compare(self, name: str) -> pd.DataFrame:
        """Settings of one regime, with and without SAE probes."""
        options = {k: value for k, value in vars(self).items() if k not in ("rows", "second")}
        return compare(self.rows, name, **options)


def one_probe(run: Run) -> Finding:
    """One SAE probe minus logistic regression, regime by regime."""
    found: dict[str, MeanInterval] = {}
    for name in REGIMES:
        part = run.regime(name)
        sae = first_held(part, run.sae_ids)
        pair = head_to_head(part, hook=run.hook, sae_id=sae, k=max(run.ks), ranking=run.ranking)
        if len(pair):
            found[name] = overall(pair).difference
    text = ", ".join(f"{signed(one.mean)} {name.replace('_', ' ')}" for name, one in found.items())
    return _judged(text, list(found.values()))


def quiver(run: Run) -> Finding:
    """What SAE probes add to the toolbox under standard conditions."""
    frame = run.compare("standard")
    if frame.empty:
        return _NOTHING
    total = overall(frame)
    mean = total.difference
    text = f"{mean.text(4)}, picked on {total.picked_sae:.0%} of {tasks(mean.n)}"
    return Finding(text, DIFFERS if mean.low > 0 else AGREES)


def layers(run: Run) -> Finding:
    """Which layer is best for baselines, and which baseline is most often the best there."""
    plain = run.regime("standard")
    if plain.empty:
        return _NOTHING
    top = str(layer_means(plain)["combined"].idxmax())
    counts = best_method_counts(plain).loc[top]
    best = str(counts.idxmax())
    number = f"{counts[best]:.1f}".removesuffix(".0")
    text = f"layer {hook_label(top)}, {METHODS[best].label} best on {number} of {counts.sum():.0f}"
    deepest = int(max(hook_depth(hook) for hook in plain["hook"].unique()))
    if deepest + 1 < SHALLOW:
        reason = f"the deepest block probed is {deepest}; the paper's model has 42 layers"
        return Finding(text, CANNOT_SPEAK, reason)
    return Finding(text, AGREES if best == "logreg" else DIFFERS)


def latents(run: Run) -> Finding:
    """How mean AUC moves with k, L0 and width."""
    means = sae_means(run.regime("standard"), hook=run.hook, ranking=run.ranking)
    if means.empty:
        return _NOTHING
    by_k = means.groupby("k")["test_auc"].mean()
    by_l0 = means.groupby(["sae_width", "sae_l0"])["test_auc"].mean().groupby("sae_width")
    step = float(by_l0.agg(lambda line: line.iloc[-1] - line.iloc[0]).mean())
    by_width = means.groupby("sae_width")["test_auc"].mean()
    change = float(by_width.iloc[-1] - by_width.iloc[0])
    ends = [f"{signless_zero(by_k.iloc[end])} with k = {by_k.index[end]}" for end in (0, -1)]
    text, more = " to ".join(ends), by_k.iloc[-1] > by_k.iloc[0]
    if (by_l0.size() > 1).any():
        text += f"; {signed(step)} from the smallest L0 to the largest"
        more &= step > 0
    text += f"; {signed(change)} from the narrowest to the widest"
    if (widest := int(by_width.index.max())) < NARROW:
        reason = f"its widest SAE has {widest:,} latents, the paper's narrowest {NARROW:,}"
        return Finding(text, CANNOT_SPEAK, reason)
    return Finding(text, AGREES if more and change < by_k.iloc[-1] - by_k.iloc[0] else DIFFERS)


def values(run: Run) -> Finding:
    """At how many values of scarcity and imbalance SAE probes change the quiver."""
    said, gains = [], 0
    for name in [one.key for one in REGIMES.values() if one.quiver and one.axis]:
        found = effects(run.compare(name))
        if found:
            gained, lost = apart_from_zero(found)
            gains += len(validated(name, gained))
            said.append(f"{name}: {len(gained)} of {len(found)} values gain, {len(lost)} lose")
    return Finding("; ".join(said), DIFFERS if gains else AGREES) if said else _NOTHING


def noise(run: Run) -> Finding:
    """One SAE probe minus logistic regression under label noise."""
    frame = run.compare("label_noise")
    if frame.empty:
        return _NOTHING
    mean = overall(frame).difference
    return _judged(mean.text(), [mean])


def shift(run: Run) -> Finding:
    """One SAE probe beside logistic regression on shifted test sets."""
    frame = run.compare("covariate_shift")
    if frame.empty:
        return _NOTHING
    base, sae = (frame.groupby("dataset")[side].mean() for side in ("without_auc", "with_auc"))
    mean = overall(frame).difference
    ends = f"{signless_zero(base.mean())} against {signless_zero(sae.mean())}"
    ahead = int((base > sae).sum())
    return _judged(f"{ends}, ahead on {ahead} of {mean.n}; {mean.text()}", [mean])


def llama(run: Run) -> Finding:
    """What SAE probes add in a second model, regime by regime."""
    if (other := run.second) is None:
        return _NOTHING
    theirs = replace(run, rows=other.rows, **other.arrows)
    frames = {name: theirs.compare(name) for name in REGIMES}
    found = {name: overall(frame).difference for name, frame in frames.items() if len(frame)}
    if not found:
        return _NOTHING
    said = ", ".join(f"{signed(one.mean)} {name.replace('_', ' ')}" for name, one in found.items())
    gains = any(one.low > 0 for one in found.values())
    return Finding(f"{other.model}: {said}", DIFFERS if gains else AGREES)


def apart_from_zero(found: Sequence[Effect]) -> tuple[list[float], list[float]]:
    """Values of a regime at which SAE probes gain, and lose, after Holm's correction."""
    sure = [one for one in found if one.p_holm < SIGNIFICANT]
    gained = [one.value for one in sure if one.difference.mean > 0]
    return gained, [one.value for one in sure if one.difference.mean < 0]


def validated(regime: str, values: Sequence[float]) -> list[float]:
    """Values with a validation set; up to three prompts picks go by the training AUC (B.4)."""
    return [value for value in values if regime != "scarcity" or value > 3]


def _judged(text: str, estimates: list[MeanInterval]) -> Finding:
    """Judge a claim that SAE probes trail: every interval must lie below zero."""
    if not estimates:
        return _NOTHING
    settled = AGREES if all(one.high < 0 for one in estimates) else OPEN
    return Finding(text, DIFFERS if any(one.low > 0 for one in estimates) else settled)


_NOTHING = Finding("not in this run", NOT_COMPARED, "nothing is compared")
FINDINGS: dict[str, Callable[[Run], Finding]] = {
    check.__name__: check
    for check in (one_probe, quiver, layers, latents, values, noise, shift, llama)
}
