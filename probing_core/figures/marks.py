"""What figures are made of: every mark is drawn here, once for all pages."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from scipy.optimize import isotonic_regression

from probing_core.analysis.paired import MeanInterval
from probing_core.datasets.regimes import REGIMES
from probing_core.figures.style import BASELINE, FAINT, INK, MUTED, SAE, new_panels
from probing_core.figures.words import signed
from probing_core.published.paper import PaperDifference

DASHED = (0, (4, 1.5))
Estimate = MeanInterval | PaperDifference


def _ends(estimates: Sequence[Estimate]) -> np.ndarray:
    """Distances from means to the ends of their intervals, (2, n); 0 without an interval."""
    return np.nan_to_num(
        [[m.mean - m.low for m in estimates], [m.high - m.mean for m in estimates]]
    )


def points(
    axes: Axes, places: Sequence[float] | np.ndarray, estimates: Sequence[Estimate], **look: Any
) -> None:
    """Draw means side by side, with intervals; they look as `Axes.errorbar` is told."""
    means = [one.mean for one in estimates]
    axes.errorbar(places, means, _ends(estimates), capsize=4, **look)


def bars(
    axes: Axes, places: Sequence[float] | np.ndarray, estimates: Sequence[Estimate], colour: str, *,
    width: float = 0.38, label: str | None = None,
) -> None:  # fmt: skip
    """Draw mean AUCs as bars from 0.5, with their intervals."""
    heights = np.array([one.mean for one in estimates]) - 0.5
    axes.bar(places, heights, bottom=0.5, width=width, color=colour, label=label)
    points(axes, places, estimates, color=INK, ls="none", lw=1.4)


def dots(
    axes: Axes, places: Sequence[float], estimates: Sequence[Estimate], colour: str, *,
    marker: str = "o", label: str | None = None, written: bool = True,
) -> None:  # fmt: skip
    """Draw means as dots one below the other, with intervals and the numbers at the right edge.

    Nothing is ``written`` there where panels leave no room.
    """
    means = [one.mean for one in estimates]
    axes.errorbar(means, places, xerr=_ends(estimates), color=colour, marker=marker, ms=7, mec=INK,
                  mew=0.6, capsize=4, ls="none", label=label)  # fmt: skip
    for place, mean in zip(places, means, strict=True) if written else ():
        at_edge(axes, place, signed(mean))


def at_edge(axes: Axes, y: float, text: str, **look: Any) -> None:
    """Write beside the right edge of some axes."""
    axes.annotate(text, (1.01, y), xycoords=("axes fraction", "data"), va="center", **look)


def band(
    axes: Axes, x: np.ndarray, mean: np.ndarray, low: np.ndarray, high: np.ndarray,
    filled: np.ndarray,
) -> None:  # fmt: skip
    """Draw differences, SAE probes minus baseline, over an axis; all arrays have shape (n,).

    A band spans the intervals from ``low`` to ``high``; points are coloured by who is ahead, and
    some of them are ``filled`` (bool).
    """
    axes.axhline(0, color=INK, lw=0.9)
    axes.fill_between(x, low, high, color=MUTED, alpha=0.25, lw=0)
    axes.plot(x, mean, color=MUTED, lw=1.6)
    colours = np.where(mean > 0, SAE, BASELINE)
    axes.scatter(x, mean, s=30, color=np.where(filled, colours, "white"), edgecolor=colours,
                 linewidth=1.3, zorder=3)  # fmt: skip


def shares(axes: Axes, x: np.ndarray, share: np.ndarray) -> None:
    """Draw the percentage of SAE probes over an axis, stacked to 100 with the baselines'."""
    axes.stackplot(x, share, 100 - share, colors=[SAE, BASELINE], alpha=0.9, lw=0)
    axes.plot(x, share, color=INK, lw=1, marker=".", ms=4)
    axes.axhline(50, color="white", lw=0.8, ls=(0, (2, 2)))
    axes.set(ylim=(0, 100), xlim=(x.min(), x.max()) if len(x) > 1 else None)


def heat(
    axes: Axes, table: pd.DataFrame, colours: Colormap, *, low: float, high: float, most: int = 99,
    written: str = "",
) -> AxesImage:  # fmt: skip
    """Draw a table as cells coloured from ``low`` to ``high``; a missing cell is grey.

    At most ``most`` columns are named below. Numbers are ``written`` into cells by this format
    specification, if it is not empty.
    """
    cells = table.to_numpy(dtype=float)
    image = axes.imshow(
        cells, cmap=colours, vmin=low, vmax=high, aspect="auto", interpolation="none"
    )
    axes.set_facecolor(FAINT)
    step = -(-table.shape[1] // most)
    axes.set_xticks(range(0, table.shape[1], step), [f"{name:g}" for name in table.columns[::step]])
    for (line, column), value in np.ndenumerate(cells) if written else ():
        colour = ink_on(image.to_rgba(value))
        axes.text(column, line, format(value, written), ha="center", va="center", color=colour)
    return image


def against(axes: Axes, aucs: pd.DataFrame) -> None:
    """Make axes for one AUC against another: the diagonal, and equal scales that hold all."""
    low = float(np.floor(aucs.min().min() * 20) / 20) - 0.01
    axes.plot([low, 1], [low, 1], color=MUTED, lw=1, zorder=1)
    axes.set(xlim=(low, 1.015), ylim=(low, 1.015), aspect="equal")
    axes.locator_params(nbins=5)


def regime_panels(
    regimes: Sequence[str], *, height: float, **options: Any
) -> tuple[Figure, list[Axes]]:
    """Make a figure with a panel a regime, side by side, each with its name above."""
    figure, grid = new_panels(1, len(regimes), height=height, squeeze=False, **options)
    gap = "\n" if len(regimes) > 4 else " "  # five names do not fit beside each other
    for axes, name in zip(grid[0], regimes, strict=True):
        axes.set_title(REGIMES[name].label.replace(" ", gap), loc="left")
    return figure, list(grid[0])


def listed_rows(axes: Axes, names: Sequence[str]) -> None:
    """Make an axis of named rows, the first on top."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def log2_axis(
    axes: Axes, values: Sequence[float], *, most: int = 10, which: str = "x",
    label: Callable[[float], str] = "{:g}".format,
) -> None:  # fmt: skip
    """Put a logarithmic axis on ``axes`` with labels at (some of) the values."""
    ticks = sorted(set(values))[:: -(-len(set(values)) // most)]
    labels = [label(tick) for tick in ticks]
    axes.set(**{f"{which}scale": "log", f"{which}ticks": ticks, f"{which}ticklabels": labels})
    axes.minorticks_off()


def powers_axis(axes: Axes, low: float, high: float) -> None:
    """Put a log2 x axis with the powers of two around a range on ``axes``."""
    log2_axis(axes, [2.0**power for power in range(17) if low / 1.5 <= 2**power <= high * 1.5])
    axes.set_xlim(low / 1.3, high * 1.3)


def value_axis(axes: Axes, regime: str, x: Sequence[float] | np.ndarray, most: int = 5) -> None:
    """Scale and name the axis of a regime's values, with at most so many logarithmic ticks."""
    if REGIMES[regime].log:
        log2_axis(axes, [float(value) for value in x], most=most)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5))
    name_values(axes, regime)


def name_values(axes: Axes, regime: str) -> None:
    """Name the axis of a regime's values, its unit or range below."""
    axes.set_xlabel(REGIMES[regime].axis.replace(" (", "\n("))


def ink_on(colour: Any) -> str:
    """White or ink, whichever is read more easily on a colour."""
    return "white" if float(np.dot(to_rgb(colour), [0.2126, 0.7152, 0.0722])) < 0.5 else INK


def spread(
    values: Sequence[float], gap: float, low: float = -np.inf, high: float = np.inf
) -> np.ndarray:
    """Move label positions (n,) at least a gap apart, in their order and as near as can be.

    They stay between ``low`` and ``high`` as far as they fit.
    """
    wanted = np.asarray(values, dtype=float)
    order = np.argsort(wanted, kind="stable")
    steps = gap * np.arange(len(wanted))
    free = isotonic_regression(wanted[order] - steps).x
    placed = np.empty_like(wanted)
    placed[order] = np.clip(free, low, max(low, high - steps[-1])) + steps
    return placed


def label_ends(figure: Figure, axes: Axes, x: float) -> None:
    """Name every labelled line at its right end, x, moved apart where names would overlap.

    The y limits of the axes must be final.
    """
    named = [line for line in axes.lines if not str(line.get_label()).startswith("_")]
    figure.draw_without_rendering()
    low, high = axes.get_ylim()
    points = axes.get_window_extent().height / figure.dpi * 72 / (high - low)
    ends = [float(np.asarray(line.get_ydata())[-1]) for line in named]
    for line, y, place in zip(named, ends, spread(ends, 12 / points, low, high), strict=True):
        axes.annotate(
            str(line.get_label()), xy=(x, y), xytext=(26, (place - y) * points),
            textcoords="offset points", va="center", annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": line.get_color(), "lw": 0.9, "shrinkA": 2,
                        "shrinkB": 5, "relpos": (0, 0.5)},
        )  # fmt: skip
