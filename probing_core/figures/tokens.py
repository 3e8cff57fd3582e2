"""Section 07: probes that read many tokens (figures 11 and 22, table 9 of the paper)."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from probing_core.analysis.paired import MARGIN, MeanInterval, mean_interval, signless_zero
from probing_core.analysis.tokens import (
    BASELINES,
    FAIR,
    ILLUSION,
    SAES,
    TokenComparison,
    by_probe,
    compare,
    probe_label,
)
from probing_core.figures import marks, style
from probing_core.figures.style import BASELINE, FAINT, SAE, Drawing, needed, styled
from probing_core.figures.words import interval_name, short_name, tasks
from probing_core.probes.methods import SAE_METHOD

_BINARISED = (f"{SAE_METHOD} last binarised", f"{SAE_METHOD} max binarised")
_ORDER = (*BASELINES, "concatenated_pca", *SAES, *_BINARISED)


def _by_model(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {str(name): part for name, part in rows.groupby("model", sort=False)}


@styled
def plot_wins(rows: pd.DataFrame, *, margin: float = MARGIN, binarised: bool = False) -> Drawing:
    """Draw who wins on how many tasks, a panel a model; the unfair comparison is shaded (11, 22).

    Args:
        rows: From `experiments.multi_token`.
        margin: AUC by which a win is one.
        binarised: Of each latent SAE probes read only whether it is on.
    """
    how: dict[str, Any] = {"margin": margin, "binarised": binarised}
    found = {name: compare(part, **how) for name, part in _by_model(rows).items()}
    found = {name: one for name, one in found.items() if one}
    needed(found, "probes on every token beside those on the last")
    names = list(dict.fromkeys(one.name for each in found.values() for one in each))
    figure, grid = style.new_panels(
        1, len(found), height=1.2 + 0.62 * len(names), sharey=True, squeeze=False
    )
    for axes, (model, each) in zip(grid[0], found.items(), strict=True):
        axes.set_title(short_name(model), loc="left")
        for one in each:
            place = names.index(one.name)
            if one.name == ILLUSION:
                axes.axhspan(place - 0.46, place + 0.46, color=FAINT, lw=0)
            ends = (one.wins, one.low, one.high, (BASELINE, SAE))
            for step, share, low, high, colour in zip((-0.19, 0.19), *ends, strict=True):
                bar = [[100 * (share - low)], [100 * (high - share)]]
                axes.barh(place + step, 100 * share, height=0.36, color=colour, xerr=bar,
                          capsize=3)  # fmt: skip
        axes.set(xlim=(0, 100), xlabel="tasks won (%)")
    marks.listed_rows(grid[0][0], names)
    figure.legend(grid[0][0].patches[-2:], ["without an SAE", "with an SAE"],
                  loc="outside upper right", ncols=2)  # fmt: skip
    counts = _counts(one.difference.n for each in found.values() for one in each)
    caption = (
        f"Share of {counts} won by more than {margin:g} AUC, with Wilson's 95% interval over "
        "tasks. Shaded: one side reads the last token, the other all. Of several probes the one "
        "with the best validation AUC counts; ties are won by neither."
        + (" SAE probes read only whether a latent is on." if binarised else "")
    )
    return Drawing(figure, caption, _said(found))


def _counts(numbers: Iterable[int]) -> str:
    """Say how many tasks, of models that need not have the same."""
    known = sorted(set(numbers))
    return f"{known[0]} to {tasks(known[-1])}" if len(known) > 1 else tasks(known[0])


def _said(found: dict[str, list[TokenComparison]]) -> str:
    """State the mean difference of every comparison."""
    parts = [
        f"{short_name(model)}: " + ", ".join(f"{one.name} {one.difference.text()}" for one in each)
        for model, each in found.items()
    ]
    return f"SAE minus baseline, mean test AUC. {'; '.join(parts)}."


def fair_sentence(rows: pd.DataFrame, *, margin: float = MARGIN) -> str:
    """Set the unfair comparison beside the one in which both sides pool."""
    said = []
    for model, part in _by_model(rows).items():
        known = {one.name: one for one in compare(part, margin=margin)}
        fair = known.get(FAIR) or known.get("the paper's quivers")
        if fair is None or ILLUSION not in known:
            continue
        unfair = known[ILLUSION]
        said.append(
            f"in {short_name(model)} a max-pooled SAE probe minus a last-token baseline is "
            f"{unfair.difference.text()}, and with {fair.name} {fair.difference.text()}"
        )
    return f"Test AUC: {'; '.join(said)}." if said else "These rows hold no such pair."


@styled
def plot_probes(rows: pd.DataFrame) -> Drawing:
    """Draw the mean test AUC of every probe, a panel a model: baselines above SAE probes."""
    tables = {name: by_probe(part) for name, part in _by_model(rows).items()}
    needed(tables, "probes on every token")
    held = {name for table in tables.values() for name in table}
    names = [name for name in _ORDER if name in held]
    figure, grid = style.new_panels(
        1, len(tables), height=1.0 + 0.3 * len(names), sharey=True, squeeze=False
    )
    drawn: list[MeanInterval] = []
    said = []
    for axes, (model, table) in zip(grid[0], tables.items(), strict=True):
        whole = table[[name for name in names if name in table]].dropna()
        means = {name: mean_interval(whole[name]) for name in whole}
        for name, one in means.items():
            colour = SAE if name.startswith(SAE_METHOD) else BASELINE
            marks.dots(axes, [names.index(name)], [one], colour, written=False)
            marks.at_edge(axes, names.index(name), signless_zero(one.mean))
        axes.set_title(short_name(model), loc="left")
        axes.set_xlabel("mean test AUC")
        drawn += means.values()
        said.append(f"{short_name(model)}: {_leaders(means)}")
    marks.listed_rows(grid[0][0], [probe_label(name) for name in names])
    caption = (
        f"Mean test AUC of probes by how they read the tokens of a prompt; "
        f"{_counts(one.n for one in drawn)}, {interval_name(*drawn)}. Orange: on activations; "
        "blue: on latents."
    )
    return Drawing(figure, caption, f"{'; '.join(said)}.")


def _leaders(means: dict[str, MeanInterval]) -> str:
    """Name the best probe without and with an SAE."""
    said = []
    for sparse in (False, True):
        side = {n: one.mean for n, one in means.items() if n.startswith(SAE_METHOD) == sparse}
        if side:
            best = max(side, key=side.__getitem__)
            said.append(f"{probe_label(best)} {signless_zero(side[best])}")
    return f"best are {' and '.join(said)}"


def task_cells(rows: pd.DataFrame) -> pd.DataFrame:
    """Lay out table 9: test AUC of every probe, a row a model and task."""
    parts = []
    for model, part in _by_model(rows).items():
        table = by_probe(part)
        table = table[[name for name in _ORDER if name in table]].rename(columns=probe_label)
        shown = table.map(lambda value: "" if np.isnan(value) else signless_zero(value))
        shown.insert(0, "model", short_name(model))
        parts.append(shown.rename_axis("task").reset_index())
    return pd.concat(parts).fillna("") if parts else pd.DataFrame()


def size_cells(*frames: pd.DataFrame) -> pd.DataFrame:
    """Lay out what the section keeps beside what it would take naively, in GB.

    Args:
        *frames: From `experiments.multi_token.sizes`, and derived ones like it.
    """
    found = pd.concat(frames)

    def gb(values: Sequence[float]) -> list[str]:
        sizes = [float(value) / 1e9 for value in values]
        return ["" if np.isnan(x) else f"{x:,.0f}" if x >= 10 else f"{x:.2g}" for x in sizes]

    return pd.DataFrame(
        {
            "model": [short_name(name) for name in found["model"]],
            "tokens a task, at most": [f"{count:,.0f}" for count in found["tokens"]],
            "file, GB": gb(found["file"]),
            "all tasks' activations, GB": gb(found["activations"]),
            "one task's dense latents, GB": gb(found["latents"]),
            "peak memory, GB": gb(found["peak_memory"]),
        }
    )
