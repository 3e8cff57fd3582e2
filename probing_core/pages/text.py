"""Turning data into page text that stays text, and writing pages without needless change."""

import html
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from probing_core.store import write_atomically

PROMPT_CHARACTERS = 160
_TAIL = 48
_LINE_BREAK = re.compile("\r\n|[\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_MARKDOWN = re.compile(r"[!-/:-@\[-`{-~]")
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def visible(text: str, *, line_break: str = " ") -> str:
    """Make one line of plainly visible text of any string.

    Control, format (bidirectional overrides among them), private and unassigned characters and
    surrogates become U+FFFD; other blanks become a space; runs of spaces are kept.
    """
    shown = []
    for character in _LINE_BREAK.sub(line_break, str(text)):
        kind = unicodedata.category(character)
        blank = character == "\t" or kind.startswith("Z")
        shown.append(" " if blank else "\ufffd" if kind.startswith("C") else character)
    return "".join(shown)


def shorten(text: str, limit: int = PROMPT_CHARACTERS) -> str:
    """Cut a long text to ``limit`` characters: its start, an ellipsis, and its last 48.

    The end stays because probes read the last token.
    """
    return text if len(text) <= limit else f"{text[: limit - _TAIL - 3]} … {text[-_TAIL:]}"


def as_html(prompt: str) -> str:
    """Escape a prompt for use inside an HTML element.

    Line breaks show as ⏎. The result has no line break, markup or quote of its own, so
    it cannot leave the element or the directive it stands in.
    """
    return html.escape(shorten(visible(prompt, line_break="⏎")), quote=True)


def md(text: Any) -> str:
    """Escape text for a Markdown line, heading or table cell.

    Every ASCII punctuation character gets a backslash or becomes an entity, so no emphasis,
    role, directive, substitution, link, math or HTML survives.
    """
    line = visible(str(text)).strip()
    return _MARKDOWN.sub(lambda found: _ENTITIES.get(found[0], f"\\{found[0]}"), line)


def bullet_list(lines: Iterable[str]) -> str:
    """Join lines that are Markdown already into a bullet list."""
    return "\n".join(f"- {line}" for line in lines)


def table(header: Sequence[str], rows: Iterable[Sequence[str]], align: str = "") -> str:
    """Lay out a pipe table of Markdown cells; ``align`` has ``l`` or ``r`` for each column."""
    rule = ["--:" if side == "r" else ":--" for side in align.ljust(len(header), "l")]
    lines = [header, rule, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def directive(kind: str, body: str, *, argument: str, fence: str = ":::", **options: str) -> str:
    """Wrap Markdown in a colon-fenced directive; ``class_`` stands for ``class``."""
    settings = "".join(f":{key.rstrip('_')}: {value}\n" for key, value in options.items())
    return f"{fence}{{{kind}}} {argument}\n{settings}\n{body}\n{fence}"


def duration(seconds: float) -> str:
    """Say a duration in at most two units, such as ``3 min 20 s``."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def number(value: float | None) -> str:
    """Format a number for a table cell; ``–`` for None and NaN."""
    return "–" if value is None or value != value else f"{value:.3f}"


def write_page(path: Path, text: str) -> Path:
    """Write a page atomically, into a folder that exists, and only when its text changes."""
    data = (text.rstrip("\n") + "\n").encode("utf-8")
    if not path.is_file() or path.read_bytes() != data:
        write_atomically(path, data)
    return path
