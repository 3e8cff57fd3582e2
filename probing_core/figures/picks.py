"""Who is picked from the quiver, and what the rule for ties decides (figure 17 and appendix E)."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from probing_core.analysis.comparison import over_seeds
from probing_core.analysis.effects import overall
from probing_core.analysis.paired import MeanInterval, signless_zero
from probing_core.analysis.quiver import SETTING, SIDES, TIES, arrows, pick, quiver
from probing_core.analysis.selection import width_label
from probing_core.datasets.regimes import REGIMES
from probing_core.figures.regimes import value_axis
from probing_core.figures.style import (
    BASELINE,
    FAINT,
    INK,
    MUTED,
    SAE,
    TASK_COLOURS,
    Drawing,
    new_figure,
    not_run,
    styled,
)
from probing_core.figures.words import interval_name, plural, signed, tasks

TOOLBOXES = {"saes": "SAE probes only", "both": "baselines and SAE probes"}
POLICIES = {
    "neutral": "averaged",
    "baseline": "to baselines",
    "sae_narrow_large_k": "to SAE probes",
    "as_published": "as published",
}


@styled
def plot_picked(frames: dict[str, pd.DataFrame]) -> Drawing:
    """Draw figure 17: on how many tasks an SAE probe is picked, or is ahead under label noise.

    Args:
        frames: settings by regime, from `regimes.compared`.

    Returns:
        One panel a regime, stacked to 100%; tasks are matched by name.
    """
    if not frames:
        return not_run("any regime with SAE probes")
    figure = new_figure(height=3.3)
    panels = figure.subplots(1, len(frames), sharey=True, squeeze=False)[0]
    clauses = []
    for axes, (name, frame) in zip(panels, frames.items(), strict=True):
        share = over_seeds(frame).groupby("regime_value")["picked_sae"].mean() * 100
        x = share.index.to_numpy(dtype=float)
        axes.stackplot(x, share, 100 - share, colors=[SAE, BASELINE], alpha=0.9, lw=0)
        axes.plot(x, share, color=INK, lw=1, marker=".", ms=4)
        axes.axhline(50, color="white", lw=0.8, ls=(0, (2, 2)))
        axes.set(ylim=(0, 100), xlim=(x.min(), x.max()) if len(x) > 1 else None)
        axes.set_title(REGIMES[name].label, loc="left")
        value_axis(axes, name, x)
        verb = "picked on" if REGIMES[name].quiver else "ahead on"
        clauses.append(f"{REGIMES[name].label} {verb} {share.min():.0f} to {share.max():.0f}%")
    panels[0].set_ylabel("share of tasks (%)")
    for colour, label in ((SAE, "SAE probe"), (BASELINE, "baseline")):
        panels[0].fill_between([], [], color=colour, label=label)
    figure.legend(loc="outside upper right", ncols=2)
    caption = (
        "Share of tasks whose pick is an SAE probe (blue) by value; tied arrows share a pick. "
        "Under label noise: tasks, matched by name, where the SAE probe's test AUC exceeds "
        "logistic regression's. Shares of single picks, seeds averaged, without interval."
    )
    return Drawing(figure, caption, f"SAE probes: {'; '.join(clauses)} of tasks.")


@styled
def plot_toolboxes(rows: pd.DataFrame, ties: str = "neutral", **options: Any) -> Drawing:
    """Draw what the quiver of SAE probes alone, and of both, gives against baselines alone.

    Args:
        rows: tidy result rows.
        ties: rule for equal validation AUCs.
        **options: hook, sae_ids, ks and ranking, see `quiver`.

    Returns:
        Dots with intervals, one row a regime and toolbox.
    """
    lines: list[tuple[str, str, MeanInterval, float]] = []
    for name in [name for name in REGIMES if REGIMES[name].quiver]:
        pool = arrows(rows[rows["regime"] == name], **options)
        if not pool["is_sae"].any() or pool["is_sae"].all():
            continue
        keys = list(SETTING)
        found = {side: pick(pool, side, ties).set_index(keys)["auc"] for side in SIDES}
        for side in TOOLBOXES:
            change = (found[side] - found["baselines"]).dropna().rename("difference").reset_index()
            change = change.assign(picked_sae=np.nan)
            level = found["baselines"].groupby("dataset").mean().mean()
            lines.append((name, side, overall(change).difference, float(level)))
    if not lines:
        return not_run("a regime in which quivers compete")
    figure = new_figure(height=1.4 + 0.5 * len(lines))
    axes = figure.subplots()
    axes.axvline(0, color=BASELINE, lw=2, label="baselines only")
    for place, (_, side, mean, _) in enumerate(lines):
        colour, marker = (SAE, "P") if side == "saes" else (MUTED, "o")
        ends = np.nan_to_num([[mean.mean - mean.low], [mean.high - mean.mean]])
        axes.errorbar(
            mean.mean, place, xerr=ends, color=colour, marker=marker, ms=8, capsize=4,
            mec=INK, mew=0.6,
        )  # fmt: skip
        axes.annotate(
            signed(mean.mean), (1.01, place), xycoords=("axes fraction", "data"), va="center"
        )
    axes.set_yticks(
        range(len(lines)),
        [f"{REGIMES[name].label}:\n{TOOLBOXES[side]}" for name, side, _, _ in lines],
    )
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.set_xlabel("difference in test AUC from the baselines' own quiver")
    axes.legend(loc="best")
    levels = ", ".join(
        f"{REGIMES[name].label} {signless_zero(level)}"
        for name, side, _, level in lines
        if side == "both"
    )
    caption = (
        "Mean difference in test AUC from the quiver of baselines alone, with "
        f"{interval_name(*(mean for _, _, mean, _ in lines))}. Baselines alone reach: {levels}. "
        "Left of the line a toolbox is worse."
    )
    said = "; ".join(
        f"{REGIMES[name].label}, {TOOLBOXES[side]}: {mean.text()}" for name, side, mean, _ in lines
    )
    return Drawing(figure, caption, f"Difference from baselines alone: {said}.")


@styled
def plot_picked_arrows(frames: dict[str, pd.DataFrame], rows: pd.DataFrame) -> Drawing:
    """Draw which k and which SAE the picks have, among picks that are SAE probes.

    Args:
        frames: settings by regime, from `regimes.compared`.
        rows: the rows behind them, for the SAEs' widths.

    Returns:
        One panel a regime: a table of shares, k across, SAEs down, narrow ones first.
    """
    shares = {name: arrow_shares(frame) for name, frame in frames.items() if REGIMES[name].quiver}
    shares = {name: table for name, table in shares.items() if len(table)}
    if not shares:
        return not_run("a pick that is an SAE probe")
    width = rows.dropna(subset=["sae_id"]).groupby("sae_id")["sae_width"].first()
    figure = new_figure(height=2.9)
    panels = figure.subplots(1, len(shares), squeeze=False)[0]
    clauses = []
    for axes, (name, table) in zip(panels, shares.items(), strict=True):
        grid = table.pivot(index="sae_id", columns="k", values="share").fillna(0.0)
        grid = grid.loc[sorted(grid.index, key=lambda sae: width[sae])]
        _draw_shares(axes, grid, [width_label(width[sae]) for sae in grid.index])
        axes.set_title(REGIMES[name].label, loc="left")
        largest = grid.columns.max()
        clauses.append(f"{REGIMES[name].label} {grid[largest].sum():.0%} with k = {largest}")
    panels[0].set_ylabel("width of the SAE")
    caption = (
        "Among picks that are SAE probes, the share of each width and k in percent; tied arrows "
        "share a pick. Counts over tasks, values and seeds, without interval. "
        f"Large k: {'; '.join(clauses)}."
    )
    return Drawing(figure, caption, f"Among SAE picks: {'; '.join(clauses)}.")


def arrow_shares(frame: pd.DataFrame) -> pd.DataFrame:
    """Split every pick that holds SAE probes among them.

    Args:
        frame: settings of one regime, from `quiver`.

    Returns:
        Columns ``sae_id``, ``k`` and ``share``, which sums to 1; empty without such a pick.
    """
    names = frame["picks"].str.split(" | ", regex=False)
    weight = 1.0 / names.str.len()
    single = frame.assign(arrow=names, weight=weight).explode("arrow")
    parts = single["arrow"].str.extract(r"^(?P<sae_id>.*), k=(?P<k>\d+)$")
    single = pd.concat([single[["weight"]], parts], axis=1).dropna()
    single["k"] = single["k"].astype(int)
    table = single.groupby(["sae_id", "k"], as_index=False)["weight"].sum()
    return table.assign(share=table["weight"] / table["weight"].sum()).drop(columns="weight")


def _draw_shares(axes: Axes, grid: pd.DataFrame, names: list[str]) -> None:
    """Draw one table of shares with its numbers."""
    axes.imshow(grid.to_numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for line, row in enumerate(grid.to_numpy()):
        for column, share in enumerate(row):
            axes.text(
                column, line, f"{share:.0%}", ha="center", va="center",
                color="white" if share > 0.55 else INK,
            )  # fmt: skip
    axes.set_xticks(range(grid.shape[1]), [f"{k}" for k in grid.columns])
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("latents kept, k")
    axes.tick_params(length=0)


@styled
def plot_tie_policies(rows: pd.DataFrame, regime: str = "scarcity", **options: Any) -> Drawing:
    """Draw figure 6 for one regime under every rule for ties.

    Args:
        rows: tidy result rows.
        regime: a regime in which quivers compete.
        **options: hook, sae_ids, ks and ranking, see `quiver`.

    Returns:
        One line a rule: the mean difference by value.
    """
    part = rows[rows["regime"] == regime]
    if part.empty or not (part["method"] == "sae_logreg").any():
        return not_run(f"{REGIMES[regime].label} with SAE probes")
    figure = new_figure(height=3.3)
    axes = figure.subplots()
    axes.axhline(0, color=INK, lw=0.9)
    means = {}
    for number, ties in enumerate(TIES):
        found = over_seeds(quiver(part, ties=ties, **options))
        by_value = found.groupby("regime_value")["difference"].mean()
        x, means[ties] = by_value.index.to_numpy(), by_value.to_numpy()
        style = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (6, 2, 1, 2)))[number]
        axes.plot(
            x, means[ties], color=TASK_COLOURS[number], ls=style, marker="osD^"[number],
            label=POLICIES[ties],
        )  # fmt: skip
    value_axis(axes, regime, x, most=10)
    axes.set_ylabel("difference in test AUC")
    axes.legend(title="ties", loc="best")
    axes.grid(axis="y", color=FAINT, lw=0.6)
    gap = np.ptp(np.array(list(means.values())), axis=0)
    widest = int(gap.argmax())
    caption = (
        "Mean difference in test AUC, with SAE probes minus without, under "
        f"{plural(len(TIES), 'rule')} for equal validation AUCs ({REGIMES[regime].label}, "
        f"{tasks(part['dataset'].nunique())}); "
        "means only, for their intervals see the figure above. Where the lines part, the rule "
        "decides the result."
    )
    alt = (
        f"The rules for ties differ most at {x[widest]:g}, by {signless_zero(gap[widest])}, and "
        f"least at {x[int(gap.argmin())]:g}, by {signless_zero(gap.min())}."
    )
    return Drawing(figure, caption, alt)
