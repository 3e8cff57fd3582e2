"""One SAE among others: what its probes bring in every regime."""

import pandas as pd

from probing_core.datasets.regimes import REGIMES
from probing_core.figures import marks, style
from probing_core.figures.improvements import held_regimes, mean_effect
from probing_core.figures.style import BASELINE, INK, MUTED, SAE, Drawing, needed, styled
from probing_core.figures.words import interval_name


@styled
def plot_evaluation(effects: pd.DataFrame, suite: pd.DataFrame, name: str) -> Drawing:
    """Draw what one SAE's probe brings in every regime, among other SAEs and controls.

    Args:
        effects: From `analysis.architectures.effects_by_sae`.
        suite: From `experiments.improvements.suite_table`, of the others; maybe empty.
        name: The SAE's id.
    """
    own = needed(effects[effects["sae_id"] == name], f"probes of {name} beside logistic regression")
    regimes = held_regimes(own)
    figure, axes = style.new_panels(height=1.1 + 0.5 * len(regimes))
    axes.axvline(0, color=INK, lw=0.9)
    controls = set(suite.index[suite["control"].notna()]) if len(suite) else set()
    found = []
    for place, regime in enumerate(regimes):
        here = effects[(effects["regime"] == regime) & (effects["sae_id"] != name)]
        means = here.groupby("sae_id")["difference"].mean()
        control = means.index.isin(controls)
        for step, part, marker, colour, what in (
            (-0.22, means[~control], "o", SAE, "other SAEs"),
            (0.22, means[control], "x", MUTED, "controls"),
        ):
            axes.plot(part, [place + step] * len(part), marker, color=colour, alpha=0.6,
                      label="" if place else what)  # fmt: skip
        found.append(mean_effect(own[own["regime"] == regime]))
        marks.dots(axes, [place], found[-1:], BASELINE if found[-1].mean < 0 else SAE, marker="D")
    marks.listed_rows(axes, [REGIMES[regime].label for regime in regimes])
    axes.set_xlabel("test AUC minus that of logistic regression on activations")
    if len(suite):
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    caption = (
        f"What probes on {name} bring by regime (diamonds, means over tasks), "
        f"{interval_name(*found)}, among the other SAEs of the store and the controls."
    )
    pairs = zip(regimes, found, strict=True)
    said = "; ".join(f"{REGIMES[regime].label} {one.text()}" for regime, one in pairs)
    return Drawing(figure, caption, f"Probes on {name} minus logistic regression: {said}.")
