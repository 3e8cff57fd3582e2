"""JupyterLab as `make lab` starts it: a notebook and its text source are one."""

import asyncio
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import ensure_async

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "notebooks").glob("*.md"))


@pytest.fixture
def contents(tmp_path, monkeypatch):
    """Opens and saves notebooks of a copied project, as the server of `make lab` does."""
    for name in ("Makefile", "constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    monkeypatch.chdir(tmp_path)
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "jupyter"))
    dry = subprocess.run(
        ["make", "--no-print-directory", "-n", "lab"], capture_output=True, text=True, check=True
    )
    sync, lab = (shlex.split(line) for line in dry.stdout.splitlines()[-2:])
    assert sync[0].endswith("jupytext") and lab[0].endswith("jupyter") and lab[1] == "lab"
    sources = [str(path.relative_to(ROOT)) for path in SOURCES]
    subprocess.run(
        [sys.executable, "-m", "jupytext", *sync[1:-1], *sources], check=True, capture_output=True
    )
    app = ServerApp()
    app.initialize(["--allow-root", *lab[2:]], new_httpserver=False)
    yield app.contents_manager
    ServerApp.clear_instance()


def opened(contents, name):
    return asyncio.run(ensure_async(contents.get(f"lab/{name}.ipynb")))


def saved(contents, name, model):
    asyncio.run(ensure_async(contents.save(model, f"lab/{name}.ipynb")))


def text(path):
    return path.read_text("utf-8")


def test_saving_a_changed_notebook_changes_that_line_of_its_source_and_nothing_else(contents):
    model = opened(contents, "02-probes")
    cell = next(c for c in model["content"]["cells"] if "bar_k: int = 128" in c["source"])
    cell["source"] = cell["source"].replace("bar_k: int = 128", "bar_k: int = 16")
    saved(contents, "02-probes", model)
    for source in SOURCES:
        expected = text(source)
        if source.stem == "02-probes":
            expected = expected.replace("bar_k: int = 128", "bar_k: int = 16")
        assert text(Path("notebooks") / source.name) == expected


def test_saving_an_unchanged_notebook_leaves_its_source_alone(contents):
    for source in SOURCES:
        saved(contents, source.stem, opened(contents, source.stem))
        assert text(Path("notebooks") / source.name) == text(source)


def test_changed_source_is_what_the_reopened_notebook_shows(contents):
    path = Path("notebooks/02-probes.md")
    path.write_text(text(path).replace("Who wins with plenty of clean data?", "Who wins?"), "utf-8")
    later = time.time() + 10
    os.utime(path, (later, later))
    assert "Who wins?" in opened(contents, "02-probes")["content"]["cells"][0]["source"]


def test_outputs_of_an_executed_notebook_stay_and_are_trusted(contents):
    model = opened(contents, "02-probes")
    code = [c for c in model["content"]["cells"] if c["cell_type"] == "code"]
    drawn = {"output_type": "display_data", "data": {"text/html": "<b>7</b>"}, "metadata": {}}
    code[0]["outputs"] = [drawn]
    for cell in code:  # as the browser does for cells that it has run
        cell["metadata"]["trusted"] = True
    saved(contents, "02-probes", model)
    again = opened(contents, "02-probes")["content"]["cells"]
    (cell,) = (c for c in again if c.get("outputs"))
    assert cell["outputs"][0]["data"] == drawn["data"] and cell["metadata"]["trusted"]
    assert text(Path("notebooks/02-probes.md")) == text(ROOT / "notebooks/02-probes.md")


def test_notebooks_of_the_lab_are_no_part_of_the_repository():
    ignored = subprocess.run(["git", "check-ignore", "-q", "lab/02-probes.ipynb"], cwd=ROOT)
    assert ignored.returncode == 0
