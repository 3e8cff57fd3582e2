"""The front page's figure: what SAE probes add in each regime, the paper beside this run."""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from probing_core.analysis.comparison import NOT_COMPARED
from probing_core.analysis.effects import overall
from probing_core.analysis.paired import MeanInterval
from probing_core.analysis.selection import BASELINES, baseline_rows
from probing_core.datasets.regimes import REGIMES
from probing_core.figures import marks, style
from probing_core.figures.style import INK, MUTED, OTHER_COLOURS, Drawing, styled
from probing_core.figures.words import (
    above_below,
    interval_name,
    of_the_paper,
    short_name,
    signed,
    tasks,
)
from probing_core.probes.methods import METHODS

SPREAD = 0.46
"""How far apart the rows of one regime lie, of the height of a regime."""


def regime_differences(frames: Mapping[str, pd.DataFrame]) -> dict[str, MeanInterval]:
    """Mean difference over tasks by regime, a task's settings averaged first.

    Args:
        frames: settings by regime, from `analysis.comparison.compared`.
    """
    return {name: overall(frame).difference for name, frame in frames.items()}


@styled
def plot_headline(
    run: Mapping[str, MeanInterval],
    others: Mapping[str, Mapping[str, MeanInterval]] | None = None,
    *,
    model: str = "this run",
) -> Drawing:
    """Draw the mean effect of SAE probes per regime, the paper's and this run's.

    Args:
        run: this run's mean difference by regime; a regime that is absent keeps an empty slot.
        others: those of its further models, by name.
        model: the name of this run's model.

    Returns:
        Dots with intervals in two panels, because the paper compares toolboxes in three regimes
        and single probes in two.
    """
    groups = [[one for one in REGIMES.values() if one.quiver == quiver] for quiver in (True, False)]
    others = {name: found for name, found in (others or {}).items() if found}
    series: list[tuple[Callable[[str], Any], str, str, str]] = [
        (of_the_paper, MUTED, "s", "paper"),
        (run.get, OTHER_COLOURS[1], "o", short_name(model)),
    ]
    looks = zip(OTHER_COLOURS[2:], "D^v", strict=False)
    for (name, found), look in zip(others.items(), looks, strict=False):
        series.append((found.get, *look, short_name(name)))
    figure, panels = style.new_panels(
        2, 1, height=1.6 + (0.2 + 0.2 * len(series)) * len(REGIMES),
        height_ratios=[len(group) for group in groups],
    )  # fmt: skip
    for axes, group in zip(panels, groups, strict=True):
        axes.axvline(0, color=INK, lw=0.9)
        for number, (find, colour, marker, label) in enumerate(series):
            shift = SPREAD * (number / (len(series) - 1) - 0.5)
            rows = {row + shift: find(one.key) for row, one in enumerate(group)}
            shown = {row: found for row, found in rows.items() if found}
            marks.dots(axes, list(shown), list(shown.values()), colour, marker=marker, label=label)
        for row in (row for row, one in enumerate(group) if one.key not in run):
            place = row + SPREAD * (1 / (len(series) - 1) - 0.5)
            marks.at_edge(axes, place, NOT_COMPARED, color=MUTED, style="italic")
        marks.listed_rows(axes, [one.label for one in group])
        axes.spines["left"].set_visible(False)
        axes.set_title(" \N{MINUS SIGN} ".join(group[0].sides), loc="left")
    panels[-1].set_xlabel("mean difference in test AUC (below 0: SAE probes do not help)")
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=len(series)
    )
    here = [run[name] for name in REGIMES if name in run]
    ends = f"with {interval_name(*here)}" if here else f"in which they are {NOT_COMPARED}"
    caption = (
        "Mean change in test AUC that SAE probes bring, per regime: the paper (Gemma-2-9B, "
        f"recomputed with ties averaged) and this run, {ends}. Left of zero they cost AUC."
    )
    if others:
        named = ", ".join(map(short_name, others))
        caption += f" Further models, perhaps on other tasks or values: {named}."
    return Drawing(figure, caption, headline_sentence(run))


def headline_sentence(run: Mapping[str, MeanInterval]) -> str:
    """State the run's finding in the regimes it has, beside the paper's in words."""
    here = [(one, run[one.key]) for one in REGIMES.values() if one.key in run]
    if len(here) > 1:
        changes = [f"{signed(mean.mean)} under {one.under}" for one, mean in here]
        apart = [mean for _, mean in here if mean.low > 0 or mean.high < 0]
        finding = (
            f"SAE probes change test AUC by {', '.join(changes[:-1])} and {changes[-1]} "
            f"({tasks(max(mean.n for _, mean in here))}); {len(apart)} of "
            f"{len(here)} intervals leave out zero, "
            f"{sum(mean.high < 0 for mean in apart)} of them below it"
        )
    elif here:
        ((one, mean),) = here
        finding = f"under {one.under} ({tasks(mean.n)}) {above_below(mean, *one.sides)}"
    else:
        finding = f"SAE probes are {NOT_COMPARED} with baselines in any regime"
    absent = [one.label for one in REGIMES.values() if one.key not in run] if here else []
    finding += f" ({NOT_COMPARED}: {', '.join(absent)})" if absent else ""
    paper = [found for name in REGIMES if (found := of_the_paper(name))]
    return (
        f"In this run {finding}. In the paper's tables SAE probes cost test AUC in "
        f"{sum(one.high < 0 for one in paper)} of {len(paper)} regimes and help in "
        f"{sum(one.low > 0 for one in paper) or 'none'}."
    )


def baseline_sentence(rows: pd.DataFrame, *, hook: str) -> str:
    """Name the baseline with the highest mean test AUC at a hook, under standard conditions."""
    means = baseline_rows(rows, hook=hook).groupby("method")["test_auc"].mean()
    if means.empty:
        return "No baseline was run under standard conditions."
    best = max((name for name in BASELINES if name in means), key=means.__getitem__)
    return (
        f"The best single baseline in this run is {METHODS[best].label}, mean test AUC "
        f"{means[best]:.3f}."
    )
