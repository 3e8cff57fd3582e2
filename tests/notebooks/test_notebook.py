"""What a page shows: figures, tables and values, seen through a captured display."""

import nbformat
import numpy as np
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

from probing_core.errors import UserError
from probing_core.figures.style import Drawing, new_figure
from probing_core.notebook import (
    HIDDEN,
    lift_figures,
    run_facts,
    sae_gate_table,
    say,
    say_list,
    show,
    show_table,
)
from probing_core.runner import provenance


@pytest.fixture(scope="module", autouse=True)
def shell():
    """Give display a shell, as a kernel does; without one it only prints."""
    config = Config({"HistoryManager": {"enabled": False}})
    yield InteractiveShell.instance(config=config)
    InteractiveShell.clear_instance()


@pytest.fixture
def drawing() -> Drawing:
    figure = new_figure(width=6, height=2)
    figure.subplots()
    return Drawing(figure, "Shown <b>here</b> with a_b {term}`x`.", 'A "finding" # with: signs.')


def outputs(captured) -> dict[str, dict]:
    """Return glued outputs by key."""
    named = [out for out in captured.outputs if "scrapbook" in (out.metadata or {})]
    return {out.metadata["scrapbook"]["name"]: out.data for out in named}


def executed(captured) -> nbformat.NotebookNode:
    """A notebook of one cell that showed this, and of one with a line of prose."""
    shown = [
        nbformat.v4.new_output("display_data", data=out.data, metadata=out.metadata or {})
        for out in captured.outputs
    ]
    cells = [nbformat.v4.new_markdown_cell("Prose."), nbformat.v4.new_code_cell(outputs=shown)]
    return nbformat.v4.new_notebook(cells=cells)


def test_figure_has_half_its_pixels_as_width_and_copies_in_the_folder(drawing, tmp_path):
    with capture_output() as captured:
        show("fig-x", drawing, tmp_path)
    image = captured.outputs[0]
    assert image.metadata["image/png"] == {"width": 600}
    assert image.data["text/plain"] == drawing.alt
    assert {path.name for path in tmp_path.iterdir()} == {"fig-x.png", "fig-x.pdf"}


def test_a_cell_takes_over_what_its_figure_says_for_the_book(drawing):
    with capture_output() as captured:
        show("fig-x", drawing)
        say(x=1)
    notebook = executed(captured)
    lift_figures(notebook)
    nbformat.validate(notebook)
    block = notebook.cells[1].metadata["mystnb"]
    assert block["figure"]["name"] == "fig-x" and block["image"]["alt"] == drawing.alt
    assert "<" not in block["figure"]["caption"] and r"\{term\}\`x\`" in block["figure"]["caption"]


def test_two_figures_in_one_cell_are_refused_by_name(drawing):
    with capture_output() as captured:
        show("fig-x", drawing)
        show("fig-y", drawing)
    with pytest.raises(UserError, match="one figure and nothing else; split that of fig-x, fig-y"):
        lift_figures(executed(captured))


def test_empty_folder_name_writes_nothing(drawing, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with capture_output():
        show("fig-x", drawing, "")
    assert list(tmp_path.iterdir()) == []


def test_keys_of_figures_and_tables_have_their_prefix(drawing):
    with pytest.raises(ValueError, match="'fig-'"):
        show("x", drawing)
    with pytest.raises(ValueError, match="'tbl-'"):
        show_table("x", pd.DataFrame(), "Caption.")


def test_values_are_glued_as_plain_python():
    with capture_output() as captured:
        say(share=np.float64(0.25), count=np.int64(3), text='it\'s "so"')
    found = {key: data[HIDDEN + "text/plain"] for key, data in outputs(captured).items()}
    assert found == {"share": "0.25", "count": "3", "text": repr('it\'s "so"')}


def test_table_escapes_its_cells_and_aligns_numbers():
    frame = pd.DataFrame({"a|b": ["<script>", None], "value": ["−0.500", np.nan]})
    with capture_output() as captured:
        show_table("tbl-x", frame, "A caption.")
    text = outputs(captured)["tbl-x"][HIDDEN + "text/markdown"]
    assert text.startswith(":::{table} A caption\\.\n:name: tbl-x\n")
    assert "script" in text
    assert "<" not in text
    assert r"a\|b" in text
    assert "| :-- | --: |" in text
    assert "−0\\.500 |" in text and "| – | – |" in text


def test_gate_table_has_a_head_with_units_and_a_dash_for_what_is_unknown():
    raw = {"sae_id": ["s"], "width": [1024], "l0": [-16.04], "train_seconds": [None]}
    table = sae_gate_table(pd.DataFrame(raw | {"gate": ["pass"]}))
    assert table.iloc[0].to_dict() == {
        "SAE": "s",
        "width": "1024",
        "L0, tokens": "−16.0",
        "training (s)": "–",
        "gate": "pass",
    }


def test_facts_of_a_run_say_what_it_was(small_study):
    facts = run_facts(provenance(small_study)).set_index("what")["value"]
    assert (facts["profile"], facts["tasks"], facts["seeds"]) == ("small", "3", "42")
    assert facts["rows"] == "computed here"
    assert "GB of memory" in facts["machine"] and "torch " in facts["versions"]


def test_sentences_are_glued_as_a_list_of_plain_text():
    with capture_output() as captured:
        say_list("found", ["One `x`.", "Two <b>bold</b>."])
    text = outputs(captured)["found"][HIDDEN + "text/markdown"].splitlines()
    assert [line[:5] for line in text] == ["- One", "- Two"]
    assert "`x`" not in text[0].replace(r"\`", "") and "<b>" not in text[1]
