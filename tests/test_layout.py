"""The rules of book/design.md that a machine can check."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = (
    "errors", "profiles", "store", "datasets", "models", "judges", "saes", "probes", "rows",
    "published", "experiments", "analysis", "figures", "exchange", "evaluation", "pages",
    "notebook", "runner", "api", "cli", "reproduction",
)  # fmt: skip
KNOWN_TO_ALL = {"errors", "profiles", "store"}
CORE = sorted((ROOT / "probing_core").rglob("*.py"))
MODULES = [*CORE, *sorted((ROOT / "reproduction").rglob("*.py"))]
BUDGETS = {"probing_core": 18_115, "reproduction": 2_470}


def room_of(path):
    package, *inside = path.relative_to(ROOT).parts
    return package if package == "reproduction" else inside[0].removesuffix(".py")


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
            elif name.split(".")[0] == "reproduction":
                yield "reproduction"


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


def test_no_room_must_be_known_to_all_others_but_the_first_three():
    known = {room: set() for room in ROOMS}
    for path in MODULES:
        for other in imported_rooms(ast.parse(path.read_text("utf-8"))):
            if other in known and other != room_of(path):
                known[other].add(room_of(path))
    rooms = {room_of(path) for path in MODULES} - {"__init__", "__main__"}
    assert not [r for r in rooms - KNOWN_TO_ALL if known[r] >= rooms - KNOWN_TO_ALL - {r}]


def test_no_modules_import_each_other_in_a_circle():
    names = {".".join(p.relative_to(ROOT).with_suffix("").parts): p for p in MODULES}
    graph = {}
    for name, path in names.items():
        found = ast.walk(ast.parse(path.read_text("utf-8")))
        modules = [n.module for n in found if isinstance(n, ast.ImportFrom) and n.module]
        graph[name] = {module for module in modules if module in names}
    tuple(TopologicalSorter(graph).static_order())


def test_the_house_stays_within_its_budget():
    for package, most in BUDGETS.items():
        paths = (path for path in MODULES if path.relative_to(ROOT).parts[0] == package)
        assert sum(path.read_text("utf-8").count("\n") for path in paths) <= most


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
