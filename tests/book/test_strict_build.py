"""The book builds with warnings as errors, and what it makes stands on its own."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pandas as pd
import pytest
import yaml
from bs4 import BeautifulSoup

from probing_core.datasets import TASKS
from probing_core.datasets.prompts import from_frame
from probing_core.experiments import shortcuts
from probing_core.experiments.study import open_study
from probing_core.pages import write_profiles_table, write_status_page, write_task_pages
from probing_core.published.source import published_rows
from probing_core.runner.provenance import provenance
from tests.conftest import small_profile

REPOSITORY = Path(__file__).parents[2]
EQUATION = "$$\na = \\sum_i b_i\n$$ (eq-stub)"
HOSTILE = [
    "<script>document.title='no'</script>",
    "{{ x }} ``` ::: $x$ www.example.com \x1b[0m",
]
PAGE = {
    "page": "00-front",
    "title": "<b>{{ x }}",
    "status": "completed",
    "seconds": 1.0,
    "finished": "2026-01-02",
    "parameters": {"profile": "quick"},
    "sections": ["standard"],
    "units": {"standard": 3},
    "source": "",
    "inputs": "",
    "code": "",
}


def stub_notebook(path, title):
    cells = [nbformat.v4.new_markdown_cell(f"# {title}\n\n{{cite:p}}`kantamneni2025sparse`")]
    if path.stem == "00-front":
        cells.append(nbformat.v4.new_markdown_cell(EQUATION))
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, path)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """HTML of a book with the real prose, all 113 cards and one more, and empty notebooks."""
    root = tmp_path_factory.mktemp("book")
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(REPOSITORY / name, root)
    shutil.copytree(
        REPOSITORY / "book", root / "book", ignore=shutil.ignore_patterns("sections", "__pycache__")
    )
    shutil.copytree(REPOSITORY / "bench", root / "bench", ignore=shutil.ignore_patterns("*.py"))
    sections = root / "book/sections"
    sections.mkdir()
    frame = pd.DataFrame({"prompt": HOSTILE * 52, "target": ["</dl>", "{{ y }}"] * 52})
    own = from_frame(frame, tag="<b>`x`", source="{ref}`z`")
    study = open_study(small_profile(), root / "store", tasks=[own])
    rows = published_rows(None, "standard", "google/gemma-2-9b")
    write_task_pages(sections, study, rows, shortcuts.published_rows(study))
    write_status_page(sections, {"pages": [PAGE], "provenance": provenance(study)})
    write_profiles_table(sections, [])
    (sections / "_scale.md").write_text("A table.\n")
    toc = yaml.safe_load((root / "_toc.yml").read_text())
    chapters = [c["file"] for part in toc["parts"] for c in part["chapters"]]
    for page in [toc["root"], *chapters]:
        if not (root / f"{page}.md").exists():
            stub_notebook(root / f"{page}.ipynb", page)
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
    built = subprocess.run(
        [*command, "build", str(root), "-n", "-W", "--keep-going"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        timeout=240,
        check=False,
    )
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-4000:]
    return root / "_build/html"


@pytest.fixture(scope="module")
def pages(site):
    """Parsed pages of the book by path, without search and index."""
    found = {
        p: BeautifulSoup(p.read_text("utf-8"), "html.parser") for p in site.glob("book/**/*.html")
    }
    assert len(found) >= 15
    return found


def test_no_page_loads_anything_from_the_network(pages):
    for path, page in pages.items():
        sources = [tag.get("src") for tag in page.find_all(src=True)]
        sources += [tag["href"] for tag in page.find_all("link", href=True)]
        assert not [s for s in sources if urlsplit(s).scheme in {"http", "https"}], path.name


def test_every_link_inside_the_book_leads_somewhere(site, pages):
    for path, page in pages.items():
        for link in page.select("article a[href], nav a[href]"):
            parts = urlsplit(link["href"])
            if parts.scheme or (not parts.path and not parts.fragment):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.is_file(), f"{path.name}: {link['href']}"
            if parts.fragment and target in pages:
                assert pages[target].find(id=unquote(parts.fragment)), link["href"]


def test_every_image_has_alt_text(pages):
    for path, page in pages.items():
        for image in page.select("article img"):
            assert image.get("alt", "").strip(), path.name


def test_equations_are_mathml(pages):
    (method,) = [page for path, page in pages.items() if path.stem == "method"]
    assert len(method.select("div.equation > math")) >= 5
    assert not method.find(string=re.compile(r"\\frac|\\sum"))


def test_prompts_run_nothing_and_link_nowhere(pages):
    prompts = [item for page in pages.values() for item in page.select("ul.prompts li")]
    for prompt in prompts:
        assert {tag.name for tag in prompt.find_all(True)} == {"bdi"}
    shown = {prompt.text for prompt in prompts}
    assert {HOSTILE[0], HOSTILE[1].replace("\x1b", "\N{REPLACEMENT CHARACTER}")} <= shown


def test_every_task_has_its_card_in_the_site(pages):
    ids = [tag["id"] for page in pages.values() for tag in page.select("[id^=task-]")]
    numbers = [int(i.removeprefix("task-")) for i in ids if re.fullmatch(r"task-\d+", i)]
    assert sorted(numbers) == [*sorted(task.id for task in TASKS.values()), 1003]


def test_the_font_of_the_equations_comes_along(site):
    assert (site / "_static/fonts/DejaVuSerif.ttf").stat().st_size > 100_000
