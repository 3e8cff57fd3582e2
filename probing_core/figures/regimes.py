"""Section 03: scarce, skewed and mislabelled data (figures 1, 5, 6, 16, 17 and appendix E).

Figures take the settings by regime that `analysis.comparison.compared` gives, or tidy result rows;
options are those of `quiver`. Figures along a regime's values leave out regimes without a number.
"""

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from probing_core.analysis.comparison import (
    NOT_COMPARED,
    first_held,
    head_to_head,
    lacking_side,
    over_seeds,
    rare_test_prompts,
)
from probing_core.analysis.effects import SIGNIFICANT, effects, overall
from probing_core.analysis.paired import mean_interval, signless_zero
from probing_core.analysis.quiver import SETTING, SIDES, TIES, arrow_shares, arrows, pick, quiver
from probing_core.analysis.selection import task_number, width_label
from probing_core.datasets.regimes import REGIMES
from probing_core.figures import marks, style
from probing_core.figures.style import BASELINE, INK, MUTED, SAE, Drawing, needed, styled
from probing_core.figures.words import (
    interval_name,
    plural,
    signed,
)

EXAMPLES = ("26_headline_isfrontpage", "36_sciq_tf", "114_nyc_borough_Manhattan")
FEW = 20
"""Test prompts of the rarer class below which a cell of the map is marked."""
TOOLBOXES = {"saes": "SAE probes only", "both": "baselines and SAE probes"}
POLICIES = {
    "neutral": "averaged",
    "baseline": "to baselines",
    "sae_narrow_large_k": "to SAE probes",
    "as_published": "as published",
}


@styled
def plot_regime_bars(
    rows: pd.DataFrame, *, hook: str, ranking: str, sae_id: str | None = None, k: int = 128
) -> Drawing:
    """Draw figure 1: logistic regression beside one SAE probe, a pair of bars a regime."""
    by_task: dict[str, pd.DataFrame] = {}
    for name in REGIMES:
        part = rows[rows["regime"] == name]
        own = first_held(part, [sae_id] if sae_id else None)
        pair = head_to_head(part, hook=hook, sae_id=own, k=k, ranking=ranking)
        if len(pair):
            by_task[name] = pair.groupby("dataset")[["baseline", "sae", "difference"]].mean()
    needed(by_task, lacking_side(hook, [k], ranking), NOT_COMPARED)
    figure, axes = style.new_panels(height=3.4)
    places = np.array([place for place, name in enumerate(REGIMES) if name in by_task])
    baseline, sae, change = (
        [mean_interval(table[side]) for table in by_task.values()]
        for side in ("baseline", "sae", "difference")
    )
    marks.bars(axes, places - 0.2, baseline, BASELINE, label="logistic regression")
    marks.bars(axes, places + 0.2, sae, SAE, label=f"SAE probe, k = {k}")
    slots = [
        one.label + ("" if n in by_task else f" ({NOT_COMPARED})") for n, one in REGIMES.items()
    ]
    axes.set_xticks(range(len(slots)), [textwrap.fill(slot, 12) for slot in slots])
    axes.set(ylim=(0.5, 1.0), ylabel="test AUC", xlim=(-0.6, len(slots) - 0.4))
    figure.legend(loc="outside upper right", ncols=2)
    said = [
        f"{REGIMES[n].label} {signed(one.mean)}" for n, one in zip(by_task, change, strict=True)
    ]
    finding = (
        "The SAE probe trails logistic regression on average in "
        f"{sum(one.mean < 0 for one in change)} of {plural(len(said), 'regime')} that this run "
        f"has: {', '.join(said)}."
    )
    caption = (
        "Mean test AUC by regime; every task counts once, its settings averaged; "
        f"{interval_name(*baseline, *sae)}. {finding}"
    )
    return Drawing(figure, caption, finding)


@styled
def plot_differences(frames: Mapping[str, pd.DataFrame]) -> Drawing:
    """Draw figure 6: the mean difference by value with its interval, and a thin line a seed."""
    frames = _numbered(frames)
    figure, panels = marks.regime_panels(list(frames), height=3.4)
    found = {name: effects(frame) for name, frame in frames.items()}
    for axes, (name, values) in zip(panels, found.items(), strict=True):
        means = [one.difference for one in values]
        mean, low, high = np.array([[one.mean, one.low, one.high] for one in means]).T
        x = np.array([one.value for one in values])
        marks.band(axes, x, mean, low, high, np.array([one.p_holm < SIGNIFICANT for one in values]))
        by_seed = frames[name].groupby(["regime_value", "seed"])["difference"].mean().unstack()
        axes.plot(by_seed, color=MUTED, lw=0.6, alpha=0.8)
        marks.value_axis(axes, name, x)
    panels[0].set_ylabel("difference in test AUC")
    every = [one for values in found.values() for one in values]
    apart = [one.difference.mean > 0 for one in every if one.p_holm < SIGNIFICANT]
    seeds = max(one.n_seeds for one in every)
    thin = f"thin lines: {seeds} split seeds" if seeds > 1 else "one split seed"
    caption = (
        "Mean difference in test AUC, with SAE probes minus without, by value of each regime; "
        f"bands: {interval_name(*(one.difference for one in every))}; {thin}. Filled: differs from "
        f"zero after Holm's correction.{_one_probe(frames)} Scales differ."
    )
    alt = (
        f"At {len(apart)} of {len(every)} values the difference survives Holm's correction: "
        f"{sum(apart)} in favour of SAE probes, {len(apart) - sum(apart)} against them."
    )
    return Drawing(figure, caption, alt)


@styled
def plot_examples(frames: Mapping[str, pd.DataFrame]) -> Drawing:
    """Draw figure 5: three tasks and their mean, with and without SAE probes."""
    frames = _numbered(frames)
    have = {task for frame in frames.values() for task in frame["dataset"]}
    known = sorted(have, key=lambda task: (task not in EXAMPLES, task_number(task)))
    shown = sorted(known[:3], key=task_number)
    figure, grid = style.new_panels(
        len(shown) + 1, len(frames), height=1.6 + 1.25 * (len(shown) + 1),
        sharex="col", sharey=True, squeeze=False,
    )  # fmt: skip
    ahead = 0
    for column, (name, frame) in zip(grid.T, frames.items(), strict=True):
        mine = over_seeds(frame[frame["dataset"].isin(shown)])
        mean = mine.groupby("regime_value", as_index=False)[["without_auc", "with_auc"]].mean()
        parts = [*(mine[mine["dataset"] == task] for task in shown), mean]
        for axes, part in zip(column, parts, strict=True):
            axes.axhline(0.5, color=style.FAINT, lw=0.8)
            for side, colour, line in (("without", BASELINE, "-"), ("with", SAE, marks.DASHED)):
                axes.plot("regime_value", f"{side}_auc", data=part, color=colour, ls=line,
                          label=f"{side} SAE probes")  # fmt: skip
        ahead += int(mean["with_auc"].mean() > mean["without_auc"].mean())
        column[0].set_title(REGIMES[name].label, loc="left")
        marks.value_axis(column[-1], name, mean["regime_value"].to_numpy(), most=6)
    for axes, task in zip(grid[:, 0], [*shown, f"mean of {len(shown)}"], strict=True):
        axes.set_ylabel(textwrap.fill(task.replace("_", " "), 14), fontsize=8)
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    figure.supylabel("test AUC", fontsize=10)
    finding = (
        f"On the mean of these {plural(len(shown), 'task')} SAE probes raise test AUC in {ahead} "
        f"of {plural(len(frames), 'regime')}."
    )
    caption = (
        f"Test AUC of tasks, without and with SAE probes.{_one_probe(frames)} Seeds averaged, no "
        f"interval for single tasks. Where the dashed line is lower, SAE probes cost AUC. {finding}"
    )
    return Drawing(figure, caption, finding)


@styled
def plot_heat_map(frames: Mapping[str, pd.DataFrame], rows: pd.DataFrame) -> Drawing:
    """Draw figure 16: the difference for every task at every value."""
    frames = _numbered(frames)
    names = sorted({task for one in frames.values() for task in one["dataset"]}, key=task_number)
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
    limit = max(float(cells.abs().quantile(0.99)), 0.005)
    widths = [table.shape[1] for table in tables.values()]
    height = min(8.0, 2.2 + 0.075 * max(len(names), 20))
    figure, panels = marks.regime_panels(
        list(tables), height=height, sharey=True, width_ratios=widths
    )
    for axes, (name, table) in zip(panels, tables.items(), strict=True):
        most = max(2, 14 * table.shape[1] // sum(widths))
        image = marks.heat(axes, table, style.DIFFERENCE_COLOURS, low=-limit, high=limit, most=most)
        few = np.argwhere(((rare[name] < FEW) & table.notna()).to_numpy())
        axes.plot(few[:, 1], few[:, 0], "o", color=INK, ms=1.6, mew=0)
        marks.name_values(axes, name)
    step = -(-len(names) // 20)
    numbers = [name.split("_")[0] for name in names[::step]]
    panels[0].set_yticks(range(0, len(names), step), numbers, fontsize=8)
    panels[0].set_ylabel("task number")
    figure.colorbar(image, ax=panels, label="difference in test AUC", extend="both", pad=0.02)
    known = any(count.notna().any(axis=None) for count in rare.values())
    dot = f"dot: under {FEW} test prompts of the rarer class" if known else "test sizes unknown"
    best, worst = (
        f"{signed(cells[name, task, value])}"
        + (f" (on {plural(int(count), 'test prompt')} of the rarer class)" if count >= 0 else "")
        for name, task, value in (cells.idxmax(), cells.idxmin())
        for count in [rare[name].loc[task, value]]
    )
    finding = (
        f"SAE probes raise test AUC in {(cells > 0).mean():.0%} of task-value cells and lower it "
        f"in {(cells < 0).mean():.0%}"
    )
    caption = (
        f"Difference in test AUC, with SAE probes minus without, {plural(len(names), 'task')}; "
        f"blue: SAE probes help. {finding}. Colours saturate at {limit:.3f}; grey: not to be had; "
        f"{dot}. Seeds averaged, no intervals."
    )
    alt = f"{finding}; the largest gain is {best}, the largest loss {worst}."
    return Drawing(figure, caption, alt)


@styled
def plot_picked(frames: Mapping[str, pd.DataFrame]) -> Drawing:
    """Draw figure 17: on how many tasks an SAE probe is picked, or is ahead head to head."""
    frames = _numbered(frames)
    figure, panels = marks.regime_panels(list(frames), height=3.3, sharey=True)
    clauses = []
    for axes, (name, frame) in zip(panels, frames.items(), strict=True):
        share = over_seeds(frame).groupby("regime_value")["picked_sae"].mean() * 100
        marks.shares(axes, share.index.to_numpy(dtype=float), share.to_numpy())
        marks.value_axis(axes, name, share.index.to_numpy())
        verb = "picked on" if REGIMES[name].quiver else "ahead on"
        clauses.append(f"{REGIMES[name].label} {verb} {share.min():.0f} to {share.max():.0f}%")
    panels[0].set_ylabel("share of tasks (%)")
    figure.legend(panels[0].collections[:2], ["SAE probe", "baseline"],
                  loc="outside upper right", ncols=2)  # fmt: skip
    caption = (
        "Share of tasks whose pick is an SAE probe (blue) by value; tied arrows share a pick."
        f"{_one_probe(frames)} Shares of single picks, seeds averaged, without interval."
    )
    return Drawing(figure, caption, f"SAE probes: {'; '.join(clauses)} of tasks.")


@styled
def plot_picked_arrows(frames: Mapping[str, pd.DataFrame], rows: pd.DataFrame) -> Drawing:
    """Draw which k and which SAE, narrow ones first, the picks that are SAE probes have."""
    found = {name: arrow_shares(frame) for name, frame in frames.items() if REGIMES[name].quiver}
    found = {name: table for name, table in found.items() if len(table)}
    needed(found, "no pick is an SAE probe", "nothing to draw")
    width = rows.dropna(subset=["sae_id"]).groupby("sae_id")["sae_width"].first()
    figure, panels = marks.regime_panels(list(found), height=2.9)
    clauses = []
    for axes, (name, table) in zip(panels, found.items(), strict=True):
        grid = table.pivot(index="sae_id", columns="k", values="share").fillna(0.0)
        grid = grid.loc[sorted(grid.index, key=width.__getitem__)]
        marks.heat(axes, grid, style.SHARE_COLOURS, low=0, high=1, written=".0%")
        axes.set_yticks(range(len(grid)), [width_label(width[sae]) for sae in grid.index])
        axes.set_xlabel("latents kept, k")
        axes.tick_params(length=0)
        largest = grid.columns.max()
        clauses.append(f"{REGIMES[name].label} {grid[largest].sum():.0%} with k = {largest}")
    panels[0].set_ylabel("width of the SAE")
    finding = f"Among SAE picks: {'; '.join(clauses)}."
    caption = (
        "The share of each width and k in percent; tied arrows share a pick. Counts over tasks, "
        f"values and seeds, without interval. {finding}"
    )
    return Drawing(figure, caption, finding)


@styled
def plot_toolboxes(rows: pd.DataFrame, ties: str = "neutral", **options: Any) -> Drawing:
    """Draw what the quiver of SAE probes alone, and of both, gives against baselines alone."""
    lines, levels = [], []
    for regime in (one for one in REGIMES.values() if one.quiver):
        pool = arrows(rows[rows["regime"] == regime.key], **options)
        if pool["is_sae"].nunique() < 2:
            continue
        found = {side: pick(pool, side, ties).set_index(list(SETTING))["auc"] for side in SIDES}
        for side in TOOLBOXES:
            change = (found[side] - found["baselines"]).dropna().rename("difference").reset_index()
            lines.append((regime.label, side, overall(change).difference))
        level = found["baselines"].groupby("dataset").mean().mean()
        levels.append(f"{regime.label} {signless_zero(level)}")
    needed(lines, "no regime in which SAE probes compete with baselines", NOT_COMPARED)
    figure, axes = style.new_panels(height=1.4 + 0.5 * len(lines))
    axes.axvline(0, color=BASELINE, lw=2, label="baselines only")
    for place, (_, side, mean) in enumerate(lines):
        marks.dots(axes, [place], [mean], SAE if side == "saes" else MUTED)
    marks.listed_rows(axes, [f"{label}:\n{TOOLBOXES[side]}" for label, side, _ in lines])
    axes.set_xlabel("difference in test AUC from the baselines' own quiver")
    axes.legend(loc="best")
    caption = (
        "Mean difference in test AUC from the quiver of baselines alone, with "
        f"{interval_name(*(mean for *_, mean in lines))}. Baselines alone reach: "
        f"{', '.join(levels)}. Left of the line a toolbox is worse."
    )
    said = "; ".join(f"{label}, {TOOLBOXES[side]}: {mean.text()}" for label, side, mean in lines)
    return Drawing(figure, caption, f"Difference from baselines alone: {said}.")


@styled
def plot_tie_policies(rows: pd.DataFrame, regime: str = "scarcity", **options: Any) -> Drawing:
    """Draw figure 6 for one regime under every rule for ties, a line a rule."""
    part = rows[rows["regime"] == regime]
    found = {ties: over_seeds(quiver(part, ties=ties, **options)) for ties in TIES}
    needed(found[TIES[0]], f"no SAE probes under {REGIMES[regime].under}", NOT_COMPARED)
    means = {t: one.groupby("regime_value")["difference"].mean() for t, one in found.items()}
    table = pd.DataFrame(means)
    figure, axes = style.new_panels(height=3.3)
    axes.axhline(0, color=INK, lw=0.9)
    for ties, marker, line in zip(TIES, "osD^", ("-", "--", ":", "-."), strict=True):
        axes.plot(table[ties], ls=line, marker=marker, label=POLICIES[ties])
    marks.value_axis(axes, regime, table.index.to_numpy(), most=10)
    axes.set_ylabel("difference in test AUC")
    axes.legend(title="ties", loc="best")
    gap = table.max(axis=1) - table.min(axis=1)
    finding = (
        f"The rules for ties differ most at {gap.idxmax():g}, by {signless_zero(gap.max())}, and "
        f"least at {gap.idxmin():g}, by {signless_zero(gap.min())}."
    )
    caption = (
        "Mean difference in test AUC, with SAE probes minus without, under "
        f"{plural(len(TIES), 'rule')} for equal validation AUCs ({REGIMES[regime].label}, "
        f"{plural(part['dataset'].nunique(), 'task')}); means only, for their intervals see the "
        f"figure above. {finding}"
    )
    return Drawing(figure, caption, finding)


def _numbered(frames: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Leave out regimes whose rows have no number to draw them at."""
    numbered = {name: frame for name, frame in frames.items() if REGIMES[name].axis}
    return needed(numbered, "no regime has SAE probes", NOT_COMPARED)


def _one_probe(frames: Mapping[str, pd.DataFrame]) -> str:
    """Say for which of the regimes no quivers compete."""
    single = [REGIMES[name].label for name in frames if not REGIMES[name].quiver]
    return (
        f" Under {' and '.join(single)}: one SAE probe against logistic regression."
        if single
        else ""
    )
