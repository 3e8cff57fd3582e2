"""Figures, tables and values survive the runner and a strict build of a one-page book."""

import html
import re
import subprocess
import sys
from pathlib import Path

import pytest

from probing_core.errors import RunFailed
from probing_core.runner import notebooks
from probing_core.runner.provenance import ROOT

HOSTILE = 'Seen </figure><script>"x" & *said*. {ref}`y` {{ z }} $w$ [u](v) # 1'
PAGE = """---
kernelspec: {display_name: Python 3, language: python, name: python3}
---

# Page

{numref}`fig-a-b` and {numref}`tbl-x` come before {numref}`fig-c`.
{eval}`said.share`, {eval}`said.words`.

```{code-cell} ipython3
:tags: [parameters]

share: float = 0.25
```

```{code-cell} ipython3
:tags: [remove-input]

import pandas as pd
from probing_core.figures.style import Drawing, new_figure
from probing_core.notebook import said, say, show, show_cards, show_table
from probing_core.pages.text import escaped
hostile = HOSTILE
figure = new_figure(width=6, height=2)
figure.subplots()
show_table("tbl-x", pd.DataFrame({"a": ["<b>|x"], "n": [1.5]}), "Rows of {this}.")
show_cards([f'<section class="latent-card"><p title="1.50">{escaped(hostile)}</p></section>'] * 2)
```

```{code-cell} ipython3
:tags: [hide-input]

show("fig-a-b", Drawing(figure, hostile, hostile))
say(share=f"{share:.0%}", words="less < more")
```

```{code-cell} ipython3
:tags: [remove-input]

show("fig-c", Drawing(figure, "1. Another.", "Seen."))
```
""".replace("HOSTILE", repr(HOSTILE))
CONFIG = """
title: One page
execute: {execute_notebooks: "off"}
only_build_toc_files: true
sphinx:
  config:
    numfig: true
    nb_render_markdown_format: myst
    nb_mime_priority_overrides: [["html", "text/markdown", 0]]
"""


def execute(folder: Path, text: str) -> Path:
    """Run a page as the runner does; the finished notebook."""
    (folder / "page.md").write_text(text, encoding="utf-8")
    made_from = {"sections": [], "units": {}, "source": "", "inputs": "", "code": ""}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(notebooks, "NOTEBOOKS", folder)
        patch.setattr(notebooks, "SECTIONS", folder)
        patch.setenv("PYTHONPATH", str(ROOT))
        notebooks.execute_page("page", {"share": 0.5}, made_from)
    return folder / "page.ipynb"


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    book = tmp_path_factory.mktemp("book")
    execute(book, PAGE)
    (book / "page.md").unlink()
    (book / "_config.yml").write_text(CONFIG)
    (book / "_toc.yml").write_text("format: jb-book\nroot: page\n")
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(book)]
    done = subprocess.run([*command, "-n", "-W", "--keep-going"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return (book / "_build" / "html" / "page.html").read_text(encoding="utf-8")


def words(markup: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", markup))


def test_figures_are_numbered_and_have_their_captions_as_plain_text(page):
    figures = re.findall(r'<figure[^>]* id="([\w-]+)">(.*?)</figure>', page, re.DOTALL)
    assert [name for name, _ in figures] == ["fig-a-b", "fig-c"]
    said = [words(re.search(r"<figcaption>.*</figcaption>", f, re.DOTALL)[0]) for _, f in figures]
    said = [text.replace("\N{RIGHT DOUBLE QUOTATION MARK}", '"').strip("#\n") for text in said]
    assert said == [f"Fig. 1 {HOSTILE}", "Fig. 2 1. Another."]


def test_alt_text_and_width_reach_the_image(page):
    first, second = re.findall(r"<img[^>]*_images/[^>]*>", page)
    assert html.unescape(re.search(r'alt="([^"]*)"', first)[1]) == HOSTILE
    assert 'alt="Seen."' in second
    assert "600" in first


def test_table_is_numbered_and_its_cells_stay_text(page):
    table = re.search(r'<table[^>]* id="tbl-x">.*?</table>', page, re.DOTALL).group()
    assert "Table 1" in words(table)
    assert "Rows of {this}." in words(table)
    assert "<b>|x" in words(table)


def test_cards_come_through_as_they_are_and_their_text_stays_text(page):
    cards = re.findall(r'<section class="latent-card"><p title="1.50">(.*?)</p></section>', page)
    assert [html.unescape(card) for card in cards] == [HOSTILE] * 2
    assert not re.search("[<>\"']", cards[0])


def test_references_and_values_are_those_of_the_run(page):
    assert "Fig. 1 and Table 1 come before Fig. 2.\n50%, less < more." in words(page)
    assert "words: less" not in words(page)


@pytest.mark.parametrize("beside", ['show("fig-d", drawing)', "display(1)"])
def test_a_cell_that_shows_more_than_its_figure_is_refused(tmp_path, beside):
    cell = f'drawing = Drawing(figure, "Shown.", "Seen.")\nshow("fig-c", drawing)\n{beside}'
    text = PAGE.replace('show("fig-c", Drawing(figure, "1. Another.", "Seen."))', cell)
    with pytest.raises(RunFailed, match="cell that shows 'fig-c' shows more: give it a cell of"):
        execute(tmp_path, text)
