"""From an executed notebook to one that can be read: no paths, no machinery, glue for the prose."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from probing_core.errors import RunFailed


def finish_notebook(
    notebook: NotebookNode, parameters: Mapping[str, Any], made: dict[str, Any]
) -> None:
    """Make an executed notebook a page: what the prose evaluates becomes glue.

    Papermill's metadata, which holds paths, gives way to how the page was made.
    """
    settle(notebook, parameters)
    for cell in notebook.cells:
        _lift_figure(cell)
        if cell.cell_type == "markdown":
            cell.source = re.sub(r"\{eval\}`said\.(\w+)`", r"{glue:text}`\1`", cell.source)
    notebook.metadata["probing_core"] = made


def settle(notebook: NotebookNode, parameters: Mapping[str, Any]) -> None:
    """Take papermill's cell and metadata out; its values stand in the parameters cell instead."""
    cells = [c for c in notebook.cells if "injected-parameters" not in c.metadata.get("tags", [])]
    for cell in cells:
        cell.metadata.pop("papermill", None)
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = _with_values(cell.source, parameters)
    notebook.cells = cells
    notebook.metadata.pop("papermill", None)


def _lift_figure(cell: NotebookNode) -> None:
    """Move what `probing_core.notebook.show` says of a figure to the cell: MyST-NB reads it there.

    Raises:
        RunFailed: If the cell shows anything beside the figure; it would be a figure, too.
    """
    said = [output.get("metadata", {}) for output in cell.get("outputs", [])]
    figures = [metadata.pop("mystnb") for metadata in said if "mystnb" in metadata]
    if figures:
        # What is glued under a prefix MyST-NB takes out of the page.
        shown = [o.metadata.get("scrapbook", {}) for o in cell.outputs if "data" in o]
        if sum(not glued.get("mime_prefix") for glued in shown) > 1:
            name = figures[0]["figure"]["name"]
            raise RunFailed(f"The cell that shows '{name}' shows more: give it a cell of its own.")
        cell.metadata["mystnb"] = figures[0]


def _with_values(source: str, values: Mapping[str, Any]) -> str:
    """A parameters cell with the values that were used."""
    lines = []
    for line in source.splitlines():
        found = re.match(r"(\w+)(\s*:[^=]+)?\s*=", line)
        if found and found[1] in values:
            line = f"{found[1]}{(found[2] or '').rstrip()} = {values[found[1]]!r}"
        lines.append(line)
    return "\n".join(lines)


def without_folders(values: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as a page may show them: no path of anyone's machine."""
    shown = {key: value for key, value in values.items() if key not in ("store", "figures")}
    for key, value in shown.items():
        if key in ("tasks", "own_tasks", "judges"):
            shown[key] = [Path(one).name for one in value]
        elif key in ("profile", "translations") or (key == "sae" and Path(value).is_absolute()):
            shown[key] = Path(value).name
    return shown
