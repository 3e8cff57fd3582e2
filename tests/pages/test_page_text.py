"""Text from data stays text, whatever it holds."""

import html
import re
import unicodedata

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from myst_parser.config.main import MdParserConfig
from myst_parser.mdit_to_docutils.base import DocutilsRenderer
from myst_parser.parsers.mdit import create_md_parser

from probing_core.pages.text import (
    PROMPT_CHARACTERS,
    duration,
    frame_table,
    md,
    number,
    prompt_html,
    shorten,
    table,
    visible,
    write_page,
)

PIECES = [
    "<script>", "</script>", "<!--", "-->", "&lt;", "```", ":::", "{{", "}}", "{eval-rst}", "`",
    "$", "$$", "{ref}`x`", "[a](b)", "![a](b)", "(x)=", "+++", "%", "\\", "# ", "| ",
    "www.example.com", "\n", "\n\n", "\x00", "\x1b[31m", "\u202e", "\ud800", "\u2028",
]  # fmt: skip
HOSTILE = st.one_of(
    st.text(alphabet=st.characters(exclude_categories=()), max_size=300),
    st.lists(st.sampled_from(PIECES), max_size=30).map("".join),
)


def parser() -> MarkdownIt:
    extensions = {"colon_fence", "deflist", "dollarmath", "amsmath", "substitution", "tasklist"}
    return create_md_parser(
        MdParserConfig(enable_extensions=extensions | {"linkify"}), DocutilsRenderer
    )


@given(HOSTILE)
def test_visible_text_is_one_line_of_characters_that_can_be_written(text):
    shown = visible(text)
    assert len(shown.splitlines()) <= 1
    assert not any(unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Cn"} for c in shown)
    shown.encode("utf-8")


@given(HOSTILE)
def test_prompt_cannot_open_or_close_markup(text):
    markup = prompt_html(text)
    assert not re.search(r"[<>\"'\n\r]", markup)
    assert not re.search(r"&(?!amp;|lt;|gt;|quot;|#x27;)", markup)


@given(HOSTILE)
def test_prompt_says_the_same_after_unescaping(text):
    assert html.unescape(prompt_html(text)) == shorten(visible(text, line_break="⏎"))


@given(HOSTILE)
def test_escaped_markdown_is_plain_text_for_the_book_parser(text):
    tokens = parser().parse("- x " + md(text))
    inline = [token for token in tokens if token.type == "inline"]
    kinds = [token.type for token in tokens if token.nesting > 0]
    assert kinds == ["bullet_list_open", "list_item_open", "paragraph_open"] and len(inline) == 1
    assert {child.type for child in inline[0].children} <= {"text"}
    assert "".join(c.content for c in inline[0].children) == ("x " + visible(text).strip()).strip()


@given(st.lists(st.tuples(HOSTILE, HOSTILE), min_size=1, max_size=4))
def test_hostile_cells_do_not_break_out_of_a_table(cells):
    tokens = parser().parse(table(["a", "b"], [[md(x), md(y)] for x, y in cells]))
    kinds = [token.type for token in tokens]
    assert kinds.count("table_open") == 1
    assert kinds.count("tr_open") == len(cells) + 1
    assert kinds.count("td_open") == 2 * len(cells)


def test_long_prompt_keeps_its_start_and_its_end():
    text = "start" + "x" * 500 + "the end"
    short = shorten(text)
    assert len(short) == PROMPT_CHARACTERS
    assert short.startswith("start") and short.endswith("the end")
    assert shorten(short) == short


def test_duration_uses_at_most_two_units():
    given = [None, 0.04, 9.96, 59.6, 75, 3599.7, 7260]
    said = ["–", "0.0 s", "10.0 s", "1 min 0 s", "1 min 15 s", "1 h 0 min", "2 h 1 min"]
    assert [duration(seconds) for seconds in given] == said


def test_missing_number_is_a_dash():
    assert number(float("nan")) == number(None) == "–"
    assert number(0.12345) == "0.123"


def test_unchanged_page_is_not_touched(tmp_path):
    path = write_page(tmp_path / "page.md", "text")
    before = path.stat()
    write_page(path, "text\n\n")
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert path.stat().st_ino == before.st_ino
    write_page(path, "other")
    assert path.read_text() == "other\n"
    assert [p.name for p in tmp_path.iterdir()] == ["page.md"]


def test_a_frame_without_rows_is_still_one_table():
    assert frame_table(pd.DataFrame()).count("\n") == 2
