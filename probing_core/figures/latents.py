"""Sections 3.1 and D.2: number of latents, L0, width and ranking (figures 3, 14a, 14b)."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.ticker import MaxNLocator
from scipy.interpolate import griddata

from probing_core.analysis.paired import mean_interval, paired_difference, signless_zero
from probing_core.analysis.selection import (
    DEFAULT_RANKING,
    largest_l0_saes,
    per_task,
    sae_catalogue,
    sae_rows,
    shared_tasks,
    width_label,
)
from probing_core.figures.style import (
    AUC_COLOURS,
    BASELINE,
    INK,
    L0_COLOURS,
    MUTED,
    SAE,
    Drawing,
    integer_log2_ticks,
    label_ends,
    new_figure,
    not_run,
    styled,
)
from probing_core.figures.words import above_below, interval_name, plural, signed, tasks

INTERPOLATE_FROM = 12
RANKING_LABELS = {
    "mean_difference": "mean difference",
    "normalized_mean_difference": "normalised mean difference",
}


def sae_means(rows: pd.DataFrame, *, hook: str, ranking: str = DEFAULT_RANKING) -> pd.DataFrame:
    """Average test AUC over the tasks that every SAE and k has, for each of them.

    Args:
        rows: tidy result rows of the standard regime.
        hook: hook that the SAE reads.
        ranking: how latents were ranked.

    Returns:
        Columns ``sae_id``, ``sae_width``, ``sae_l0``, ``k``, ``test_auc``, sorted by them.
    """
    chosen = sae_rows(rows[rows["hook"] == hook], ranking=ranking)
    chosen = shared_tasks(chosen, ["sae_id", "k"])
    means = per_task(chosen, ["sae_id", "k"]).groupby(["sae_id", "k"], as_index=False)
    table = means["test_auc"].mean().merge(sae_catalogue(chosen), on="sae_id")
    order = ["sae_width", "sae_l0", "k"]
    return table.sort_values(order)[["sae_id", *order, "test_auc"]].reset_index(drop=True)


@styled
def plot_auc_by_k(
    rows: pd.DataFrame, *, hook: str, width: int | None = None, ranking: str = DEFAULT_RANKING
) -> Drawing:
    """Draw figure 3: mean test AUC against k, one line per L0, at one width.

    Args:
        rows: tidy result rows of the standard regime.
        hook: hook that the SAEs read.
        width: dictionary width; None takes the one with the most L0s, the narrower on ties.
        ranking: how latents were ranked.

    Returns:
        Lines that darken with L0, and the mean of logistic regression as a dashed line.
    """
    means = sae_means(rows, hook=hook, ranking=ranking)
    if means.empty:
        return not_run(f"SAE probes at {hook}, ranking {ranking}")
    if width is None:
        width = int(means.groupby("sae_width")["sae_id"].nunique().idxmax())
    means = means[means["sae_width"] == width]
    figure = new_figure(height=3.7)
    axes = figure.subplots()
    ends = []
    l0s = means.groupby("sae_id", sort=False)["sae_l0"].first()
    norm = LogNorm(l0s.min() / 1.5, max(l0s.max(), l0s.min() * 1.01))
    for sae_id, line in means.groupby("sae_id", sort=False):
        colour = L0_COLOURS(norm(l0s[sae_id])) if len(l0s) > 1 else SAE
        axes.plot(line["k"].astype(float), line["test_auc"], color=colour, marker="o", ms=4)
        ends.append((float(line["test_auc"].iloc[-1]), f"L0 {l0s[sae_id]:.0f}", colour))
    chosen = shared_tasks(sae_rows(rows[rows["hook"] == hook], ranking=ranking), ["sae_id", "k"])
    logreg = rows[(rows["hook"] == hook) & (rows["method"] == "logreg")]
    logreg = logreg[logreg["dataset"].isin(chosen["dataset"])]
    reference = logreg.groupby("dataset")["test_auc"].mean().mean()
    largest = float(means["k"].max())
    if np.isfinite(reference):
        axes.axhline(reference, color=BASELINE, ls=(0, (5, 2)), lw=2)
        ends.append((float(reference), "logistic regression", BASELINE))
    integer_log2_ticks(axes, means["k"].astype(float).tolist())
    axes.set_xlim(None, largest * 1.1)
    axes.set(xlabel="latents kept, k (log2)", ylabel="mean test AUC")
    label_ends(axes, largest, ends)
    top = means.loc[means["test_auc"].idxmax()]
    count = chosen["dataset"].nunique()
    caption = (
        f"Mean test AUC over {tasks(count)} against the number of latents kept, one line per L0 at "
        f"width {width_label(width)}; dashed is logistic regression. Means without interval, as "
        f"published. The best mean is {signless_zero(top['test_auc'])} with k = {top['k']} and "
        f"L0 {top['sae_l0']:.0f}."
    )
    gap = top["test_auc"] - reference
    side = "above" if gap > 0 else "below"
    against = f", {signless_zero(abs(gap))} {side} logistic regression" if np.isfinite(gap) else ""
    alt = (
        f"At width {width_label(width)} the best mean test AUC is "
        f"{signless_zero(top['test_auc'])} (k = {top['k']}, L0 {top['sae_l0']:.0f}){against}; "
        f"with one latent per probe it starts at {signless_zero(means['test_auc'].min())}."
    ).replace("with one latent per probe", f"with k = {means['k'].min()}")
    return Drawing(figure, caption, alt)


@styled
def plot_l0_and_width(rows: pd.DataFrame, *, hook: str, ranking: str = DEFAULT_RANKING) -> Drawing:
    """Draw figure 14a: mean test AUC over tasks and k, for every SAE by L0 and width.

    Args:
        rows: tidy result rows of the standard regime.
        hook: hook that the SAEs read.
        ranking: how latents were ranked.

    Returns:
        Coloured points; from 12 SAEs on with cubic interpolation behind them, below that with
        the numbers written beside the points.
    """
    means = sae_means(rows, hook=hook, ranking=ranking)
    if means.empty:
        return not_run(f"SAE probes at {hook}, ranking {ranking}")
    table = means.groupby("sae_id", as_index=False).agg(
        sae_width=("sae_width", "first"), sae_l0=("sae_l0", "first"), auc=("test_auc", "mean")
    )
    table["sae_width"] = table["sae_width"].astype(float)
    figure = new_figure(height=3.7)
    axes = figure.subplots()
    lowest, highest = table["auc"].min(), table["auc"].max()
    scale = Normalize(lowest, max(highest, lowest + 1e-3))
    many = len(table) >= INTERPOLATE_FROM
    if many:
        _interpolate(axes, table, scale)
    points = axes.scatter(
        table["sae_l0"], table["sae_width"], c=table["auc"], cmap=AUC_COLOURS,
        s=60 if many else 170, edgecolor=INK, linewidth=0.8, zorder=3, norm=scale,
    )  # fmt: skip
    _log_axes(axes, table)
    if not many:
        for row in table.itertuples():
            axes.annotate(
                signless_zero(row.auc), (row.sae_l0, row.sae_width), xytext=(0, 11),
                textcoords="offset points", ha="center",
            )  # fmt: skip
    figure.colorbar(points, ax=axes, label="mean test AUC", aspect=25)
    best, worst = table.loc[table["auc"].idxmax()], table.loc[table["auc"].idxmin()]
    behind = " Colour between points is cubic interpolation." if many else ""
    caption = (
        f"Mean test AUC over tasks and all k for {plural(len(table), 'SAE')}, by L0 and width."
        f"{behind} Means without interval. The best is L0 {best['sae_l0']:.0f} at width "
        f"{width_label(best['sae_width'])} with {signless_zero(best['auc'])}."
    )
    alt = (
        f"The best of {plural(len(table), 'SAE')} has L0 {best['sae_l0']:.0f} and width "
        f"{width_label(best['sae_width'])} (mean test AUC {signless_zero(best['auc'])}), the "
        f"worst L0 {worst['sae_l0']:.0f} and width {width_label(worst['sae_width'])} "
        f"({signless_zero(worst['auc'])})."
    )
    return Drawing(figure, caption, alt)


def _interpolate(axes: Axes, table: pd.DataFrame, scale: Normalize) -> None:
    """Fill the hull of the points with a cubic interpolation in log-log coordinates."""
    points = np.log2(table[["sae_l0", "sae_width"]].to_numpy(dtype=float))
    axis = [np.linspace(points[:, side].min(), points[:, side].max(), 200) for side in (0, 1)]
    l0, width = np.meshgrid(*axis)
    values = griddata(points, table["auc"].to_numpy(), (l0, width), method="cubic")
    axes.pcolormesh(
        2**l0, 2**width, values, cmap=AUC_COLOURS, shading="gouraud", rasterized=True, norm=scale
    )


def _log_axes(axes: Axes, table: pd.DataFrame) -> None:
    """Scale both axes by log2 with plain numbers, leaving room around the points."""
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    low, high = table["sae_l0"].min(), table["sae_l0"].max()
    ticks = [2.0**power for power in range(0, 15) if low / 1.5 <= 2.0**power <= high * 1.5]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    widths = sorted(table["sae_width"].unique())
    axes.set_yticks(widths, [width_label(width) for width in widths])
    axes.minorticks_off()
    axes.set_xlim(low / 1.35, high * 1.35)
    axes.set_ylim(widths[0] / 1.4, widths[-1] * 1.5)
    axes.set(xlabel="L0: mean active latents (log2)", ylabel="width: latents (log2)")


@styled
def plot_auc_by_width(rows: pd.DataFrame, *, hook: str, ranking: str = DEFAULT_RANKING) -> Drawing:
    """Draw figure 14b: mean test AUC by width, over tasks, k and L0.

    Args:
        rows: tidy result rows of the standard regime.
        hook: hook that the SAEs read.
        ranking: how latents were ranked.

    Returns:
        One point a width with an interval over tasks; a line fit from three widths on.
    """
    chosen = sae_rows(rows[rows["hook"] == hook], ranking=ranking)
    chosen = shared_tasks(chosen, ["sae_id", "k"])
    if chosen.empty:
        return not_run(f"SAE probes at {hook}, ranking {ranking}")
    by_task = per_task(chosen, ["sae_width"])
    widths = sorted(int(width) for width in by_task["sae_width"].unique())
    means = [mean_interval(by_task.query("sae_width == @width")["test_auc"]) for width in widths]
    figure = new_figure(width=5.6, height=3.5)
    axes = figure.subplots()
    centre = [mean.mean for mean in means]
    ends = np.nan_to_num([[m.mean - m.low for m in means], [m.high - m.mean for m in means]])
    axes.errorbar(
        widths, centre, ends, color=SAE, marker="o", ms=7, ls="none", capsize=5, mec=INK, mew=0.6
    )
    axes.set_xscale("log", base=2)
    axes.set_xticks(widths, [width_label(width) for width in widths])
    axes.minorticks_off()
    axes.set_xlim(widths[0] / 1.6, widths[-1] * 1.6)
    axes.set(xlabel="width: latents (log2)", ylabel="mean test AUC")
    slope = np.nan
    if len(widths) >= 3:
        slope, start = np.polyfit(np.log2(widths), centre, 1)
        axes.plot(
            widths, slope * np.log2(widths) + start, color=MUTED, ls=(0, (5, 2)),
            label=f"{signed(slope, 4)} per doubling",
        )  # fmt: skip
        axes.legend(loc="upper right")
    step = paired_difference(*_width_pair(by_task, widths)).difference if len(widths) > 1 else None
    caption = (
        f"Mean test AUC by dictionary width, over {tasks(by_task['dataset'].nunique())}, all k and "
        f"all L0, with {interval_name(*means)}; each task counts once."
    )
    alt = f"Width {width_label(widths[0])} has a mean test AUC of {signless_zero(centre[0])}."
    if step is not None:
        names = [f"width {width_label(width)}" for width in (widths[-1], widths[0])]
        alt = f"{above_below(step, *names).capitalize()} ({signless_zero(centre[-1])} against "
        alt += f"{signless_zero(centre[0])}), compared task by task."
        caption += f" From {width_label(widths[0])} to {width_label(widths[-1])} the mean changes "
        caption += f"by {step.text()}, compared task by task."
    return Drawing(figure, caption, alt)


def _width_pair(by_task: pd.DataFrame, widths: list[int]) -> tuple[pd.Series, pd.Series]:
    """Return per-task test AUC at the widest and the narrowest dictionary, on shared tasks."""
    table = by_task.pivot_table(index="dataset", columns="sae_width", values="test_auc").dropna()
    return table[widths[-1]], table[widths[0]]


@styled
def plot_rankings(
    rows: pd.DataFrame, *, hook: str, sae_id: str | None = None, k: int = 16
) -> Drawing:
    """Compare the paper's two ways to rank latents: by k, and task by task at one k.

    Args:
        rows: tidy result rows of the standard regime, with one or both rankings.
        hook: hook that the SAE reads.
        sae_id: the SAE; None takes the narrowest at its largest L0.
        k: number of latents for the task-by-task panel.

    Returns:
        Lines of mean test AUC by k, and a scatter of tasks.
    """
    here = rows[rows["hook"] == hook]
    chosen = sae_rows(here, ranking=None, sae_ids=[sae_id] if sae_id else largest_l0_saes(here)[:1])
    by_task = per_task(chosen, ["ranking", "k"])
    table = by_task.pivot_table(index=["k", "dataset"], columns="ranking", values="test_auc")
    old, new = RANKING_LABELS
    if not {old, new} <= set(table) or k not in table.dropna().index.get_level_values("k"):
        return not_run(f"both rankings at k = {k}")
    shared = table[[old, new]].dropna()
    figure = new_figure(height=3.5)
    left, right = figure.subplots(1, 2, width_ratios=[1.25, 1])
    lines = shared.groupby("k").mean()
    for name, colour, marker, line in ((old, MUTED, "o", (0, (4, 1.5))), (new, SAE, "P", "-")):
        left.plot(
            lines.index.astype(float), lines[name], color=colour, marker=marker, ls=line,
            label=RANKING_LABELS[name],
        )  # fmt: skip
    integer_log2_ticks(left, lines.index.astype(float).tolist(), most=6)
    left.set(xlabel="latents kept, k (log2)", ylabel="mean test AUC")
    left.legend(loc="lower right", title="latents ranked by", alignment="left")
    at_k = shared.loc[k]
    low = float(np.floor(at_k.min().min() * 20) / 20) - 0.01
    right.plot([low, 1], [low, 1], color=MUTED, lw=1, zorder=1)
    right.scatter(at_k[old], at_k[new], s=26, color=SAE, edgecolor=INK, linewidth=0.5, alpha=0.85)
    right.set(xlim=(low, 1.015), ylim=(low, 1.015), aspect="equal")
    for axis in (right.xaxis, right.yaxis):
        axis.set_major_locator(MaxNLocator(5))
    right.set(xlabel=f"AUC, mean difference (k = {k})", ylabel="AUC, normalised")
    paired = paired_difference(at_k[new], at_k[old])
    mean = paired.difference
    caption = (
        f"Test AUC over {tasks(len(at_k))} when latents are ranked by mean difference and by the "
        f"normalised one, for SAE {chosen['sae_id'].iloc[0]}. Left: means by k; right: each task "
        f"at k = {k}. Normalising changes the mean by {mean.text()}, {interval_name(mean)}."
    )
    alt = (
        f"At k = {k}, {above_below(mean, 'the normalised ranking', 'the plain one')}: better by "
        f"more than {paired.margin} on {paired.better} of {tasks(len(at_k))}, worse on "
        f"{paired.worse}."
    )
    return Drawing(figure, caption, alt)
