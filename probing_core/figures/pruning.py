"""Figure 20: what is left under the shift when only latents that a judge calls relevant stay."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from probing_core.experiments.pruning import CONTROL
from probing_core.figures.marks import DASHED
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
_MARKERS = "osD^v"


@styled
def plot_pruning(frame: pd.DataFrame) -> Drawing:
    """Draw AUC against latents kept, the most relevant first: a panel a task, a line a judge.

    Args:
        frame: From `experiments.pruning.pruning_curve`, of one or more tasks.
    """
    needed(frame, "SAE probes on judged latents")
    names, judges = list(frame["dataset"].unique()), sorted(set(frame["judge"]) - {CONTROL})
    looks = {j: (OTHER_COLOURS[n % 5], _MARKERS[n % 5]) for n, j in enumerate(judges)}
    if control := CONTROL in set(frame["judge"]):
        looks[CONTROL] = MUTED, "x"
    lines, columns = -(-len(names) // COLUMNS), min(COLUMNS, len(names))
    figure, panels = new_panels(
        lines, columns, height=1.0 + 2.3 * lines, sharex=True, sharey=True, squeeze=False
    )
    for axes, name in zip(panels.flat, names, strict=False):
        _panel(axes, frame[frame["dataset"].eq(name)], looks)
        axes.set_title(short_tag(name, 26), loc="left")
    for axes in panels.flat[len(names) :]:
        axes.set_axis_off()
    handles = [Line2D([], [], color=c, marker=m, label=judge) for judge, (c, m) in looks.items()]
    handles.append(Line2D([], [], color=INK, lw=0.9, ls=DASHED, label="without shift"))
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    figure.supxlabel("latents kept, the most relevant first", fontsize=9.5)
    figure.supylabel("AUC", fontsize=9.5)
    seeds = frame["seed"].nunique()
    band = f"bands: lowest to highest of {seeds} seeds" if seeds > 1 else "one seed, no interval"
    caption = (
        "AUC of an SAE probe under the shift, by who ranked its latents by relevance and by how "
        f"many it keeps; {band}. Dashed: the same probe on prompts without shift. Dotted: chance. "
        + (f"A judge helps where its line lies above that of {CONTROL}." if control else "")
    )
    return Drawing(figure, caption.strip(), " ".join(_finding(frame, judge) for judge in looks))


def _panel(axes: Axes, frame: pd.DataFrame, looks: dict[str, tuple[str, str]]) -> None:
    """One task: under the shift with the range over seeds, and without shift."""
    axes.axhline(0.5, color=INK, lw=0.8, ls=(0, (1, 2)))
    for judge, (colour, marker) in looks.items():
        own = frame[frame["judge"].eq(judge)].groupby("kept")
        under = own["shifted_auc"].agg(["min", "mean", "max"])
        axes.fill_between(under.index, under["min"], under["max"], color=colour, alpha=0.18, lw=0)
        axes.plot(under["mean"], color=colour, marker=marker, ms=4.5)
        axes.plot(own["within_auc"].mean(), color=colour, lw=0.9, ls=DASHED)
        axes.set_xticks(under.index)


def _finding(frame: pd.DataFrame, judge: str) -> str:
    """Say how AUC under the shift changes when one latent is kept instead of all."""
    own = frame[frame["judge"].eq(judge)].dropna(subset=["shifted_auc"])
    if own.empty:
        return f"Ranked by {judge}: no task has shifted prompts."
    means = own.pivot_table(index="dataset", columns="kept", values="shifted_auc", sort=False)
    most = int(means.columns.max())
    change = means[1] - means[most]
    said = ", ".join(f"{signed(gain)} {name}" for name, gain in change.items())
    return (
        f"Ranked by {judge}, one instead of {plural(most, 'latent')} raises AUC under the shift on "
        f"{int((change > 0).sum())} of {tasks(len(change))}: {said}."
    )
