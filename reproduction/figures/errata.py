"""Errata: lines and shares of the paper's figures as published, beside what corrects them.

Tables, counts and search spaces come from `errata_counts`. Every function reads plain dicts, as
``published/facts.json`` holds them; their keys are text.
"""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from probing_core.analysis.paired import signless_zero
from probing_core.analysis.quiver import TIES
from probing_core.datasets.regimes import REGIMES
from reproduction.figures.errata_counts import (
    plot_mlp_search,
    plot_not_ood,
    plot_pruning_sign,
    plot_task_count,
    side_by_side,
)
from probing_core.figures.picks import POLICIES
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
from probing_core.figures.words import signed, tasks

__all__ = [
    "plot_bands",
    "plot_llama_layers",
    "plot_mlp_search",
    "plot_not_ood",
    "plot_positions",
    "plot_pruning_sign",
    "plot_task_count",
    "plot_ties",
]

FAMILY_INTERVAL = "95% bootstrap intervals over task families"
RULES = {
    "neutral_ties": "neutral",
    "ties_to_baseline": "baseline",
    "tie_rule_in_text": "sae_narrow_large_k",
    "upstream_literal": "as_published",
}
RULE_LABELS = {"as_published": "as the code breaks ties", "sae_narrow_large_k": "as the text says"}
AGREE = 0.005


def _ordered(table: dict[str, Any]) -> tuple[np.ndarray, list[Any]]:
    """Split a table with numbers as text keys into its values, ascending, and their entries."""
    keys = sorted(table, key=float)
    return np.array([float(key) for key in keys]), [table[key] for key in keys]


def _leave_out_zero(low: Any, high: Any) -> int:
    """Count the intervals that do not hold zero."""
    return int(((np.asarray(low) > 0) | (np.asarray(high) < 0)).sum())


@styled
def plot_ties(ties: dict[str, dict[str, float]], values: dict[str, dict[str, Any]]) -> Drawing:
    """Draw figure 6 under scarcity by rule for ties: the code's and the text's, then the fair ones.

    Args:
        ties: rule to training prompts to mean difference in test AUC (``facts["ties"]``).
        values: regime to ``corrected``: training prompts to mean, low and high with ties
            averaged (``facts["values"]``; only scarcity is drawn).

    Returns:
        Two panels on one scale.
    """
    figure, left, right = side_by_side(3.5, sharex=True, sharey=True)
    lines = {rule: np.array(_ordered(ties[rule])[1]) for rule in RULES}
    n, fair = _ordered(values["scarcity"]["corrected"])
    low, high = np.array([[one["low"], one["high"]] for one in fair]).T
    lines["neutral_ties"] = np.array([one["mean"] for one in fair])
    right.fill_between(n, low, high, color=TASK_COLOURS[0], alpha=0.2, lw=0)
    for rule, policy in RULES.items():
        number = TIES.index(policy)
        axes = right if policy in ("neutral", "baseline") else left
        axes.plot(
            n, lines[rule], color=TASK_COLOURS[number], marker="osD^"[number],
            ls=("-", (0, (4, 1.5)), (0, (1, 1.2)), "-")[number],
            lw=1.0 if policy == "baseline" else 1.8, ms=3 if policy == "baseline" else 4.5,
            label=RULE_LABELS.get(policy, f"ties {POLICIES[policy]}"),
        )  # fmt: skip
    for axes in (left, right):
        axes.axhline(0, color=INK, lw=0.9, zorder=0)
        value_axis(axes, "scarcity", n, most=7)
        axes.legend(loc="lower right")
    left.set_ylabel("difference in test AUC")
    spread = np.ptp(np.array(list(lines.values())), axis=0)
    widest = int(spread.argmax())
    settled = n[int(np.flatnonzero(spread > AGREE).max(initial=-1)) + 1 :]
    here = {rule: signed(line[widest]) for rule, line in lines.items()}
    caption = (
        "Figure 6, data scarcity: mean difference in test AUC, with SAE probes minus without, by "
        "rule for equal validation AUCs. Left: the rule of the code and that of the text. Right: "
        f"tied probes averaged, with {FAMILY_INTERVAL}, and ties to baselines (thin). At the left "
        "end the rule decides the result."
    )
    alt = (
        f"With {n[widest]:g} training prompts the difference is {here['upstream_literal']} as "
        f"published, {here['tie_rule_in_text']} by the text's rule, {here['neutral_ties']} with "
        f"ties averaged and {here['ties_to_baseline']} with ties to baselines."
    )
    if len(settled):
        alt += f" From {settled[0]:g} prompts on all rules agree within {AGREE:g}."
    return Drawing(figure, caption, alt)


@styled
def plot_bands(values: dict[str, dict[str, Any]]) -> Drawing:
    """Draw figure 6 with its unpaired band, then paired with ties averaged.

    Args:
        values: regime to ``drawn``, ``drawn_half``, ``corrected``, ``gains`` and ``losses``
            (``facts["values"]``).

    Returns:
        One row a regime on one scale: as published, corrected.
    """
    figure = new_figure(height=1.0 + 2.3 * len(values))
    grid = figure.subplots(len(values), 2, sharex="row", sharey="row", squeeze=False)
    counts, clauses = np.zeros(3, dtype=int), []
    for (left, right), (name, table) in zip(grid, values.items(), strict=True):
        x, drawn = _ordered(table["drawn"])
        half = np.array(_ordered(table["drawn_half"])[1])
        fair = _ordered(table["corrected"])[1]
        mean, low, high = np.array([[one["mean"], one["low"], one["high"]] for one in fair]).T
        published = (np.array(drawn), np.array(drawn) - half, np.array(drawn) + half)
        for axes, colour, (line, bottom, top) in (
            (left, MUTED, published), (right, SAE, (mean, low, high)),
        ):  # fmt: skip
            axes.axhline(0, color=INK, lw=0.9)
            axes.fill_between(x, bottom, top, color=colour, alpha=0.25, lw=0)
            clear = (bottom > 0) | (top < 0)
            axes.plot(x, line, color=colour, lw=1.6)
            for chosen, fill in ((clear, colour), (~clear, "white")):
                axes.plot(x[chosen], line[chosen], "o", color=colour, mfc=fill, ms=4.5)
            value_axis(axes, name, x, most=7)
        old, new = _leave_out_zero(*published[1:]), _leave_out_zero(low, high)
        left.set_title(f"{REGIMES[name].label}, as published", loc="left")
        right.set_title(f"{REGIMES[name].label}, corrected", loc="left")
        left.set_ylabel("difference in test AUC")
        counts += (old, new, len(x))
        clauses.append(
            f"{REGIMES[name].label}: {old} of {len(x)} intervals leave out zero as published, "
            f"{new} corrected (half-widths {signless_zero(float(np.median(half)))} and "
            f"{signless_zero(float(np.median(high - low)) / 2)} in the median)"
        )
    holm = sum(len(table["gains"]) + len(table["losses"]) for table in values.values())
    caption = (
        "Figure 6: mean difference in test AUC. Left: band of 1.96 standard errors as if the two "
        f"means were unpaired. Right: pairs, ties averaged, {FAMILY_INTERVAL}. Filled: leaves out "
        f"zero, {counts[0]} of {counts[2]} values published, {counts[1]} corrected; {holm} survive "
        "Holm's correction."
    )
    return Drawing(figure, caption, f"By regime: {'; '.join(clauses)}.")


@styled
def plot_positions(drawn: dict[str, float], matched: dict[str, float]) -> Drawing:
    """Draw figure 17c with rows compared by position, and with tasks matched.

    Args:
        drawn: share of flipped labels to percent of rows (``facts["positions"]``).
        matched: the same with tasks matched by name (``facts["noise"]["sae_win_pct"]``).

    Returns:
        Two panels, stacked to 100%.
    """
    figure, left, right = side_by_side(3.3, sharex=True, sharey=True)
    shares = []
    for axes, table in ((left, drawn), (right, matched)):
        x, found = _ordered(table)
        share = np.array(found)
        axes.stackplot(x, share, 100 - share, colors=[SAE, BASELINE], alpha=0.9, lw=0)
        axes.plot(x, share, color=INK, lw=1, marker=".", ms=4)
        axes.axhline(50, color="white", lw=1.2, ls=(0, (1, 1.5)))
        axes.set(ylim=(0, 100), xlim=(x.min(), x.max()))
        value_axis(axes, "label_noise", x)
        shares.append(share)
    left.set_ylabel("share of tasks (%)")
    for colour, label in (
        (SAE, "SAE probe ahead"),
        (BASELINE, "logistic regression ahead or level"),
    ):
        left.fill_between([], [], color=colour, label=label)
    figure.legend(loc="outside lower center", ncols=2)
    old, new = shares
    caption = (
        "Figure 17c: share of tasks where the SAE probe's test AUC exceeds logistic regression's "
        "under label noise. Left: rows of the two tables compared by position, mostly of different "
        "tasks. Right: matched by task. Shares of single runs, without interval. Dotted: 50%."
    )
    alt = (
        f"By position the SAE probe is ahead on {old.min():.0f} to {old.max():.0f}% of rows at "
        f"every noise level; matched by task on {new[0]:.0f}% at {x[0]:g} and "
        f"{new[-1]:.0f}% at {x[-1]:g}."
    )
    return Drawing(figure, caption, alt)


@styled
def plot_llama_layers(layers: dict[str, dict[str, Any]] | None) -> Drawing:
    """Draw figure 18b in short, with baselines of the layer drawn and of the SAEs' own.

    Args:
        layers: layer to mean_delta, se, min_delta, max_delta and counts, the one drawn first
            (``facts["llama_layers"]``); None where the tables were not imported.

    Returns:
        A panel a layer: the differences' range and mean above, the counts below.
    """
    if layers is None:
        return not_run("Llama's standard tables were not at hand")
    figure = new_figure(height=2.9)
    grid = figure.subplots(2, len(layers), sharex="row", sharey="row", height_ratios=[1.3, 1])
    titles = ("as published: baselines of layer {}", "corrected: layer {}")
    clauses = []
    for (range_axes, count_axes), title, (layer, one) in zip(
        grid.T, titles, layers.items(), strict=True
    ):
        range_axes.set_title(title.format(layer), loc="left")
        range_axes.axvline(0, color=INK, lw=0.9)
        range_axes.plot([one["min_delta"], one["max_delta"]], [0, 0], color=MUTED, lw=5, alpha=0.5)
        range_axes.errorbar(
            one["mean_delta"], 0, xerr=1.96 * one["se"], color=SAE, marker="P", ms=9, mec=INK,
            capsize=5, lw=2,
        )  # fmt: skip
        for end, shift, side in (("min_delta", -4, "right"), ("max_delta", 4, "left")):
            range_axes.annotate(
                signed(one[end]), (one[end], 0), (shift, 0), textcoords="offset points",
                ha=side, va="center",
            )  # fmt: skip
        range_axes.annotate(
            f"mean {signed(one['mean_delta'], 4)}", (one["mean_delta"], 0), (0, 10),
            textcoords="offset points", ha="center",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )  # fmt: skip
        range_axes.set(ylim=(-0.6, 1), yticks=[], xlabel="difference in test AUC")
        range_axes.spines["left"].set_visible(False)
        range_axes.margins(x=0.28)
        _stack_counts(count_axes, one)
        clauses.append(
            f"with baselines of layer {layer} differences run from {signed(one['min_delta'])} to "
            f"{signed(one['max_delta'])}, mean {signed(one['mean_delta'], 4)}, better on "
            f"{one['n_improved']} and worse on {tasks(one['n_worse'])}"
        )
    figure.legend(*count_axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    means = "; ".join(
        f"layer {layer}, {signless_zero(one['mean_without'])} and {signless_zero(one['mean_with'])}"
        for layer, one in layers.items()
    )
    caption = (
        "Figure 18b, Llama-3.1-8B: difference in test AUC, with SAE probes minus without. Grey: "
        "smallest to largest over tasks; cross: mean with 1.96 standard errors; below: number of "
        f"tasks. Mean AUC without and with: {means}."
    )
    return Drawing(figure, caption, f"Llama: {'; '.join(clauses)}.")


def _stack_counts(axes: Axes, one: dict[str, Any]) -> None:
    """Draw how many tasks gain, stay and lose as one stacked bar."""
    start, said = 0, []
    for key, colour, label in (
        ("n_improved", SAE, "better"),
        ("n_equal", FAINT, "equal"),
        ("n_worse", BASELINE, "worse"),
    ):
        axes.barh(0, one[key], left=start, color=colour, height=0.7, label=label)
        start += one[key]
        said.append(f"{label} {one[key]}")
    axes.annotate(", ".join(said), (0, 1), (0, 2), xycoords="axes fraction",
                  textcoords="offset points")  # fmt: skip
    axes.set(yticks=[], xlabel="tasks", xlim=(0, start))
    axes.spines["left"].set_visible(False)
