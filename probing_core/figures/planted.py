"""Section 08: the positive control, where features are planted and help can be known (section 6).

Rows are those of `experiments.planted`; dictionaries stand in their order, the best first.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from probing_core.analysis.comparison import NOT_COMPARED, compare, head_to_head
from probing_core.analysis.effects import effects, overall
from probing_core.analysis.paired import Effect
from probing_core.analysis.quiver import KS
from probing_core.experiments.planted import HOOK, REGIME
from probing_core.figures import marks, style
from probing_core.figures.style import BASELINE, INK, MUTED, SAE, Drawing, needed, styled
from probing_core.figures.words import interval_name

_COLUMNS = 3
_LACKING = "probes on a dictionary and on activations with planted features"


@styled
def plot_planted(rows: pd.DataFrame, *, k: int = 16) -> Drawing:
    """Draw the SAE probe minus logistic regression by number of prompts, a panel a dictionary.

    Args:
        rows: fits on planted features.
        k: latents of the probe whose interval is drawn; thin lines are other numbers.
    """
    found = needed(gains(rows, k), _LACKING, NOT_COMPARED)
    lines = -(-len(found) // _COLUMNS)
    figure, grid = style.new_panels(
        lines, min(_COLUMNS, len(found)), height=0.9 + 1.7 * lines, sharey=True, squeeze=False
    )
    for axes in grid.flat[len(found) :]:
        axes.set_axis_off()
    others = sorted(set(rows["k"].dropna().astype(int)) - {k})
    for axes, (name, values) in zip(grid.flat, found.items(), strict=False):
        means = [one.difference for one in values]
        mean, low, high = np.array([[one.mean, one.low, one.high] for one in means]).T
        x = np.array([one.value for one in values])
        marks.band(axes, x, mean, low, high, (low > 0) | (high < 0))
        for other, line in zip(others, (":", marks.DASHED), strict=False):
            pair = head_to_head(rows, hook=HOOK, sae_id=name, k=other)
            other_means = pair.groupby("regime_value")["difference"].mean()
            axes.plot(other_means, color=MUTED, lw=1.2, ls=line, label=f"k = {other}")
        axes.set_title(name, loc="left")
        marks.log2_axis(axes, x.tolist())
    figure.supxlabel("training prompts (log2)", fontsize=10)
    figure.supylabel("difference in test AUC", fontsize=10)
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    every = [one for values in found.values() for one in values]
    caption = (
        "Planted features: SAE probe minus logistic regression in test AUC, by training prompts "
        f"and dictionary, the best first. Bands: k = {k}, {_interval(every)}; filled: zero lies "
        f"outside, {len(every)} tests uncorrected. Blue: the SAE probe is ahead."
    )
    return Drawing(figure, caption, help_sentence(found, k))


@styled
def plot_planted_quiver(rows: pd.DataFrame, *, ks: Sequence[int] = KS, **options: Any) -> Drawing:
    """Draw what the quiver gains when the probes of one dictionary join logistic regression.

    Args:
        rows: fits on planted features.
        ks: latents of the probes that join.
        options: as `quiver` takes them.
    """
    settled: dict[str, Any] = {"hook": HOOK, "ks": ks, **options}
    frames = {name: compare(rows, REGIME, sae_ids=[name], **settled) for name in _names(rows)}
    found = {name: overall(frame) for name, frame in frames.items() if len(frame)}
    needed(found, _LACKING, NOT_COMPARED)
    figure, axes = style.new_panels(height=1.1 + 0.36 * len(found))
    axes.axvline(0, color=INK, lw=0.9)
    for place, one in enumerate(found.values()):
        marks.dots(axes, [place], [one.difference], SAE if one.difference.mean > 0 else BASELINE)
    marks.listed_rows(axes, [f"{name}: {one.picked_sae:.0%} picked" for name, one in found.items()])
    axes.set_xlabel("difference in test AUC, with SAE probes minus without")
    caption = (
        "Planted features: what the quiver gains when SAE probes (k = "
        f"{' and '.join(map(str, ks))}) join logistic regression, over all numbers of training "
        f"prompts, with {_interval(found.values())}; and the share of its picks that are SAE "
        "probes."
    )
    return Drawing(figure, caption, quiver_sentence(found))


def gains(rows: pd.DataFrame, k: int = 16) -> dict[str, list[Effect]]:
    """SAE probe minus logistic regression by dictionary and number of training prompts."""
    pairs = {name: head_to_head(rows, hook=HOOK, sae_id=name, k=k) for name in _names(rows)}
    return {name: effects(pair) for name, pair in pairs.items() if len(pair)}


def help_sentence(found: Mapping[str, Sequence[Effect]], k: int) -> str:
    """Say down to which dictionary and up to how many prompts the SAE probe of `gains` helps.

    It helps where the interval of the difference lies above zero.
    """
    every = [(name, one) for name, values in found.items() for one in values]
    if not (won := [(name, one) for name, one in every if one.difference.low > 0]):
        name, best = max(every, key=lambda each: each[1].difference.mean)
        return (
            f"With k = {k} the SAE probe beats logistic regression nowhere: the largest difference "
            f"is {best.difference.text()}, at {_where(name, best)}. What this control cannot see, "
            "the study cannot either."
        )
    least = won[-1][0]
    low = max((one for name, one in won if name == least), key=lambda one: one.difference.mean)
    name, most = max(won, key=lambda each: each[1].value)
    worse = list(found)[list(found).index(least) + 1 :]
    listed = " or ".join(filter(None, [", ".join(worse[:-1]), *worse[-1:]]))
    return (
        f"With k = {k} the SAE probe beats logistic regression down to {_where(least, low)}, by "
        f"{low.difference.text()}, and up to {_where(name, most)}, by {most.difference.text()}"
        f"{f', but nowhere with {listed}' if worse else ''}."
    )


def quiver_sentence(found: Mapping[str, Effect]) -> str:
    """Say with which dictionaries the quiver gains, loses, or does neither for sure."""
    said: dict[str, list[str]] = {"gains": [], "loses": [], "does neither for sure": []}
    for name, one in found.items():
        verb = "gains" if one.difference.low > 0 else "loses" if one.difference.high < 0 else ""
        said[verb or "does neither for sure"].append(f"{name} ({one.difference.text()})")
    parts = [f"{verb} with {', '.join(names)}" for verb, names in said.items() if names]
    return f"In test AUC the quiver {'; it '.join(parts)}."


def _names(rows: pd.DataFrame) -> list[str]:
    return rows["sae_id"].dropna().unique().tolist()


def _interval(found: Iterable[Effect]) -> str:
    return interval_name(*(one.difference for one in found)).replace("task families", "features")


def _where(name: str, one: Effect) -> str:
    return f"{name} at {one.value:g} training prompts"
