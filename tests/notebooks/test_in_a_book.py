"""A figure, a table and numbers survive papermill and a strict build of a one-page book."""

import re
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat
import papermill
import pytest
from bs4 import BeautifulSoup

from probing_core.notebook import lift_figures

CAPTION = "Seen <i>& *said* {ref}`x` $y$ ``` <script>alert(1)</script> | [a](b)."
ALT = "A \"finding\": # 1 & <2> {{x}} ``` ::: it's \\."
PAGE = f"""---
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# Page

```{{code-cell}} ipython3
:tags: [parameters]

share: float = 0.25
```

```{{code-cell}} ipython3
:tags: [hide-input]

import pandas as pd
from probing_core.figures.style import Drawing, new_figure
from probing_core.notebook import say, show, show_table
figure = new_figure(height=2)
figure.subplots()
show("fig-x", Drawing(figure, {CAPTION!r}, {ALT!r}))
say(beside="said beside")
```

{{numref}}`fig-x` and {{numref}}`fig-y` and {{numref}}`tbl-x` show {{glue:text}}`share`, {{glue:text}}`words`, {{glue:text}}`beside`.

```{{code-cell}} ipython3
show("fig-y", Drawing(figure, "1. Second", "- alt"))
```

```{{code-cell}} ipython3
:tags: [remove-input]

show_table("tbl-x", pd.DataFrame({{"a": ["<b>|x"], "n": [1.5]}}), "Rows of {{this}}.")
say(share=f"{{share:.0%}}", words="less < more")
```

```{{glue:md}} tbl-x
:format: myst
```
"""
CONFIG = """
title: One page
execute: {execute_notebooks: "off"}
only_build_toc_files: true
sphinx: {config: {numfig: true}}
"""


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """The page, executed as the runner does it."""
    folder = tmp_path_factory.mktemp("notebook")
    source, target = str(folder / "source.ipynb"), str(folder / "done.ipynb")
    jupytext.write(jupytext.reads(PAGE, fmt="md:myst"), source)
    root = str(Path(__file__).resolve().parents[2])
    papermill.execute_notebook(
        source, target, parameters={"share": 0.5}, progress_bar=False, cwd=root
    )
    return nbformat.read(target, as_version=4)


@pytest.fixture(scope="module")
def page(notebook, tmp_path_factory) -> BeautifulSoup:
    book = tmp_path_factory.mktemp("book")
    lift_figures(notebook)
    nbformat.write(notebook, book / "page.ipynb")
    (book / "_config.yml").write_text(CONFIG)
    (book / "_toc.yml").write_text("format: jb-book\nroot: page\n")
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(book)]
    done = subprocess.run([*command, "-n", "-W", "--keep-going"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    html = (book / "_build" / "html" / "page.html").read_text(encoding="utf-8")
    return BeautifulSoup(html, "html.parser")


def words(tag) -> str:
    return re.sub(r"\s+", " ", tag.get_text()).strip()


def test_figure_is_numbered_captioned_and_has_its_alt_text_and_width(page):
    figure = page.find("figure", id="fig-x")
    assert figure.img["alt"] == ALT
    assert "720" in figure.img["style"] + figure.img.get("width", "")
    assert words(figure.figcaption).startswith(f"Fig. 1 {CAPTION}")
    assert not figure.figcaption.find(["i", "em", "code", "script", "math"])


def test_every_figure_stands_once_where_its_cell_is(page):
    assert [figure["id"] for figure in page.find_all("figure")] == ["fig-x", "fig-y"]
    assert words(page.find("figure", id="fig-y")).startswith("Fig. 2 1. Second")
    text = words(page.article)
    assert text.index("Fig. 1 Seen") < text.index("Fig. 1 and Fig. 2") < text.index("1. Second")


def test_table_is_numbered_and_its_cells_stay_text(page):
    table = page.find("table", id="tbl-x")
    assert words(table.caption).startswith("Table 1 Rows of {this}.")
    assert words(table.tbody) == "<b>|x 1.5"
    assert len(page.find_all("table")) == 1


def test_numbers_are_pasted_from_the_executed_run(page):
    assert "Fig. 1 and Fig. 2 and Table 1 show 50%, less < more, said beside." in words(page)


def test_in_jupyterlab_the_caption_follows_its_image(notebook):
    (cell,) = [cell for cell in notebook.cells if "fig-x" in cell.source and "outputs" in cell]
    image, caption, said = [output["data"] for output in cell.outputs]
    assert "image/png" in image and image["text/plain"] == ALT
    assert caption["text/markdown"].startswith(r"Seen &lt;i&gt;")
    assert said["text/plain"] == "beside: said beside"
