"""Section 03: scarce, skewed and mislabelled data (figures 1, 5, 6, 16, 17 and appendix E).

Figures take the settings by regime that `analysis.comparison.compared` gives, tidy result rows, or
both; options are those of `quiver`: hook, sae_ids, ks and ranking. Figures along a regime's values
leave out regimes without a number.
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from probing_core.analysis.comparison import first_held, head_to_head, over_seeds, rare_test_prompts
from probing_core.analysis.effects import SIGNIFICANT, effects, overall
from probing_core.analysis.paired import MeanInterval, mean_interval, signless_zero
from probing_core.analysis.quiver import SETTING, SIDES, TIES, arrow_shares, arrows, pick, quiver
from probing_core.analysis.selection import task_number, width_label
from probing_core.datasets.regimes import REGIMES
from probing_core.figures import marks, style
from probing_core.figures.style import BASELINE, INK, MUTED, SAE, Drawing, not_run, styled
from probing_core.figures.words import above_below, interval_name, plural, signed, tasks
from probing_core.probes.methods import SAE_METHOD

EXAMPLES = ("26_headline_isfrontpage", "36_sciq_tf", "114_nyc_borough_Manhattan")
TICKS = 14
"""Numbers below a heat map, all panels together."""
SHOWN = 0.99
"""Quantile of the absolute differences at which the map's colours saturate."""
FEW = 20
"""Test prompts of the rarer class below which a cell of the map is marked."""
TOOLBOXES = {"saes": "SAE probes only", "both": "baselines and SAE probes"}
POLICIES = {
    "neutral": "averaged",
    "baseline": "to baselines",
    "sae_narrow_large_k": "to SAE probes",
    "as_published": "as published",
}
NONE = "any regime with SAE probes"


def regime_sentence(name: str, frame: pd.DataFrame) -> str:
    """State a regime's finding: mean difference, interval, counts, picks, tests."""
    regime, total = REGIMES[name], overall(frame)
    mean = total.difference
    ends = f"95% interval {signless_zero(mean.low)} to {signless_zero(mean.high)}, "
    picked = (
        f"{total.picked_sae:.0%} of picks are SAE probes"
        if regime.quiver
        else f"the SAE probe is ahead in {total.picked_sae:.0%} of settings"
    )
    said = (
        f"Under {regime.under} {above_below(mean, *regime.sides)} "
        f"({ends if mean.interval != 'none' else ''}{tasks(mean.n)}): better on {total.better}, "
        f"worse on {total.worse}, equal on {total.equal}; {picked}."
    )
    if not regime.axis:
        return said
    values = effects(frame)
    apart = [one for one in values if one.p_holm < SIGNIFICANT]
    if not apart:
        return (
            f"{said} At none of {len(values)} values does the difference survive Holm's correction."
        )
    return (
        f"{said} After Holm's correction {len(apart)} of {len(values)} values differ from zero, "
        f"{sum(one.difference.mean > 0 for one in apart)} in favour of SAE probes."
    )


def seed_sentence(frames: Mapping[str, pd.DataFrame]) -> str:
    """Set how far the mean moves with the split beside how far tasks differ."""
    totals = {name: overall(frame) for name, frame in frames.items()}
    several = {name: one for name, one in totals.items() if one.n_seeds > 1}
    if not several:
        return "One split seed was run, so how far another split would move it is not known."
    said = "; ".join(
        f"{REGIMES[name].label} {signless_zero(one.seed_spread, 4)} over seeds and "
        f"{signless_zero(one.task_spread, 4)} over tasks"
        for name, one in several.items()
    )
    return (
        f"Over {plural(max(one.n_seeds for one in several.values()), 'split seed')} the thin lines "
        f"show how far it moves with the split. Standard deviations: {said}."
    )


@styled
def plot_regime_bars(
    rows: pd.DataFrame, *, hook: str, ranking: str, sae_id: str | None = None, k: int = 128
) -> Drawing:
    """Draw figure 1: logistic regression beside one SAE probe, regime by regime.

    Pairs of bars; a regime without rows keeps an empty slot.
    """
    by_task: dict[str, pd.DataFrame] = {}
    for name in REGIMES:
        part = rows[rows["regime"] == name]
        own = first_held(part, [sae_id] if sae_id else None)
        pair = head_to_head(part, hook=hook, sae_id=own, k=k, ranking=ranking)
        if len(pair):
            by_task[name] = pair.groupby("dataset")[["baseline", "sae", "difference"]].mean()
    if not by_task:
        return not_run(f"logistic regression and an SAE probe with k = {k}")
    figure = style.new_figure(height=3.4)
    axes = figure.subplots()
    places = {name: place for place, name in enumerate(REGIMES)}
    estimates: list[MeanInterval] = []
    for side, colour, shift, label in (
        ("baseline", BASELINE, -0.2, "logistic regression"),
        ("sae", SAE, 0.2, f"SAE probe, k = {k}"),
    ):
        means = [mean_interval(table[side]) for table in by_task.values()]
        marks.bars(axes, [places[name] + shift for name in by_task], means, colour, label=label)
        estimates += means
    missing = [REGIMES[name].label for name in REGIMES if name not in by_task]
    for name in REGIMES.keys() - by_task.keys():
        axes.text(places[name], 0.52, "not run", ha="center", color=MUTED, style="italic")
    axes.set(ylim=(0.5, 1.0), ylabel="test AUC", xlim=(-0.6, len(REGIMES) - 0.4))
    axes.set_xticks(
        list(places.values()), [REGIMES[name].label.replace(" ", "\n") for name in REGIMES]
    )
    figure.legend(loc="outside upper right", ncols=2)
    changes = {name: mean_interval(table["difference"]).mean for name, table in by_task.items()}
    clauses = ", ".join(f"{REGIMES[name].label} {signed(one)}" for name, one in changes.items())
    caption = (
        f"Mean test AUC of logistic regression and one SAE probe (k = {k}) by regime; every task "
        f"counts once, its settings averaged; {interval_name(*estimates)}. Mean differences, SAE "
        f"minus baseline: {clauses}."
    )
    if missing:
        caption += f" Not run: {', '.join(missing)}."
    alt = (
        "The SAE probe trails logistic regression on average in "
        f"{sum(one < 0 for one in changes.values())} of {plural(len(changes), 'regime')} that this "
        f"run has: {clauses}."
    )
    return Drawing(figure, caption, alt)


@styled
def plot_differences(frames: Mapping[str, pd.DataFrame]) -> Drawing:
    """Draw figure 6: the mean difference at every value of every regime.

    One panel a regime: the mean over tasks with its interval, filled where it survives
    Holm's correction, and a thin line a split seed.
    """
    frames = _numbered(frames)
    if not frames:
        return not_run(NONE)
    figure = style.new_figure(height=3.4)
    panels = figure.subplots(1, len(frames), squeeze=False)[0]
    found = {name: effects(frame) for name, frame in frames.items()}
    for axes, (name, values) in zip(panels, found.items(), strict=True):
        x = np.array([one.value for one in values])
        means = [one.difference for one in values]
        mean, low, high = np.array([[one.mean, one.low, one.high] for one in means]).T
        marks.band(axes, x, mean, low, high, np.array([one.p_holm < SIGNIFICANT for one in values]))
        if values[0].n_seeds > 1:
            by_seed = frames[name].groupby(["regime_value", "seed"])["difference"].mean().unstack()
            axes.plot(by_seed.index, by_seed, color=MUTED, lw=0.6, alpha=0.8)
        axes.set_title(REGIMES[name].label, loc="left")
        marks.value_axis(axes, name, x)
    panels[0].set_ylabel("difference in test AUC")
    every = [one for values in found.values() for one in values]
    apart = [one for one in every if one.p_holm < SIGNIFICANT]
    seeds = max(one.n_seeds for one in every)
    spread = "one split seed, whose own spread is not known"
    caption = (
        "Mean difference in test AUC, with SAE probes minus without, by value of each regime; "
        f"bands are {interval_name(*(one.difference for one in every))}; "
        f"{f'thin lines are {seeds} split seeds' if seeds > 1 else spread}. Filled: differs from "
        f"zero after Holm's correction.{_one_probe(frames)} Scales differ."
    )
    gains = sum(one.difference.mean > 0 for one in apart)
    alt = (
        f"At {len(apart)} of {len(every)} values the difference survives Holm's correction: "
        f"{gains} in favour of SAE probes, {len(apart) - gains} against them."
    )
    return Drawing(figure, caption, alt)


@styled
def plot_examples(frames: Mapping[str, pd.DataFrame], names: Sequence[str] = EXAMPLES) -> Drawing:
    """Draw figure 5: three tasks and their mean, with and without SAE probes.

    A grid: one row a task and one for their mean, one column a regime.
    """
    frames = _numbered(frames)
    have = {task for frame in frames.values() for task in frame["dataset"]}
    shown = [task for task in names if task in have]
    shown += sorted(have - set(shown), key=task_number)[: max(0, 3 - len(shown))]
    shown.sort(key=task_number)
    if not shown:
        return not_run(NONE)
    figure = style.new_figure(height=1.6 + 1.25 * (len(shown) + 1))
    grid = figure.subplots(len(shown) + 1, len(frames), sharex="col", sharey=True, squeeze=False)
    ahead = 0
    for column, (name, frame) in zip(grid.T, frames.items(), strict=True):
        mine = over_seeds(frame[frame["dataset"].isin(shown)])
        mean = mine.groupby("regime_value", as_index=False)[["without_auc", "with_auc"]].mean()
        parts = [*(mine[mine["dataset"] == task] for task in shown), mean]
        for axes, part in zip(column, parts, strict=True):
            axes.axhline(0.5, color=style.FAINT, lw=0.8)
            for side, colour, line in (("without", BASELINE, "-"), ("with", SAE, (0, (4, 1.5)))):
                axes.plot(part["regime_value"], part[f"{side}_auc"], color=colour, ls=line,
                          label=f"{side} SAE probes")  # fmt: skip
        ahead += int(mean["with_auc"].mean() > mean["without_auc"].mean())
        column[0].set_title(REGIMES[name].label, loc="left")
        marks.value_axis(column[-1], name, mean["regime_value"].to_numpy(), most=6)
    for axes, task in zip(grid[:, 0], [*shown, f"mean of {len(shown)}"], strict=True):
        axes.set_ylabel(textwrap.fill(task.replace("_", " "), 14), fontsize=8)
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    figure.supylabel("test AUC", fontsize=10)
    caption = (
        f"Test AUC on {plural(len(shown), 'task')} and their mean, without and with SAE probes."
        f"{_one_probe(frames, 'one SAE probe beside')} Seeds averaged, no interval for single "
        "tasks. Where the dashed line lies below, SAE probes cost AUC."
    )
    alt = (
        f"On the mean of these {plural(len(shown), 'task')} SAE probes raise test AUC in {ahead} "
        f"of {plural(len(frames), 'regime')}."
    )
    return Drawing(figure, caption, alt)


@styled
def plot_heat_map(frames: Mapping[str, pd.DataFrame], rows: pd.DataFrame) -> Drawing:
    """Draw figure 16: the difference for every task at every value.

    One panel a regime on one colour scale, tasks in order of their number; cells that rest
    on few test prompts of the rarer class have a dot.
    """
    frames = _numbered(frames)
    if not frames:
        return not_run(NONE)
    names = sorted(
        {task for frame in frames.values() for task in frame["dataset"]}, key=task_number
    )
    tables = {
        name: over_seeds(frame)
        .pivot(index="dataset", columns="regime_value", values="difference")
        .reindex(names)
        for name, frame in frames.items()
    }
    rare = {
        name: rare_test_prompts(rows[rows["regime"] == name]).unstack().reindex_like(table)
        for name, table in tables.items()
    }
    cells = pd.concat({name: table.stack() for name, table in tables.items()}).dropna()
    limit = max(float(cells.abs().quantile(SHOWN)), 0.005)
    figure = style.new_figure(height=min(8.0, 2.2 + 0.075 * max(len(names), 20)))
    widths = [table.shape[1] for table in tables.values()]
    panels = figure.subplots(1, len(tables), sharey=True, squeeze=False, width_ratios=widths)[0]
    for axes, (name, table) in zip(panels, tables.items(), strict=True):
        most = max(2, round(TICKS * table.shape[1] / sum(widths)))
        image = marks.heat(axes, table, style.DIFFERENCE_COLOURS, low=-limit, high=limit, most=most)
        few = np.argwhere(((rare[name] < FEW) & table.notna()).to_numpy())
        axes.plot(few[:, 1], few[:, 0], "o", color=INK, ms=1.6, mew=0)
        axes.set_xlabel(REGIMES[name].axis.replace(" (", "\n("))
        axes.set_title(REGIMES[name].label, loc="left")
    step = -(-len(names) // 20)
    numbers = [name.split("_")[0] for name in names[::step]]
    panels[0].set_yticks(range(0, len(names), step), numbers, fontsize=8)
    panels[0].set_ylabel("task number")
    figure.colorbar(image, ax=list(panels), label="difference in test AUC", extend="both", pad=0.02)
    known = any(count.notna().any(axis=None) for count in rare.values())
    sized = f"dot: under {FEW} test prompts of the rarer class" if known else "test sizes unknown"
    better, worse = f"{(cells > 0).mean():.0%}", f"{(cells < 0).mean():.0%}"
    caption = (
        f"Difference in test AUC, with SAE probes minus without, for {tasks(len(names))} at every "
        f"value; blue: SAE probes help. {better} of cells are above zero, {worse} below. Colours "
        f"saturate at {limit:.3f}; grey: not to be had; {sized}. Seeds averaged, no intervals."
    )
    alt = (
        f"SAE probes raise test AUC in {better} of task-value cells and lower it in {worse}; the "
        f"largest gain is {_extreme(cells, rare, cells.idxmax())}, the largest loss "
        f"{_extreme(cells, rare, cells.idxmin())}."
    )
    return Drawing(figure, caption, alt)


def _extreme(cells: pd.Series, rare: Mapping[str, pd.DataFrame], where: tuple) -> str:
    """Write one cell of the map, and how few test prompts it rests on."""
    name, task, value = where
    count = rare[name].loc[task, value]
    if np.isnan(count):
        return signed(cells[where])
    return f"{signed(cells[where])} (on {plural(int(count), 'test prompt')} of the rarer class)"


@styled
def plot_picked(frames: Mapping[str, pd.DataFrame]) -> Drawing:
    """Draw figure 17: on how many tasks an SAE probe is picked, or is ahead head to head.

    One panel a regime, stacked to 100%; tasks are matched by name.
    """
    frames = _numbered(frames)
    if not frames:
        return not_run(NONE)
    figure = style.new_figure(height=3.3)
    panels = figure.subplots(1, len(frames), sharey=True, squeeze=False)[0]
    clauses = []
    for axes, (name, frame) in zip(panels, frames.items(), strict=True):
        share = over_seeds(frame).groupby("regime_value")["picked_sae"].mean() * 100
        marks.shares(axes, share.index.to_numpy(dtype=float), share.to_numpy())
        axes.set_title(REGIMES[name].label, loc="left")
        marks.value_axis(axes, name, share.index.to_numpy())
        verb = "picked on" if REGIMES[name].quiver else "ahead on"
        clauses.append(f"{REGIMES[name].label} {verb} {share.min():.0f} to {share.max():.0f}%")
    panels[0].set_ylabel("share of tasks (%)")
    figure.legend(panels[0].collections[:2], ["SAE probe", "baseline"],
                  loc="outside upper right", ncols=2)  # fmt: skip
    single = _one_probe(frames, "tasks, matched by name, where the SAE probe is ahead of")
    caption = (
        "Share of tasks whose pick is an SAE probe (blue) by value; tied arrows share a pick."
        f"{single} Shares of single picks, seeds averaged, without interval."
    )
    return Drawing(figure, caption, f"SAE probes: {'; '.join(clauses)} of tasks.")


@styled
def plot_picked_arrows(frames: Mapping[str, pd.DataFrame], rows: pd.DataFrame) -> Drawing:
    """Draw which k and which SAE the picks have, among picks that are SAE probes.

    One panel a regime: a table of shares, k across, SAEs down, narrow ones first.
    """
    found = {name: arrow_shares(frame) for name, frame in frames.items() if REGIMES[name].quiver}
    found = {name: table for name, table in found.items() if len(table)}
    if not found:
        return not_run("a pick that is an SAE probe")
    width = rows.dropna(subset=["sae_id"]).groupby("sae_id")["sae_width"].first()
    figure = style.new_figure(height=2.9)
    panels = figure.subplots(1, len(found), squeeze=False)[0]
    clauses = []
    for axes, (name, table) in zip(panels, found.items(), strict=True):
        grid = table.pivot(index="sae_id", columns="k", values="share").fillna(0.0)
        grid = grid.loc[sorted(grid.index, key=width.__getitem__)]
        marks.heat(axes, grid, style.SHARE_COLOURS, low=0, high=1, written=".0%")
        axes.set_yticks(range(len(grid)), [width_label(width[sae]) for sae in grid.index])
        axes.set_title(REGIMES[name].label, loc="left")
        axes.set_xlabel("latents kept, k")
        axes.tick_params(length=0)
        largest = grid.columns.max()
        clauses.append(f"{REGIMES[name].label} {grid[largest].sum():.0%} with k = {largest}")
    panels[0].set_ylabel("width of the SAE")
    caption = (
        "Among picks that are SAE probes, the share of each width and k in percent; tied arrows "
        "share a pick. Counts over tasks, values and seeds, without interval. "
        f"Large k: {'; '.join(clauses)}."
    )
    return Drawing(figure, caption, f"Among SAE picks: {'; '.join(clauses)}.")


@styled
def plot_toolboxes(rows: pd.DataFrame, ties: str = "neutral", **options: Any) -> Drawing:
    """Draw what the quiver of SAE probes alone, and of both, gives against baselines alone.

    Dots with intervals, one row a regime and toolbox.
    """
    lines: list[tuple[str, str, MeanInterval]] = []
    levels = []
    for name in [name for name in REGIMES if REGIMES[name].quiver]:
        pool = arrows(rows[rows["regime"] == name], **options)
        if not pool["is_sae"].any() or pool["is_sae"].all():
            continue
        found = {side: pick(pool, side, ties).set_index(list(SETTING))["auc"] for side in SIDES}
        for side, toolbox in TOOLBOXES.items():
            change = (found[side] - found["baselines"]).dropna().rename("difference").reset_index()
            lines.append((f"{REGIMES[name].label}:\n{toolbox}", side, overall(change).difference))
        level = found["baselines"].groupby("dataset").mean().mean()
        levels.append(f"{REGIMES[name].label} {signless_zero(level)}")
    if not lines:
        return not_run("a regime in which quivers compete")
    figure = style.new_figure(height=1.4 + 0.5 * len(lines))
    axes = figure.subplots()
    axes.axvline(0, color=BASELINE, lw=2, label="baselines only")
    for place, (_, side, mean) in enumerate(lines):
        colour, marker = (SAE, "P") if side == "saes" else (MUTED, "o")
        marks.dots(axes, [place], [mean], colour, marker=marker)
    marks.listed_rows(axes, [label for label, _, _ in lines])
    axes.set_xlabel("difference in test AUC from the baselines' own quiver")
    axes.legend(loc="best")
    caption = (
        "Mean difference in test AUC from the quiver of baselines alone, with "
        f"{interval_name(*(mean for *_, mean in lines))}. Baselines alone reach: "
        f"{', '.join(levels)}. Left of the line a toolbox is worse."
    )
    said = "; ".join(f"{label}: {mean.text()}" for label, _, mean in lines).replace(":\n", ", ")
    return Drawing(figure, caption, f"Difference from baselines alone: {said}.")


@styled
def plot_tie_policies(rows: pd.DataFrame, regime: str = "scarcity", **options: Any) -> Drawing:
    """Draw figure 6 for one regime under every rule for ties.

    One line a rule: the mean difference by value.
    """
    part = rows[rows["regime"] == regime]
    if not (part["method"] == SAE_METHOD).any():
        return not_run(f"{REGIMES[regime].label} with SAE probes")
    figure = style.new_figure(height=3.3)
    axes = figure.subplots()
    axes.axhline(0, color=INK, lw=0.9)
    lines = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (6, 2, 1, 2)))
    looks = zip(TIES, style.OTHER_COLOURS[: len(TIES)], "osD^", lines, strict=True)
    means = {}
    for ties, colour, marker, line in looks:
        found = over_seeds(quiver(part, ties=ties, **options))
        means[ties] = found.groupby("regime_value")["difference"].mean()
        axes.plot(means[ties], color=colour, ls=line, marker=marker, label=POLICIES[ties])
    table = pd.DataFrame(means)
    marks.value_axis(axes, regime, table.index.to_numpy(), most=10)
    axes.set_ylabel("difference in test AUC")
    axes.legend(title="ties", loc="best")
    axes.grid(axis="y", color=style.FAINT, lw=0.6)
    gap = table.max(axis=1) - table.min(axis=1)
    caption = (
        "Mean difference in test AUC, with SAE probes minus without, under "
        f"{plural(len(TIES), 'rule')} for equal validation AUCs ({REGIMES[regime].label}, "
        f"{tasks(part['dataset'].nunique())}); "
        "means only, for their intervals see the figure above. Where the lines part, the rule "
        "decides the result."
    )
    alt = (
        f"The rules for ties differ most at {gap.idxmax():g}, by {signless_zero(gap.max())}, and "
        f"least at {gap.idxmin():g}, by {signless_zero(gap.min())}."
    )
    return Drawing(figure, caption, alt)


def _numbered(frames: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Leave out regimes whose rows have no number to draw them at."""
    return {name: frame for name, frame in frames.items() if REGIMES[name].axis}


def _one_probe(frames: Mapping[str, pd.DataFrame], what: str = "one SAE probe minus") -> str:
    """Say for which of the regimes no quivers compete."""
    single = [REGIMES[name].label for name in frames if not REGIMES[name].quiver]
    return f" Under {' and '.join(single)}: {what} logistic regression." if single else ""
