"""Turning data into page text that stays text, and writing pages without needless change."""

import html
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from probing_core.store import write_atomically

PROMPT_CHARACTERS = 160
_TAIL = 48
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_LINE_BREAK = re.compile("\r\n|[\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_MARKDOWN = re.compile(r"[!-/:-@\[-`{-~]")
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
_DASH = "\N{EN DASH}"


def visible(text: str, *, line_break: str = " ") -> str:
    """Make one line of plainly visible characters of any string, lone surrogates included.

    Control, format (bidirectional overrides among them), private and unassigned characters
    become U+FFFD, and other blanks a space.
    """
    return "".join(map(_shown, _LINE_BREAK.sub(line_break, str(text))))


def _shown(character: str) -> str:
    kind = unicodedata.category(character)
    if character == "\t" or kind.startswith("Z"):
        return " "
    return _REPLACEMENT if kind.startswith("C") else character


def shorten(text: str) -> str:
    """Keep the start and the last 48 of 160 characters: probes read the last token."""
    start = text[: PROMPT_CHARACTERS - _TAIL - 3]
    return text if len(text) <= PROMPT_CHARACTERS else f"{start} … {text[-_TAIL:]}"


def prompt_html(prompt: str) -> str:
    """Escape a prompt so that it cannot leave the HTML element or directive it stands in."""
    return escaped(shorten(visible(prompt, line_break="⏎")))


def escaped(text: str) -> str:
    """Escape a text of any length in the same way."""
    return html.escape(visible(text, line_break="⏎"), quote=True)


def md(text: Any) -> str:
    """Escape all ASCII punctuation of a text for a Markdown line, heading or table cell."""
    plain = visible(str(text)).strip()
    return _MARKDOWN.sub(lambda found: _ENTITIES.get(found[0], f"\\{found[0]}"), plain)


def bullet_list(lines: Iterable[str]) -> str:
    """Join lines that are Markdown already into a bullet list."""
    return "\n".join(f"- {line}" for line in lines)


def table(header: Sequence[str], rows: Iterable[Sequence[str]], align: str = "") -> str:
    """Lay out Markdown cells as a pipe table; ``align`` has an ``l`` or ``r`` per column."""
    rule = ["--:" if side == "r" else ":--" for side in align.ljust(len(header), "l")]
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, rule, *rows])


def frame_table(frame: pd.DataFrame) -> str:
    """Lay out a frame of plain text and numbers; a missing cell, or table, becomes a dash."""
    if frame.empty:
        return table([_DASH], [[_DASH]])
    cells = [
        [_DASH if pd.isna(value) else md(value) for value in row]
        for row in frame.itertuples(index=False)
    ]
    align = "".join("r" if _numeric(frame[column]) else "l" for column in frame)
    return table([md(column) for column in frame], cells, align)


def frame_html(frame: pd.DataFrame, caption: str) -> str:
    """Lay out the same as an HTML table with its caption, every text escaped."""
    shown = frame.map(lambda value: value if pd.isna(value) else visible(str(value)))
    text = shown.to_html(index=False, na_rep=_DASH, border=0)
    head, rest = text.split("\n", 1)
    return f"{head}\n<caption>{html.escape(visible(caption))}</caption>\n{rest}"


def _numeric(column: pd.Series) -> bool:
    """Tell whether every cell is a number or is written as one."""
    written = column.dropna().astype(str).str.strip("+-.,%\N{MINUS SIGN}\N{EN DASH}0123456789")
    return len(written) > 0 and not written.any()


def directive(kind: str, argument: str, body: str, *, colons: int = 3, **options: str) -> str:
    """Wrap Markdown in a colon-fenced directive; ``class_`` stands for ``class``."""
    fence = ":" * colons
    settings = "".join(f":{key.rstrip('_')}: {value}\n" for key, value in options.items())
    return f"{fence}{{{kind}}} {argument}".rstrip() + f"\n{settings}\n{body}\n{fence}"


def duration(seconds: float | None) -> str:
    """Say a duration in at most two units, such as ``3 min 20 s``; a dash for None."""
    if seconds is None:
        return _DASH
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def number(value: float | None) -> str:
    """Format a number with three decimals; a dash for None and NaN."""
    return _DASH if value is None or value != value else f"{value:.3f}"


def write_page(path: Path, text: str) -> Path:
    """Write a page atomically, and only when its text changes, so that Sphinx renders it anew."""
    data = (text.rstrip("\n") + "\n").encode("utf-8")
    if not path.is_file() or path.read_bytes() != data:
        write_atomically(path, data)
    return path
