"""Section 3.2, task by task: three examples and the map of all (figures 5 and 16)."""

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap

from probing_core.analysis.comparison import over_seeds
from probing_core.analysis.selection import task_number
from probing_core.datasets.regimes import REGIMES
from probing_core.figures.regimes import value_axis
from probing_core.figures.style import (
    BASELINE,
    FAINT,
    SAE,
    Drawing,
    new_figure,
    not_run,
    styled,
)
from probing_core.figures.words import plural, signed, tasks

EXAMPLES = ("26_headline_isfrontpage", "36_sciq_tf", "114_nyc_borough_Manhattan")
COLOURS = LinearSegmentedColormap.from_list("difference", [BASELINE, "white", SAE])
TICKS = 14
"""Numbers below a heat map, all panels together."""
SHOWN = 0.99
"""Quantile of the absolute differences at which the map's colours saturate."""


@styled
def plot_examples(frames: dict[str, pd.DataFrame], names: Sequence[str] = EXAMPLES) -> Drawing:
    """Draw figure 5: three tasks and their mean, with and without SAE probes.

    Args:
        frames: settings by regime, from `compared`.
        names: tasks to show; those that were not run are replaced by the first that were.

    Returns:
        A grid: one row a task and one for their mean, one column a regime.
    """
    have = {task for frame in frames.values() for task in frame["dataset"]}
    shown = [task for task in names if task in have]
    others = sorted(have - set(shown), key=lambda tag: (task_number(tag), tag))
    shown = sorted([*shown, *others[: max(0, 3 - len(shown))]], key=task_number)
    if not frames or not shown:
        return not_run("any regime with SAE probes")
    figure = new_figure(height=1.6 + 1.25 * (len(shown) + 1))
    grid = figure.subplots(len(shown) + 1, len(frames), sharex="col", sharey=True, squeeze=False)
    ahead = 0
    for column, (name, frame) in enumerate(frames.items()):
        mine = over_seeds(frame[frame["dataset"].isin(shown)])
        mean = mine.groupby("regime_value", as_index=False)[["without_auc", "with_auc"]].mean()
        parts = [*(mine[mine["dataset"] == task] for task in shown), mean]
        for line, part in enumerate(parts):
            axes = grid[line, column]
            axes.axhline(0.5, color=FAINT, lw=0.8)
            axes.plot(
                part["regime_value"],
                part["without_auc"],
                color=BASELINE,
                label="without SAE probes",
            )
            axes.plot(
                part["regime_value"], part["with_auc"], color=SAE, ls=(0, (4, 1.5)),
                label="with SAE probes",
            )  # fmt: skip
        ahead += int(mean["with_auc"].mean() > mean["without_auc"].mean())
        grid[0, column].set_title(REGIMES[name].label, loc="left")
        value_axis(grid[-1, column], name, mean["regime_value"].to_numpy(), most=6)
    for line, task in enumerate([*shown, f"mean of {len(shown)}"]):
        grid[line, 0].set_ylabel(textwrap.fill(task.replace("_", " "), 14), fontsize=8)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles[:2], labels[:2], loc="outside upper right", ncols=2)
    figure.supylabel("test AUC", fontsize=10)
    caption = (
        f"Test AUC on {plural(len(shown), 'task')} and their mean, without and with SAE probes "
        "(label noise: logistic regression and one SAE probe); seeds averaged, no interval for "
        "single tasks. Where the dashed line lies below, SAE probes cost AUC."
    )
    alt = (
        f"On the mean of these {plural(len(shown), 'task')} SAE probes raise test AUC in {ahead} "
        f"of {plural(len(frames), 'regime')}."
    )
    return Drawing(figure, caption, alt)


@styled
def plot_heat_map(frames: dict[str, pd.DataFrame]) -> Drawing:
    """Draw figure 16: the difference for every task at every value.

    Args:
        frames: settings by regime, from `compared`.

    Returns:
        One panel a regime on one colour scale, tasks in order of their number.
    """
    if not frames:
        return not_run("any regime with SAE probes")
    tables = {
        name: over_seeds(frame).pivot(index="dataset", columns="regime_value", values="difference")
        for name, frame in frames.items()
    }
    names = sorted(
        {task for table in tables.values() for task in table.index},
        key=lambda tag: (task_number(tag), tag),
    )
    cells = np.concatenate([table.to_numpy().ravel() for table in tables.values()])
    cells = cells[np.isfinite(cells)]
    limit = max(float(np.quantile(np.abs(cells), SHOWN)), 0.005)
    figure = new_figure(height=min(8.0, 2.2 + 0.075 * max(len(names), 20)))
    widths = [table.shape[1] for table in tables.values()]
    panels = figure.subplots(1, len(tables), sharey=True, squeeze=False, width_ratios=widths)[0]
    for axes, (name, table) in zip(panels, tables.items(), strict=True):
        image = axes.imshow(
            table.reindex(names).to_numpy(), cmap=COLOURS, vmin=-limit, vmax=limit,
            aspect="auto", interpolation="none",
        )  # fmt: skip
        axes.set_facecolor(FAINT)
        most = max(2, round(TICKS * table.shape[1] / sum(widths)))
        step = -(-table.shape[1] // most)
        axes.set_xticks(
            range(0, table.shape[1], step), [f"{value:g}" for value in table.columns[::step]]
        )
        axes.set_xlabel(REGIMES[name].axis.replace(" (", "\n("))
        axes.set_title(REGIMES[name].label, loc="left")
    step = -(-len(names) // 20)
    panels[0].set_yticks(
        range(0, len(names), step), [name.split("_")[0] for name in names[::step]], fontsize=8
    )
    panels[0].set_ylabel("task number")
    figure.colorbar(image, ax=list(panels), label="difference in test AUC", extend="both", pad=0.02)
    worse, better = float((cells < 0).mean()), float((cells > 0).mean())
    caption = (
        f"Difference in test AUC, with SAE probes minus without, for {tasks(len(names))} at every "
        f"value; blue: SAE probes help. {better:.0%} of cells are above zero and {worse:.0%} "
        f"below. Colours saturate at {limit:.3f}; grey: not to be had. Seeds averaged, single "
        "cells have no interval."
    )
    alt = (
        f"SAE probes raise test AUC in {better:.0%} of task-value cells and lower it in "
        f"{worse:.0%}; the largest gain is {signed(float(cells.max()))}, the largest loss "
        f"{signed(float(cells.min()))}."
    )
    return Drawing(figure, caption, alt)
