"""The front page's figure: what SAE probes add in each regime, the paper beside this run."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from probing_core.analysis.comparison import compare
from probing_core.analysis.effects import overall
from probing_core.analysis.paired import MeanInterval
from probing_core.analysis.selection import DEFAULT_RANKING
from probing_core.figures.paper_numbers import DIFFERENCES, PaperDifference
from probing_core.figures.style import INK, MUTED, SAE, Drawing, new_figure, styled
from probing_core.figures.words import above_below, interval_name, plural, signed, tasks

PANELS = {
    "quiver": "toolbox with SAE probes \N{MINUS SIGN} toolbox without",
    "head to head": "one SAE probe \N{MINUS SIGN} logistic regression",
}
OFFSET = 0.17


def regime_differences(
    rows: pd.DataFrame,
    *,
    hook: str,
    ties: str = "neutral",
    sae_ids: Sequence[str] | None = None,
    ks: Sequence[int] = (16, 128),
    ranking: str = DEFAULT_RANKING,
) -> dict[str, MeanInterval]:
    """Estimate what SAE probes add in every regime that the rows contain.

    Args:
        rows: tidy result rows of one model, protocol and solver.
        hook: hook that all probes read.
        ties: rule for equal validation AUCs, see `quiver`.
        sae_ids: SAEs that take part, the first of them head to head; None takes one a width.
        ks: latents an SAE probe of the quiver keeps; the largest is used head to head.
        ranking: how latents were ranked.

    Returns:
        Mean difference over tasks by regime; a task's settings are averaged first. Regimes
        without both kinds of probe are absent.
    """
    found = {}
    for paper in DIFFERENCES:
        frame = compare(
            rows, paper.regime, hook=hook, ties=ties, sae_ids=sae_ids, ks=ks, ranking=ranking
        )
        has_sae = ((rows["regime"] == paper.regime) & (rows["method"] == "sae_logreg")).any()
        if has_sae and len(frame):
            found[paper.regime] = overall(frame).difference
    return found


@styled
def plot_headline(run: Mapping[str, MeanInterval]) -> Drawing:
    """Draw the mean effect of SAE probes per regime, the paper's and this run's.

    Args:
        run: this run's mean difference by regime, from `regime_differences`; a regime that is
            absent is drawn as an empty slot.

    Returns:
        Dots with intervals in two panels, because the paper compares toolboxes in three regimes
        and single probes in two.
    """
    groups = [[paper for paper in DIFFERENCES if paper.quantity == name] for name in PANELS]
    figure = new_figure(height=4.6)
    panels = figure.subplots(2, 1, height_ratios=[len(group) for group in groups])
    for axes, group, title in zip(panels, groups, PANELS.values(), strict=True):
        _draw_panel(axes, group, run)
        axes.set_title(title, loc="left")
    panels[-1].set_xlabel("mean difference in test AUC (below 0: SAE probes do not help)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2)
    here = [run[paper.regime] for paper in DIFFERENCES if paper.regime in run]
    missing = len(DIFFERENCES) - len(here)
    caption = (
        "Mean change in test AUC that SAE probes bring, per regime: the paper (Gemma-2-9B, "
        "recomputed with ties averaged) and this run, with "
        f"{interval_name(*here) if here else 'intervals over tasks'}. "
    )
    caption += f"Left of zero they cost AUC. {plural(missing, 'regime')} not run yet." if missing \
        else "Left of zero they cost AUC."  # fmt: skip
    return Drawing(figure, caption, headline_sentence(run))


def headline_sentence(run: Mapping[str, MeanInterval]) -> str:
    """State the run's finding in the regimes it has, beside the paper's in words."""
    here = [(paper, run[paper.regime]) for paper in DIFFERENCES if paper.regime in run]
    if len(here) > 1:
        changes = [f"{signed(mean.mean)} under {_conditions(paper)}" for paper, mean in here]
        apart = [mean for _, mean in here if mean.low > 0 or mean.high < 0]
        finding = (
            f"SAE probes change test AUC by {', '.join(changes[:-1])} and {changes[-1]} "
            f"({tasks(max(mean.n for _, mean in here))}); {len(apart)} of "
            f"{plural(len(here), 'interval')} leave out zero, "
            f"{sum(mean.high < 0 for mean in apart)} of them below it"
        )
    elif here:
        ((paper, mean),) = here
        finding = (
            f"under {_conditions(paper)} ({tasks(mean.n)}) {above_below(mean, *_sides(paper))}"
        )
    else:
        finding = "no regime has been run yet"
    costs = sum(paper.high < 0 for paper in DIFFERENCES)
    return (
        f"In this run {finding}. In the paper's tables SAE probes cost test AUC in "
        f"{costs} of {len(DIFFERENCES)} regimes and help in none."
    )


def _conditions(paper: PaperDifference) -> str:
    """Name a regime so that it fits behind ``under``."""
    return "standard conditions" if paper.regime == "standard" else paper.label


def _sides(paper: PaperDifference) -> tuple[str, str]:
    """Name the two things a regime compares."""
    if paper.quantity == "quiver":
        return "the toolbox with SAE probes", "the one without"
    return "the SAE probe", "logistic regression"


def _draw_panel(
    axes: Axes, group: Sequence[PaperDifference], run: Mapping[str, MeanInterval]
) -> None:
    """Draw one row a regime: the paper's estimate above this run's."""
    axes.axvline(0, color=INK, lw=0.9)
    ends = [0.0]
    for row, paper in enumerate(group):
        _estimate(axes, row - OFFSET, paper.mean, paper.low, paper.high, "paper", row == 0)
        ends += [paper.low, paper.high]
        mine = run.get(paper.regime)
        if mine is not None:
            low, high = np.nan_to_num([mine.low, mine.high], nan=mine.mean)
            _estimate(axes, row + OFFSET, mine.mean, low, high, "this run", False)
            ends += [low, high]
    axes.errorbar([], [], xerr=[], color=SAE, marker="o", label="this run", capsize=4)
    room = max(ends) - min(ends)
    axes.set_xlim(min(ends) - 0.06 * room, max(ends) + 0.30 * room)
    for row, paper in enumerate(group):
        if paper.regime not in run:
            axes.annotate(
                "not run yet", (1, row + OFFSET), xycoords=("axes fraction", "data"),
                ha="right", va="center", color=MUTED, style="italic",
            )  # fmt: skip
    axes.set_yticks(range(len(group)), [paper.label for paper in group])
    axes.set_ylim(len(group) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _estimate(
    axes: Axes, y: float, mean: float, low: float, high: float, whose: str, named: bool
) -> None:
    """Draw one estimate with its interval and write its mean at the right edge."""
    colour, marker = (MUTED, "s") if whose == "paper" else (SAE, "o")
    axes.errorbar(
        mean, y, xerr=[[mean - low], [high - mean]], color=colour, marker=marker, ms=7,
        capsize=4, lw=1.8, label=whose if named else None, mec=INK, mew=0.6,
    )  # fmt: skip
    axes.annotate(
        signed(mean), (1, y), xycoords=("axes fraction", "data"), ha="right", va="center", color=INK
    )
