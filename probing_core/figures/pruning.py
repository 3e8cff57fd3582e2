"""Figure 20: what is left under the shift when only latents that a judge calls relevant stay."""

import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from probing_core.experiments.pruning import CONTROL
from probing_core.figures.style import (
    INK,
    MUTED,
    OTHER_COLOURS,
    Drawing,
    needed,
    new_panels,
    styled,
)
from probing_core.figures.words import plural, short_tag, signed, tasks

COLUMNS = 3


@styled
def plot_pruning(frame: pd.DataFrame) -> Drawing:
    """Draw AUC against latents kept, the most relevant first: a panel a task, a line a judge.

    Args:
        frame: From `experiments.pruning.pruning_curve`, of one or more tasks.
    """
    needed(frame, "SAE probes on judged latents")
    names = list(frame["dataset"].unique())
    judges = sorted(frame["judge"].unique(), key=lambda name: (name == CONTROL, name))
    lines = -(-len(names) // COLUMNS)
    columns = min(COLUMNS, len(names))
    figure, panels = new_panels(
        lines, columns, height=1.0 + 2.3 * lines, sharex=True, sharey=True, squeeze=False
    )
    for axes in panels.flat[len(names) :]:
        axes.set_axis_off()
    looks = dict(
        zip([j for j in judges if j != CONTROL], zip(OTHER_COLOURS, "osD^v"), strict=False)
    )
    looks[CONTROL] = (MUTED, "x")
    for axes, name in zip(panels.flat, names, strict=False):
        axes.axhline(0.5, color=INK, lw=0.8, ls=(0, (1, 2)))
        for judge in judges:
            colour, marker = looks[judge]
            own = frame[frame["dataset"].eq(name) & frame["judge"].eq(judge)].groupby("kept")
            within, under = own["within_auc"].mean(), own["shifted_auc"]
            axes.plot(within, color=colour, lw=0.9, ls=(0, (4, 1.5)))
            axes.fill_between(
                under.min().index, under.min(), under.max(), color=colour, alpha=0.2, lw=0
            )
            axes.plot(under.mean(), color=colour, marker=marker, ms=4.5)
        axes.set_title(short_tag(name, 26), loc="left")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    handles = [Line2D([], [], color=looks[j][0], marker=looks[j][1], label=j) for j in judges]
    handles.append(Line2D([], [], color=INK, lw=0.9, ls=(0, (4, 1.5)), label="without shift"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    figure.supxlabel("latents kept, the most relevant first", fontsize=9.5)
    figure.supylabel("test AUC", fontsize=9.5)
    seeds = frame["seed"].nunique()
    band = f"bands from the lowest to the highest of {seeds} seeds" if seeds > 1 else "one seed"
    caption = (
        "AUC of an SAE probe under the shift against the latents it keeps, by who ranked their"
        f" relevance; {band}. Dashed: the same probe on prompts without shift. Dotted: chance."
        f" A judge helps where its line lies above that of {CONTROL}, or falls to the right."
    )
    return Drawing(figure, caption, " ".join(_finding(frame, judge) for judge in judges))


def _finding(frame: pd.DataFrame, judge: str) -> str:
    """Say how AUC under the shift changes when one latent is kept instead of all."""
    own = frame[frame["judge"].eq(judge)].dropna(subset=["shifted_auc"])
    if own.empty:
        return f"By {judge} no task has shifted prompts."
    means = own.pivot_table(index="dataset", columns="kept", values="shifted_auc", sort=False)
    most = means.columns.max()
    change = means[1] - means[most]
    said = "; ".join(f"{name} {signed(gain)}" for name, gain in change.items())
    return (
        f"Kept 1 of {plural(most, 'latent')} by {judge}, AUC under the shift rises on"
        f" {int((change > 0).sum())} of {tasks(len(change))}: {said}."
    )
