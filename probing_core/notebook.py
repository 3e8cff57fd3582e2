"""What a notebook page needs beside the figures: show, tabulate and say, for lab and book alike.

Figures and tables appear where they are shown. Prose names what `say` was given by attributes of
`said`, as ``{eval}`said.name` ``: JupyterLab evaluates them, the runner makes glue of them.
"""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import display

from probing_core.figures.style import PAGE_DPI, Drawing, image_bytes, save
from probing_core.pages.text import directive, frame_html, frame_table, md, visible

HIDDEN = "application/papermill.record/"
"""MyST-NB takes what is glued under a prefix out of the page; JupyterLab shows what has none."""
said = SimpleNamespace()
"""What `say` was given, for the prose; without quotes when JupyterLab evaluates it."""


class _Said(str):
    def __repr__(self) -> str:
        return str(self)


def show(key: str, drawing: Drawing, folder: Path | str | None = None) -> None:
    """Show a figure with caption and alt text, numbered in the book; its cell shows nothing else.

    The key starts with ``fig-``. A folder gets copies as PNG and PDF.
    """
    if not key.startswith("fig-"):
        raise ValueError(f"a figure's key starts with 'fig-', {key!r} does not")
    if folder:
        save(drawing, folder, key)
    image = base64.b64encode(image_bytes(drawing)).decode("ascii")
    width = round(float(drawing.figure.get_figwidth()) * PAGE_DPI / 2)
    caption, alt = md(drawing.caption), visible(drawing.alt)
    display(
        {"image/png": image, "text/plain": alt},
        metadata={
            "image/png": {"width": width, "alt": alt},
            "mystnb": {"figure": {"name": key, "caption": caption}, "image": {"alt": alt}},
        },
        raw=True,
    )
    _glue(f"{key}-caption", {}, shown={"text/markdown": caption})


def show_table(key: str, frame: pd.DataFrame, caption: str, *, long: bool = False) -> None:
    """Show a frame with a plain caption, a numbered table in the book; its key starts ``tbl-``.

    A `long` one can be sorted and searched in the book.
    """
    if not key.startswith("tbl-"):
        raise ValueError(f"a table's key starts with 'tbl-', {key!r} does not")
    options = {"name": key} | ({"class_": "sortable searchable"} if long else {})
    numbered = directive("table", md(caption), frame_table(frame), colons=3, **options)
    display({"text/markdown": numbered, "text/html": frame_html(frame, caption)}, raw=True)


def show_cards(cards: Sequence[str]) -> None:
    """Show cards of one line of HTML each, such as `pages.cards` makes."""
    if not cards:
        return
    if any("\n" in card for card in cards):
        raise ValueError("a card is one line: another could close the directive around it")
    markup = "\n".join(cards)
    raw = f"```{{raw}} html\n{markup}\n```"
    display({"text/markdown": raw, "text/html": markup}, raw=True)


def say(**values: str | int | float) -> None:
    """Keep values for the prose, as attributes of `said` and as glue of the same name."""
    for key, value in values.items():
        # the role cannot format the text of a NumPy scalar
        plain = value.item() if isinstance(value, np.generic) else value
        setattr(said, key, _Said(plain))
        _glue(key, {"text/plain": repr(plain)}, shown={})


def _glue(key: str, pasted: Mapping[str, str], *, shown: Mapping[str, str]) -> None:
    """Display a bundle in JupyterLab, and keep another for the book."""
    hidden = {HIDDEN + kind: data for kind, data in pasted.items()}
    metadata = {"scrapbook": {"name": key, "mime_prefix": HIDDEN}}
    display(hidden | dict(shown), metadata=metadata, raw=True)


def run_facts(provenance: Mapping[str, Any]) -> pd.DataFrame:
    """Lay out what is known of a run, in the columns ``what`` and ``value``."""
    machine = provenance.get("machine") or {}
    units = {"cpu": "{}", "cores": "{:g} cores", "memory_gb": "{:g} GB of memory"}
    parts = [form.format(machine[key]) for key, form in units.items() if machine.get(key)]
    versions = [" ".join(pair) for pair in (provenance.get("versions") or {}).items()]
    same = ("profile", "rows", "model", "protocol", "solver")
    facts = {key: provenance.get(key) for key in same} | {
        "tasks": provenance.get("n_tasks"),
        "seeds": ", ".join(map(str, provenance.get("seeds") or ())),
        "date": provenance.get("created"),
        "machine": ", ".join(parts),
        "commit": provenance.get("commit"),
        "versions": ", ".join(versions),
    }
    kept = [(name, str(value)) for name, value in facts.items() if value not in (None, "")]
    return pd.DataFrame(kept, columns=["what", "value"])


def sae_gate_table(table: pd.DataFrame) -> pd.DataFrame:
    """Lay out the rows of the section ``saes`` for a reader, as text with units in the heads."""
    columns = {
        "sae_id": ("SAE", "{}"),
        "width": ("width", "{}"),
        "l0": ("L0, tokens", "{:.1f}"),
        "l0_probed": ("L0, probed", "{:.1f}"),
        "explained_variance": ("explained variance, tokens", "{:.2f}"),
        "explained_variance_probed": ("explained variance, probed", "{:.2f}"),
        "train_seconds": ("training (s)", "{:.0f}"),
        "gate": ("gate", "{}"),
    }
    shown = {
        head: table[name].map(form.format, na_action="ignore")
        for name, (head, form) in columns.items()
        if name in table
    }
    return pd.DataFrame(shown)
