"""What is probed: tasks by source and size, token lengths, and extraction speed."""

import numpy as np
import pandas as pd

from probing_core.analysis.paired import signless_zero
from probing_core.figures.style import (
    BASELINE,
    FAINT,
    INK,
    MUTED,
    SAE,
    Drawing,
    new_figure,
    not_run,
    styled,
)
from probing_core.figures.words import plural, span, tasks

ROW = 0.24
WAY_COLOURS = (SAE, MUTED, BASELINE)


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
    place = {source: row for row, source in enumerate(sources)}
    figure = new_figure(height=1.0 + ROW * len(sources))
    axes = figure.subplots()
    for source, row in place.items():
        chosen = table[table["source"] == source]
        used, available = chosen["n_prompts"].to_numpy(), chosen["n_available"].to_numpy()
        here = np.full(len(chosen), row)
        axes.plot([used.min(), available.max()], [row, row], color=FAINT, lw=4, zorder=1)
        axes.plot(available, here, "o", color="white", mec=MUTED, mew=1.2, zorder=2)
        axes.plot(used, here, "o", color=SAE, mec="white", mew=0.6, alpha=0.85, zorder=3)
    axes.set_yticks(range(len(sources)), [f"{name} ({counts[name]})" for name in sources])
    axes.set_ylim(len(sources) - 0.4, -0.6)
    axes.set_xlim(0, table["n_available"].max() * 1.06)
    axes.set_xlabel("prompts of the task (dot: used here, ring: in the file)")
    axes.tick_params(axis="y", length=0)
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
    levels = [0.05, 0.25, 0.5, 0.75, 0.95]
    table = lengths.groupby("source")["tokens"].quantile(levels).unstack().sort_values(0.5)
    figure = new_figure(height=1.1 + ROW * len(table))
    axes = figure.subplots()
    rows = np.arange(len(table))
    axes.hlines(rows, table[0.05], table[0.95], color=MUTED, lw=1.4)
    axes.hlines(rows, table[0.25], table[0.75], color=SAE, lw=6)
    # A ring, so that a source whose prompts are all equally long still shows.
    axes.plot(table[0.5], rows, "o", color="white", mec=INK, mew=1.2, ms=6)
    if max_tokens is not None:
        axes.axvline(max_tokens, color=BASELINE, ls=(0, (5, 2)), zorder=0)
        axes.annotate(
            f"cut at {max_tokens}", (max_tokens, 0), xytext=(-4, 0), textcoords="offset points",
            ha="right", va="center",
        )  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_yticks(rows, table.index)
    axes.set_ylim(-0.6, len(table) - 0.4)
    low, high = table[0.05].min(), max(table[0.95].max(), max_tokens or 0)
    ticks = [2**power for power in range(0, 14) if low / 2 <= 2**power <= high * 1.5]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlim(low / 1.15, high * 1.15)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("tokens in a prompt (log2)")
    middle, longest = int(lengths["tokens"].median()), _longest(table[0.5], max_tokens)
    cut = "" if max_tokens is None else f"; longer prompts count as {max_tokens}"
    shortest = f"{table.index[0]} has the shortest prompts (median {int(table[0.5].iloc[0])})"
    caption = (
        f"Tokens per prompt by source, {plural(len(lengths), 'prompt')}: the line spans the 5th "
        f"to 95th percentile, the bar the middle half, the ring the median{cut}. {shortest}; "
        f"{longest}."
    )
    alt = f"Half of all prompts have at most {middle} tokens. {shortest}; {longest}."
    return Drawing(figure, caption, alt)


def _longest(medians: pd.Series, max_tokens: int | None) -> str:
    """Say which sources have the longest prompts; a cut makes the longest ones equal."""
    capped = 0 if max_tokens is None else int((medians >= max_tokens).sum())
    if capped:
        return f"in {plural(capped, 'source')} at least half of the prompts reach the cut"
    return f"{medians.index[-1]} has the longest (median {int(medians.iloc[-1])})"


@styled
def plot_throughput(table: pd.DataFrame) -> Drawing:
    """Draw the speed of extraction beside a plain forward pass of the same model.

    Args:
        table: columns ``way``, ``tokens_per_second``, ``dtype``, ``threads``, ``n_tokens``.

    Returns:
        One bar a row.
    """
    if table.empty:
        return not_run("a measurement of speed")
    figure = new_figure(height=1.2 + 0.5 * len(table))
    axes = figure.subplots()
    ways = list(dict.fromkeys(table["way"]))
    names = [f"{row.way}\n{row.dtype}" for row in table.itertuples()]
    colours = [WAY_COLOURS[ways.index(way) % len(WAY_COLOURS)] for way in table["way"]]
    speeds = table["tokens_per_second"].to_numpy(dtype=float)
    axes.barh(range(len(table)), speeds, color=colours, height=0.62)
    for row, speed in enumerate(speeds):
        axes.annotate(
            f"{speed:,.0f}", (speed, row), xytext=(5, 0), textcoords="offset points", va="center"
        )
    axes.set_yticks(range(len(table)), names)
    axes.set_ylim(len(table) - 0.5, -0.5)
    axes.set_xlim(0, speeds.max() * 1.16)
    axes.set_xlabel("tokens per second")
    axes.tick_params(axis="y", length=0)
    means = table.groupby("way", sort=False)["tokens_per_second"].mean()
    tokens, threads = int(table["n_tokens"].max()), int(table["threads"].max())
    ratio = means.iloc[0] / means.iloc[-1]
    caption = (
        f"Tokens per second through the model on this machine ({plural(threads, 'thread')}, "
        f"{tokens:,} tokens): extraction with all hooks"
    )
    alt = f"Extraction reaches {means.iloc[0]:,.0f} tokens per second"
    if len(means) > 1:
        caption += " beside the plain forward pass. Best of a few timings, no interval. "
        caption += f"Extraction runs at {ratio:.0%} of the plain speed."
        alt += f", {signless_zero(ratio, 2)} times the {means.iloc[-1]:,.0f} of {means.index[-1]}."
    else:
        caption += ". Best of a few timings, no interval. The plain pass was not timed."
        alt += "; the plain pass was not timed."
    return Drawing(figure, caption, alt)


def length_note(table: pd.DataFrame) -> str:
    """Say how many prompts are longer than the model reads.

    Args:
        table: one row a task with ``n_prompts`` and ``truncated`` (share of prompts cut).

    Returns:
        One sentence.
    """
    if table["truncated"].isna().all():
        return "How many prompts are longer than the model reads is not in the published tables."
    cut = float((table["truncated"] * table["n_prompts"]).sum())
    share = cut / table["n_prompts"].sum()
    touched = int((table["truncated"] > 0).sum())
    if touched == 0:
        return "No prompt is longer than the model reads."
    return f"{share:.1%} of prompts, in {tasks(touched)}, are cut to the model's limit."
