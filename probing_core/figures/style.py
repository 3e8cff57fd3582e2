"""One look for the whole book: palette, sizes, and a figure that carries its own words.

A baseline is orange and an SAE probe is blue everywhere; the two differ in lightness too, so
they stay apart in grey. Each method has its own colour, marker and line style.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

BASELINE = "#E69F00"
SAE = "#0072B2"
INK = "#1A1A1A"
MUTED = "#767676"
FAINT = "#D9D9D9"

METHODS = {
    "logreg": (BASELINE, "o", "-", "logistic regression"),
    "pca": ("#009E73", "s", (0, (6, 2)), "PCA"),
    "knn": ("#EDB3D2", "D", (0, (1, 1.2)), "nearest neighbours"),
    "xgboost": ("#A6335F", "^", (0, (4, 1.5, 1, 1.5)), "XGBoost"),
    "mlp": ("#3B2A6B", "v", (0, (3, 1.5)), "MLP"),
    "sae_logreg": (SAE, "P", "-", "SAE probe"),
}
L0_COLOURS = LinearSegmentedColormap.from_list("l0", ["#9BD0EE", "#0072B2", "#062B45"])
AUC_COLOURS = "cividis"
TASK_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#A6335F", "#56B4E9", "#3B2A6B")

PAGE_WIDTH = 7.2
PAGE_DPI = 200
CAPTION_WORDS = 60

RC: Any = {
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "savefig.transparent": False,
    "axes.facecolor": "white",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titleweight": "normal",
    "axes.labelsize": 10,
    "axes.prop_cycle": cycler(color=list(TASK_COLOURS)),
    "font.size": 9.5,
    "font.family": "DejaVu Sans",
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.fontsize": 9.5,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 5.5,
    "text.color": INK,
    "pdf.fonttype": 42,
}

styled = mpl.rc_context(RC)
"""Decorator: draw a figure under the book's settings and leave the reader's own alone."""


@dataclass(frozen=True)
class Drawing:
    """A figure with the words that belong to it.

    Attributes:
        figure: the matplotlib figure.
        caption: at most 60 words: what is shown, then what to see, with the interval named.
        alt: the finding in one or two sentences, computed from the rows that were drawn.
    """

    figure: Figure
    caption: str
    alt: str

    def __post_init__(self) -> None:
        """Refuse a figure without words, or with too many."""
        words = len(self.caption.split())
        if not 0 < words <= CAPTION_WORDS:
            raise ValueError(f"a caption has 1 to {CAPTION_WORDS} words, this one has {words}")
        if not self.alt.strip():
            raise ValueError("a figure needs alt text that states its finding")


def use_style() -> None:
    """Set the book's settings for everything drawn after this call, e.g. in a notebook."""
    mpl.rcParams.update(RC)


def new_figure(width: float = PAGE_WIDTH, height: float = 3.6) -> Figure:
    """Make an empty figure that no global state knows of.

    Args:
        width: inches, at most the page column's 7.2.
        height: inches.

    Returns:
        A figure with constrained layout and a canvas to measure text on.
    """
    figure = Figure(figsize=(min(width, PAGE_WIDTH), height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


@styled
def not_run(what: str) -> Drawing:
    """Stand in for a figure whose rows this run does not have, and say which.

    Args:
        what: what is missing, as a clause that starts in lower case.

    Returns:
        A low, empty figure that says so.
    """
    figure = new_figure(height=0.9)
    axes = figure.subplots()
    axes.set_axis_off()
    axes.text(0.5, 0.5, f"not run: {what}", ha="center", va="center", color=MUTED, style="italic")
    return Drawing(figure, f"Not drawn, because it was not run: {what}.", f"Not run: {what}.")


def image_bytes(drawing: Drawing, kind: str = "png") -> bytes:
    """Render a drawing.

    Args:
        drawing: what to render.
        kind: ``png`` (200 dots per inch, twice the page's resolution) or ``pdf``.

    Returns:
        The file's bytes, the same for the same drawing: no date is written into it.
    """
    stamp = {"Software": None} if kind == "png" else {"CreationDate": None, "Producer": None}
    buffer = io.BytesIO()
    with mpl.rc_context(RC):
        drawing.figure.savefig(buffer, format=kind, dpi=PAGE_DPI, metadata=stamp)
    return buffer.getvalue()


def save(drawing: Drawing, folder: Path | str, name: str) -> list[Path]:
    """Write a drawing as PNG for the page and as PDF for papers.

    Args:
        drawing: what to write.
        folder: existing or new folder.
        name: file name without ending.

    Returns:
        The two paths, PNG first.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    paths = []
    for kind in ("png", "pdf"):
        path = target / f"{name}.{kind}"
        partial = path.with_suffix(f".{kind}.part")
        partial.write_bytes(image_bytes(drawing, kind))
        partial.replace(path)
        paths.append(path)
    return paths


def spread(
    values: Sequence[float], gap: float, low: float = -np.inf, high: float = np.inf
) -> np.ndarray:
    """Move label positions apart, keeping their order and staying near where they belong.

    Args:
        values: wanted positions, shape (n,).
        gap: least distance between two labels, in the same unit.
        low: least position, as far as the labels fit.
        high: largest position, as far as the labels fit.

    Returns:
        Positions of shape (n,), in the order of ``values``, at least ``gap`` apart.
    """
    wanted = np.asarray(values, dtype=float)
    order = np.argsort(wanted, kind="stable")
    blocks: list[tuple[float, int]] = []
    for value in wanted[order]:
        blocks.append(_inside((float(value), 1), gap, low, high))
        while len(blocks) > 1 and _touch(blocks[-2], blocks[-1], gap):
            (above, many), (below, few) = blocks.pop(-2), blocks.pop()
            centre = (above * many + below * few) / (many + few)
            blocks.append(_inside((centre, many + few), gap, low, high))
    placed = [
        centre + gap * (index - (size - 1) / 2) for centre, size in blocks for index in range(size)
    ]
    result = np.empty_like(wanted)
    result[order] = placed
    return result


def _inside(block: tuple[float, int], gap: float, low: float, high: float) -> tuple[float, int]:
    """Shift a run of labels, (centre, count), into the allowed range if it fits."""
    centre, size = block
    half = gap * (size - 1) / 2
    return max(low + half, min(high - half, centre)), size


def _touch(lower: tuple[float, int], upper: tuple[float, int], gap: float) -> bool:
    """Tell whether two runs of labels, each (centre, count), overlap."""
    return upper[0] - lower[0] < gap * (lower[1] + upper[1]) / 2 - 1e-12


def label_ends(
    axes: Axes, x: float, labels: Sequence[tuple[float, str, str]], *, size: float = 9.5
) -> None:
    """Name lines at their right end, moved apart where they would overlap.

    Args:
        axes: where the lines are; its y limits must be final.
        x: data x of the lines' ends.
        labels: (y of the line's end, text, colour) for each line.
        size: font size in points.
    """
    figure = axes.get_figure(root=True)
    if figure is None:
        raise ValueError("lines are named on axes that belong to a figure")
    figure.draw_without_rendering()
    low, high = axes.get_ylim()
    height = axes.get_window_extent().height / figure.dpi * 72
    gap = 1.25 * size * (high - low) / height
    places = spread([label[0] for label in labels], gap, low, high)
    for place, (y, text, colour) in zip(places, labels, strict=True):
        axes.annotate(
            text,
            xy=(x, y),
            xytext=(26, (place - y) / (high - low) * height),
            textcoords="offset points",
            va="center",
            ha="left",
            fontsize=size,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "lw": 0.9,
                "shrinkA": 2,
                "shrinkB": 5,
                "relpos": (0, 0.5),
            },
        )


def integer_log2_ticks(axes: Axes, values: Sequence[float], *, most: int = 10) -> None:
    """Put a log2 x axis on ``axes`` with plain numbers at (some of) the values."""
    ticks = sorted(set(values))
    step = -(-len(ticks) // most)
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks[::step], [f"{tick:g}" for tick in ticks[::step]])
    axes.minorticks_off()
