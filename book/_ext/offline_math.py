"""Equations as MathML, so that the book shows them without a script from the network.

Browsers draw them with a font that has a MATH table. Where none is installed, the one that
comes with matplotlib serves; it is copied beside the pages.
"""

import shutil
from pathlib import Path

import matplotlib
from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator

_LOGGER = logging.getLogger(__name__)


def _mathml(node: nodes.Node, *, block: bool) -> str:
    try:
        return str(tex2mathml(node.astext(), as_block=block))
    except (MathError, SyntaxError) as error:
        _LOGGER.warning("equation cannot be shown: %s", error, location=node)
        return f"<code>{nodes.Text(node.astext())}</code>"


def visit_math(self: HTML5Translator, node: nodes.math) -> None:
    """Write an equation within a line."""
    self.body.append(_mathml(node, block=False))
    raise nodes.SkipNode


def visit_displaymath(self: HTML5Translator, node: nodes.math_block) -> None:
    """Write an equation of its own, with its number when it has one."""
    self.body.append(self.starttag(node, "div", CLASS="math equation"))
    if node["number"]:
        number = get_node_equation_number(self, node)
        self.body.append(f'<span class="eqno">({number})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append(_mathml(node, block=True) + "</div>\n")
    raise nodes.SkipNode


def copy_font(app: Sphinx, error: Exception | None) -> None:
    """Put matplotlib's DejaVu Serif beside the pages that were built."""
    if error is None and app.builder.format == "html":
        folder = Path(app.outdir, "_static", "fonts")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(matplotlib.get_data_path(), "fonts/ttf", "DejaVuSerif.ttf"), folder)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer as ``mathml``."""
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_displaymath, None))
    app.connect("build-finished", copy_font)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
