"""Appendix D.1: baselines at every depth of the model (figures 13a and 13b)."""

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from probing_core.analysis.paired import MeanInterval, mean_interval, signless_zero
from probing_core.analysis.selection import (
    BASELINES,
    baseline_rows,
    hook_label,
    ordered_hooks,
    per_task,
    shared_tasks,
)
from probing_core.figures.style import (
    INK,
    METHODS,
    Drawing,
    label_ends,
    new_figure,
    not_run,
    styled,
)
from probing_core.figures.words import interval_name, plural, tasks

SHARES = ("share", "first")
MIN_LABEL = 0.05


def layer_means(rows: pd.DataFrame) -> pd.DataFrame:
    """Average test AUC over tasks, per hook and baseline (table C.3 of the paper's facts).

    Args:
        rows: tidy result rows of the standard regime.

    Returns:
        Index hook in depth order, one column per baseline that was run and ``combined``, the
        mean of those columns.
    """
    table = per_task(_comparable(rows), ["hook", "method"])
    means = table.pivot_table(index="hook", columns="method", values="test_auc")
    means = means.reindex(index=ordered_hooks(baseline_rows(rows)))
    means = means[[name for name in BASELINES if name in means]]
    means.columns.name = None
    return means.assign(combined=means.mean(axis=1))


def best_method_counts(rows: pd.DataFrame, *, ties: str = "share") -> pd.DataFrame:
    """Count, per hook, the tasks on which each baseline has the best test AUC.

    Args:
        rows: tidy result rows of the standard regime.
        ties: ``share`` splits a task equally among the tied methods; ``first`` gives it to the
            first of logreg, pca, knn, xgboost, mlp, as the paper's figure does.

    Returns:
        Index hook in depth order, one column per baseline; each row sums to its tasks.

    Raises:
        ValueError: if ``ties`` is no known rule.
    """
    if ties not in SHARES:
        raise ValueError(f"ties must be one of {', '.join(SHARES)}, not {ties!r}")
    chosen = per_task(_comparable(rows), ["hook", "method"])
    table = chosen.pivot_table(index=["hook", "dataset"], columns="method", values="test_auc")
    table = table[[name for name in BASELINES if name in table]]
    best = table.eq(table.max(axis=1), axis=0).astype(float)
    if ties == "first":
        best = best.where(best.cumsum(axis=1) == 1, 0.0)
    shares = best.div(best.sum(axis=1), axis=0).groupby("hook").sum()
    shares.columns.name = None
    return shares.reindex(ordered_hooks(baseline_rows(rows)))


def _comparable(rows: pd.DataFrame) -> pd.DataFrame:
    """Keep the baseline rows of tasks that have every baseline at every hook."""
    return shared_tasks(baseline_rows(rows), ["hook", "method"])


@styled
def plot_auc_by_layer(rows: pd.DataFrame) -> Drawing:
    """Draw figure 13a: mean test AUC by layer for every baseline, and their combined mean.

    Args:
        rows: tidy result rows of the standard regime, at one or more hooks.

    Returns:
        One line a baseline; the combined mean in black with its interval over tasks.
    """
    means = layer_means(rows)
    if means.empty:
        return not_run("baselines")
    figure = new_figure(height=3.7)
    axes = figure.subplots()
    places = np.arange(len(means))
    names = [name for name in means.columns if name != "combined"]
    for name in names:
        colour, marker, line, _ = METHODS[name]
        axes.plot(
            places, means[name], color=colour, marker=marker, ls=line, mec=INK, mew=0.5, zorder=3
        )
    combined = _combined_intervals(rows, list(means.index))
    ends = np.nan_to_num([[c.mean - c.low for c in combined], [c.high - c.mean for c in combined]])
    axes.errorbar(
        places, [c.mean for c in combined], ends, color=INK, lw=2, capsize=4, ls="-", zorder=2
    )
    axes.set(ylabel="mean test AUC", xlabel="layer whose output is probed")
    axes.set_xticks(places, [hook_label(hook) for hook in means.index])
    axes.set_xlim(-0.25, len(means) - 1 + 0.15)
    last = [(float(means[name].iloc[-1]), METHODS[name][3], METHODS[name][0]) for name in names]
    last.append((combined[-1].mean, "mean of all", INK))
    label_ends(axes, len(means) - 1, last)
    best = means["combined"].idxmax()
    top = means.drop(columns="combined").loc[best].idxmax()
    count = _comparable(rows)["dataset"].nunique()
    caption = (
        f"Mean test AUC over {tasks(count)} by layer, one line a baseline; black is the mean of "
        f"{plural(len(names), 'baseline')} with {interval_name(*combined)}. Layer "
        f"{hook_label(best)} is best, and {METHODS[top][3]} leads there."
    )
    alt = (
        f"Baselines do best at layer {hook_label(best)} with a mean test AUC of "
        f"{signless_zero(means.loc[best, 'combined'])}; there {METHODS[top][3]} leads with "
        f"{signless_zero(means.loc[best, top])}. The first layer drawn, "
        f"{hook_label(means.index[0])}, gives {signless_zero(means['combined'].iloc[0])}."
    )
    return Drawing(figure, caption, alt)


def _combined_intervals(rows: pd.DataFrame, hooks: list[str]) -> list[MeanInterval]:
    """Estimate, per hook, the mean over tasks of each task's mean over baselines."""
    table = per_task(_comparable(rows), ["hook", "method"])
    by_task = table.groupby(["hook", "dataset"])["test_auc"].mean()
    return [mean_interval(by_task.loc[hook]) for hook in hooks]


@styled
def plot_best_method_by_layer(rows: pd.DataFrame, *, ties: str = "share") -> Drawing:
    """Draw figure 13b: on how many tasks each baseline is best, by layer.

    Args:
        rows: tidy result rows of the standard regime, at one or more hooks.
        ties: rule for equal test AUCs, see `best_method_counts`.

    Returns:
        One stacked bar a layer, with counts written in.
    """
    if baseline_rows(rows).empty:
        return not_run("baselines")
    counts = best_method_counts(rows, ties=ties)
    figure = new_figure(height=3.6)
    axes = figure.subplots()
    places = range(len(counts))
    bottom = np.zeros(len(counts))
    for name in counts.columns:
        colour, _, _, written = METHODS[name]
        height = counts[name].to_numpy()
        axes.bar(places, height, bottom=bottom, color=colour, width=0.7, label=written, ec="white")
        for place, part, start in zip(places, height, bottom, strict=True):
            if part >= MIN_LABEL * counts.sum(axis=1).max():
                dark = name in ("xgboost", "mlp", "pca")
                text = f"{part:.1f}".removesuffix(".0")
                axes.text(
                    place, start + part / 2, text, ha="center", va="center",
                    color="white" if dark else INK,
                )  # fmt: skip
        bottom += height
    axes.set(xlabel="layer whose output is probed", ylabel="tasks where it is best")
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xticks(places, [hook_label(hook) for hook in counts.index])
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside right center")
    total = counts.sum()
    top = total.idxmax()
    count = int(round(counts.sum(axis=1).max()))
    rule = "tied methods share a task" if ties == "share" else "ties go to the first listed"
    winner = _sentence_start(METHODS[top][3])
    caption = (
        f"Number of tasks (of {count}) on which each baseline has the best test AUC, by layer; "
        f"{rule}. Counts of single runs, without interval. {winner} is best "
        f"most often: {total[top] / total.sum():.0%} of all layers and tasks."
    )
    last = counts.iloc[-1]
    alt = (
        f"{winner} has the best test AUC most often, on "
        f"{total[top] / total.sum():.0%} of task-layer pairs; at layer "
        f"{hook_label(counts.index[-1])} {METHODS[last.idxmax()][3]} wins "
        f"{last.max():.1f} of {tasks(count)}."
    ).replace(".0 of", " of")
    return Drawing(figure, caption, alt)


def _sentence_start(text: str) -> str:
    """Upper-case the first letter only: ``MLP`` stays as it is."""
    return text[:1].upper() + text[1:]
