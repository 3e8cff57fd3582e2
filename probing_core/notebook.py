"""What a notebook page needs beside the figures: show, tabulate and say, for lab and book alike.

A page calls `show`, `show_table` or `say` in a cell tagged ``remove-output``. In JupyterLab the
figure and its caption appear under the cell. In the book the page pastes the finished directive,
so that number, caption and alt text all come from the run::

    ```{glue:md} fig-quiver
    :format: myst
    ```

Numbers and sentences are pasted with the ``glue:text`` role. The outputs carry the metadata that
MyST-NB's ``glue`` writes, so papermill, jupyter-cache and a plain build all keep them.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import display

from probing_core.figures.style import PAGE_DPI, Drawing, image_bytes, save
from probing_core.pages.text import directive, md, table

HIDDEN = "application/papermill.record/"
_TITLE = "tbl-"


def show(key: str, drawing: Drawing, folder: Path | str | None = None) -> None:
    """Show a figure with its caption, and glue it for the book.

    Args:
        key: name of the figure in the book, starting with ``fig-``; glued under this name.
        drawing: the figure with caption and alt text.
        folder: where to write PNG and PDF copies; None or empty writes none.

    Raises:
        ValueError: if the key does not start with ``fig-``.
    """
    if not key.startswith("fig-"):
        raise ValueError(f"a figure's key starts with 'fig-', {key!r} does not")
    if folder:
        save(drawing, folder, key)
    image = base64.b64encode(image_bytes(drawing)).decode("ascii")
    width = round(float(drawing.figure.get_figwidth()) * PAGE_DPI / 2)
    display(
        {"image/png": image, "text/plain": drawing.alt},
        metadata={"image/png": {"width": width}} | _named(f"{key}-image", ""),
        raw=True,
    )
    _emit({"text/markdown": md(drawing.caption), "text/plain": drawing.caption})
    body = md(drawing.caption)
    alt = json.dumps(drawing.alt, ensure_ascii=False)
    text = directive("glue:figure", body, argument=f"{key}-image", name=key, alt=alt)
    _glue_markdown(key, text)


def show_table(
    key: str, frame: pd.DataFrame, caption: str, *, formats: Mapping[str, str] | None = None
) -> None:
    """Show a frame as a numbered table with a caption, and glue it for the book.

    Args:
        key: name of the table in the book, starting with ``tbl-``; glued under this name.
        frame: what to show; columns are headings as they are, the index is left out.
        caption: plain text.
        formats: format specification by column, e.g. ``{"test AUC": ".3f"}``.

    Raises:
        ValueError: if the key does not start with ``tbl-``.
    """
    if not key.startswith(_TITLE):
        raise ValueError(f"a table's key starts with {_TITLE!r}, {key!r} does not")
    formats = formats or {}
    cells = [
        [md(_cell(value, formats.get(column, ""))) for column, value in row.items()]
        for row in frame.to_dict("records")
    ]
    align = "".join("r" if _numeric(frame[column]) else "l" for column in frame)
    text = table([md(str(column)) for column in frame], cells, align)
    _emit({"text/markdown": f"{text}\n\n{md(caption)}", "text/plain": frame.to_string(index=False)})
    _glue_markdown(key, directive("table", text, argument=md(caption), name=key))


def say(**values: str | int | float) -> None:
    """Glue values for the prose; the page pastes them with the ``glue:text`` role.

    Args:
        **values: text or numbers by key. Numbers of NumPy become Python numbers, because a
            NumPy scalar's text cannot be formatted by the role.
    """
    for key, value in values.items():
        plain = value.item() if isinstance(value, np.generic) else value
        _emit({"text/plain": repr(plain)}, name=key)
    _emit({"text/plain": "\n".join(f"{key}: {value}" for key, value in values.items())})


def say_list(key: str, sentences: Sequence[str]) -> None:
    """Glue sentences as a list; the page pastes it with a ``glue:md`` directive, format myst.

    Args:
        key: name of the list in the book.
        sentences: plain text, one a point.
    """
    text = "\n".join(f"- {md(sentence)}" for sentence in sentences)
    _emit({"text/markdown": text, "text/plain": text})
    _glue_markdown(key, text)


def run_facts(provenance: Mapping[str, Any]) -> pd.DataFrame:
    """Lay out what a run was as a two-column table.

    Args:
        provenance: what `probing_core.runner.provenance` returns.

    Returns:
        Columns ``what`` and ``value``; facts that are missing are left out.
    """
    machine = provenance.get("machine") or {}
    parts = [machine.get("cpu"), _unit(machine.get("cores"), "cores")]
    parts.append(_unit(machine.get("memory_gb"), "GB of memory"))
    versions = provenance.get("versions") or {}
    facts = {
        "profile": provenance.get("profile"),
        "rows": provenance.get("rows"),
        "model": provenance.get("model"),
        "tasks": provenance.get("n_tasks"),
        "protocol": provenance.get("protocol"),
        "solver": provenance.get("solver"),
        "seeds": _joined(provenance.get("seeds")),
        "date": provenance.get("created"),
        "duration": provenance.get("duration"),
        "machine": ", ".join(str(part) for part in parts if part),
        "commit": provenance.get("commit"),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }
    kept = [(name, str(value)) for name, value in facts.items() if value not in (None, "")]
    return pd.DataFrame(kept, columns=["what", "value"])


def sae_gate_table(table: pd.DataFrame) -> pd.DataFrame:
    """Lay out the SAEs of a study for a reader.

    Args:
        table: one row a SAE, from `probing_core.experiments.saes.sae_table`.

    Returns:
        Text columns with units in their heads; a time is missing for a SAE not trained here.
    """
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
    return pd.DataFrame(
        {
            head: [_cell(value, specification) for value in table[name]]
            for name, (head, specification) in kept.items()
        }
    )


def _unit(value: Any, unit: str) -> str | None:
    """Write a quantity with its unit, or nothing when it is unknown."""
    return None if value is None else f"{value:g} {unit}"


def _joined(value: Any) -> Any:
    """Write a list with commas; anything else stays."""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value


def _numeric(column: pd.Series) -> bool:
    """Tell whether every cell is a number or is written as one."""
    written = column.dropna().astype(str).str.strip("+-.,%\N{MINUS SIGN}\N{EN DASH}0123456789")
    return bool(len(written)) and bool((written == "").all())


def _cell(value: Any, specification: str) -> str:
    """Format one table cell; missing values become a dash."""
    if value is None or (isinstance(value, float) and np.isnan(value)) or value is pd.NA:
        return "\N{EN DASH}"
    return format(value, specification).replace("-", "\N{MINUS SIGN}", 1) if (
        specification and not isinstance(value, str)
    ) else str(value)  # fmt: skip


def _named(key: str, prefix: str) -> dict[str, Any]:
    """Return the output metadata by which MyST-NB finds a glued value."""
    return {"scrapbook": {"name": key, "mime_prefix": prefix}}


def _emit(bundle: dict[str, str], *, name: str | None = None) -> None:
    """Display a bundle; under a name it is hidden in JupyterLab and found by the book."""
    if name is None:
        display(bundle, raw=True)
        return
    hidden = {HIDDEN + kind: data for kind, data in bundle.items()}
    display(hidden, metadata=_named(name, HIDDEN), raw=True)


def _glue_markdown(key: str, text: str) -> None:
    """Glue a finished MyST directive."""
    _emit({"text/markdown": text, "text/plain": repr(key)}, name=key)
