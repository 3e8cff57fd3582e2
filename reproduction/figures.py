"""Errata that need a picture: figures of the paper as published, beside what corrects them.

Every function reads plain dicts, as ``facts.json`` holds them; their keys are text.
"""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from probing_core.analysis.paired import signless_zero
from probing_core.analysis.quiver import TIES
from probing_core.datasets.regimes import REGIMES
from probing_core.figures import marks
from probing_core.figures.style import INK, OTHER_COLOURS, Drawing, new_figure, styled
from probing_core.figures.words import signed
from probing_core.probes.methods import BASELINE, SAE

RULES = {
    "neutral_ties": ("neutral", "ties averaged"),
    "ties_to_baseline": ("baseline", "ties to baselines"),
    "tie_rule_in_text": ("sae_narrow_large_k", "as the text says"),
    "upstream_literal": ("as_published", "as the code breaks ties"),
}
"""Rules for ties by upstream's name: ours, and in words."""
AGREE = 0.005
"""Rules for ties whose differences lie no further apart than this agree."""


@styled
def plot_ties(ties: dict[str, dict[str, float]], values: dict[str, dict[str, Any]]) -> Drawing:
    """Draw figure 6 under scarcity by rule for ties: the code's and the text's, then the fair ones.

    Args:
        ties: ``facts["ties"]``: rule to training prompts to mean difference in test AUC.
        values: ``facts["values"]``, of which scarcity with ties averaged is drawn.
    """
    figure, left, right = _side_by_side(3.5)
    lines = {rule: np.array(_ordered(ties[rule])[1]) for rule in RULES}
    n, lines["neutral_ties"], low, high = _estimates(values["scarcity"]["corrected"])
    right.fill_between(n, low, high, color=OTHER_COLOURS[TIES.index("neutral")], alpha=0.2, lw=0)
    for rule, (policy, label) in RULES.items():
        number, fair = TIES.index(policy), policy in ("neutral", "baseline")
        (right if fair else left).plot(
            n, lines[rule], color=OTHER_COLOURS[number], marker="osD^"[number],
            ls=("-", (0, (4, 1.5)), (0, (1, 1.2)), "-")[number], label=label,
        )  # fmt: skip
    for axes in (left, right):
        axes.axhline(0, color=INK, lw=0.9, zorder=0)
        marks.value_axis(axes, "scarcity", n, most=7)
        axes.legend(loc="lower right")
    left.set_ylabel("difference in test AUC")
    spread = np.ptp(np.array(list(lines.values())), axis=0)
    widest = int(spread.argmax())
    settled = n[int(np.flatnonzero(spread > AGREE).max(initial=-1)) + 1 :]
    here = {rule: signed(line[widest]) for rule, line in lines.items()}
    caption = (
        "Figure 6, data scarcity: mean difference in test AUC, with SAE probes minus without, by "
        "rule for equal validation AUCs. Left: the rule of the code and that of the text. Right: "
        "tied probes averaged, with 95% bootstrap intervals over task families, and ties to "
        "baselines (dashed). At the left end the rule decides the result."
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
    """Draw figure 6 (``facts["values"]``) with its unpaired band, then paired, a row a regime."""
    figure = new_figure(height=1.0 + 2.3 * len(values))
    grid = figure.subplots(len(values), 2, sharex="row", sharey="row", squeeze=False)
    counts, clauses = np.zeros(3, dtype=int), []
    for pair, (name, table) in zip(grid, values.items(), strict=True):
        x, drawn = _ordered(table["drawn"])
        half = np.array(_ordered(table["drawn_half"])[1])
        _, mean, low, high = _estimates(table["corrected"])
        published = (np.array(drawn), np.array(drawn) - half, np.array(drawn) + half)
        clear = []
        for axes, kind, (line, bottom, top) in zip(
            pair, ("as published", "corrected"), (published, (mean, low, high)), strict=True
        ):
            apart = (bottom > 0) | (top < 0)
            marks.band(axes, x, line, bottom, top, apart)
            marks.value_axis(axes, name, x, most=7)
            axes.set_title(f"{REGIMES[name].label}, {kind}", loc="left")
            clear.append(int(apart.sum()))
        pair[0].set_ylabel("difference in test AUC")
        counts += (*clear, len(x))
        clauses.append(
            f"{REGIMES[name].label}: {clear[0]} of {len(x)} intervals leave out zero as published, "
            f"{clear[1]} corrected (half-widths {signless_zero(float(np.median(half)))} and "
            f"{signless_zero(float(np.median(high - low)) / 2)} in the median)"
        )
    holm = sum(len(table["gains"]) + len(table["losses"]) for table in values.values())
    caption = (
        "Figure 6: mean difference in test AUC. Left: band of 1.96 standard errors as if the two "
        "means were unpaired. Right: pairs, ties averaged, 95% bootstrap intervals over task "
        f"families. Filled: leaves out zero, {counts[0]} of {counts[2]} values published, "
        f"{counts[1]} corrected; {holm} survive Holm's correction."
    )
    return Drawing(figure, caption, f"By regime: {'; '.join(clauses)}.")


@styled
def plot_positions(drawn: dict[str, float], matched: dict[str, float]) -> Drawing:
    """Draw figure 17c, shares of flipped labels to percentages, by position and matched by task."""
    figure, left, right = _side_by_side(3.3)
    x, old = (np.array(part) for part in _ordered(drawn))
    new = np.array(_ordered(matched)[1])
    for axes, share in ((left, old), (right, new)):
        marks.shares(axes, x, share)
        marks.value_axis(axes, "label_noise", x)
    left.set_ylabel("share of tasks (%)")
    sides = {"SAE probe ahead": SAE, "logistic regression ahead or level": BASELINE}
    for label, colour in sides.items():
        left.fill_between([], [], color=colour, label=label)
    figure.legend(loc="outside lower center", ncols=2)
    caption = (
        "Figure 17c: share of tasks where the SAE probe's test AUC exceeds logistic regression's "
        "under label noise. Left: rows of the two tables compared by position, mostly of different "
        "tasks. Right: matched by task. Shares of single runs, without interval. Dashed: 50%."
    )
    alt = (
        f"By position the SAE probe is ahead on {old.min():.0f} to {old.max():.0f}% of rows at "
        f"every noise level; matched by task on {new[0]:.0f}% at {x[0]:g} and "
        f"{new[-1]:.0f}% at {x[-1]:g}."
    )
    return Drawing(figure, caption, alt)


def _side_by_side(height: float) -> tuple[Figure, Axes, Axes]:
    """The two panels of an erratum on shared scales."""
    figure = new_figure(height=height)
    left, right = figure.subplots(1, 2, sharex=True, sharey=True, gridspec_kw={"wspace": 0.06})
    left.set_title("as published", loc="left")
    right.set_title("corrected", loc="left")
    return figure, left, right


def _ordered(table: dict[str, Any]) -> tuple[np.ndarray, list[Any]]:
    """Split a table with numbers as text keys into its values, ascending, and their entries."""
    keys = sorted(table, key=float)
    return np.array([float(key) for key in keys]), [table[key] for key in keys]


def _estimates(table: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Values, means and ends of intervals of a table of estimates."""
    x, found = _ordered(table)
    mean, low, high = np.array([[one["mean"], one["low"], one["high"]] for one in found]).T
    return x, mean, low, high
