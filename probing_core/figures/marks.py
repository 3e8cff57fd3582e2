"""What figures are made of: every mark is drawn here, once for all pages."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from matplotlib.typing import ColorType
from scipy.optimize import isotonic_regression

from probing_core.datasets.regimes import REGIMES
from probing_core.figures.style import BASELINE, FAINT, INK, MUTED, SAE
from probing_core.figures.words import signed

DASHED = (0, (5, 2))


class Estimate(Protocol):
    """A mean with the ends of its interval, NaN where there is none."""

    @property
    def mean(self) -> float: ...  # noqa: D102
    @property
    def low(self) -> float: ...  # noqa: D102
    @property
    def high(self) -> float: ...  # noqa: D102


def error_ends(estimates: Sequence[Estimate]) -> np.ndarray:
    """Distances from means to the ends of their intervals, (2, n); 0 without an interval."""
    return np.nan_to_num(
        [[m.mean - m.low for m in estimates], [m.high - m.mean for m in estimates]]
    )


def bars(
    axes: Axes, places: Sequence[float], estimates: Sequence[Estimate], colour: str, *,
    width: float = 0.38, floor: float = 0.5, label: str | None = None,
) -> None:  # fmt: skip
    """Draw means as bars from a floor, with their intervals."""
    means = np.array([one.mean for one in estimates])
    axes.bar(places, means - floor, bottom=floor, width=width, color=colour, label=label)
    axes.errorbar(places, means, error_ends(estimates), color=INK, ls="none", capsize=4, lw=1.4)


def dots(
    axes: Axes, places: Sequence[float], estimates: Sequence[Estimate], colour: str, *,
    marker: str = "o", upright: bool = False, label: str | None = None,
) -> None:  # fmt: skip
    """Draw means as dots with intervals, side by side if upright, else one below the other.

    Dots one below the other have their mean written at the right edge.
    """
    means = [one.mean for one in estimates]
    look: dict[str, Any] = {"color": colour, "marker": marker, "ms": 7, "mec": INK, "mew": 0.6}
    look |= {"capsize": 4, "ls": "none", "label": label}
    if upright:
        axes.errorbar(places, means, error_ends(estimates), **look)
        return
    axes.errorbar(means, places, xerr=error_ends(estimates), **look)
    for place, mean in zip(places, means, strict=True):
        axes.annotate(signed(mean), (1.01, place), xycoords=("axes fraction", "data"), va="center")


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
    image = axes.imshow(
        table.to_numpy(dtype=float), cmap=colours, vmin=low, vmax=high, aspect="auto",
        interpolation="none",
    )  # fmt: skip
    axes.set_facecolor(FAINT)
    step = -(-table.shape[1] // max(most, 1))
    axes.set_xticks(range(0, table.shape[1], step), [f"{name:g}" for name in table.columns[::step]])
    for (line, column), value in np.ndenumerate(table.to_numpy()) if written else ():
        colour = ink_on(colours((value - low) / (high - low)))
        axes.text(column, line, format(value, written), ha="center", va="center", color=colour)
    return image


def stacked_bars(axes: Axes, table: pd.DataFrame, colours: Sequence[str], least: float) -> None:
    """Draw each row of a table as one bar of stacked columns, writing in those of some size."""
    bottom = np.zeros(len(table))
    for name, colour in zip(table.columns, colours, strict=True):
        height = table[name].to_numpy()
        axes.bar(range(len(table)), height, bottom=bottom, color=colour, width=0.7, ec="white")
        for place in np.flatnonzero(height >= least).tolist():
            text = f"{height[place]:.1f}".removesuffix(".0")
            middle = bottom[place] + height[place] / 2
            axes.text(place, middle, text, ha="center", va="center", color=ink_on(colour))
        bottom += height


def against(axes: Axes, aucs: pd.DataFrame) -> None:
    """Make axes for one AUC against another: the diagonal, and equal scales that hold all."""
    low = float(np.floor(aucs.min().min() * 20) / 20) - 0.01
    axes.plot([low, 1], [low, 1], color=MUTED, lw=1, zorder=1)
    axes.set(xlim=(low, 1.015), ylim=(low, 1.015), aspect="equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5))


def small_multiples(figure: Figure, count: int, columns: int) -> list[Axes]:
    """Make panels on shared axes, row by row, all with the ticks of their column below."""
    lines = -(-count // columns)
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for place, axes in enumerate(grid.flat[count:], start=count):
        axes.set_axis_off()
        if lines > 1:
            grid.flat[place - columns].xaxis.set_tick_params(labelbottom=True)
    return list(grid.flat[:count])


def listed_rows(axes: Axes, names: Sequence[str]) -> None:
    """Make an axis of named rows, the first on top."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def log2_axis(axes: Axes, values: Sequence[float], *, most: int = 10) -> None:
    """Put a log2 x axis on ``axes`` with plain numbers at (some of) the values."""
    ticks = sorted(set(values))[:: -(-len(set(values)) // most)]
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
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


def label_ends(axes: Axes, x: float, labels: Sequence[tuple[float, str, ColorType]]) -> None:
    """Name lines at their right end x, moved apart where they would overlap.

    A label is (y of the line's end, text, colour). The y limits of the axes must be final.
    """
    figure = axes.get_figure(root=True)
    if figure is None:
        raise ValueError("lines are named on axes that belong to a figure")
    figure.draw_without_rendering()
    low, high = axes.get_ylim()
    points = axes.get_window_extent().height / figure.dpi * 72 / (high - low)
    places = spread([label[0] for label in labels], 12 / points, low, high)
    for place, (y, text, colour) in zip(places, labels, strict=True):
        axes.annotate(
            text, xy=(x, y), xytext=(26, (place - y) * points), textcoords="offset points",
            va="center", ha="left", annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.9, "shrinkA": 2, "shrinkB": 5,
                        "relpos": (0, 0.5)},
        )  # fmt: skip
