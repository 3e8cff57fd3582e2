"""Section 01: what is probed, tasks by source and size, and token lengths."""

import numpy as np
import pandas as pd

from probing_core.figures import style
from probing_core.figures.marks import DASHED, listed_rows, powers_axis
from probing_core.figures.style import FAINT, INK, MUTED, OTHER_COLOURS, Drawing, needed, styled
from probing_core.figures.words import plural, span, tasks

ROW = 0.24


@styled
def plot_tasks_by_source(table: pd.DataFrame) -> Drawing:
    """Draw every task's size: the prompts it has, and those this run uses.

    Args:
        table: one row a task with ``dataset``, ``source``, ``n_prompts`` and ``n_available``.

    Returns:
        A strip per source, the source with most tasks on top: dots used, rings in the file.
    """
    counts = needed(table, "tasks")["source"].value_counts()
    sources = sorted(counts.index, key=lambda name: (-counts[name], name))
    figure, axes = style.new_panels(height=1.0 + ROW * len(sources))
    for row, source in enumerate(sources):
        chosen = table[table["source"] == source]
        used, available = chosen["n_prompts"], chosen["n_available"]
        here = np.full(len(chosen), row)
        axes.hlines(row, used.min(), available.max(), color=FAINT, lw=4, zorder=1)
        axes.plot(available, here, "o", color="white", mec=MUTED, mew=1.2)
        axes.plot(used, here, "o", color=OTHER_COLOURS[1], mec="white", mew=0.6, alpha=0.85)
    listed_rows(axes, [f"{name} ({counts[name]})" for name in sources])
    axes.set_xlim(0)
    axes.set_xlabel("prompts of the task (dot: used here, ring: in the file)")
    low, middle, high = table["n_prompts"].quantile([0, 0.5, 1]).astype(int)
    most = f"; {sources[0]} gives most, {counts.iloc[0]}" if counts.iloc[0] > 1 else ", one each"
    finding = (
        f"This run uses {tasks(len(table))} from {plural(len(sources), 'source')}{most}. "
        f"It uses {span(low, high)} prompts a task, {middle:,} in the median"
    )
    caption = (
        "Prompts by source, in brackets its number of tasks: dots used here, rings in the paper's "
        f"file. {finding}, of {table['n_available'].median():,.0f} in the median file."
    )
    return Drawing(figure, caption, f"{finding}.")


@styled
def plot_token_lengths(lengths: pd.DataFrame, *, max_tokens: int | None = None) -> Drawing:
    """Draw how long prompts are in tokens, by source.

    Args:
        lengths: one row a prompt with ``source`` and ``tokens``.
        max_tokens: where prompts are cut, drawn as a line when given.

    Returns:
        Per source the range from the 5th to the 95th percentile, the middle half and the median.
    """
    by_source = needed(lengths, "token lengths").groupby("source")["tokens"]
    table = by_source.quantile([0.05, 0.25, 0.5, 0.75, 0.95]).unstack()
    table = table.sort_values(0.5, ascending=False)
    figure, axes = style.new_panels(height=1.1 + ROW * len(table))
    rows = np.arange(len(table))
    axes.hlines(rows, table[0.05], table[0.95], color=MUTED, lw=1.4)
    axes.hlines(rows, table[0.25], table[0.75], color=OTHER_COLOURS[1], lw=6)
    # A ring, so that a source whose prompts are all equally long still shows.
    axes.plot(table[0.5], rows, "o", color="white", mec=INK, mew=1.2, ms=6)
    powers_axis(axes, table[0.05].min(), max(table[0.95].max(), max_tokens or 0))
    listed_rows(axes, list(table.index))
    axes.set_xlabel("tokens in a prompt (log2)")
    medians, cut, at_the_cut = table[0.5].astype(int), "", 0
    if max_tokens is not None:
        axes.axvline(max_tokens, color=INK, lw=1, ls=DASHED, zorder=0)
        axes.text(max_tokens / 1.03, rows[-1], f"cut at {max_tokens}", ha="right", va="center")
        cut, at_the_cut = f"; longer prompts count as {max_tokens}", sum(medians >= max_tokens)
    longest = f"{medians.index[0]} has the longest (median {medians.iloc[0]})"
    if at_the_cut:  # The cut makes the longest ones equal.
        longest = f"in {plural(at_the_cut, 'source')} at least half of the prompts reach the cut"
    finding = (
        f"Half of all prompts have at most {lengths['tokens'].median():.0f} tokens. "
        f"{medians.index[-1]} has the shortest prompts (median {medians.iloc[-1]}); "
        f"{longest}."
    )
    caption = (
        f"Tokens per prompt, {plural(len(lengths), 'prompt')}: the line spans the 5th to 95th "
        f"percentile, the bar the middle half, the ring the median{cut}. {finding}"
    )
    return Drawing(figure, caption, finding)


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
