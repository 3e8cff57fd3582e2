"""What a notebook page needs beside the figures: show, tabulate and say, for lab and book alike.

A figure stands in the book where its cell does. Tables, numbers and sentences are glued: JupyterLab
shows them under their cell, the book takes them out and pastes them by key, text and numbers with
the ``glue:text`` role, `show_table` and `say_list` with a ``glue:md`` directive of format myst.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import display
from nbformat import NotebookNode

from probing_core.errors import UserError
from probing_core.figures.style import PAGE_DPI, Drawing, image_bytes, save
from probing_core.pages.text import bullet_list, directive, md, table, visible

HIDDEN = "application/papermill.record/"
_BLOCK = "mystnb"
_NUMBER = re.compile(r"[-+−–.,%\d]+")


def show(key: str, drawing: Drawing, folder: Path | str | None = None) -> None:
    """Show a figure with its caption; in the book it has a number and ``{numref}`` finds its key.

    With a folder, PNG and PDF copies are written there.

    Raises:
        ValueError: if the key does not start with ``fig-``.
    """
    if not key.startswith("fig-"):
        raise ValueError(f"a figure's key starts with 'fig-', {key!r} does not")
    if folder:
        save(drawing, folder, key)
    image, caption = base64.b64encode(image_bytes(drawing)).decode("ascii"), md(drawing.caption)
    block = {"figure": {"name": key, "caption": caption}, "image": {"alt": visible(drawing.alt)}}
    width = round(float(drawing.figure.get_figwidth()) * PAGE_DPI / 2)
    display(
        {"image/png": image, "text/plain": drawing.alt},
        metadata={"image/png": {"width": width}, _BLOCK: block},
        raw=True,
    )
    _glue(f"{key}-caption", "text/markdown", caption, caption)


def lift_figures(notebook: NotebookNode) -> None:
    """Copy what `show` says of a figure from the output to its cell, where MyST-NB reads it.

    Raises:
        UserError: if a cell with a figure shows something else too: its block holds one image.
    """
    for cell in notebook.cells:
        outputs = [out.metadata for out in cell.get("outputs", []) if "data" in out]
        shown = [metadata for metadata in outputs if "scrapbook" not in metadata]
        if blocks := [metadata[_BLOCK] for metadata in shown if _BLOCK in metadata]:
            cell.metadata[_BLOCK] = blocks[0]
        if blocks and len(shown) > 1:
            names = ", ".join(block["figure"]["name"] for block in blocks)
            raise UserError(f"A cell shows one figure and nothing else; split that of {names}.")


def show_table(key: str, frame: pd.DataFrame, caption: str) -> None:
    """Show a frame, without its index, as a numbered table, and glue it for the book.

    Raises:
        ValueError: if the key does not start with ``tbl-``.
    """
    if not key.startswith("tbl-"):
        raise ValueError(f"a table's key starts with 'tbl-', {key!r} does not")
    cells = frame.map(_cell)
    numeric = [all(map(_NUMBER.fullmatch, cells[column])) for column in cells]
    align = "".join("r" if right else "l" for right in numeric)
    text = table(list(map(md, frame)), cells.map(md).to_numpy().tolist(), align)
    pasted = directive("table", md(caption), text, name=key)
    _glue(key, "text/markdown", pasted, f"{text}\n\n{md(caption)}")


def say(**values: str | int | float) -> None:
    """Glue text and numbers for the prose; the page pastes them with the ``glue:text`` role."""
    for key, value in values.items():
        # The role cannot format a NumPy scalar's text.
        plain = value.item() if isinstance(value, np.generic) else value
        _glue(key, "text/plain", repr(plain), f"{key}: {plain}")


def say_list(key: str, sentences: Sequence[str]) -> None:
    """Glue sentences, plain text, as a list; the page pastes it with ``glue:md``, format myst."""
    text = bullet_list(map(md, sentences))
    _glue(key, "text/markdown", text, text)


def run_facts(provenance: Mapping[str, Any]) -> pd.DataFrame:
    """Lay out what a run was, from `probing_core.runner.provenance`, as a two-column table."""
    named = {"n_tasks": "tasks", "created": "date"}
    plain = ("profile", "rows", "model", "n_tasks", "protocol", "solver", "seeds", "created")
    facts = {named.get(name, name): provenance[name] for name in plain}
    facts["seeds"] = ", ".join(map(str, facts["seeds"]))
    facts["machine"] = "{cpu}, {cores} cores, {memory_gb:g} GB of memory".format(
        **provenance["machine"]
    )
    facts["commit"] = provenance["commit"]
    facts["versions"] = ", ".join(f"{name} {at}" for name, at in provenance["versions"].items())
    return pd.DataFrame({"what": list(facts), "value": list(map(str, facts.values()))})


def sae_gate_table(table: pd.DataFrame) -> pd.DataFrame:
    """Lay out the ``saes`` section for a reader: text, with units in the columns' heads."""
    columns = {
        "sae_id": ("SAE", ""),
        "width": ("width", "d"),
        "l0": ("L0, tokens", ".1f"),
        "l0_probed": ("L0, probed", ".1f"),
        "explained_variance": ("explained variance, tokens", ".2f"),
        "explained_variance_probed": ("explained variance, probed", ".2f"),
        "train_seconds": ("training (s)", ".0f"),
        "gate": ("gate", ""),
    }
    kept = {name: how for name, how in columns.items() if name in table}
    cells = {head: [_cell(one, form) for one in table[n]] for n, (head, form) in kept.items()}
    return pd.DataFrame(cells)


def _cell(value: Any, form: str = "") -> str:
    if pd.isna(value):
        return "–"
    return format(value, form).replace("-", "−", 1) if form else str(value)


def _glue(key: str, kind: str, pasted: str, shown: str) -> None:
    """Emit one output: JupyterLab shows one text, the book pastes the other under the key."""
    metadata = {"scrapbook": {"name": key, "mime_prefix": HIDDEN}}
    display({HIDDEN + kind: pasted, kind: shown}, metadata=metadata, raw=True)
