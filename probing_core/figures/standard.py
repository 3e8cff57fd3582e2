"""Section 02: probes with plenty of clean data (figures 1, 3, 4 and 13 to 15 of the paper).

Every figure takes tidy result rows of the standard regime and, where it does not compare them,
the hook that its probes read, the ranking of latents and k, the number of latents kept.
"""

from typing import Any

import numpy as np
import pandas as pd
from adjustText import adjust_text
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.ticker import MaxNLocator
from matplotlib.typing import ColorType

from probing_core.analysis import means as averages
from probing_core.analysis.comparison import head_to_head, over_seeds
from probing_core.analysis.paired import MARGIN, Effect, mean_interval, paired_effect, signless_zero
from probing_core.analysis.quiver import quiver
from probing_core.analysis.selection import (
    DEFAULT_RANKING,
    hook_label,
    largest_l0_saes,
    per_task,
    sae_rows,
    shared_tasks,
    task_number,
    width_label,
)
from probing_core.figures import marks, style, words
from probing_core.figures.style import BASELINE, INK, MUTED, SAE, Drawing, not_run, styled
from probing_core.figures.words import plural, signed, tasks
from probing_core.probes.methods import METHODS

LABELLED, NOTABLE = 5, 0.02
"""Tasks of the quiver that are named: at most so many, of at least this change."""
MIN_LABEL = 0.05
WRITTEN = 12
"""Most SAEs whose numbers are written beside their points."""
RANKINGS = {
    "mean_difference": "mean difference",
    "normalized_mean_difference": "normalised mean difference",
}
DELTA = "\N{GREEK CAPITAL LETTER DELTA}"


@styled
def plot_standard_bars(
    rows: pd.DataFrame, *, hook: str, k: int = 128, ranking: str = DEFAULT_RANKING
) -> Drawing:
    """Draw the standard slot of figure 1, and every task's difference beside it."""
    pair = over_seeds(head_to_head(rows, hook=hook, k=k, ranking=ranking))
    if pair.empty:
        return not_run(f"logistic regression and an SAE probe with k = {k} on one task")
    pair = pair.set_index("dataset")
    figure = style.new_figure(height=3.5)
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.5])
    means = [mean_interval(pair[side]) for side in ("baseline", "sae")]
    generator = np.random.default_rng(0)
    for place, (side, colour) in enumerate((("baseline", BASELINE), ("sae", SAE))):
        marks.bars(left, [place], [means[place]], colour, width=0.62)
        jitter = place + generator.uniform(-0.2, 0.2, len(pair))
        left.plot(jitter, pair[side], ".", color=INK, alpha=0.35, markersize=4)
    low = min(0.5, float(pair[["baseline", "sae"]].min().min()) - 0.02)
    left.set(ylim=(low, 1.01), ylabel="test AUC")
    left.set_xticks([0, 1], ["logistic\nregression", f"SAE probe\nk = {k}"])
    change = paired_effect(pair["difference"])
    _draw_sorted_differences(right, pair["difference"].to_numpy(), change)
    caption = (
        f"Test AUC of logistic regression and an SAE probe over {tasks(len(pair))}, and each "
        f"task's difference. Bars are means with {words.interval_name(*means)}; the band is the "
        f"mean difference with its own. The SAE probe gains on {change.better}, loses on "
        f"{change.worse}, and ties within {MARGIN} on {change.equal}."
    )
    alt = (
        f"{words.above_below(change.difference, 'The SAE probe', 'logistic regression')}: mean "
        f"test AUC {signless_zero(means[1].mean)} against {signless_zero(means[0].mean)}; better "
        f"on {change.better} of {tasks(len(pair))}, worse on {change.worse}."
    )
    return Drawing(figure, caption, alt)


def _draw_sorted_differences(axes: Axes, difference: np.ndarray, change: Effect) -> None:
    """Draw one bar a task, sorted, coloured by who wins, with the mean and its interval."""
    ordered = np.sort(difference)
    colours = np.where(ordered > 0, SAE, BASELINE)
    axes.bar(np.arange(1, len(ordered) + 1), ordered, color=colours, width=0.85)
    mean = change.difference
    axes.axhline(0, color=INK, lw=0.8)
    axes.axhline(mean.mean, color=INK, lw=1.4, ls=marks.DASHED, label=f"mean {mean.text()}")
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
def plot_quiver_scatter(rows: pd.DataFrame, *, hook: str, **options: Any) -> Drawing:
    """Draw figure 4: the quiver's test AUC without and with SAE probes, one point a task."""
    picks = over_seeds(quiver(rows, hook=hook, **options))
    if picks.empty:
        return not_run(f"baselines at {hook}")
    change = paired_effect(picks.set_index("dataset")["difference"])
    figure = style.new_figure(width=5.6, height=5.2)
    axes = figure.subplots()
    marks.against(axes, picks[["without_auc", "with_auc"]])
    share = picks["picked_sae"]
    for chosen, colour, marker, name in (
        (share == 0, BASELINE, "o", "picks a baseline"),
        (share.between(0, 1, inclusive="neither"), "white", "D", "tie, averaged"),
        (share == 1, SAE, "P", "picks an SAE probe"),
    ):
        if chosen.any():
            axes.scatter(
                picks.loc[chosen, "without_auc"], picks.loc[chosen, "with_auc"], s=44, color=colour,
                edgecolor=INK, linewidth=0.7, marker=marker, zorder=3,
                label=f"{name} ({int(chosen.sum())})",
            )  # fmt: skip
    axes.set(xlabel="test AUC, baselines only", ylabel="test AUC, baselines and SAE probes")
    mean = change.difference
    axes.plot([], [], " ", label=f"mean {DELTA} {mean.text(4)}")
    axes.legend(loc="upper left", handletextpad=0.4)
    _name_notable(axes, picks)
    caption = (
        "Test AUC of the probe chosen by validation AUC, without and with SAE probes, over "
        f"{tasks(len(picks))}; ties: {options.get('ties', 'neutral')}. Points below the line lose "
        f"from the larger choice. Mean {DELTA} with {words.interval_name(mean)}; an SAE probe is "
        f"picked on {share.mean():.0%} of tasks."
    )
    alt = (
        f"Adding SAE probes changes the chosen probe's test AUC by {signed(mean.mean, 4)} on "
        f"average over {tasks(len(picks))}: better by more than {MARGIN} on "
        f"{change.better}, worse on {change.worse}, equal on {change.equal}."
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
            texts, x=picks["without_auc"].to_numpy(), y=picks["with_auc"].to_numpy(), ax=axes,
            arrowprops={"arrowstyle": "-", "color": MUTED, "lw": 0.8}, expand=(1.2, 1.9),
        )  # fmt: skip


@styled
def plot_auc_by_layer(rows: pd.DataFrame) -> Drawing:
    """Draw figure 13a: mean test AUC by layer for every baseline, and the mean of all in black."""
    means = averages.layer_means(rows)
    if means.empty:
        return not_run("baselines")
    figure = style.new_figure(height=3.7)
    axes = figure.subplots()
    places = np.arange(len(means))
    names = [name for name in means.columns if name != "combined"]
    for one in (METHODS[name] for name in names):
        axes.plot(
            places, means[one.key], color=one.colour, marker=one.marker, ls=one.line, mec=INK,
            mew=0.5, zorder=3,
        )  # fmt: skip
    by_task = averages.baselines_by_task(rows).mean(axis=1)
    combined = [mean_interval(by_task.loc[hook]) for hook in means.index]
    ends = marks.error_ends(combined)
    axes.errorbar(places, [one.mean for one in combined], ends, color=INK, lw=2, capsize=4)
    axes.set(ylabel="mean test AUC", xlabel="layer whose output is probed")
    axes.set_xticks(places, [hook_label(hook) for hook in means.index])
    axes.set_xlim(-0.25, len(means) - 1 + 0.15)
    named = [(means[name].iloc[-1], METHODS[name].label, METHODS[name].colour) for name in names]
    marks.label_ends(axes, len(means) - 1, [*named, (combined[-1].mean, "mean of all", INK)])
    best = means["combined"].idxmax()
    top = means.loc[best, names].astype(float).idxmax()
    caption = (
        f"Mean test AUC over {tasks(combined[0].n)} by layer, one line a baseline; black is the "
        f"mean of {plural(len(names), 'baseline')} with {words.interval_name(*combined)}. Layer "
        f"{hook_label(best)} is best, and {METHODS[top].label} leads there."
    )
    alt = (
        f"Baselines do best at layer {hook_label(best)} with a mean test AUC of "
        f"{signless_zero(means.loc[best, 'combined'])}; there {METHODS[top].label} leads with "
        f"{signless_zero(means.loc[best, top])}. The first layer drawn, "
        f"{hook_label(means.index[0])}, gives {signless_zero(means['combined'].iloc[0])}."
    )
    return Drawing(figure, caption, alt)


@styled
def plot_best_method_by_layer(rows: pd.DataFrame) -> Drawing:
    """Draw figure 13b: on how many tasks each baseline is best, by layer; ties share a task."""
    counts = averages.best_method_counts(rows)
    if counts.empty:
        return not_run("baselines")
    count = round(counts.sum(axis=1).max())
    figure = style.new_figure(height=3.6)
    axes = figure.subplots()
    marks.stacked_bars(axes, counts, [METHODS[name].colour for name in counts], MIN_LABEL * count)
    axes.set(xlabel="layer whose output is probed", ylabel="tasks where it is best")
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xticks(range(len(counts)), [hook_label(hook) for hook in counts.index])
    labels = [METHODS[name].label for name in counts]
    bars = [container[0] for container in axes.containers]
    figure.legend(bars[::-1], labels[::-1], loc="outside right center")
    total, last = counts.sum(), counts.iloc[-1]
    winner = words.starting(METHODS[total.idxmax()].label)
    share = f"{total.max() / total.sum():.0%}"
    caption = (
        f"Number of tasks (of {count}) on which each baseline has the best test AUC, by layer; "
        f"tied methods share a task. Counts of single runs, without interval. {winner} is best "
        f"most often: {share} of all layers and tasks."
    )
    wins = f"{last.max():.1f}".removesuffix(".0")
    alt = (
        f"{winner} has the best test AUC most often, on {share} of task-layer pairs; at layer "
        f"{hook_label(counts.index[-1])} {METHODS[last.idxmax()].label} wins {wins} of "
        f"{tasks(count)}."
    )
    return Drawing(figure, caption, alt)


@styled
def plot_auc_by_k(rows: pd.DataFrame, *, hook: str, ranking: str = DEFAULT_RANKING) -> Drawing:
    """Draw figure 3: mean test AUC against k, a line per L0, at the width with the most L0s."""
    means = averages.sae_means(rows, hook=hook, ranking=ranking)
    if means.empty:
        return not_run(f"SAE probes at {hook}, ranking {ranking}")
    width = int(means.groupby("sae_width")["sae_id"].nunique().idxmax())
    means = means[means["sae_width"] == width].astype({"k": float})
    figure = style.new_figure(height=3.7)
    axes = figure.subplots()
    ends: list[tuple[float, str, ColorType]] = []
    low, high = means["sae_l0"].min(), means["sae_l0"].max()
    norm = LogNorm(low / 1.5, max(high, low * 1.01))
    for (l0, _), line in means.groupby(["sae_l0", "sae_id"]):
        colour = style.L0_COLOURS(norm(l0)) if high > low else SAE
        axes.plot(line["k"], line["test_auc"], color=colour, marker="o", ms=4)
        ends.append((float(line["test_auc"].iloc[-1]), f"L0 {l0:.0f}", colour))
    here = rows[rows["hook"] == hook]
    drawn = shared_tasks(sae_rows(here, ranking=ranking), ["sae_id", "k"])["dataset"].unique()
    logreg = here[(here["method"] == "logreg") & here["dataset"].isin(drawn)]
    reference = logreg.groupby("dataset")["test_auc"].mean().mean()
    if np.isfinite(reference):
        axes.axhline(reference, color=BASELINE, ls=marks.DASHED, lw=2)
        ends.append((float(reference), METHODS["logreg"].label, BASELINE))
    marks.log2_axis(axes, means["k"].tolist())
    axes.set_xlim(None, means["k"].max() * 1.1)
    axes.set(xlabel="latents kept, k (log2)", ylabel="mean test AUC")
    marks.label_ends(axes, means["k"].max(), ends)
    top = means.loc[means["test_auc"].idxmax()]
    start = means[means["sae_id"] == top["sae_id"]].iloc[0]
    caption = (
        f"Mean test AUC over {tasks(len(drawn))} against the number of latents kept, one line per "
        f"L0 at width {width_label(width)}; dashed is logistic regression. Means without interval, "
        f"as published. The best mean is {signless_zero(top['test_auc'])} with k = {top['k']:.0f} "
        f"and L0 {top['sae_l0']:.0f}."
    )
    gap = top["test_auc"] - reference
    side = "above" if gap > 0 else "below"
    nearness = f", {signless_zero(abs(gap))} {side} logistic regression" if np.isfinite(gap) else ""
    alt = (
        f"At width {width_label(width)} the best mean test AUC is "
        f"{signless_zero(top['test_auc'])} (k = {top['k']:.0f}, L0 {top['sae_l0']:.0f}){nearness}; "
        f"with k = {start['k']:.0f} the same SAE starts at {signless_zero(start['test_auc'])}."
    )
    return Drawing(figure, caption, alt)


@styled
def plot_l0_and_width(rows: pd.DataFrame, *, hook: str, ranking: str = DEFAULT_RANKING) -> Drawing:
    """Draw figure 14a: mean test AUC over tasks and k, for every SAE by L0 and width."""
    means = averages.sae_means(rows, hook=hook, ranking=ranking)
    if means.empty:
        return not_run(f"SAE probes at {hook}, ranking {ranking}")
    groups = means.astype({"sae_width": float}).groupby("sae_id", as_index=False)
    table = groups[["sae_width", "sae_l0", "test_auc"]].mean()
    figure = style.new_figure(height=3.7)
    axes = figure.subplots()
    few = len(table) <= WRITTEN
    points = axes.scatter(
        table["sae_l0"], table["sae_width"], c=table["test_auc"], s=170 if few else 60,
        edgecolor=INK, linewidth=0.8, cmap=style.AUC_COLOURS,
    )  # fmt: skip
    for row in table.itertuples() if few else ():
        axes.annotate(
            signless_zero(row.test_auc), (row.sae_l0, row.sae_width), xytext=(0, 11),
            textcoords="offset points", ha="center",
        )  # fmt: skip
    marks.powers_axis(axes, table["sae_l0"].min(), table["sae_l0"].max())
    widths = sorted(table["sae_width"].unique())
    axes.set_yscale("log", base=2)
    axes.set_yticks(widths, [width_label(width) for width in widths])
    axes.minorticks_off()
    axes.set_ylim(widths[0] / 1.4, widths[-1] * 1.5)
    axes.set(xlabel="L0: mean active latents (log2)", ylabel="width: latents (log2)")
    figure.colorbar(points, ax=axes, label="mean test AUC", aspect=25)
    best, worst = (
        f"L0 {one.sae_l0:.0f} at width {width_label(one.sae_width)} "
        f"(mean test AUC {signless_zero(one.test_auc)})"
        for one in (table.loc[table["test_auc"].idxmax()], table.loc[table["test_auc"].idxmin()])
    )
    caption = (
        f"Mean test AUC over tasks and all k for {plural(len(table), 'SAE')}, by L0 and width. "
        f"Means without interval. The best is {best}."
    )
    alt = f"The best of {plural(len(table), 'SAE')} has {best}, the worst {worst}."
    return Drawing(figure, caption, alt)


@styled
def plot_auc_by_width(rows: pd.DataFrame, *, hook: str, ranking: str = DEFAULT_RANKING) -> Drawing:
    """Draw figure 14b: mean test AUC by width, over tasks, k and L0."""
    chosen = shared_tasks(sae_rows(rows[rows["hook"] == hook], ranking=ranking), ["sae_id", "k"])
    if chosen.empty:
        return not_run(f"SAE probes at {hook}, ranking {ranking}")
    by_task = per_task(chosen, ["sae_width"]).pivot_table(
        index="dataset", columns="sae_width", values="test_auc"
    )
    widths = [int(width) for width in by_task]
    means = [mean_interval(by_task[width].dropna()) for width in widths]
    figure = style.new_figure(width=5.6, height=3.5)
    axes = figure.subplots()
    marks.dots(axes, widths, means, SAE, upright=True)
    marks.log2_axis(axes, widths)
    axes.set_xticks(widths, [width_label(width) for width in widths])
    axes.set_xlim(widths[0] / 1.6, widths[-1] * 1.6)
    axes.set(xlabel="width: latents (log2)", ylabel="mean test AUC")
    if len(widths) >= 3:
        slope, start = np.polyfit(np.log2(widths), [one.mean for one in means], 1)
        line = slope * np.log2(widths) + start
        label = f"{signed(slope, 4)} per doubling"
        axes.plot(widths, line, color=MUTED, ls=marks.DASHED, label=label)
        axes.legend(loc="upper right")
    first, last = width_label(widths[0]), width_label(widths[-1])
    caption = (
        f"Mean test AUC by dictionary width, over {tasks(len(by_task))}, all k and all L0, with "
        f"{words.interval_name(*means)}; each task counts once."
    )
    alt = f"Width {first} has a mean test AUC of {signless_zero(means[0].mean)}."
    if len(widths) > 1:
        both = by_task[[widths[0], widths[-1]]].dropna()
        step = paired_effect(both[widths[-1]] - both[widths[0]]).difference
        alt = (
            f"{words.above_below(step, f'Width {last}', f'width {first}')} "
            f"({signless_zero(means[-1].mean)} against {signless_zero(means[0].mean)}), compared "
            "task by task."
        )
        caption += f" From {first} to {last} the mean changes by {step.text()}, compared task by "
        caption += "task."
    return Drawing(figure, caption, alt)


@styled
def plot_every_task(
    rows: pd.DataFrame, *, hook: str, ranking: str = DEFAULT_RANKING, columns: int = 5
) -> Drawing:
    """Draw figure 15: for every task, test AUC against k with logistic regression as a line."""
    here = rows[rows["hook"] == hook]
    saes = largest_l0_saes(here)[-1:]
    table = sae_rows(here, ranking=ranking, sae_ids=saes).pivot_table(
        index="dataset", columns="k", values="test_auc"
    )
    if table.empty:
        return not_run(f"SAE probes at {hook}, ranking {ranking}")
    table = table.loc[sorted(table.index, key=task_number)]
    logreg = here[here["method"] == "logreg"].groupby("dataset")["test_auc"].mean()
    logreg = logreg.reindex(table.index)
    columns = min(columns, len(table))
    figure = style.new_figure(height=0.6 + 1.05 * -(-len(table) // columns))
    panels = marks.small_multiples(figure, len(table), columns)
    ks = table.columns.astype(float)
    for axes, (name, curve) in zip(panels, table.iterrows(), strict=True):
        axes.axhline(logreg[name], color=BASELINE, ls=(0, (4, 1.5)), lw=1.6)
        axes.plot(ks, curve.to_numpy(), color=SAE, lw=1.6, marker=".", ms=4)
        axes.axhline(0.5, color=style.FAINT, lw=0.8, zorder=0)
        axes.set_title(_short(str(name), 95 // columns), fontsize=8, pad=3, loc="left")
        axes.tick_params(labelsize=8, length=2.5)
    middle = [k for k in (4.0, 16.0) if 4 * ks.min() <= k <= ks.max() / 4]
    marks.log2_axis(panels[0], [ks.min(), *middle[-1:], ks.max()])
    low = float(np.nanmin([table.min().min(), logreg.min()]))
    panels[0].set_ylim(min(0.48, low - 0.02), 1.03)
    panels[0].set_yticks([0.5, 0.75, 1.0], ["0.5", "", "1"])
    figure.supxlabel("latents kept, k (log2)", fontsize=9.5)
    figure.supylabel("test AUC", fontsize=9.5)
    few, many = table.columns[0], table.columns[-1]
    reached = {k: int((table[k] >= logreg).sum()) for k in (few, many)}
    caption = (
        f"Test AUC against the number of latents k, one panel a task ({tasks(len(table))}), for "
        f"SAE {saes[0]} (blue) and logistic regression (orange, dashed). Single runs, so no "
        f"interval. With k = {many} the SAE probe reaches logistic regression on {reached[many]}."
    )
    alt = (
        f"With {many} latents the SAE probe reaches logistic regression's test AUC on "
        f"{reached[many]} of {tasks(len(table))}; with {few} on {reached[few]}."
    )
    return Drawing(figure, caption, alt)


@styled
def plot_rankings(rows: pd.DataFrame, *, hook: str, k: int = 16) -> Drawing:
    """Compare the paper's two ways to rank latents: by k, and task by task at one k."""
    here = rows[rows["hook"] == hook]
    chosen = sae_rows(here, ranking=None, sae_ids=largest_l0_saes(here)[:1])
    table = per_task(chosen, ["ranking", "k"]).pivot_table(
        index=["k", "dataset"], columns="ranking", values="test_auc"
    )
    old, new = RANKINGS
    if not {old, new} <= set(table) or k not in table.dropna().index.get_level_values("k"):
        return not_run(f"both rankings at k = {k}")
    shared = table[[old, new]].dropna()
    figure = style.new_figure(height=3.5)
    left, right = figure.subplots(1, 2, width_ratios=[1.25, 1])
    lines = shared.groupby("k").mean()
    ks = lines.index.astype(float)
    for name, colour, marker, line in ((old, MUTED, "o", (0, (4, 1.5))), (new, SAE, "P", "-")):
        left.plot(ks, lines[name], color=colour, marker=marker, ls=line, label=RANKINGS[name])
    marks.log2_axis(left, ks.tolist(), most=6)
    left.set(xlabel="latents kept, k (log2)", ylabel="mean test AUC")
    left.legend(loc="lower right", title="latents ranked by", alignment="left")
    at_k = shared.loc[k]
    marks.against(right, at_k)
    right.scatter(at_k[old], at_k[new], s=26, color=SAE, edgecolor=INK, linewidth=0.5, alpha=0.85)
    right.set(xlabel=f"AUC, mean difference (k = {k})", ylabel="AUC, normalised")
    change = paired_effect(at_k[new] - at_k[old])
    mean = change.difference
    caption = (
        f"Test AUC over {tasks(mean.n)} when latents are ranked by mean difference and by the "
        f"normalised one, for SAE {chosen['sae_id'].iloc[0]}. Left: means by k; right: each task "
        f"at k = {k}. Normalising changes the mean by {mean.text()}, {words.interval_name(mean)}."
    )
    alt = (
        f"At k = {k}, {words.above_below(mean, 'the normalised ranking', 'the plain one')}: better "
        f"by more than {MARGIN} on {change.better} of {tasks(mean.n)}, worse on {change.worse}."
    )
    return Drawing(figure, caption, alt)


def _short(dataset: str, letters: int) -> str:
    """Write a dataset tag with spaces, cut to a number of letters."""
    title = dataset.replace("_", " ")
    return title if len(title) <= letters else f"{title[: letters - 1].rstrip()}\u2026"
