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
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_LINE_BREAK = re.compile("\r\n|[\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_MARKDOWN = re.compile(r"[!-/:-@\[-`{-~]")
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def visible(text: str, *, line_break: str = " ") -> str:
    """Replace everything that is not plainly visible.

    Args:
        text: Any string, lone surrogates and control characters included.
        line_break: What stands for a line break.

    Returns:
        One line of text. Control, format (bidirectional overrides among them), private
        and unassigned characters and surrogates become U+FFFD; other blanks become a
        space; runs of spaces are kept.
    """
    line = _LINE_BREAK.sub(line_break, str(text))
    shown = []
    for character in line:
        kind = unicodedata.category(character)
        if character == "\t" or kind.startswith("Z"):
            shown.append(" ")
        else:
            shown.append(_REPLACEMENT if kind.startswith("C") else character)
    return "".join(shown)


def shorten(text: str, limit: int = PROMPT_CHARACTERS) -> str:
    """Keep the start and the end of a long text, since probes read the last token.

    Returns:
        ``text`` when it has at most ``limit`` characters, else its start, an ellipsis
        and its last 48 characters, ``limit`` characters in all.
    """
    if len(text) <= limit:
        return text
    return f"{text[: limit - _TAIL - 3]} … {text[-_TAIL:]}"


def prompt_html(prompt: str) -> str:
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
    return _MARKDOWN.sub(_escaped, visible(str(text)).strip())


def _escaped(match: re.Match[str]) -> str:
    character = match.group()
    return _ENTITIES.get(character, f"\\{character}")


def bullet_list(lines: Iterable[str]) -> str:
    """Join lines that are Markdown already into a bullet list."""
    return "\n".join(f"- {line}" for line in lines)


def table(header: Sequence[str], rows: Iterable[Sequence[str]], align: str = "") -> str:
    """Lay out a pipe table.

    Args:
        header: Column titles, Markdown.
        rows: Cells, Markdown, one sequence per row, as long as ``header``.
        align: One letter per column, ``l`` or ``r``; left when missing.

    Returns:
        The table without a trailing newline.
    """
    rule = ["--:" if side == "r" else ":--" for side in align.ljust(len(header), "l")]
    lines = [header, rule, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def directive(
    kind: str, body: str, /, *, argument: str = "", colons: int = 3, **options: str
) -> str:
    """Wrap Markdown in a colon-fenced directive; ``class_`` stands for ``class``."""
    fence = ":" * colons
    settings = "".join(f":{key.rstrip('_')}: {value}\n" for key, value in options.items())
    return f"{fence}{{{kind}}} {argument}".rstrip() + f"\n{settings}\n{body}\n{fence}"


def raw_html(markup: str) -> str:
    """Wrap one line of finished HTML so that Markdown never reads it."""
    return f"```{{raw}} html\n{markup}\n```"


def duration(seconds: float | None) -> str:
    """Say a duration in at most two units, such as ``3 min 20 s``; ``–`` for None."""
    if seconds is None:
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(whole / 60)
    return f"{minutes // 60} h {minutes % 60} min"


def number(value: Any, digits: int = 3) -> str:
    """Format a number for a table cell; ``–`` for None and NaN."""
    if value is None or value != value:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}f}"


def write_page(path: Path, text: str) -> Path:
    """Write a page atomically, and only when its text changes.

    Args:
        path: File to write, in a folder that exists.
        text: The whole page.

    Returns:
        ``path``.
    """
    data = (text.rstrip("\n") + "\n").encode("utf-8")
    if not path.is_file() or path.read_bytes() != data:
        write_atomically(path, data)
    return path
