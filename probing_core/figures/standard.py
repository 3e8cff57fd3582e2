"""Section 02: probes with plenty of clean data (figures 1, 3, 4 and 13 to 15 of the paper).

Every figure takes tidy result rows of the standard regime and, where it does not compare them,
the hook that its probes read, the ranking of latents and k, the number of latents kept.
"""

from typing import Any

import numpy as np
import pandas as pd
from adjustText import adjust_text
from matplotlib.ticker import MaxNLocator

from probing_core.analysis import means as averages
from probing_core.analysis import selection
from probing_core.analysis.comparison import NOT_COMPARED, head_to_head, lacking_side, over_seeds
from probing_core.analysis.paired import mean_interval, paired_effect, signless_zero
from probing_core.analysis.quiver import KS, quiver
from probing_core.analysis.selection import DEFAULT_RANKING, hook_label, sae_rows, width_label
from probing_core.figures import marks, style, words
from probing_core.figures.style import BASELINE, INK, MUTED, SAE, Drawing, needed, styled
from probing_core.figures.words import plural, short_tag, signed, tasks
from probing_core.probes.methods import METHODS

LABELLED, NOTABLE, WRITTEN = 5, 0.02, 12
"""Most tasks of the quiver that are named, their least change; most SAEs with written numbers."""
COLUMNS = 5
RANKINGS = {"mean_difference": "plain", "normalized_mean_difference": "normalised"}


@styled
def plot_standard_bars(
    rows: pd.DataFrame, *, hook: str, k: int = 128, ranking: str = DEFAULT_RANKING
) -> Drawing:
    """Draw the standard slot of figure 1, and every task's difference beside it, sorted."""
    pair = over_seeds(head_to_head(rows, hook=hook, k=k, ranking=ranking)).set_index("dataset")
    needed(pair, lacking_side(hook, [k], ranking), NOT_COMPARED)
    figure, (left, right) = style.new_panels(1, 2, height=3.5, width_ratios=[1, 1.5])
    means = [mean_interval(pair[side]) for side in ("baseline", "sae")]
    generator = np.random.default_rng(0)
    for place, (side, colour) in enumerate((("baseline", BASELINE), ("sae", SAE))):
        marks.bars(left, [place], [means[place]], colour, width=0.62)
        jitter = place + generator.uniform(-0.2, 0.2, len(pair))
        left.plot(jitter, pair[side], ".", color=INK, alpha=0.35, ms=4)
    names = ["logistic\nregression", f"SAE probe\nk = {k}"]
    left.set(ylabel="test AUC", xticks=[0, 1], xticklabels=names)
    change = paired_effect(pair["difference"])
    mean, ordered = change.difference, np.sort(pair["difference"])
    right.bar(np.arange(1, len(ordered) + 1), ordered, color=np.where(ordered > 0, SAE, BASELINE))
    right.axhline(0, color=INK, lw=0.8)
    right.axhline(mean.mean, color=INK, lw=1.4, ls=marks.DASHED, label=f"mean {mean.text()}")
    right.axhspan(mean.low, mean.high, color=MUTED, alpha=0.25, lw=0)
    right.set(xlabel="task, sorted by difference", ylabel="SAE probe \N{MINUS SIGN} logreg (AUC)")
    right.margins(x=0.02, y=0.1)
    right.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    right.legend(loc="best")
    finding = (
        f"{words.above_below(mean, 'The SAE probe', 'logistic regression')}: mean test AUC "
        f"{signless_zero(means[1].mean)} against {signless_zero(means[0].mean)}; "
        f"{words.better_worse(change)}."
    )
    caption = (
        "Test AUC, and each task's difference. Bars: means; band: mean difference; both with "
        f"{words.interval_name(*means)}. {finding}"
    )
    return Drawing(figure, caption, finding)


@styled
def plot_quiver_scatter(rows: pd.DataFrame, *, hook: str, **options: Any) -> Drawing:
    """Draw figure 4: the quiver's test AUC without and with SAE probes, one point a task."""
    sides = lacking_side(hook, options.get("ks", KS), options.get("ranking", DEFAULT_RANKING))
    picks = needed(over_seeds(quiver(rows, hook=hook, **options)), sides, NOT_COMPARED)
    change = paired_effect(picks.set_index("dataset")["difference"])
    mean, share = change.difference, picks["picked_sae"]
    figure, axes = style.new_panels(width=5.6, height=5.2)
    marks.against(axes, picks[["without_auc", "with_auc"]])
    for chosen, colour, marker, name in (
        (share == 0, BASELINE, "o", "picks a baseline"),
        (share.between(0, 1, inclusive="neither"), "white", "D", "tie, averaged"),
        (share == 1, SAE, "P", "picks an SAE probe"),
    ):
        axes.scatter("without_auc", "with_auc", data=picks[chosen], s=44, color=colour, ec=INK,
                     marker=marker, zorder=3, label=f"{name} ({chosen.sum()})")  # fmt: skip
    axes.set(xlabel="test AUC, baselines only", ylabel="test AUC, baselines and SAE probes")
    axes.legend(loc="upper left", title=f"mean difference {mean.text(4)}", alignment="left")
    largest = picks["difference"].abs().nlargest(LABELLED)
    texts = [
        axes.text(row.without_auc, row.with_auc, short_tag(row.dataset, 26), fontsize=8.5)
        for row in picks.loc[largest[largest > NOTABLE].index].itertuples()
    ]
    if texts:
        x, y = picks[["without_auc", "with_auc"]].to_numpy().T
        look = {"arrowstyle": "-", "color": MUTED, "lw": 0.8}
        adjust_text(texts, x=x, y=y, ax=axes, arrowprops=look, expand=(1.2, 1.9))
    finding = (
        f"Adding SAE probes changes the chosen probe's test AUC by {signed(mean.mean, 4)} on "
        f"average: {words.better_worse(change)}."
    )
    caption = (
        "The probe chosen by validation AUC, without and with SAE probes; ties: "
        f"{options.get('ties', 'neutral')}; {words.interval_name(mean)}. {finding} An SAE probe "
        f"is picked on {share.mean():.0%}."
    )
    return Drawing(figure, caption, finding)


@styled
def plot_auc_by_layer(rows: pd.DataFrame) -> Drawing:
    """Draw figure 13a: mean test AUC by layer for every baseline, and the mean of all in black."""
    means = needed(averages.layer_means(rows), "baselines")
    by_task = averages.baselines_by_task(rows).mean(axis=1)
    combined = [mean_interval(by_task.loc[hook]) for hook in means.index]
    figure, axes = style.new_panels(height=3.7)
    places, layers = np.arange(len(means)), [hook_label(hook) for hook in means.index]
    names = means.columns.drop("combined")
    for one in (METHODS[name] for name in names):
        axes.plot(places, means[one.key], color=one.colour, marker=one.marker, ls=one.line,
                  mec=INK, mew=0.5, zorder=3, label=one.label)  # fmt: skip
    axes.plot(places, means["combined"], color=INK, lw=2, label="mean of all")
    marks.points(axes, places, combined, color=INK, ls="none")
    axes.set(ylabel="mean test AUC", xlabel="layer whose output is probed")
    axes.set_xticks(places, layers)
    marks.label_ends(figure, axes, places[-1])
    best = int(means["combined"].argmax())
    lead = means[names].iloc[best]
    finding = (
        f"Baselines do best at layer {layers[best]} with a mean test AUC of "
        f"{signless_zero(combined[best].mean)}; there {METHODS[lead.idxmax()].label} leads with "
        f"{signless_zero(lead.max())}. The first layer drawn, {layers[0]}, gives "
        f"{signless_zero(combined[0].mean)}."
    )
    caption = (
        f"Mean test AUC over {tasks(combined[0].n)}, one line a baseline; black: mean of "
        f"{plural(len(names), 'baseline')} with {words.interval_name(*combined)}. {finding}"
    )
    return Drawing(figure, caption, finding)


@styled
def plot_best_method_by_layer(rows: pd.DataFrame) -> Drawing:
    """Draw figure 13b: on how many tasks each baseline is best, by layer; ties share a task."""
    counts = needed(averages.best_method_counts(rows), "baselines")
    count = round(counts.sum(axis=1).max())
    figure, axes = style.new_panels()
    layers, bottom = [hook_label(hook) for hook in counts.index], np.zeros(len(counts))
    for one in (METHODS[name] for name in counts):
        wins = counts[one.key].to_numpy()
        bars = axes.bar(range(len(wins)), wins, bottom=bottom, color=one.colour, width=0.7,
                        ec="white", label=one.label)  # fmt: skip
        written = [f"{round(each, 1):g}" if each > 0.05 * count else "" for each in wins]
        axes.bar_label(bars, written, label_type="center", color=marks.ink_on(one.colour))
        bottom += wins
    axes.set(xlabel="layer whose output is probed", ylabel="tasks where it is best")
    axes.set_xticks(range(len(layers)), layers)
    figure.legend(loc="outside right center", reverse=True)
    total, last = counts.sum(), counts.iloc[-1]
    finding = (
        f"{words.starting(METHODS[total.idxmax()].label)} has the best test AUC most often, on "
        f"{total.max() / total.sum():.0%} of task-layer pairs; at layer {layers[-1]} "
        f"{METHODS[last.idxmax()].label} wins {round(last.max(), 1):g} of {tasks(count)}."
    )
    caption = (
        "Number of tasks on which each baseline has the best test AUC, by layer; tied methods "
        f"share a task. Counts of single runs, without interval. {finding}"
    )
    return Drawing(figure, caption, finding)


@styled
def plot_auc_by_k(rows: pd.DataFrame, *, hook: str, ranking: str = DEFAULT_RANKING) -> Drawing:
    """Draw figure 3: mean test AUC against k, a line per L0, at the width with the most L0s."""
    drawn = _in_every_sae(rows, hook, ranking)["dataset"].unique()
    means = averages.sae_means(rows, hook=hook, ranking=ranking).astype({"k": float})
    width = means.groupby("sae_width")["sae_id"].nunique().idxmax()
    means = means[means["sae_width"] == width]
    figure, axes = style.new_panels(height=3.7)
    curves = list(means.groupby(["sae_l0", "sae_id"]))
    colours = style.L0_COLOURS((np.arange(len(curves)) + 0.5) / len(curves))
    for ((l0, _), line), colour in zip(curves, colours, strict=True):
        axes.plot("k", "test_auc", data=line, color=colour, marker="o", ms=4, label=f"L0 {l0:.0f}")
    logreg = _logreg(rows, hook)
    reference = logreg[logreg.index.isin(drawn)].mean()
    if np.isfinite(reference):
        axes.axhline(reference, color=BASELINE, ls=marks.DASHED, lw=2, label="logistic regression")
    marks.log2_axis(axes, means["k"].tolist())
    axes.set(xlabel="latents kept, k (log2)", ylabel="mean test AUC")
    marks.label_ends(figure, axes, means["k"].max())
    top = means.loc[means["test_auc"].idxmax()]
    start = means[means["sae_id"] == top["sae_id"]].iloc[0]
    gap = top["test_auc"] - reference
    apart = f", {signless_zero(abs(gap))} {'above' if gap > 0 else 'below'} logistic regression"
    finding = (
        f"At width {width_label(width)} the best mean test AUC is {signless_zero(top['test_auc'])} "
        f"(k = {top['k']:.0f}, L0 {top['sae_l0']:.0f}){apart if np.isfinite(gap) else ''}; with "
        f"k = {start['k']:.0f} the same SAE starts at {signless_zero(start['test_auc'])}."
    )
    caption = (
        f"Mean test AUC over {tasks(len(drawn))} against the number of latents kept, one line per "
        f"L0; dashed: logistic regression. Means without interval, as published. {finding}"
    )
    return Drawing(figure, caption, finding)


@styled
def plot_l0_and_width(rows: pd.DataFrame, *, hook: str, ranking: str = DEFAULT_RANKING) -> Drawing:
    """Draw figure 14a: mean test AUC over tasks and k, for every SAE by L0 and width."""
    by_sae = _in_every_sae(rows, hook, ranking).groupby("sae_id")
    table = by_sae[["sae_width", "sae_l0", "test_auc"]].mean().astype(float)
    figure, axes = style.new_panels(height=3.7)
    dots = axes.scatter("sae_l0", "sae_width", c="test_auc", data=table, s=120, edgecolor=INK,
                        cmap=style.AUC_COLOURS)  # fmt: skip
    for row in table.itertuples() if len(table) <= WRITTEN else ():
        axes.annotate(signless_zero(row.test_auc), (row.sae_l0, row.sae_width), xytext=(0, 10),
                      textcoords="offset points", ha="center")  # fmt: skip
    axes.margins(y=0.2)
    marks.log2_axis(axes, table["sae_width"].tolist(), which="y", label=width_label)
    marks.powers_axis(axes, table["sae_l0"].min(), table["sae_l0"].max())
    axes.set(xlabel="L0: mean active latents (log2)", ylabel="width: latents (log2)")
    figure.colorbar(dots, ax=axes, label="mean test AUC", aspect=25)
    best, worst = (
        f"L0 {one.sae_l0:.0f} at width {width_label(one.sae_width)} "
        f"(mean test AUC {signless_zero(one.test_auc)})"
        for one in (table.loc[table["test_auc"].idxmax()], table.loc[table["test_auc"].idxmin()])
    )
    finding = f"The best of {plural(len(table), 'SAE')} has {best}, the worst {worst}."
    caption = f"Mean test AUC over tasks and all k, by L0 and width, without interval. {finding}"
    return Drawing(figure, caption, finding)


@styled
def plot_auc_by_width(rows: pd.DataFrame, *, hook: str, ranking: str = DEFAULT_RANKING) -> Drawing:
    """Draw figure 14b: mean test AUC by width, over tasks, k and L0."""
    by_task = selection.per_task(_in_every_sae(rows, hook, ranking), ["sae_width"])
    by_task = by_task.pivot(index="dataset", columns="sae_width", values="test_auc")
    widths = [int(width) for width in by_task]
    means = [mean_interval(by_task[width].dropna()) for width in widths]
    figure, axes = style.new_panels(width=5.6, height=3.5)
    marks.points(axes, widths, means, color=SAE, marker="o", ms=7, mec=INK, mew=0.6, ls="none")
    first, last = width_label(widths[0]), width_label(widths[-1])
    finding = f"Width {first} has a mean test AUC of {signless_zero(means[0].mean)}."
    if len(widths) > 1:
        slope, start = np.polyfit(np.log2(widths), [one.mean for one in means], 1)
        axes.plot(widths, slope * np.log2(widths) + start, color=MUTED, ls=marks.DASHED,
                  label=f"{signed(slope, 4)} per doubling")  # fmt: skip
        figure.legend(loc="outside upper right")
        step = mean_interval((by_task[widths[-1]] - by_task[widths[0]]).dropna())
        finding = (
            f"{words.above_below(step, f'Width {last}', f'width {first}')} "
            f"({signless_zero(means[-1].mean)} against {signless_zero(means[0].mean)}); task by "
            f"task the difference is {step.text()}."
        )
    marks.log2_axis(axes, widths, label=width_label)
    axes.set(xlabel="width: latents (log2)", ylabel="mean test AUC")
    caption = (
        f"Mean test AUC by dictionary width, over {tasks(len(by_task))}, all k and all L0, with "
        f"{words.interval_name(*means)}; each task counts once. {finding}"
    )
    return Drawing(figure, caption, finding)


@styled
def plot_every_task(rows: pd.DataFrame, *, hook: str, ranking: str = DEFAULT_RANKING) -> Drawing:
    """Draw figure 15: for every task, test AUC against k with logistic regression as a line."""
    here = rows[rows["hook"] == hook]
    saes = selection.largest_l0_saes(here)[-1:]
    table = sae_rows(here, ranking=ranking, sae_ids=saes)
    table = table.pivot_table(index="dataset", columns="k", values="test_auc")
    needed(table, f"SAE probes at {hook}, ranking {ranking}")
    table = table.loc[sorted(table.index, key=selection.task_number)]
    logreg = _logreg(rows, hook).reindex(table.index)
    lines = -(-len(table) // COLUMNS)
    height = 0.6 + 1.05 * lines
    # Each panel has its own scales and place: shared ones cost seconds for a hundred tasks.
    figure = style.new_figure(height=height, layout=None)
    figure.subplots_adjust(0.09, 0.5 / height, 0.99, 1 - 0.2 / height, hspace=0.4, wspace=0.14)
    low = min(0.48, table.min().min() - 0.02, logreg.min() - 0.02)
    for place, (name, curve) in enumerate(table.iterrows()):
        axes = figure.add_subplot(lines, COLUMNS, place + 1)
        axes.set(ylim=(low, 1.03), yticks=[0.5, 0.75, 1.0], yticklabels=["0.5", "", "1"])
        axes.axhline(logreg[name], color=BASELINE, ls=marks.DASHED, lw=1.6)
        axes.axhline(0.5, color=style.FAINT, lw=0.8, zorder=0)
        axes.plot(table.columns.astype(float), curve, color=SAE, lw=1.6, marker=".", ms=4)
        axes.set_title(short_tag(str(name), 19), fontsize=8, pad=3, loc="left")
        marks.log2_axis(axes, table.columns.tolist(), most=3)
        axes.tick_params(labelsize=8, length=2.5, labelleft=place % COLUMNS == 0,
                         labelbottom=place + COLUMNS >= len(table))  # fmt: skip
    figure.supxlabel("latents kept, k (log2)", fontsize=9.5, y=0.08 / height, va="bottom")
    figure.supylabel("test AUC", fontsize=9.5, x=0.01)
    few, many = table.columns[[0, -1]]
    reached = table.ge(logreg, axis=0).sum()
    finding = (
        f"With {many} latents the SAE probe reaches logistic regression's test AUC on "
        f"{reached[many]} of {tasks(len(table))}; with {few} on {reached[few]}."
    )
    caption = (
        f"Test AUC against the number of latents k, one panel a task, for SAE {saes[0]} (blue) and "
        f"logistic regression (orange, dashed). Single runs, so no interval. {finding}"
    )
    return Drawing(figure, caption, finding)


@styled
def plot_rankings(rows: pd.DataFrame, *, hook: str, k: int = 16) -> Drawing:
    """Compare the paper's two ways to rank latents: by k, and task by task at one k."""
    here = rows[rows["hook"] == hook]
    chosen = sae_rows(here, ranking=None, sae_ids=selection.largest_l0_saes(here)[:1])
    table = chosen.pivot_table(index=["k", "dataset"], columns="ranking", values="test_auc")
    shared = table.reindex(columns=list(RANKINGS)).dropna()
    at_k = needed(shared[shared.index.get_level_values("k") == k], f"both rankings at k = {k}")
    old, new = RANKINGS
    figure, (left, right) = style.new_panels(1, 2, height=3.5, width_ratios=[1.25, 1])
    lines = shared.groupby("k").mean()
    for name, colour, marker, line in ((old, MUTED, "o", marks.DASHED), (new, SAE, "P", "-")):
        left.plot(lines[name], color=colour, marker=marker, ls=line, label=RANKINGS[name])
    marks.log2_axis(left, lines.index.tolist(), most=6)
    left.set(xlabel="latents kept, k (log2)", ylabel="mean test AUC")
    left.legend(loc="lower right", title="mean difference", alignment="left")
    marks.against(right, at_k)
    right.scatter(at_k[old], at_k[new], s=26, color=SAE, edgecolor=INK, linewidth=0.5, alpha=0.85)
    right.set(xlabel=f"AUC, plain ranking (k = {k})", ylabel="AUC, normalised")
    change = paired_effect((at_k[new] - at_k[old]).droplevel("k"))
    mean, counts = change.difference, words.better_worse(change)
    apart = words.above_below(mean, "the normalised ranking", "the plain one")
    caption = (
        f"Test AUC when latents are ranked in two ways, for SAE {chosen['sae_id'].iloc[0]}. Left: "
        f"means by k; right: each task at k = {k}. Normalising changes the mean by {mean.text()}, "
        f"{words.interval_name(mean)}; {counts}."
    )
    return Drawing(figure, caption, f"At k = {k}, {apart}: {counts}.")


def _logreg(rows: pd.DataFrame, hook: str) -> pd.Series:
    """Test AUC of logistic regression at a hook, by dataset."""
    chosen = (rows["hook"] == hook) & (rows["method"] == "logreg")
    return rows[chosen].groupby("dataset")["test_auc"].mean()


def _in_every_sae(rows: pd.DataFrame, hook: str, ranking: str) -> pd.DataFrame:
    """Rows of SAE probes on the tasks that every SAE and k has."""
    found = sae_rows(rows[rows["hook"] == hook], ranking=ranking)
    needed(found, f"SAE probes at {hook}, ranking {ranking}")
    return selection.shared_tasks(found, ["sae_id", "k"])
