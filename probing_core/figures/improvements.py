"""Section 08: SAE architectures by date, by L0, against each other, and beside controls."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from probing_core.analysis.architectures import (
    ARCHITECTURES,
    CONTROLS,
    QUALITIES,
    Trend,
    best_of_each,
    label,
    quality_correlation,
    reseed_floor,
    sae_label,
    trend,
)
from probing_core.analysis.paired import MeanInterval, mean_interval, signless_zero
from probing_core.datasets.regimes import REGIMES
from probing_core.figures import marks, style
from probing_core.figures.style import BASELINE, FAINT, INK, MUTED, SAE, Drawing, needed, styled
from probing_core.figures.words import interval_name, plural, rank_text, tasks


def _dated(names: Sequence[str]) -> list[str]:
    """Architectures by date, those without one last."""
    known = sorted({name for name in names if name in ARCHITECTURES})
    known.sort(key=lambda name: (ARCHITECTURES[name].proposed, name))
    return [*known, *sorted(set(names) - set(known))]


def held_regimes(effects: pd.DataFrame) -> list[str]:
    """The regimes of some effects, in the registry's order."""
    return [name for name in REGIMES if name in set(effects["regime"])]


@styled
def plot_by_date(effects: pd.DataFrame, suite: pd.DataFrame) -> Drawing:
    """Draw what each architecture's probe brings, by date, above the controls (figure 12).

    Args:
        effects: From `analysis.architectures.effects_by_sae`.
        suite: From `experiments.improvements.suite_table`.
    """
    regimes = held_regimes(needed(effects, "probes of several SAEs beside logistic regression"))
    best, floor = best_of_each(effects, suite), reseed_floor(effects, suite)
    own = effects.join(suite[["control"]], on="sae_id", how="inner")
    names = _dated(list(best["architecture"].unique()))
    controls = [name for name in CONTROLS if name in set(own["control"].dropna())]
    lines = [label(name) for name in names] + [CONTROLS[name] for name in controls]
    figure, panels = marks.regime_panels(
        regimes, height=1.1 + 0.27 * len(lines), sharey=True, sharex=False
    )
    drawn: list[MeanInterval] = []
    for axes, regime in zip(panels, regimes, strict=True):
        here, beside = (part[part["regime"] == regime] for part in (best, own))
        found = [mean_effect(here[here["architecture"] == name]) for name in names]
        found += [mean_effect(beside[beside["control"] == name]) for name in controls]
        axes.axvline(0, color=INK, lw=0.9)
        if regime in floor:
            middle = float(np.mean([one.mean for one in found[: len(names)]]))
            axes.axvspan(middle - floor[regime] / 2, middle + floor[regime] / 2, color=FAINT, lw=0)
        places = range(len(found))
        marks.dots(axes, places[: len(names)], found[: len(names)], SAE, written=False)
        marks.dots(axes, places[len(names) :], found[len(names) :], MUTED, written=False)
        drawn += found
        axes.locator_params(axis="x", nbins=2)
    marks.listed_rows(panels[0], lines)
    figure.supxlabel("test AUC minus that of logistic regression on activations", fontsize=9.5)
    beside = "; grey: controls" if controls else ""
    if len(floor):
        beside += "; shaded: as wide as the difference between seeds of one architecture"
    caption = (
        "What an SAE probe brings, by the date of the architecture (the latest below), at its best "
        f"L0{beside}. Means over tasks, {interval_name(*drawn)}. Scales differ."
    )
    return Drawing(figure, caption, trend_sentence(best))


def mean_effect(part: pd.DataFrame) -> MeanInterval:
    """The mean over tasks of one SAE's, or several SAEs' effects."""
    return mean_interval(part.groupby("dataset")["difference"].mean())


def trend_sentence(best: pd.DataFrame) -> str:
    """State the slope over dates in every regime, and what would have been seen."""
    said = [
        f"{REGIMES[name].label} {one.slope.text()}, {signless_zero(one.detectable)} would be seen"
        for name, one in _trends(best).items()
    ]
    if not said:
        return "Too few architectures with a date for a trend."
    return f"Change in test AUC for each year between architectures: {'; '.join(said)}."


def trend_headline(effects: pd.DataFrame, suite: pd.DataFrame) -> str:
    """Count the regimes whose slope is surely one, and state that of the first."""
    best = best_of_each(effects, suite)
    if not (found := _trends(best)):
        return trend_sentence(best)
    name, first = next(iter(found.items()))
    sure = sum(one.slope.low > 0 or one.slope.high < 0 for one in found.values())
    return (
        f"Under {REGIMES[name].under} {first.slope.text()} AUC for each year between architectures;"
        f" in {sure} of {plural(len(found), 'regime')} the interval leaves out zero."
    )


def _trends(best: pd.DataFrame) -> dict[str, Trend]:
    found = {name: trend(best[best["regime"] == name]) for name in held_regimes(best)}
    return {name: one for name, one in found.items() if one is not None}


@styled
def plot_by_l0(effects: pd.DataFrame, suite: pd.DataFrame, *, k: int) -> Drawing:
    """Draw mean test AUC over L0, a line an architecture, a panel a regime (figure 21).

    Args:
        effects: From `analysis.architectures.effects_by_sae`, at `k` latents.
        suite: From `experiments.improvements.suite_table`.
        k: Latents that the probes keep.
    """
    regimes = held_regimes(needed(effects, f"probes of several SAEs with k = {k}"))
    own = effects.join(suite, on="sae_id", how="inner")
    plain = own[own["control"].isna() & ~own["reseed"].astype(bool)]
    names = _dated(list(plain["architecture"].unique()))
    colours = colormaps["viridis"](np.linspace(0, 0.92, len(names)))
    figure, panels, sizes = *_three_a_line(regimes), own["l0"].astype(float)
    for axes, regime in zip(panels, regimes, strict=True):
        here = plain[plain["regime"] == regime]
        for name, colour, marker in zip(names, colours, "os^vDP*Xp<", strict=False):
            means = here[here["architecture"] == name].groupby("l0")["sae"].mean()
            axes.plot(means.index, means, marker=marker, color=colour, mec=INK, mew=0.4, lw=1.2,
                      label=label(name))  # fmt: skip
        beside = own[own["control"].notna() & (own["regime"] == regime)]
        means = beside.groupby("sae_id")[["l0", "sae"]].mean()
        axes.plot(means["l0"].astype(float), means["sae"], "x", color=MUTED, label="control")
        base = here.groupby("dataset")["baseline"].mean().mean()
        axes.axhline(base, color=BASELINE, ls=marks.DASHED, label="logistic regression")
        marks.powers_axis(axes, sizes.min(), sizes.max())
    figure.supxlabel("L0 of the SAE", fontsize=9.5)
    figure.supylabel("mean test AUC", fontsize=9.5)
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=5, fontsize=8.5)
    caption = (
        f"Mean test AUC of SAE probes with k = {k} over the L0 of their SAE, by architecture from "
        "old (dark) to new (light), beside logistic regression on activations. Scales differ."
    )
    return Drawing(figure, caption, _best_sentence(effects, suite, k))


def _three_a_line(regimes: Sequence[str]) -> tuple[Figure, list[Axes]]:
    """Make a figure with a panel a regime, three side by side."""
    lines = -(-len(regimes) // 3)
    figure, grid = style.new_panels(
        lines, min(3, len(regimes)), height=0.9 + 2.2 * lines, squeeze=False
    )
    for axes, regime in zip(grid.flat, regimes, strict=False):
        axes.set_title(REGIMES[regime].label, loc="left")
    for axes in grid.flat[len(regimes) :]:
        axes.set_axis_off()
    return figure, list(grid.flat[: len(regimes)])


def _best_sentence(effects: pd.DataFrame, suite: pd.DataFrame, k: int) -> str:
    """Name the best architecture of every regime, and how far it is from logistic regression."""
    best, said = best_of_each(effects, suite), []
    for regime in held_regimes(best):
        here = best[best["regime"] == regime]
        means = here.groupby("architecture")["difference"].mean()
        name = str(means.idxmax())
        found = mean_effect(here[here["architecture"] == name])
        said.append(f"{REGIMES[regime].label}: {label(name)}, {found.text()}")
    return f"Best architecture with k = {k}, minus logistic regression: {'; '.join(said)}."


def control_sentence(effects: pd.DataFrame, suite: pd.DataFrame, regime: str = "standard") -> str:
    """Say how far controls and reseeds are from trained SAEs in one regime."""
    here = effects[effects["regime"] == regime]
    own = here.join(suite[["control", "reseed"]], on="sae_id", how="inner")
    means = own.groupby(["sae_id", "control"], dropna=False)["sae"].mean().reset_index()
    trained = means.loc[means["control"].isna(), "sae"]
    said = [
        f"{CONTROLS[name]} {signless_zero(means.loc[means['control'] == name, 'sae'].mean())}"
        for name in CONTROLS
        if name in set(means["control"].dropna())
    ]
    if not said:
        return "These rows hold no controls."
    floor = reseed_floor(here, suite)
    seeds = f" Seeds of one architecture differ by up to {signless_zero(floor.max())}."
    low, high = (signless_zero(value) for value in (trained.min(), trained.max()))
    return (
        f"Mean test AUC under {REGIMES[regime].under}: {plural(len(trained), 'trained SAE')} {low} "
        f"to {high}; {', '.join(said)}.{seeds if len(floor) else ''}"
    )


@styled
def plot_wins(pairs: pd.DataFrame, regime: str, *, k: int) -> Drawing:
    """Draw how often one architecture's probe beats another's, with intervals.

    Args:
        pairs: From `analysis.architectures.win_rates`, or published ones `with_intervals`.
        regime: Whose they are.
        k: Latents that the probes keep, where the pairs do not say.
    """
    needed(pairs, f"probes of two architectures under {REGIMES[regime].under}")
    names = _dated(list(pairs["first"].unique()))
    table = pairs.pivot_table(index="first", columns="second", values="share")
    table = table.reindex(index=names, columns=names)
    figure, axes = style.new_panels(height=1.2 + 0.45 * len(names))
    axes.imshow(table, cmap=style.DIFFERENCE_COLOURS, vmin=0, vmax=1, aspect="auto")
    axes.set_facecolor(FAINT)
    for one in pairs.itertuples():
        place = names.index(one.second), names.index(one.first)
        text = f"{one.share:.0%}\n{100 * one.low:.0f}–{one.high:.0%}"
        axes.text(*place, text, ha="center", va="center", fontsize=8)
    shown = [label(name) for name in names]
    axes.set_xticks(range(len(names)), shown, rotation=30, ha="right")
    axes.set_yticks(range(len(names)), shown)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="… the probe of this one", ylabel="the probe of this one beats …")
    apart = pairs[(pairs["low"] > 0.5) & (pairs["first"] != pairs["second"])]
    kept = int(pairs["k"].iloc[0]) if "k" in pairs else k
    count = tasks(int(pairs["n"].max()))
    caption = (
        f"Share of {count} on which one architecture's probe (k = {kept}) has the better test AUC "
        f"under {REGIMES[regime].under}, with Wilson's 95% interval over tasks, each architecture "
        "at its best L0."
    )
    found = plural(len(pairs) // 2, "pair")
    alt = f"Of {found} of architectures {len(apart)} have an interval above a half."
    return Drawing(figure, caption, alt)


@styled
def plot_quality(effects: pd.DataFrame, suite: pd.DataFrame, quality: str) -> Drawing:
    """Draw mean effect over one of `QUALITIES`, a dot an SAE, a panel a regime.

    Args:
        effects: From `analysis.architectures.effects_by_sae`.
        suite: From `experiments.improvements.suite_table`.
        quality: Which; where it was measured of no SAE, explained variance.
    """
    known = [name for name in QUALITIES if suite[name].notna().any()]
    shown = quality if quality in known else "explained_variance"
    measured = suite[suite[shown].notna()]
    own = effects[effects["sae_id"].isin(measured.index)]
    regimes = held_regimes(needed(own, "SAEs whose reconstruction was measured"))
    figure, panels = _three_a_line(regimes)
    for axes, regime in zip(panels, regimes, strict=True):
        means = own[own["regime"] == regime].groupby("sae_id")["difference"].mean()
        _dots(axes, means, measured[shown].astype(float), measured["control"].isna())
    figure.supxlabel(QUALITIES[shown], fontsize=9.5)
    figure.supylabel("difference in test AUC", fontsize=9.5)
    caption = (
        f"Mean difference in test AUC from logistic regression over {QUALITIES[shown]}; a dot an "
        "SAE, a cross a control. Scales differ."
    )
    told = "; ".join(
        f"{QUALITIES[name]}: "
        + ", ".join(
            f"{REGIMES[one].label} "
            + rank_text(quality_correlation(own[own["regime"] == one], suite, name))
            for one in regimes
        )
        for name in known
    )
    alt = f"Spearman's rank correlation over trained SAEs, 95% bootstrap interval, {told}."
    return Drawing(figure, caption, alt)


def _dots(axes: Axes, means: pd.Series, quality: pd.Series, trained: pd.Series) -> None:
    axes.axhline(0, color=INK, lw=0.9)
    for chosen, look, colour in ((trained, "o", SAE), (~trained, "x", MUTED)):
        here = means[means.index.isin(quality.index[chosen])]
        axes.plot(quality.loc[here.index].clip(lower=-1), here, look, color=colour)
    axes.locator_params(nbins=4)


def suite_cells(suite: pd.DataFrame) -> pd.DataFrame:
    """Lay out the suite for a reader, by date and L0, the controls last, without what is unknown.

    Columns hold text, with units in the heads.
    """
    order = suite.assign(
        last=suite["control"].notna(),
        place=suite["architecture"].map(_dated(suite["architecture"]).index),
    )
    suite = suite.loc[order.sort_values(["last", "place", "l0"], kind="stable").index]
    named = [sae_label(one) for one in suite.itertuples()]
    shown: dict[str, Any] = {"SAE": named, "width": suite["width"].astype(str)}
    for name, head, form in (
        ("seed", "seed", "{:.0f}"),
        ("l0", "L0, tokens", "{:.0f}"),
        ("explained_variance", "explained variance", "{:.2f}"),
        ("loss_recovered", "loss recovered", "{:.2f}"),
        ("dead_latents", "dead latents", "{:.0%}"),
    ):
        known = suite[name].astype(float)
        if known.notna().any():
            shown[head] = ["" if np.isnan(value) else form.format(value) for value in known]
    return pd.DataFrame(shown).reset_index(drop=True)


def penalty_sentence(l1: pd.DataFrame, l2: pd.DataFrame, regime: str = "standard") -> str:
    """Say what L2 in place of L1 changes in the probes of SAEs that have both."""
    keys = ["regime", "sae_id", "dataset"]
    both = l2.merge(l1, on=keys, suffixes=("_l2", "_l1"))
    both = both[both["regime"] == regime]
    if both.empty:
        return "No probes of latents with an L2 penalty are in these rows."
    change = (both["sae_l2"] - both["sae_l1"]).groupby(both["dataset"]).mean()
    return (
        f"Probes of latents with an L2 penalty in place of L1, on {both['sae_id'].iloc[0]}: "
        f"{mean_interval(change).text()} in test AUC under {REGIMES[regime].under}."
    )


def means_sentence(rows: pd.DataFrame, *, hook: str) -> str:
    """Say how difference in means does on activations beside logistic regression, by regime."""
    here = rows[(rows["hook"] == hook) & rows["test_auc"].notna()]
    means = here.groupby(["regime", "method", "dataset"])["test_auc"].mean().unstack("method")
    if "diff_mean" not in means:
        return "No difference in means is in these rows."
    change = (means["diff_mean"] - means["logreg"]).dropna()
    said = [
        f"{REGIMES[name].label} {mean_interval(change[name]).text()}"
        for name in REGIMES
        if name in change.index.get_level_values(0)
    ]
    return f"Difference in means minus logistic regression, on activations: {'; '.join(said)}."
