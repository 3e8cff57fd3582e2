"""One look for the whole book: palette, sizes, and a figure that carries its own words.

Orange is a baseline and blue an SAE probe in every figure, and in a difference the side that is
better; they stay apart in grey. Each method has its own colour, marker and line style. Whatever
is neither, such as a rule for ties, takes `OTHER_COLOURS`.
"""

import functools
import io
import textwrap
from collections.abc import Callable, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import matplotlib as mpl
from cycler import cycler
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from probing_core.probes.methods import BASELINE, SAE

INK = "#1A1A1A"
MUTED = "#767676"
FAINT = "#D9D9D9"
OTHER_COLOURS = ("#3D2314", "#2C6E78", "#9A8B2F", "#79BDB8", "#DDD38A")
"""For what is no method, from dark to light."""
L0_COLOURS = LinearSegmentedColormap.from_list("l0", ["#9BD0EE", SAE, "#062B45"])
DIFFERENCE_COLOURS = LinearSegmentedColormap.from_list("difference", [BASELINE, "white", SAE])
SHARE_COLOURS = LinearSegmentedColormap.from_list("share", ["white", SAE])
AUC_COLOURS = "cividis"

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
    "axes.prop_cycle": cycler(color=list(OTHER_COLOURS)),
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
    "text.parse_math": False,  # a task may be called $x$
    "pdf.fonttype": 42,
}


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


class NotRunError(Exception):
    """The rows that a figure needs are not there; the message says which."""


Found = TypeVar("Found", bound=Sized)
Plot = TypeVar("Plot", bound=Callable[..., Drawing])


def needed(found: Found, what: str, said: str = "not run") -> Found:
    """Give back what a figure is drawn from, or have the figure say that it was not run."""
    if not len(found):
        raise NotRunError(f"{said}: {what}")
    return found


def styled(plot: Plot) -> Plot:
    """Draw under the book's settings, and say so in the figure's place if its rows are missing."""

    @functools.wraps(plot)
    def draw(*args: Any, **options: Any) -> Drawing:
        with mpl.rc_context(RC):
            try:
                return plot(*args, **options)
            except NotRunError as missing:
                figure, axes = new_panels(height=0.9)
                axes.set_axis_off()
                text = textwrap.fill(str(missing), 90)
                axes.text(0.5, 0.5, text, ha="center", va="center", color=MUTED)
                sentence = f"{text[0].upper()}{str(missing)[1:]}."
                return Drawing(figure, f"Not drawn. {sentence}", sentence)

    return draw  # type: ignore[return-value]


def new_figure(
    width: float = PAGE_WIDTH, height: float = 3.6, layout: Any = "constrained"
) -> Figure:
    """Make an empty figure that no global state knows of, at most as wide as the page (inches)."""
    figure = Figure(figsize=(min(width, PAGE_WIDTH), height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def new_panels(
    lines: int = 1, columns: int = 1, *, width: float = PAGE_WIDTH, height: float = 3.6,
    **options: Any,
) -> tuple[Figure, Any]:  # fmt: skip
    """Make a figure and its axes, or an array of them, as `Figure.subplots` is told."""
    figure = new_figure(width, height)
    return figure, figure.subplots(lines, columns, **options)


def image_bytes(drawing: Drawing, kind: str = "png") -> bytes:
    """Render a drawing as ``png`` (200 dots per inch, twice the page's) or ``pdf``.

    The bytes are the same for the same drawing: no date is written into it.
    """
    stamp = {"Software": None} if kind == "png" else {"CreationDate": None, "Producer": None}
    buffer = io.BytesIO()
    with mpl.rc_context(RC):
        drawing.figure.savefig(buffer, format=kind, dpi=PAGE_DPI, metadata=stamp)
    return buffer.getvalue()


def save(drawing: Drawing, folder: Path | str, name: str) -> list[Path]:
    """Write a drawing into a folder as PNG for the page and as PDF for papers, in this order."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    paths = [target / f"{name}.{kind}" for kind in ("png", "pdf")]
    for path in paths:
        partial = path.with_suffix(f"{path.suffix}.part")
        partial.write_bytes(image_bytes(drawing, path.suffix[1:]))
        partial.replace(path)
    return paths
