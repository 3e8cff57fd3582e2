"""Section 01: what is probed, tasks by source and size, and token lengths."""

import numpy as np
import pandas as pd

from probing_core.figures.marks import DASHED, listed_rows, powers_axis
from probing_core.figures.style import (
    FAINT,
    INK,
    MUTED,
    OTHER_COLOURS,
    Drawing,
    new_figure,
    not_run,
    styled,
)
from probing_core.figures.words import plural, span, tasks

ROW = 0.24
LEVELS = [0.05, 0.25, 0.5, 0.75, 0.95]


@styled
def plot_tasks_by_source(table: pd.DataFrame) -> Drawing:
    """Draw every task's size: the prompts it has, and those this run uses.

    Args:
        table: one row a task with ``dataset``, ``source``, ``n_prompts`` and ``n_available``.

    Returns:
        A strip per source, the source with most tasks on top: dots used, rings in the file.
    """
    if table.empty:
        return not_run("tasks")
    counts = table["source"].value_counts()
    sources = sorted(counts.index, key=lambda name: (-counts[name], name))
    figure = new_figure(height=1.0 + ROW * len(sources))
    axes = figure.subplots()
    for row, source in enumerate(sources):
        chosen = table[table["source"] == source]
        used, available = chosen["n_prompts"].to_numpy(), chosen["n_available"].to_numpy()
        here = np.full(len(chosen), row)
        axes.plot([used.min(), available.max()], [row, row], color=FAINT, lw=4, zorder=1)
        axes.plot(available, here, "o", color="white", mec=MUTED, mew=1.2, zorder=2)
        axes.plot(used, here, "o", color=OTHER_COLOURS[1], mec="white", mew=0.6, alpha=0.85)
    listed_rows(axes, [f"{name} ({counts[name]})" for name in sources])
    axes.set_xlim(0, table["n_available"].max() * 1.06)
    axes.set_xlabel("prompts of the task (dot: used here, ring: in the file)")
    low, middle, high = table["n_prompts"].quantile([0, 0.5, 1]).astype(int)
    usual = span(low, high)
    caption = (
        f"Prompts of {tasks(len(table))} by source, in brackets its number of tasks: dots used "
        f"here, rings in the paper's file. This run uses {usual} a task, median {middle:,}, of "
        f"{table['n_available'].median():,.0f} in the median file."
    )
    most = f"; {sources[0]} gives most, {counts.iloc[0]}" if counts.iloc[0] > 1 else ", one each"
    alt = (
        f"This run uses {tasks(len(table))} from {plural(len(sources), 'source')}{most}. "
        f"It uses {usual} prompts a task, {middle:,} in the median."
    )
    return Drawing(figure, caption, alt)


@styled
def plot_token_lengths(lengths: pd.DataFrame, *, max_tokens: int | None = None) -> Drawing:
    """Draw how long prompts are in tokens, by source.

    Args:
        lengths: one row a prompt with ``source`` and ``tokens``.
        max_tokens: where prompts are cut, drawn as a line when given.

    Returns:
        Per source the range from the 5th to the 95th percentile, the middle half and the median.
    """
    if lengths.empty:
        return not_run("token lengths")
    table = lengths.groupby("source")["tokens"].quantile(LEVELS).unstack()
    table = table.sort_values(0.5, ascending=False)
    figure = new_figure(height=1.1 + ROW * len(table))
    axes = figure.subplots()
    rows = np.arange(len(table))
    axes.hlines(rows, table[0.05], table[0.95], color=MUTED, lw=1.4)
    axes.hlines(rows, table[0.25], table[0.75], color=OTHER_COLOURS[1], lw=6)
    # A ring, so that a source whose prompts are all equally long still shows.
    axes.plot(table[0.5], rows, "o", color="white", mec=INK, mew=1.2, ms=6)
    powers_axis(axes, table[0.05].min(), max(table[0.95].max(), max_tokens or 0))
    listed_rows(axes, list(table.index))
    if max_tokens is not None:
        axes.axvline(max_tokens, color=INK, lw=1, ls=DASHED, zorder=0)
        axes.annotate(
            f"cut at {max_tokens}", (max_tokens, rows[-1]), xytext=(-4, 0), ha="right",
            va="center", textcoords="offset points",
        )  # fmt: skip
    axes.set_xlabel("tokens in a prompt (log2)")
    shortest = f"{table.index[-1]} has the shortest prompts (median {int(table[0.5].iloc[-1])})"
    longest = _longest(table[0.5], max_tokens)
    cut = "" if max_tokens is None else f"; longer prompts count as {max_tokens}"
    caption = (
        f"Tokens per prompt by source, {plural(len(lengths), 'prompt')}: the line spans the 5th "
        f"to 95th percentile, the bar the middle half, the ring the median{cut}. {shortest}; "
        f"{longest}."
    )
    middle = int(lengths["tokens"].median())
    alt = f"Half of all prompts have at most {middle} tokens. {shortest}; {longest}."
    return Drawing(figure, caption, alt)


def _longest(medians: pd.Series, max_tokens: int | None) -> str:
    """Say which sources have the longest prompts; a cut makes the longest ones equal."""
    capped = 0 if max_tokens is None else int((medians >= max_tokens).sum())
    if capped:
        return f"in {plural(capped, 'source')} at least half of the prompts reach the cut"
    return f"{medians.index[0]} has the longest (median {int(medians.iloc[0])})"


def length_note(table: pd.DataFrame) -> str:
    """Say how many prompts are longer than the model reads.

    Args:
        table: one row a task with ``n_prompts`` and ``truncated`` (share of prompts cut).
    """
    if table["truncated"].isna().all():
        return "How many prompts are longer than the model reads is not in the published tables."
    touched = int((table["truncated"] > 0).sum())
    if touched == 0:
        return "No prompt is longer than the model reads."
    share = (table["truncated"] * table["n_prompts"]).sum() / table["n_prompts"].sum()
    return f"{share:.1%} of prompts, in {tasks(touched)}, are cut to the model's limit."
