"""Section 3.1: SAE probes and baselines with plenty of clean data (figures 1 and 4)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from adjustText import adjust_text
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from probing_core.analysis.comparison import head_to_head, over_seeds
from probing_core.analysis.paired import (
    PairedDifference,
    mean_interval,
    paired_difference,
    signless_zero,
)
from probing_core.analysis.quiver import quiver
from probing_core.analysis.selection import (
    BASELINES,
    DEFAULT_RANKING,
    baseline_rows,
    largest_l0_saes,
    sae_rows,
    task_number,
)
from probing_core.figures.style import (
    BASELINE,
    FAINT,
    INK,
    METHODS,
    MUTED,
    SAE,
    Drawing,
    new_figure,
    not_run,
    styled,
)
from probing_core.figures.words import above_below, interval_name, signed, tasks

LABELLED = 5
NOTABLE = 0.02
TITLE_LETTERS = 19


@styled
def plot_standard_bars(
    rows: pd.DataFrame,
    *,
    hook: str,
    sae_id: str | None = None,
    k: int = 128,
    ranking: str = DEFAULT_RANKING,
) -> Drawing:
    """Draw the standard slot of figure 1: logistic regression beside an SAE probe.

    Args:
        rows: tidy result rows of the standard regime.
        hook: hook that both probes read.
        sae_id: the SAE; None takes the narrowest at its largest L0.
        k: latents the SAE probe keeps.
        ranking: how latents were ranked.

    Returns:
        Bars with intervals and one dot a task; beside them every task's difference.
    """
    pair = over_seeds(head_to_head(rows, hook=hook, sae_id=sae_id, k=k, ranking=ranking))
    if pair.empty:
        return not_run(f"logistic regression and an SAE probe with k = {k} on one task")
    figure = new_figure(height=3.5)
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.5])
    means = [mean_interval(pair[side]) for side in ("baseline", "sae")]
    generator = np.random.default_rng(0)
    for place, (side, colour, mean) in enumerate(
        zip(("baseline", "sae"), (BASELINE, SAE), means, strict=True)
    ):
        left.bar(place, mean.mean - 0.5, bottom=0.5, width=0.62, color=colour, alpha=0.85)
        jitter = place + generator.uniform(-0.2, 0.2, len(pair))
        left.plot(jitter, pair[side], ".", color=INK, alpha=0.35, markersize=4)
        ends = np.nan_to_num([[mean.mean - mean.low], [mean.high - mean.mean]])
        left.errorbar(place, mean.mean, ends, color=INK, capsize=5, lw=1.6)
    low = min(0.5, float(pair[["baseline", "sae"]].min().min()) - 0.02)
    left.set(ylim=(low, 1.01), ylabel="test AUC", xticks=[0, 1])
    left.set_xticklabels(["logistic\nregression", f"SAE probe\nk = {k}"])
    paired = paired_difference(pair["sae"], pair["baseline"])
    _draw_sorted_differences(right, pair["difference"].to_numpy(), paired)
    difference = paired.difference
    caption = (
        f"Test AUC of logistic regression and an SAE probe over {tasks(len(pair))}, and each "
        f"task's difference. Bars are means with {interval_name(*means)}; the band is the mean "
        f"difference with its own. The SAE probe gains on {paired.better}, loses on "
        f"{paired.worse}, and ties within {paired.margin} on {paired.equal}."
    )
    alt = (
        f"{above_below(difference, 'The SAE probe', 'logistic regression')}: mean test AUC "
        f"{signless_zero(means[1].mean)} against {signless_zero(means[0].mean)}; better on "
        f"{paired.better} of {tasks(len(pair))}, worse on {paired.worse}."
    )
    return Drawing(figure, caption, alt)


def _draw_sorted_differences(axes: Axes, difference: np.ndarray, paired: PairedDifference) -> None:
    """Draw one bar a task, sorted, coloured by who wins, with the mean and its interval."""
    ordered = np.sort(difference)
    colours = np.where(ordered > 0, SAE, BASELINE)
    axes.bar(np.arange(1, len(ordered) + 1), ordered, color=colours, width=0.85)
    mean = paired.difference
    axes.axhline(0, color=INK, lw=0.8)
    axes.axhline(mean.mean, color=INK, lw=1.4, ls=(0, (5, 2)), label=f"mean {mean.text()}")
    if np.isfinite(mean.low):
        axes.axhspan(mean.low, mean.high, color=MUTED, alpha=0.25, lw=0)
    axes.set(xlabel="task, sorted by difference", ylabel="SAE probe \N{MINUS SIGN} logreg (AUC)")
    axes.set_xlim(0.3, len(ordered) + 0.7)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    low, high = min(ordered.min(), 0.0), max(ordered.max(), 0.0)
    room = max(high - low, 0.01)
    axes.set_ylim(low - 0.05 * room, high + 0.22 * room)
    axes.legend(loc="upper left", borderaxespad=0.1)


@styled
def plot_quiver_scatter(
    rows: pd.DataFrame,
    *,
    hook: str,
    ties: str = "neutral",
    sae_ids: Sequence[str] | None = None,
    ks: Sequence[int] = (16, 128),
    ranking: str = DEFAULT_RANKING,
) -> Drawing:
    """Draw figure 4: the quiver's test AUC without and with SAE probes, one point a task.

    Args:
        rows: tidy result rows of the standard regime.
        hook: hook that all arrows read.
        ties: rule for equal validation AUCs, see `quiver`.
        sae_ids: SAEs that take part; None takes one per width at its largest L0.
        ks: latents an SAE probe keeps.
        ranking: how latents were ranked.

    Returns:
        A scatter with the diagonal; notable tasks are named.
    """
    picks = over_seeds(quiver(rows, hook=hook, ties=ties, sae_ids=sae_ids, ks=ks, ranking=ranking))
    if picks.empty:
        return not_run(f"baselines at {hook}")
    paired = paired_difference(picks["with_auc"], picks["without_auc"])
    figure = new_figure(width=5.6, height=5.2)
    axes = figure.subplots()
    low = float(np.floor(picks[["without_auc", "with_auc"]].min().min() * 20) / 20) - 0.01
    axes.plot([low, 1], [low, 1], color=MUTED, lw=1, zorder=1)
    for share, colour, marker, name in (
        (picks["picked_sae"] == 0, BASELINE, "o", "picks a baseline"),
        (picks["picked_sae"].between(0, 1, inclusive="neither"), "white", "D", "tie, averaged"),
        (picks["picked_sae"] == 1, SAE, "P", "picks an SAE probe"),
    ):
        if share.any():
            axes.scatter(
                picks.loc[share, "without_auc"],
                picks.loc[share, "with_auc"],
                s=44,
                color=colour,
                edgecolor=INK,
                linewidth=0.7,
                marker=marker,
                label=f"{name} ({int(share.sum())})",
                zorder=3,
            )
    axes.set(xlim=(low, 1.01), ylim=(low, 1.01), aspect="equal")
    axes.set(xlabel="test AUC, baselines only", ylabel="test AUC, baselines and SAE probes")
    mean = paired.difference
    axes.plot([], [], " ", label=f"mean \N{GREEK CAPITAL LETTER DELTA} {mean.text(4)}")
    axes.legend(loc="upper left", handletextpad=0.4)
    _name_notable(axes, picks)
    share = picks["picked_sae"].mean()
    caption = (
        f"Test AUC of the probe chosen by validation AUC, without and with SAE probes, over "
        f"{tasks(len(picks))}; ties: {ties}. Points below the line lose from the larger choice. "
        f"Mean \N{GREEK CAPITAL LETTER DELTA} with {interval_name(mean)}; an SAE probe is picked "
        f"on {share:.0%} of tasks."
    )
    alt = (
        f"Adding SAE probes changes the chosen probe's test AUC by {signed(mean.mean, 4)} on "
        f"average over {tasks(len(picks))}: better by more than {paired.margin} on "
        f"{paired.better}, worse on {paired.worse}, equal on {paired.equal}."
    )
    return Drawing(figure, caption, alt)


def _name_notable(axes: Axes, picks: pd.DataFrame) -> None:
    """Name the few tasks whose AUC the SAE probes change most, if by a notable amount."""
    largest = picks["difference"].abs().nlargest(LABELLED)
    notable = picks.loc[largest[largest > NOTABLE].index]
    texts = [
        axes.text(row.without_auc, row.with_auc, _short(row.dataset, 26), fontsize=8.5)
        for row in notable.itertuples()
    ]
    if texts:
        adjust_text(
            texts,
            x=picks["without_auc"].to_numpy(),
            y=picks["with_auc"].to_numpy(),
            ax=axes,
            arrowprops={"arrowstyle": "-", "color": MUTED, "lw": 0.8},
            expand=(1.2, 1.9),
        )


@styled
def plot_every_task(
    rows: pd.DataFrame,
    *,
    hook: str,
    sae_id: str | None = None,
    ranking: str = DEFAULT_RANKING,
    columns: int = 5,
) -> Drawing:
    """Draw figure 15: for every task, test AUC against k with logistic regression as a line.

    Args:
        rows: tidy result rows of the standard regime.
        hook: hook that all probes read.
        sae_id: the SAE; None takes the widest at its largest L0, as the paper.
        ranking: how latents were ranked.
        columns: panels side by side.

    Returns:
        Small multiples on shared axes, in task order.
    """
    here = rows[rows["hook"] == hook]
    saes = [sae_id] if sae_id else largest_l0_saes(here)[-1:]
    curves = sae_rows(here, ranking=ranking, sae_ids=saes)
    if curves.empty:
        return not_run(f"SAE probes at {hook}, ranking {ranking}")
    names = sorted(curves["dataset"].unique(), key=lambda tag: (task_number(tag), tag))
    logreg = baseline_rows(here).query("method == 'logreg'").groupby("dataset")["test_auc"].mean()
    table = curves.pivot_table(index="dataset", columns="k", values="test_auc")
    columns = min(columns, len(names))
    lines = -(-len(names) // columns)
    figure = new_figure(height=0.6 + 1.05 * lines)
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for axes, name in zip(grid.flat, names, strict=False):
        title = _short(name, TITLE_LETTERS * 5 // columns)
        _draw_task(axes, title, table.loc[name].dropna(), logreg.get(name, np.nan))
    for place, axes in enumerate(grid.flat[len(names) :], start=len(names)):
        axes.set_axis_off()
        if lines > 1:
            grid.flat[place - columns].xaxis.set_tick_params(labelbottom=True)
    _finish_grid(figure, grid, table, logreg)
    largest = table.columns.max()
    reached = int((table[largest] >= logreg.reindex(table.index)).sum())
    caption = (
        f"Test AUC against the number of latents k, one panel a task ({tasks(len(names))}), for "
        f"SAE {saes[0]} (blue) and logistic regression (orange, dashed). Single runs, so no "
        f"interval. With k = {largest} the SAE probe reaches logistic regression on {reached}."
    )
    alt = (
        f"With {largest} latents the SAE probe reaches logistic regression's test AUC on {reached} "
        f"of {tasks(len(names))}; with {table.columns.min()} on "
        f"{int((table[table.columns.min()] >= logreg.reindex(table.index)).sum())}."
    )
    return Drawing(figure, caption, alt)


def _draw_task(axes: Axes, title: str, curve: pd.Series, logreg: float) -> None:
    """Draw one task's panel."""
    axes.axhline(logreg, color=METHODS["logreg"][0], ls=(0, (4, 1.5)), lw=1.6)
    axes.plot(curve.index.astype(float), curve.to_numpy(), color=SAE, lw=1.6, marker=".", ms=4)
    axes.axhline(0.5, color=FAINT, lw=0.8, zorder=0)
    axes.set_title(title, fontsize=8, pad=3, loc="left")


def _short(dataset: str, letters: int) -> str:
    """Write a dataset tag with spaces, cut to a number of letters."""
    title = dataset.replace("_", " ")
    return title if len(title) <= letters else f"{title[: letters - 1].rstrip()}\u2026"


def _finish_grid(figure: Figure, grid: np.ndarray, table: pd.DataFrame, logreg: pd.Series) -> None:
    """Give small multiples one scale, few ticks and shared axis labels."""
    first = grid.flat[0]
    ks = table.columns.astype(float)
    first.set_xscale("log", base=2)
    middle = [k for k in (4, 16) if 4 * ks.min() <= k <= ks.max() / 4]
    shown = sorted({float(ks.min()), *map(float, middle[-1:]), float(ks.max())})
    first.set_xticks(shown, [f"{k:g}" for k in shown])
    first.minorticks_off()
    low = float(np.nanmin([table.min().min(), logreg.min()]))
    first.set_ylim(min(0.48, low - 0.02), 1.03)
    first.set_yticks([0.5, 0.75, 1.0], ["0.5", "", "1"])
    for axes in grid.flat:
        axes.tick_params(labelsize=8, length=2.5)
    figure.supxlabel("latents kept, k (log2)", fontsize=9.5)
    figure.supylabel("test AUC", fontsize=9.5)


def baseline_sentence(rows: pd.DataFrame, *, hook: str) -> str:
    """Name the baseline with the highest mean test AUC at a hook.

    Args:
        rows: tidy result rows of the standard regime.
        hook: hook name.

    Returns:
        One sentence with the method's written name and its mean test AUC.
    """
    means = baseline_rows(rows, hook=hook).groupby("method")["test_auc"].mean()
    if means.empty:
        return "No baseline was run under standard conditions."
    best = max((name for name in BASELINES if name in means), key=means.get)
    return (
        f"The best single baseline in this run is {METHODS[best][3]}, mean test AUC "
        f"{means[best]:.3f}."
    )
