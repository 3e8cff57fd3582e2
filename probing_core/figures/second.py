"""Section 05: does it replicate on a second model, and at which position (appendix F)."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from probing_core.analysis.comparison import NOT_COMPARED
from probing_core.analysis.paired import paired_effect, signless_zero
from probing_core.analysis.replication import RankAgreement, rank_agreement
from probing_core.analysis.selection import hook_label, task_number
from probing_core.datasets.regimes import REGIMES
from probing_core.figures import marks, style
from probing_core.figures.style import INK, MUTED, OTHER_COLOURS, Drawing, needed, styled
from probing_core.figures.words import better_worse, rank_text, short_name, short_tag, signed, tasks

POSITIONS = {"last": ("last token", "o", OTHER_COLOURS[1]), "mean": ("mean of tokens", "s", MUTED)}
NAMED = 30
"""Most tasks whose names are written beside their dots."""


@styled
def plot_replication(pairs: Mapping[str, pd.DataFrame], first: str, second: str) -> Drawing:
    """Draw what SAE probes bring in one model against another, a dot a task, a panel a regime.

    Args:
        pairs: from `analysis.replication.both_effects`.
        first: the model on the horizontal axes.
        second: the model on the vertical ones.
    """
    needed(pairs, "the same regime with SAE probes in two models", NOT_COMPARED)
    found = {name: rank_agreement(pair) for name, pair in pairs.items()}
    lines = -(-len(pairs) // 2)
    columns = min(2, len(pairs))
    figure, panels = style.new_panels(
        lines, columns, width=3.6 * columns, height=0.3 + 3.0 * lines, squeeze=False
    )
    for axes in panels.flat[len(pairs) :]:
        axes.set_axis_off()
    for axes, (name, pair) in zip(panels.flat, pairs.items(), strict=False):
        axes.axhline(0, color=INK, lw=0.8)
        axes.axvline(0, color=INK, lw=0.8)
        axes.plot("first", "second", "o", data=pair, color=OTHER_COLOURS[1], mec=INK, mew=0.5,
                  alpha=0.8)  # fmt: skip
        axes.margins(0.12)
        axes.locator_params(nbins=5)
        axes.set_title(f"{REGIMES[name].label}: {rank_text(found[name])}", loc="left", fontsize=9.5)
    figure.supxlabel(f"difference in test AUC, {short_name(first)}", fontsize=9.5)
    figure.supylabel(f"difference in test AUC, {short_name(second)}", fontsize=9.5)
    caption = (
        "What SAE probes add to test AUC on each task, in two models, on the tasks and values that "
        "both have; zero lines drawn. Titles: Spearman's rank correlation over tasks with a 95% "
        "percentile bootstrap interval over task families. Scales differ."
    )
    return Drawing(figure, caption, replication_sentence(found, first, second))


def replication_sentence(found: Mapping[str, RankAgreement], first: str, second: str) -> str:
    """Say whether the tasks on which SAE probes help in one model are those of the other."""
    told = {name: one for name, one in found.items() if np.isfinite(one.rho)}
    if not told:
        return (
            f"{short_name(first)} and {short_name(second)} share too few tasks that differ to"
            " tell whether the same ones gain."
        )
    sure = [one for one in told.values() if one.low > 0 or one.high < 0]
    said = ", ".join(f"{rank_text(one)} under {REGIMES[name].under}" for name, one in told.items())
    return (
        f"Rank correlation over tasks of what SAE probes add in {short_name(first)} and in "
        f"{short_name(second)}: {said}; {len(sure)} of {len(told)} intervals leave out zero."
    )


@styled
def plot_positions(tables: Mapping[str, pd.DataFrame]) -> Drawing:
    """Draw test AUC of logistic regression at the last token and over the mean, task by task.

    Args:
        tables: from `analysis.replication.by_position`, by model.
    """
    tables = {model: table for model, table in tables.items() if len(table)}
    needed(tables, "logistic regression at a second position")
    longest = max(map(len, tables.values()))
    named = longest <= NAMED
    figure, panels = style.new_panels(
        1, len(tables), height=1.2 + 0.2 * min(longest, NAMED), squeeze=False, sharex=True
    )
    said = []
    for axes, (model, table) in zip(panels.flat, tables.items(), strict=True):
        table = table.loc[sorted(table.index, key=task_number)]
        rows = np.arange(len(table))
        axes.hlines(rows, table.min(axis=1), table.max(axis=1), color=style.FAINT, lw=2.5)
        for position in [name for name in POSITIONS if name in table]:
            label, marker, colour = POSITIONS[position]
            axes.plot(table[position], rows, marker, color=colour, mec=INK, mew=0.5, label=label)
        marks.listed_rows(axes, [short_tag(tag, 22) for tag in table.index] if named else [])
        axes.set_title(short_name(model), loc="left")
        said.append(_position_finding(model, table))
    figure.supxlabel("test AUC of logistic regression", fontsize=9.5)
    handles = panels.flat[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper right", ncols=2)
    caption = (
        "Test AUC of logistic regression on the last token's activation and on the mean over all "
        f"tokens, one line a task. {said[-1]}"
    )
    return Drawing(figure, caption, " ".join(said))


def _position_finding(model: str, table: pd.DataFrame) -> str:
    change = paired_effect(table["last"] - table["mean"])
    gap = (table["last"] - table["mean"]).abs().idxmax()
    last, mean = (signless_zero(table.loc[gap, name], 2) for name in ("last", "mean"))
    return (
        f"In {short_name(model)} the last token changes test AUC by "
        f"{signed(change.difference.mean)} against the mean ({better_worse(change)}); most on "
        f"{gap}: {last} against {mean}."
    )


def models_sentence(first: str, second: str, rows: pd.DataFrame) -> str:
    """Say which model stands second, on how many tasks, and what is probed in it."""
    if rows.empty:
        return f"Beside {short_name(first)} this profile has no second model with rows."
    (position,), (bos,) = (rows[name].unique() for name in ("position", "prepend_bos"))
    return (
        f"The second model is {short_name(second)}, beside {short_name(first)}, on "
        f"{tasks(rows['dataset'].nunique())}: probed at the {POSITIONS[position][0]}, prompts "
        f"{'with' if bos else 'without'} BOS in front."
    )


def layers_sentence(same: Drawing, mixed: Drawing, shallow: str, hook: str) -> str:
    """Set the quiver whose sides read one layer beside the one in which baselines read another."""
    if not shallow or same.alt == mixed.alt:  # none was run
        return same.alt
    return (
        f"All probes at block {hook_label(hook)}: {same.alt} Baselines at block "
        f"{hook_label(shallow)}: {mixed.alt}"
    )
