"""How fast the fast solver is, and how close to the reference: figures of the solver page."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from probing_core.figures.style import INK, METHODS, MUTED, Drawing, new_figure, styled

Measured = Mapping[str, Any]
MOST_OFF = 0.03
MEAN_WITHIN = 0.002
EDGE = 0.085


def probe_name(method: str, k: int | None) -> str:
    """A method in words; SAE probes with their k."""
    return METHODS[method][3] + (f", k={k}" if k else "")


@styled
def plot_speed(rows: Sequence[Measured]) -> Drawing:
    """Draw how many times faster than sae-probes each probe is.

    Args:
        rows: of ``bench/latest.json``, group ``probes``, one worker.

    Returns:
        A dot a probe and training size, on a log axis, with the goal as a tick.
    """
    names = list(dict.fromkeys((row["name"], row["width"]) for row in rows))
    sizes = sorted({row["n"] for row in rows})
    figure = new_figure(height=0.9 + 0.32 * len(names))
    axes = figure.subplots()
    shades = ("#B8B8B8", "#767676", INK)[-len(sizes) :]
    for at, size in enumerate(sizes):
        mine = [row for row in rows if row["n"] == size]
        places = [names.index((row["name"], row["width"])) for row in mine]
        axes.scatter(
            [row["ratio"] for row in mine], places, color=shades[at], s=46, zorder=3,
            label=f"{size:,} prompts", edgecolor="white", linewidth=0.6, marker="osD"[at % 3],
        )  # fmt: skip
    for place, name in enumerate(names):
        goals = {row["goal"] for row in rows if (row["name"], row["width"]) == name} - {None}
        for goal in goals:
            axes.plot([goal, goal], [place - 0.32, place + 0.32], color=METHODS["xgboost"][0], lw=2)
    axes.plot([], [], color=METHODS["xgboost"][0], lw=2, label="goal")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda ratio, _: f"{ratio:g}")
    axes.axvline(1, color=MUTED, lw=0.9)
    axes.set_yticks(range(len(names)), [_row_name(*name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel("times as fast as sae-probes 0.4.2, same arrays, one thread")
    axes.grid(axis="x", color="#E6E6E6", lw=0.6)
    figure.legend(loc="outside upper right", ncols=len(sizes) + 1)
    ratios = np.array([row["ratio"] for row in rows])
    slowest = rows[int(ratios.argmin())]
    caption = (
        "Time of sae-probes' function divided by ours, by probe and training size. "
        "Ticks are the goals. Few prompts gain most: there the published code pays for set-up."
    )
    alt = (
        f"Ratios run from {ratios.min():.1f} ({_row_name(slowest['name'], slowest['width'])}, "
        f"{slowest['n']:,} prompts) to {ratios.max():,.0f}; the median is {np.median(ratios):.0f}."
    )
    return Drawing(figure, caption, alt)


def _row_name(name: str, width: int) -> str:
    if name == "sae_logreg":
        return probe_name(name, width)
    return f"{probe_name(name, None)}, d={width:,}"


@styled
def plot_agreement(fast: Sequence[Measured], again: Sequence[Measured]) -> Drawing:
    """Draw the difference in test AUC of every task, fast minus reference.

    Args:
        fast: entries of ``bench/agreement.json``, one a method and regime.
        again: the same for the reference against itself with rounding or its seed changed.

    Returns:
        A strip of tasks per method and regime, in grey the reference's own movement.
    """
    names = list(dict.fromkeys((entry["method"], entry["k"]) for entry in fast))
    regimes = list(dict.fromkeys((entry["regime"], entry["regime_value"]) for entry in fast))
    figure = new_figure(height=0.8 + 0.42 * len(names))
    panels = figure.subplots(1, len(regimes), sharey=True, sharex=True, squeeze=False)[0]
    chance = np.random.default_rng(0)
    for axes, regime in zip(panels, regimes, strict=True):
        axes.axvspan(-MOST_OFF, MOST_OFF, color="#F0F0F0", zorder=0)
        axes.axvline(0, color=MUTED, lw=0.8)
        for entries, shift, own in ((again, 0.2, False), (fast, -0.12, True)):
            for entry in entries:
                if (entry["regime"], entry["regime_value"]) != regime:
                    continue
                name = (entry["method"], entry["k"])
                if name not in names:
                    continue
                gaps = np.clip(entry["gaps"], -EDGE, EDGE)
                heights = names.index(name) + shift + chance.uniform(-0.1, 0.1, len(gaps))
                colour = METHODS[entry["method"]][0] if own else "#A8A8A8"
                axes.scatter(gaps, heights, s=5, color=colour, alpha=0.7, linewidth=0)
        axes.set_title(_regime_name(*regime), fontsize=8.5)
        axes.set_xlim(-1.05 * EDGE, 1.05 * EDGE)
        axes.set_xticks([-0.05, 0, 0.05], ["\N{MINUS SIGN}.05", "0", ".05"], fontsize=8)
        axes.tick_params(axis="y", length=0)
    panels[0].set_yticks(range(len(names)), [probe_name(*name) for name in names])
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    figure.supxlabel("test AUC, fast \N{MINUS SIGN} reference", fontsize=9.5)
    means = np.array([entry["mean"] for entry in fast])
    off = sum(entry["off_converged"] for entry in fast)
    total = sum(entry["n_tasks"] for entry in fast)
    worst = fast[int(np.abs(means).argmax())]
    caption = (
        "A dot is a task: test AUC of the fast solver minus the reference. Grey dots: the "
        "reference against itself, with only its rounding or its random seed changed. "
        f"The band is {MOST_OFF:g} either way; dots at a panel's edge lie beyond it."
    )
    alt = (
        f"Of {total:,} fits {off} with a converged reference differ by more than {MOST_OFF:g}. The "
        f"largest mean difference is {worst['mean']:+.4f} "
        f"({probe_name(worst['method'], worst['k'])}, "
        f"{_regime_name(worst['regime'], worst['regime_value'])})."
    )
    return Drawing(figure, caption, alt)


def _regime_name(regime: str, value: float) -> str:
    """A regime and its value, short enough to head a narrow panel."""
    return {
        "standard": "standard",
        "covariate_shift": "shifted",
        "scarcity": f"{value:.0f} prompts",
        "imbalance": f"{value:.0%} positive",
        "label_noise": f"{value:.0%} flipped",
    }.get(regime, regime)
