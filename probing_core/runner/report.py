"""The report on one SAE: a notebook executed on what the store has, and the page it makes."""

import re
from pathlib import Path
from typing import Any

import nbformat

from probing_core.evaluation import Evaluation
from probing_core.experiments.study import open_store
from probing_core.runner.finishing import settle, without_folders
from probing_core.runner.notebooks import execute
from probing_core.store import write_atomically

NOTEBOOK = "evaluate"


def write_report(sae: str, found: Evaluation, folder: Path, **asked: Any) -> list[Path]:
    """Write an evaluation's notebook and one standalone HTML file into a folder.

    Args:
        sae: As `evaluate` was asked.
        found: What it gave; names the files.
        folder: Made where it is not there.
        **asked: The options of `evaluate`.

    Returns:
        Both paths.
    """
    from nbconvert import HTMLExporter

    name = re.sub(r"[^\w.-]+", "-", found.name)
    place = Path(sae).resolve() if Path(sae).is_dir() else sae
    values = asked | {"sae": str(place), "store": str(open_store(asked["store"] or None).root)}
    values["own_tasks"] = [str(Path(one).resolve()) for one in asked["own_tasks"]]
    notebook = execute(NOTEBOOK, values)
    settle(notebook, without_folders(values))
    page, _ = HTMLExporter(embed_images=True, exclude_input=True).from_notebook_node(notebook)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.ipynb", folder / f"{name}.html"]
    write_atomically(paths[0], nbformat.writes(notebook).encode())
    write_atomically(paths[1], page.encode())
    return paths
