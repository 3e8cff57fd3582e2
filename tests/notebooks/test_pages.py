"""Every notebook source keeps the rules that papermill, the book and a reader rely on."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jupytext
import pytest

PAGES = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.md"))
SAID = re.compile(r"\{eval\}`said\.(\w+)`")
LIBRARY_ONLY = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


@pytest.fixture(params=PAGES, ids=lambda path: path.stem)
def page(request):
    return jupytext.read(request.param)


def code(page) -> list:
    return [cell for cell in page.cells if cell.cell_type == "code"]


def calls(cell) -> list[ast.Call]:
    nodes = ast.walk(ast.parse(cell.source))
    return [
        node for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]


def keys_made(cell) -> list[str]:
    """The keys that a cell gives to `say`."""
    return [word.arg for call in calls(cell) if call.func.id == "say" for word in call.keywords]


def test_sections_are_named_in_the_front_matter(page):
    assert isinstance(page.metadata["sections"], list)


def test_kernel_is_named_with_its_language(page):
    kernel = page.metadata["kernelspec"]
    assert kernel == {"display_name": "Python 3", "language": "python", "name": "python3"}


def test_exactly_one_cell_holds_typed_parameters(page):
    tagged = [cell for cell in code(page) if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    body = ast.parse(tagged[0].source).body
    assert all(isinstance(line, ast.AnnAssign) for line in body)
    values = {line.target.id: ast.literal_eval(line.value) for line in body}
    assert {"profile", "store"} <= set(values)
    types = {line.target.id: line.annotation.id for line in body}
    assert {name: type(value).__name__ for name, value in values.items()} == types
    assert code(page).index(tagged[0]) == 0


def test_cells_are_short_and_define_nothing(page):
    for cell in code(page):
        assert len(cell.source.splitlines()) <= 15, cell.source
        assert not any(isinstance(node, LIBRARY_ONLY) for node in ast.walk(ast.parse(cell.source)))


def test_every_text_of_the_prose_is_made_once_and_before(page):
    """JupyterLab evaluates a paragraph when its turn comes."""
    made = []
    for cell in page.cells:
        if cell.cell_type == "code":
            made += keys_made(cell)
        assert set(SAID.findall(cell.source)) <= set(made), cell.source
        assert "{glue" not in cell.source
    used = SAID.findall("\n".join(c.source for c in page.cells if c.cell_type == "markdown"))
    assert len(made) == len(set(made)) and set(used) == set(made)


def test_figures_have_a_cell_each_and_names_of_their_own(page):
    names = []
    for cell in code(page):
        shows = [call for call in calls(cell) if call.func.id in ("show", "show_table")]
        shown = [ast.literal_eval(call.args[0]) for call in shows]
        assert len(shown) <= 1 and not (shown and "remove-output" in cell.metadata.get("tags", []))
        names += shown
    assert len(names) == len(set(names))


def test_parameters_are_all_used(page):
    names = [line.target.id for line in ast.parse(code(page)[0].source).body]
    rest = "\n".join(cell.source for cell in code(page)[1:])
    used = {node.id for node in ast.walk(ast.parse(rest)) if isinstance(node, ast.Name)}
    assert set(names) <= used


def test_no_number_of_a_run_is_typed_in_prose(page):
    prose = "\n".join(cell.source for cell in page.cells if cell.cell_type == "markdown")
    text = re.sub(r"`[^`]*`|\{[^}]*\}|:\w+:.*", "", prose)
    typed = [number for number in re.findall(r"\b0\.\d+", text) if number != "0.005"]
    assert typed == []


def test_pairing_for_jupyterlab_leaves_every_source_as_it_is(tmp_path):
    shutil.copytree(PAGES[0].parent, tmp_path / "notebooks")
    shutil.copy(PAGES[0].parents[1] / "pyproject.toml", tmp_path)
    names = [f"notebooks/{path.name}" for path in PAGES]
    command = [sys.executable, "-m", "jupytext", "--sync", *names]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    for path in PAGES:
        assert (tmp_path / "notebooks" / path.name).read_text("utf-8") == path.read_text("utf-8")
