"""The rules of book/design.md that a machine can check."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = (
    "errors", "profiles", "store", "datasets", "models", "saes", "probes", "experiments",
    "analysis", "figures", "published", "pages", "notebook", "runner", "cli",
)  # fmt: skip
MODULES = sorted((ROOT / "probing_core").rglob("*.py"))


def room_of(path):
    return path.relative_to(ROOT / "probing_core").parts[0].removesuffix(".py")


def imported_rooms(tree):
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "probing_core":
                names = [f"probing_core.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            if name.startswith("probing_core."):
                yield name.split(".")[1]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_imports_point_up_the_list_of_rooms(path):
    room = room_of(path)
    if room in {"__init__", "__main__"}:
        return
    for other in imported_rooms(ast.parse(path.read_text("utf-8"))):
        assert ROOMS.index(other) <= ROOMS.index(room), f"{room} imports {other}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_nothing_is_pickled_or_loaded_unsafely(path):
    text = path.read_text("utf-8")
    bad = r"\b(pickle|torch\.load|joblib\.load|allow_pickle|yaml\.load\()\b"
    assert not re.search(bad, text)


def test_modules_and_functions_stay_small():
    for path in MODULES:
        text = path.read_text("utf-8")
        assert text.count("\n") <= 350, path.name
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < 70, f"{path.name}: {node.name}"


def test_every_public_function_and_class_is_documented():
    for path in MODULES:
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{path.name}: {node.name}"


def test_versions_that_matter_are_pinned():
    pins = dict(
        line.split("==", 1)
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    )
    assert pins["torch"] == "2.13.0"
    assert pins["jupyter-book"] == "1.0.4.post1"
    assert pins["sae-probes"] == "0.4.2"
