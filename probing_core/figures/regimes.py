"""Section 3.2: scarce, skewed and mislabelled data, by regime (figures 1 and 6)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from probing_core.analysis.comparison import compare, first_held, head_to_head
from probing_core.analysis.effects import Effect, effects, overall
from probing_core.analysis.paired import MeanInterval, mean_interval, signless_zero
from probing_core.datasets.regimes import REGIMES
from probing_core.datasets.registry import family_of
from probing_core.figures.style import (
    BASELINE,
    INK,
    MUTED,
    SAE,
    Drawing,
    integer_log2_ticks,
    new_figure,
    not_run,
    styled,
)
from probing_core.figures.words import above_below, interval_name, plural, signed, tasks

SLOTS = {
    "standard": "standard",
    **{name: regime.label for name, regime in REGIMES.items()},
    "covariate_shift": "covariate shift",
}
SIGNIFICANT = 0.05


def compared(rows: pd.DataFrame, **options: Any) -> dict[str, pd.DataFrame]:
    """Compare with and without SAE probes in every hard regime the rows hold.

    Args:
        rows: tidy result rows.
        **options: hook, ties, sae_ids, ks and ranking, see `comparison.compare`.

    Returns:
        Settings by regime, in the registry's order; regimes without both sides are absent.
    """
    found = {name: compare(rows, name, **options) for name in REGIMES}
    return {
        name: frame.dropna(subset=["difference"])
        for name, frame in found.items()
        if len(frame) and ((rows["regime"] == name) & (rows["method"] == "sae_logreg")).any()
    }


def seed_sentence(frames: Mapping[str, pd.DataFrame]) -> str:
    """Set how far the mean moves with the split beside how far tasks differ.

    Args:
        frames: settings by regime, from `compared`.

    Returns:
        One or two sentences.
    """
    totals = {name: overall(frame) for name, frame in frames.items()}
    several = {name: one for name, one in totals.items() if one.n_seeds > 1}
    if not several:
        return "One split seed was run, so how far another split would move it is not known."
    said = "; ".join(
        f"{REGIMES[name].label} {signless_zero(one.seed_spread, 4)} over seeds and "
        f"{signless_zero(one.task_spread, 4)} over tasks"
        for name, one in several.items()
    )
    return (
        f"Over {plural(max(one.n_seeds for one in several.values()), 'split seed')} the thin lines "
        f"show how far it moves with the split. Standard deviations: {said}."
    )


def regime_sentence(name: str, frame: pd.DataFrame) -> str:
    """State a regime's finding: mean difference, interval, counts, picks.

    Args:
        name: the regime.
        frame: its settings, from `compared`.

    Returns:
        Two sentences with numbers.
    """
    total, values = overall(frame), effects(frame)
    sides = (
        ("the toolbox with SAE probes", "the one without")
        if REGIMES[name].quiver
        else ("the SAE probe", "logistic regression")
    )
    apart = [one for one in values if one.p_holm < SIGNIFICANT]
    gains = sum(one.difference.mean > 0 for one in apart)
    picked = (
        f"{total.picked_sae:.0%} of picks are SAE probes"
        if REGIMES[name].quiver
        else f"the SAE probe is ahead in {total.picked_sae:.0%} of settings"
    )
    return (
        f"Under {REGIMES[name].label} {above_below(total.difference, *sides)} "
        f"({_interval(total.difference)}{tasks(total.difference.n)}): better on {total.better}, "
        f"worse on {total.worse}, equal on {total.equal}; {picked}. "
        f"{_significance(len(apart), gains, len(values))}"
    )


def _interval(mean: MeanInterval) -> str:
    """Write an interval in words, or nothing when there is none."""
    if mean.interval == "none":
        return ""
    return f"95% interval {signless_zero(mean.low)} to {signless_zero(mean.high)}, "


def _significance(apart: int, gains: int, count: int) -> str:
    """Say at how many values of a grid the difference survives the correction."""
    if apart == 0:
        return f"At none of {count} values does the difference survive Holm's correction."
    return (
        f"After Holm's correction {apart} of {count} values differ from zero, "
        f"{gains} in favour of SAE probes."
    )


@styled
def plot_regime_bars(
    rows: pd.DataFrame,
    *,
    hook: str,
    sae_id: str | None = None,
    k: int = 128,
    ranking: str = "mean_difference",
) -> Drawing:
    """Draw figure 1: logistic regression beside one SAE probe, regime by regime.

    Args:
        rows: tidy result rows, standard and regimes.
        hook: hook that both probes read.
        sae_id: the SAE; None, or a regime without it, takes the narrowest at its largest L0.
        k: latents the SAE probe keeps.
        ranking: how latents were ranked.

    Returns:
        Pairs of bars; a regime without rows keeps an empty slot.
    """
    parts = []
    for name in SLOTS:
        part = rows[rows["regime"] == name]
        own = first_held(part, [sae_id] if sae_id else None)
        parts.append(head_to_head(part, hook=hook, sae_id=own, k=k, ranking=ranking))
    pair = pd.concat(parts, ignore_index=True)
    if pair.empty:
        return not_run(f"logistic regression and an SAE probe with k = {k}")
    figure = new_figure(height=3.4)
    axes = figure.subplots()
    estimates, missing, clauses = [], [], []
    for place, (name, label) in enumerate(SLOTS.items()):
        part = pair[pair["regime"] == name].groupby("dataset")[["baseline", "sae", "difference"]]
        by_task = part.mean()
        if by_task.empty:
            missing.append(label)
            axes.text(place, 0.52, "not run", ha="center", color=MUTED, style="italic")
            continue
        families = [family_of(task) for task in by_task.index]
        for side, colour, shift in (("baseline", BASELINE, -0.2), ("sae", SAE, 0.2)):
            mean = mean_interval(by_task[side], families=families)
            estimates.append(mean)
            axes.bar(
                place + shift, mean.mean - 0.5, bottom=0.5, width=0.38, color=colour,
                label=("logistic regression" if side == "baseline" else f"SAE probe, k = {k}")
                if len(estimates) <= 2 else None,
            )  # fmt: skip
            ends = np.nan_to_num([[mean.mean - mean.low], [mean.high - mean.mean]])
            axes.errorbar(place + shift, mean.mean, ends, color=INK, capsize=4, lw=1.4)
        change = mean_interval(by_task["difference"], families=families)
        clauses.append(f"{label} {signed(change.mean)}")
    axes.set(ylim=(0.5, 1.0), ylabel="test AUC", xlim=(-0.6, len(SLOTS) - 0.4))
    axes.set_xticks(range(len(SLOTS)), [label.replace(" ", "\n") for label in SLOTS.values()])
    figure.legend(loc="outside upper right", ncols=2)
    caption = (
        f"Mean test AUC of logistic regression and one SAE probe (k = {k}) by regime; every task "
        f"counts once, its settings averaged; {interval_name(*estimates)}. Mean differences, SAE "
        f"minus baseline: {', '.join(clauses)}."
    )
    if missing:
        caption += f" Not run: {', '.join(missing)}."
    behind = sum(clause.split()[-1].startswith("\N{MINUS SIGN}") for clause in clauses)
    alt = (
        f"The SAE probe trails logistic regression on average in {behind} of "
        f"{plural(len(clauses), 'regime')} that this run has."
    )
    return Drawing(figure, caption, alt)


@styled
def plot_differences(frames: dict[str, pd.DataFrame]) -> Drawing:
    """Draw figure 6: the mean difference at every value of every regime.

    Args:
        frames: settings by regime, from `compared`.

    Returns:
        One panel a regime: the mean over tasks with its interval, filled where it survives
        Holm's correction, and a thin line a split seed.
    """
    if not frames:
        return not_run("any regime with SAE probes")
    figure = new_figure(height=3.4)
    panels = figure.subplots(1, len(frames), squeeze=False)[0]
    found = {name: effects(frame) for name, frame in frames.items()}
    for axes, (name, values) in zip(panels, found.items(), strict=True):
        _draw_effects(axes, name, values, frames[name])
    panels[0].set_ylabel("difference in test AUC")
    every = [one for values in found.values() for one in values]
    apart = [one for one in every if one.p_holm < SIGNIFICANT]
    seeds = max(one.n_seeds for one in every)
    spread = (
        f"thin lines are {seeds} split seeds" if seeds > 1 else "one split seed, whose own spread "
        "is not known"
    )  # fmt: skip
    caption = (
        "Mean difference in test AUC, with SAE probes minus without, by value of each regime; "
        f"bands are {interval_name(*(one.difference for one in every))}; {spread}. Filled: "
        "differs from zero after Holm's correction. Label noise: one SAE probe minus logistic "
        "regression. Scales differ."
    )
    gains = sum(one.difference.mean > 0 for one in apart)
    alt = (
        f"At {len(apart)} of {len(every)} values the difference survives Holm's correction: "
        f"{gains} in favour of SAE probes, {len(apart) - gains} against them."
    )
    return Drawing(figure, caption, alt)


def _draw_effects(axes: Axes, name: str, values: Sequence[Effect], frame: pd.DataFrame) -> None:
    """Draw one panel of figure 6."""
    x = np.array([one.value for one in values])
    means = [one.difference for one in values]
    low, high = np.array([[m.low, m.high] for m in means]).T
    axes.axhline(0, color=INK, lw=0.9)
    axes.fill_between(x, low, high, color=SAE, alpha=0.2, lw=0)
    if values[0].n_seeds > 1:
        for _, part in frame.groupby("seed"):
            by_value = part.groupby("regime_value")["difference"].mean()
            axes.plot(by_value.index, by_value, color=SAE, lw=0.6, alpha=0.7)
    axes.plot(x, [m.mean for m in means], color=SAE, lw=1.8)
    sure = np.array([one.p_holm < SIGNIFICANT for one in values])
    for chosen, fill in ((sure, SAE), (~sure, "white")):
        axes.plot(
            x[chosen], np.array([m.mean for m in means])[chosen], "o", color=SAE, mfc=fill, ms=5
        )
    axes.set_title(REGIMES[name].label, loc="left")
    value_axis(axes, name, x)


def value_axis(axes: Axes, name: str, x: Sequence[float] | np.ndarray, most: int = 5) -> None:
    """Scale and name the axis of a regime's values.

    Args:
        axes: where the values are drawn.
        name: the regime.
        x: its values.
        most: most ticks of a logarithmic axis.
    """
    if REGIMES[name].log:
        integer_log2_ticks(axes, [float(value) for value in x], most=most)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel(REGIMES[name].axis.replace(" (", "\n("))
