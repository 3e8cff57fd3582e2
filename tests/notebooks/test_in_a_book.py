"""A glued figure, table and number survive papermill and a strict build of a one-page book."""

import html
import re
import subprocess
import sys
from pathlib import Path

import jupytext
import papermill
import pytest

PAGE = """---
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# Page

```{code-cell} ipython3
:tags: [parameters]

share: float = 0.25
```

```{code-cell} ipython3
:tags: [remove-output]

import pandas as pd
from probing_core.figures.style import Drawing, new_figure
from probing_core.notebook import say, show, show_table
figure = new_figure(height=2)
figure.subplots()
show("fig-x", Drawing(figure, "Seen <i>& *said*.", 'A "finding": # 1 & <2>.'))
show_table("tbl-x", pd.DataFrame({"a": ["<b>|x"], "n": [1.5]}), "Rows of {this}.")
say(share=f"{share:.0%}", words="less < more")
```

```{glue:md} fig-x
:format: myst
```

```{glue:md} tbl-x
:format: myst
```

{numref}`fig-x` and {numref}`tbl-x` show {glue:text}`share`, {glue:text}`words`.
"""
CONFIG = """
title: One page
execute: {execute_notebooks: "off"}
only_build_toc_files: true
sphinx: {config: {numfig: true}}
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    book = tmp_path_factory.mktemp("book")
    jupytext.write(jupytext.reads(PAGE, fmt="md:myst"), book / "source.ipynb")
    papermill.execute_notebook(
        str(book / "source.ipynb"),
        str(book / "page.ipynb"),
        parameters={"share": 0.5},
        progress_bar=False,
        cwd=str(Path(__file__).resolve().parents[2]),
    )
    (book / "_config.yml").write_text(CONFIG)
    (book / "_toc.yml").write_text("format: jb-book\nroot: page\n")
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(book)]
    done = subprocess.run([*command, "-n", "-W", "--keep-going"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return (book / "_build" / "html" / "page.html").read_text(encoding="utf-8")


def test_figure_is_numbered_captioned_and_has_its_alt_text(page):
    figure = re.search(r'<figure[^>]* id="fig-x">.*?</figure>', page, re.DOTALL).group()
    alt = re.search(r'alt="([^"]*)"', figure).group(1)
    assert html.unescape(alt) == 'A "finding": # 1 & <2>.'
    words = html.unescape(re.sub(r"<[^>]+>", "", figure))
    assert "Fig. 1" in words
    assert "Seen <i>& *said*." in words
    assert page.count("<figure") == 1


def test_table_is_numbered_and_its_cells_stay_text(page):
    table = re.search(r'<table[^>]* id="tbl-x">.*?</table>', page, re.DOTALL).group()
    words = html.unescape(re.sub(r"<[^>]+>", " ", table))
    assert "Table 1" in words
    assert "Rows of {this}." in words
    assert "<b>|x" in words


def test_numbers_are_pasted_from_the_executed_run(page):
    text = html.unescape(re.sub(r"<[^>]+>", "", page))
    assert "Fig. 1 and Table 1 show 50%, less < more." in text
