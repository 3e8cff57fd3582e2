"""Section 09: how much of a test set is in training, what that is worth, and what it changes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from probing_core.analysis.leakage import (
    Conclusion,
    conclusions,
    costs,
    paired,
    sae_ranks,
)
from probing_core.analysis.paired import Effect, MeanInterval, signless_zero
from probing_core.datasets.duplicates import THRESHOLD, Level
from probing_core.datasets.regimes import REGIMES
from probing_core.datasets.splits import LEVELS
from probing_core.figures import marks, style
from probing_core.figures.style import INK, MUTED, OTHER_COLOURS, Drawing, needed, styled
from probing_core.figures.words import (
    interval_name,
    plural,
    rank_text,
    short_name,
    short_tag,
    signed,
    starting,
    tasks,
)
from probing_core.probes.methods import METHODS, SAE_METHOD

SIDES = (("repeats in the test", MUTED, "s"), ("leak-free", OTHER_COLOURS[1], "o"))
WORDS: dict[Level, str] = {
    "exact": "letter for letter",
    "normalised": "case and white space aside",
    "near": f"nearly (Jaccard \N{GREATER-THAN OR EQUAL TO} {THRESHOLD})",
}
NAMED = 4
_LACKING = "the same probes with and without repeats in the test"


@styled
def plot_repeats(repeats: pd.DataFrame) -> Drawing:
    """Draw the share of test prompts that repeat a training prompt, tasks in order.

    Args:
        repeats: From `experiments.leakage.repeats`.
    """
    table = repeats.sort_values("near", ascending=False, kind="stable", ignore_index=True)
    figure, axes = style.new_panels(height=3.2)
    x = np.arange(1, len(table) + 1)
    looks = zip(WORDS.items(), OTHER_COLOURS[1:4], ("-", marks.DASHED, ":"), strict=True)
    for (level, words), colour, line in [*looks][::-1]:
        axes.plot(x, 100 * table[level], color=colour, ls=line, label=words)
    named = table.head(NAMED)
    heights = marks.spread(100 * named["near"].to_numpy(), 8)
    for place, (tag, y) in enumerate(zip(named["dataset"], heights, strict=True), start=1):
        axes.annotate(short_tag(tag, 32), (place + 0.02 * len(table), y), va="center", fontsize=8.5)
    axes.set(xlabel="tasks, most repeats first", ylabel="test prompts in training (%)",
             ylim=(-2, 102))  # fmt: skip
    axes.legend(loc="upper right")
    caption = (
        f"Share of the test prompts of each of {tasks(len(table))} that repeat a training prompt "
        "in the paper's standard split: letter for letter, up to case and white space, and nearly. "
        "The tasks with most repeats are named."
    )
    return Drawing(figure, caption, repeats_sentence(repeats))


def repeats_sentence(repeats: pd.DataFrame) -> str:
    """Say how much of the test prompts is in training, and how often."""
    exact, near = repeats["exact"], repeats["near"]
    over = [f"more than {level:.0%} on {(exact > level).sum()}" for level in (0.05, 0.1, 0.75)]
    return (
        f"On average over {tasks(len(repeats))} {exact.mean():.1%} of the test prompts stand "
        f"letter for letter in the training set ({', '.join(over)}), {near.mean():.1%} nearly."
    )


def sizes_sentence(repeats: pd.DataFrame) -> str:
    """Say where the leak-free protocol trains on fewer prompts, and what it leaves out."""
    fewer = repeats[repeats["n_strict"] < repeats["n_train"]]
    left = int(repeats["conflicts"].sum())
    return (
        f"Training sets are as large as the paper's on {len(repeats) - len(fewer)} of "
        f"{tasks(len(repeats))}; on the others too few test prompts would be left, and both sides "
        f"train on fewer. {plural(left, 'prompt')} with both labels are left out. The "
        f"shifted test sets have {plural(int(repeats['n_shifted'].sum()), 'prompt')}, "
        f"{int(repeats['shifted_repeats'].sum())} of them in training."
    )


def probe_label(probe: str) -> str:
    """The name of a probe as `costs` calls it."""
    method, _, k = probe.partition(" ")
    label = METHODS[method].label
    return starting(f"{label}, k = {k}" if k else label)


@styled
def plot_costs(rows: pd.DataFrame, regime: str = "standard") -> Drawing:
    """Draw what repeats are worth to each probe, a panel a model.

    Args:
        rows: From `experiments.leakage`.
        regime: The one that is drawn.
    """
    found = needed(costs(_of(paired(rows), regime)), _LACKING)
    order = [*METHODS, SAE_METHOD]
    probes = list(dict.fromkeys(probe for _, probe in found))
    probes.sort(key=lambda one: (order.index(one.split()[0]), len(one), one))
    figure, panels = _models(found, height=1.2 + 0.33 * len(probes))
    for model, axes in panels.items():
        own = {p: found[model, p].difference for p in probes if (model, p) in found}
        places = [probes.index(probe) for probe in own]
        marks.dots(axes, places, list(own.values()), OTHER_COLOURS[1])
        marks.listed_rows(axes, [probe_label(one) for one in probes])
    figure.supxlabel("test AUC with repeats minus without", fontsize=9.5)
    caption = (
        f"What repeats of training prompts in the test are worth under {REGIMES[regime].under}: "
        "test AUC of a probe on the paper's test prompts minus that of the same training rows on "
        "prompts that repeat none of them, with "
        f"{interval_name(*(one.difference for one in found.values()))}."
    )
    return Drawing(figure, caption, costs_sentence(found))


def costs_sentence(found: Mapping[tuple[str, str], Effect]) -> str:
    """Say which probes profit most and least, by model."""
    said = []
    for model in dict.fromkeys(model for model, _ in found):
        own = {p: one for (name, p), one in found.items() if name == model}
        order = sorted(own, key=lambda probe: -own[probe].difference.mean)
        ends = [
            f"{_inline(p)} {own[p].difference.text()}"
            for p in dict.fromkeys(order[:: len(order) - 1 or 1])
        ]
        most = own[order[0]]
        said.append(
            f"In {short_name(model)} repeats are worth most to {ends[0]} test AUC (Wilcoxon p = "
            f"{most.p_value:.2g}, {tasks(most.difference.n)})"
            + (f" and least to {ends[-1]}." if len(ends) > 1 else ".")
        )
    return " ".join(said)


def _inline(probe: str) -> str:
    label = probe_label(probe)
    return label if label[:2].isupper() else label[:1].lower() + label[1:]


@styled
def plot_conclusions(rows: pd.DataFrame) -> Drawing:
    """Draw SAE probes minus baselines with and without repeats, a row a regime, a panel a model.

    Args:
        rows: From `experiments.leakage`.
    """
    found = needed(conclusions(rows), _LACKING)
    regimes = [name for name in REGIMES if name in {regime for _, regime in found}]
    figure, panels = _models(found, height=1.5 + 0.5 * len(regimes))
    for model, axes in panels.items():
        held = [name for name in regimes if (model, name) in found]
        for (label, colour, marker), shift, part in zip(
            SIDES, (-0.15, 0.15), ("leaky", "clean"), strict=True
        ):
            places = [regimes.index(name) + shift for name in held]
            means = [getattr(found[model, name], part) for name in held]
            marks.dots(axes, places, means, colour, marker=marker, label=label)
        marks.listed_rows(axes, [REGIMES[name].label for name in regimes])
    first = next(iter(panels.values()))
    figure.legend(*first.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    figure.supxlabel("difference in test AUC, with SAE probes minus without", fontsize=9.5)
    caption = (
        "What SAE probes bring per regime, tested with repeats of training prompts and without, "
        f"with {interval_name(*(o.clean for o in found.values()))}. Toolboxes compete, but under "
        "label noise and covariate shift one SAE probe meets logistic regression."
    )
    return Drawing(figure, caption, conclusion_sentence(found))


def conclusion_sentence(found: Mapping[tuple[str, str], Conclusion]) -> str:
    """Say whether what SAE probes bring changes once repeats are out of the test."""
    if not found:
        return "What SAE probes bring without repeats is not compared."
    moved = [one for one in found.values() if _verdict(one.change)]
    turned = [o for o in found.values() if _verdict(o.leaky) != _verdict(o.clean)]
    standard = [
        f"{one.leaky.text()} becomes {one.clean.text()} in {short_name(model)}"
        for (model, regime), one in found.items()
        if regime == "standard"
    ]
    return (
        f"SAE probes minus baselines under standard conditions: {', '.join(standard)}. The change "
        f"leaves out zero in {len(moved)} of {len(found)} pairs of model and regime; whether an "
        f"interval lies below, across or above zero differs in {len(turned) or 'none'}."
    )


def _verdict(one: MeanInterval) -> int:
    return int(one.low > 0) - int(one.high < 0)


@styled
def plot_levels(rows: pd.DataFrame) -> Drawing:
    """Draw what each level of repeats is worth, two methods side by side, a panel a model.

    Args:
        rows: From `experiments.leakage`.
    """
    by_level = {level: name for name, level in LEVELS.items()}
    found: dict[tuple[str, Level, str], MeanInterval] = {}
    for level in WORDS:
        for key, one in costs(_of(paired(rows, by_level[level]), "standard")).items():
            found[key[0], level, key[1]] = one.difference
    whole = {model for model, level, _ in found if level == "exact"}
    found = {key: one for key, one in needed(found, _LACKING).items() if key[0] in whole}
    needed(found, "probes at every level of repeats")
    methods = [name for name in METHODS if any(key[1:] == ("exact", name) for key in found)]
    figure, panels = _models(found, height=3.2)
    for model, axes in panels.items():
        for number, method in enumerate(methods):
            held = [level for level in WORDS if (model, level, method) in found]
            shift = 0.36 * (number - (len(methods) - 1) / 2)
            places = [list(WORDS).index(level) + shift for level in held]
            means = [found[model, level, method] for level in held]
            look = METHODS[method]
            marks.dots(
                axes, places, means, look.colour, marker=look.marker, label=starting(look.label)
            )
        marks.listed_rows(axes, list(WORDS))
    first = next(iter(panels.values()))
    figure.legend(*first.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    figure.supxlabel("test AUC with repeats minus without", fontsize=9.5)
    caption = (
        "What is lost once test prompts that repeat a training prompt are left out, by what counts "
        "as a repeat: the same letters, the same up to case and white space, or nearly the same. "
        f"Standard conditions, with {interval_name(*found.values())}."
    )
    said = [
        f"{short_name(model)}, {_inline(method)}: exact repeats "
        f"{signed(found[model, 'exact', method].mean)}, near ones too "
        f"{signed(found[model, 'near', method].mean)}"
        for model in panels
        for method in methods
        if (model, "exact", method) in found
    ]
    return Drawing(figure, caption, f"Worth of repeats in test AUC, {'; '.join(said)}.")


@styled
def plot_sae_ranks(rows: pd.DataFrame) -> Drawing:
    """Draw the mean AUC of every SAE's probe without repeats against that with them.

    Args:
        rows: From `experiments.leakage`.
    """
    means, agreement = sae_ranks(rows)
    needed(means, "probes of several SAEs under both protocols")
    figure, axes = style.new_panels(width=4.4, height=3.9)
    axes.plot("first", "second", "o", data=means, color=OTHER_COLOURS[1], mec=INK, mew=0.5)
    low, high = means.min().min() - 0.01, means.max().max() + 0.01
    axes.plot([low, high], [low, high], color=MUTED, lw=1)
    axes.set(xlabel="mean test AUC, repeats in the test", ylabel="mean test AUC, leak-free")
    axes.set_title(rank_text(agreement), loc="left")
    caption = (
        "SAEs of section 08 and their controls, a dot each: mean test AUC of the probe over tasks "
        "with and without repeats in the test. Title: Spearman's rank correlation over SAEs with "
        "a 95% percentile bootstrap interval over them."
    )
    mean = signless_zero(float((means["first"] - means["second"]).mean()))
    return Drawing(
        figure,
        caption,
        f"The order of SAEs with repeats in the test and without: {rank_text(agreement)}; their "
        f"probes lose {mean} on average.",
    )


def front_sentence(rows: pd.DataFrame, repeats: pd.DataFrame, model: str) -> str:
    """The headline: how much is in training, what that is worth, and what it changes."""
    told = repeats_sentence(repeats)
    found = costs(_of(paired(rows), "standard"))
    if (own := found.get((model, "logreg"))) is None:
        return f"{told} What that is worth is not measured here."
    kept = {key: one for key, one in conclusions(rows).items() if key[0] == model}
    return (
        f"{told} Without them logistic regression loses {own.difference.text()} test AUC at equal "
        f"training. {conclusion_sentence(kept)}"
    )


def task_cells(
    rows: pd.DataFrame, repeats: pd.DataFrame, model: str, most: int = 12
) -> pd.DataFrame:
    """The tasks with most repeats: their shares, and logistic regression with and without them."""
    pairs = paired(rows)
    here = _of(pairs, "standard")
    here = here[(here["model"] == model) & (here["method"] == "logreg")]
    means = here.groupby("dataset")[["leaky", "clean"]].mean()
    table = repeats.set_index("dataset").join(means, how="left").sort_values("near")[::-1][:most]
    return pd.DataFrame(
        {
            "task": table.index,
            "in training, exact": table["exact"].map("{:.0%}".format),
            "nearly": table["near"].map("{:.0%}".format),
            "AUC, repeats in the test": table["leaky"].map(_number),
            "AUC, leak-free": table["clean"].map(_number),
        }
    )


def cost_cells(rows: pd.DataFrame) -> pd.DataFrame:
    """What repeats are worth to each probe in every regime, a star where that is surely not 0."""
    pairs = paired(rows)
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for name in [one for one in REGIMES if one in set(pairs["regime"])]:
        for key, one in costs(_of(pairs, name)).items():
            star = "*" if _verdict(one.difference) else ""
            cells.setdefault(key, {})[REGIMES[name].label] = signed(one.difference.mean) + star
    named = [{"model": m, "probe": probe_label(p)} | row for (m, p), row in cells.items()]
    return pd.DataFrame(named).fillna("")


def _number(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.3f}"


def _of(pairs: pd.DataFrame, regime: str) -> pd.DataFrame:
    return pairs[pairs["regime"] == regime]


def _models(found: Mapping[Any, Any], height: float) -> tuple[Figure, dict[str, Axes]]:
    """A figure and its panels by model, with a line at zero."""
    names: Sequence[str] = list(dict.fromkeys(key[0] for key in found))
    figure, grid = style.new_panels(1, len(names), height=height, sharey=True, squeeze=False)
    for axes, name in zip(grid[0], names, strict=True):
        axes.axvline(0, color=INK, lw=0.9)
        axes.set_title(short_name(name), loc="left")
        axes.locator_params(axis="x", nbins=4)
    return figure, dict(zip(names, grid[0], strict=True))
