"""Errata about a table, a sign, a count and a search space: as stated, beside as run."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from adjustText import adjust_text
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from probing_core.analysis.paired import signless_zero
from probing_core.figures.style import (
    FAINT,
    INK,
    METHODS,
    MUTED,
    SAE,
    Drawing,
    new_figure,
    styled,
)
from probing_core.figures.words import plural, signed, tasks

ROUNDING = 0.05
SWEEP = (40, 65)
LABELLED = 4


def side_by_side(
    height: float, *, titles: tuple[str, str] = ("as published", "corrected"), **options: Any
) -> tuple[Figure, Axes, Axes]:
    """Make the two panels of an erratum.

    Args:
        height: inches.
        titles: small titles of the left and the right panel.
        **options: passed on to `Figure.subplots`, e.g. ``sharey=True``.

    Returns:
        The figure, its left and its right axes.
    """
    figure = new_figure(height=height)
    left, right = figure.subplots(1, 2, gridspec_kw={"wspace": 0.06}, **options)
    for axes, title in zip((left, right), titles, strict=True):
        axes.set_title(title, loc="left")
    return figure, left, right


@styled
def plot_not_ood(facts_not_ood: dict[str, Any]) -> Drawing:
    """Draw the published table named OOD beside AUCs on really shifted prompts.

    Args:
        facts_not_ood: ``rows``, ``largest_difference`` and ``by_task`` with the AUCs ``named``,
            ``standard`` and ``shifted`` of every task (``facts["not_ood"]``).

    Returns:
        Two scatters against the AUC under standard conditions.
    """
    by_task = facts_not_ood["by_task"]
    plain, named, shifted = (
        np.array([one[key] for one in by_task.values()]) for key in ("standard", "named", "shifted")
    )
    figure, left, right = side_by_side(
        4.0, titles=("the table named OOD", "the table behind figure 7"), sharex=True, sharey=True
    )
    paper = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
    line = np.linspace(0.4, 1, 61)
    moved = np.argsort(plain - shifted, kind="stable")[::-1][:LABELLED]
    lowest = np.argsort(plain, kind="stable")[:LABELLED]
    for axes, y, worth, label in (
        (left, named, lowest, "test AUC, table named OOD"),
        (right, shifted, moved, "test AUC, shifted prompts"),
    ):
        axes.plot([0.4, 1], [0.4, 1], color=MUTED, lw=1, zorder=1)
        axes.scatter(plain, y, s=44, color=SAE, marker="P", edgecolor=INK, linewidth=0.7, zorder=3)
        axes.set(xlim=(0.4, 1.02), ylim=(0.4, 1.02), aspect="equal", ylabel=label)
        axes.set_xlabel("test AUC, standard conditions")
        names = [list(by_task)[place].replace("_", " ") for place in worth]
        texts = [
            axes.text(plain[place], y[place], name, fontsize=8.5, bbox=paper, zorder=2)
            for place, name in zip(worth, names, strict=True)
        ]
        adjust_text(
            texts, x=np.append(plain, line), y=np.append(y, line), ax=axes, expand=(1.2, 1.9),
            arrowprops={"arrowstyle": "-", "color": MUTED, "lw": 0.8},
        )  # fmt: skip
    probes = facts_not_ood["rows"] // len(by_task)
    caption = (
        f"Test AUC of SAE probes over {tasks(len(by_task))}. Left: the published table named OOD, "
        f"{plural(probes, 'probe')} a task averaged; it repeats the standard runs. Right: figure "
        "7's SAE probe, another one, on shifted prompts. On the line the AUC is that under "
        "standard conditions. Single runs, without interval."
    )
    alt = (
        f"All {facts_not_ood['rows']} rows of the table named OOD equal the standard runs, up to "
        f"{facts_not_ood['largest_difference']:.1e}: mean AUC {signless_zero(plain.mean())}. On "
        f"shifted prompts it is {signless_zero(shifted.mean())}, lower on "
        f"{int((shifted < plain).sum())} of {tasks(len(by_task))}."
    )
    return Drawing(figure, caption, alt)


@styled
def plot_pruning_sign(pruning: dict[str, dict[str, Any]], stated: dict[str, float]) -> Drawing:
    """Draw what pruning changes on shifted prompts: as the text has it, as the table has it.

    Args:
        pruning: task to ``ood_auc_llm``, AUC by number of latents kept (``facts["pruning"]``).
        stated: task to the change that the text states; its order is the figure's.

    Returns:
        Two panels of bars on one scale.
    """
    kept = sorted(int(k) for k in next(iter(pruning.values()))["ood_auc_llm"])
    few, many = kept[0], kept[-1]
    found = {
        task: pruning[task]["ood_auc_llm"][str(few)] - pruning[task]["ood_auc_llm"][str(many)]
        for task in stated
    }
    wrong = [task for task in stated if np.sign(stated[task]) != np.sign(found[task])]
    figure, left, right = side_by_side(
        1.3 + 0.45 * len(stated), titles=("as stated in the text", "corrected: from the table"),
        sharex=True, sharey=True,
    )  # fmt: skip
    for axes, table in ((left, stated), (right, found)):
        for place, task in enumerate(stated):
            value, odd = table[task], task in wrong
            axes.barh(
                place, value, height=0.6, color=SAE, alpha=0.9,
                hatch="///" if odd else None, edgecolor="white" if odd else SAE, lw=0,
            )  # fmt: skip
            axes.annotate(
                signed(value), (value, place), (5 if value > 0 else -5, 0),
                textcoords="offset points", va="center", ha="left" if value > 0 else "right",
                weight="bold" if odd else "normal",
            )  # fmt: skip
        axes.axvline(0, color=INK, lw=0.9)
        axes.set_xlabel("change in test AUC")
    left.set_yticks(range(len(stated)), [task.replace("_", " ") for task in stated])
    left.set_ylim(len(stated) - 0.5, -0.5)
    reach = max(abs(value) for value in (*stated.values(), *found.values()))
    left.set_xlim(-2 * reach, 2 * reach)
    caption = (
        f"Figure 20 and its text: change in test AUC on shifted prompts when the SAE probe keeps "
        f"{plural(few, 'latent')} instead of {many}. Left: as the text states it. Right: as the "
        f"published table has it. Hatched and bold: the signs differ. Single runs, without "
        "interval."
    )
    said = "; ".join(
        f"{task.replace('_', ' ')} {signed(stated[task])} stated, {signed(found[task])} in the "
        "table"
        for task in stated
    )
    alt = f"The sign differs on {len(wrong)} of {tasks(len(stated))}: {said}."
    return Drawing(figure, caption, alt)


def nearest_share(printed: float, n: int) -> tuple[int, float]:
    """Find the count out of ``n`` whose share comes closest to a printed percentage.

    Args:
        printed: percent.
        n: number of tasks.

    Returns:
        The count, and the printed percentage minus the count's, in points.
    """
    count = round(printed * n / 100)
    return count, printed - 100 * count / n


def _fits(printed: Sequence[float], n: int) -> int:
    """Count the printed percentages that some count out of ``n`` rounds to."""
    return sum(abs(nearest_share(one, n)[1]) <= ROUNDING + 1e-9 for one in printed)


@styled
def plot_task_count(
    printed: Sequence[float], wins: Sequence[int], n: int, *, stated: int = 60
) -> Drawing:
    """Draw which number of tasks the printed win rates can come from.

    Args:
        printed: percentages printed in the paper, to one decimal.
        wins: the counts behind them in the tables.
        n: number of tasks in the tables.
        stated: number of tasks that the text states.

    Returns:
        Above, each percentage against the nearest possible share for both numbers; below, the
        largest distance for every number of tasks.
    """
    figure = new_figure(height=4.9)
    left, right, below = figure.subplot_mosaic(
        [["left", "right"], ["below", "below"]], height_ratios=[1, 1.15]
    ).values()
    for axes, number, title in ((left, stated, "as stated"), (right, n, "corrected")):
        axes.set_title(f"{title}: {tasks(number)}", loc="left")
        _draw_offsets(axes, printed, number, SAE if number == n else INK)
    right.set(xlim=left.get_xlim(), yticklabels=[])
    numbers = [*range(min(*SWEEP, stated, n), max(*SWEEP, stated, n) + 1)]
    worst = [max(abs(nearest_share(one, number)[1]) for one in printed) for number in numbers]
    fitting = [number for number in numbers if _fits(printed, number) == len(printed)]
    colours = [{n: SAE, stated: INK}.get(number, FAINT) for number in numbers]
    below.bar(numbers, worst, color=colours, width=0.75)
    below.axhspan(0, ROUNDING, color=SAE, alpha=0.2, lw=0, zorder=0)
    top = 1.1 * max(worst)
    for number, label in ((stated, "stated"), (n, "in the tables")):
        low = worst[numbers.index(number)]
        below.plot([number, number], [low, top], color=MUTED, lw=0.8)
        below.annotate(
            label, (number, top), (0, 2), textcoords="offset points", ha="center",
            color=SAE if number == n else INK,
        )  # fmt: skip
    below.set_ylim(0, 1.14 * top)
    left.set_ylabel("printed win rate")
    below.set(xlabel="number of tasks", ylabel="largest distance\n(percentage points)")
    below.set_xlim(numbers[0] - 0.7, numbers[-1] + 0.7)
    rates = ", ".join(f"{one:g}%" for one in printed)
    counts = ", ".join(str(one) for one in wins)
    caption = (
        f"The printed SAE win rates ({rates}) against the nearest share that a count of tasks can "
        f"give. Above: {stated} tasks, as stated, and {n}, as in the tables ({counts} wins). "
        f"Below: the largest of the {len(printed)} distances. Blue band: what rounding allows. "
        "Counts, without interval."
    )
    alt = (
        f"Of the {len(printed)} printed rates {_fits(printed, stated)} fit {stated} tasks and "
        f"{_fits(printed, n)} fit {n}; from {numbers[0]} to {numbers[-1]} the only "
        f"{'number' if len(fitting) == 1 else 'numbers'} that every rate fits: "
        f"{', '.join(map(str, fitting)) or 'none'}."
    )
    return Drawing(figure, caption, alt)


def _draw_offsets(axes: Axes, printed: Sequence[float], number: int, colour: str) -> None:
    """Draw how far each printed percentage lies from the nearest count's share."""
    axes.axvspan(-ROUNDING, ROUNDING, color=SAE, alpha=0.2, lw=0)
    axes.axvline(0, color=INK, lw=0.9)
    for place, one in enumerate(printed):
        count, distance = nearest_share(one, number)
        axes.plot([0, distance], [place, place], color=colour, lw=1.6)
        axes.plot(distance, place, "o", color=colour, ms=7)
        axes.annotate(
            f"{count} of {number} = {100 * count / number:.2f}%", (1.6 * ROUNDING, place), (0, 7),
            textcoords="offset points", fontsize=8.5,
        )  # fmt: skip
    axes.set_yticks(range(len(printed)), [f"{one:g}%" for one in printed])
    axes.set(ylim=(len(printed) - 0.5, -0.7), xlim=(-0.75, 0.75), xticks=(-0.5, 0, 0.5))
    axes.set_xlabel("printed minus nearest (% points)")
    axes.tick_params(axis="y", length=0)


@styled
def plot_mlp_search(
    drawn: dict[str, Any],
    layers: Sequence[tuple[int, ...]],
    rates: Sequence[float] | np.ndarray,
    decays: Sequence[float] | np.ndarray,
    *,
    stated: int = 10,
) -> Drawing:
    """Draw the MLP's search space: what the text describes, and what every fit uses.

    Args:
        drawn: arguments of the one configuration used (`probes.mlp.drawn_settings`).
        layers: hidden layers to choose from.
        rates: learning rates to choose from.
        decays: weight decays to choose from.
        stated: configurations that the text says are tried.

    Returns:
        Two grids of dots: layers down, learning rates across, decays as offsets within.
    """
    space = [(rate, layer, decay) for layer in range(len(layers)) for rate in range(len(rates))
             for decay in range(len(decays))]  # fmt: skip
    used = [
        (rate, layer, decay)
        for rate, layer, decay in space
        if tuple(layers[layer]) == tuple(drawn["hidden_layer_sizes"])
        and np.isclose(rates[rate], drawn["learning_rate_init"])
        and np.isclose(decays[decay], drawn["alpha"])
    ]
    example = np.random.default_rng(0).choice(len(space), size=stated, replace=False)
    figure, left, right = side_by_side(
        3.8, titles=("as stated", "as run"), sharex=True, sharey=True
    )
    colour, few = METHODS["mlp"][0], len(decays)
    first, last = (signless_zero(np.log10(decays[end]), 0) for end in (0, -1))
    for axes, chosen, fill in (
        (left, [space[place] for place in example], "white"), (right, used, colour),
    ):  # fmt: skip
        _draw_cells(axes, space, few, color=MUTED, ms=2.2)
        _draw_cells(axes, chosen, few, color=colour, mfc=fill, ms=7, mew=1.6)
        axes.set_xticks(range(len(rates)), [signless_zero(np.log10(rate), 1) for rate in rates])
        axes.set_xlabel(f"learning rate (log10); within:\nweight decay {first} to {last} (log10)")
    left.set_yticks(range(len(layers)), [" × ".join(map(str, layer)) for layer in layers])
    left.set_ylim(len(layers) - 0.5, -0.5)
    left.set_ylabel("hidden layers (units)")
    caption = (
        f"The MLP's {plural(len(space), 'configuration')}, one a small dot. Left: {stated} are "
        "drawn at random for each task, as the text says; the circles are one such draw of "
        f"ours. Right: the published code uses {plural(len(used), 'configuration')}, the same in "
        "every fit with more than three prompts."
    )
    alt = (
        f"Of {plural(len(space), 'configuration')} the text says {stated} are tried per task; the "
        f"code uses {len(used)}: hidden layers {' × '.join(map(str, drawn['hidden_layer_sizes']))},"
        f" learning rate {signless_zero(drawn['learning_rate_init'], 4)}, weight decay "
        f"{drawn['alpha']:g}."
    )
    return Drawing(figure, caption, alt)


def _draw_cells(
    axes: Axes, cells: Sequence[tuple[int, int, int]], n_decays: int, **style: Any
) -> None:
    """Draw configurations, each (rate, layers, decay) by number, as dots of one style."""
    across, down, within = np.array(cells, dtype=float).T
    offset = (within - (n_decays - 1) / 2) * 0.8 / n_decays
    axes.plot(across + offset, down, "o", ls="", **style)
