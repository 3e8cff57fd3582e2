"""What a page shows: glued figures, tables and values, seen through a captured display."""

import numpy as np
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

from probing_core.figures.style import Drawing, new_figure
from probing_core.notebook import HIDDEN, run_facts, sae_gate_table, said, say, show, show_table


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
    keys = [out.metadata["scrapbook"]["name"] for out in named]
    assert len(set(keys)) == len(keys)
    return dict(zip(keys, [out.data for out in named], strict=True))


def test_figure_says_its_name_caption_alt_text_and_half_its_pixels_as_width(drawing, tmp_path):
    with capture_output() as captured:
        show("fig-x", drawing, tmp_path)
    image, caption = captured.outputs
    assert caption.metadata["scrapbook"]["mime_prefix"] == HIDDEN
    assert image.metadata["image/png"] == {"width": 600, "alt": drawing.alt}
    assert image.data["text/plain"] == image.metadata["mystnb"]["image"]["alt"] == drawing.alt
    assert image.metadata["mystnb"]["figure"] == {
        "name": "fig-x",
        "caption": r"Shown &lt;b&gt;here&lt;\/b&gt; with a\_b \{term\}\`x\`\.",
    }
    assert caption.data["text/markdown"] == image.metadata["mystnb"]["figure"]["caption"]
    assert {path.name for path in tmp_path.iterdir()} == {"fig-x.png", "fig-x.pdf"}


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
    assert repr(said.text) == 'it\'s "so"' and repr(said.share) == "0.25"
    assert found == {"share": "0.25", "count": "3", "text": repr('it\'s "so"')}


def test_table_escapes_its_cells_and_aligns_numbers():
    frame = pd.DataFrame({"a|b": ["<script>", None], "value": ["\N{MINUS SIGN}0.500", np.nan]})
    with capture_output() as captured:
        show_table("tbl-x", frame, "A <b> caption.")
    (shown,) = captured.outputs
    text = shown.data["text/markdown"]
    assert text.startswith(":::{table} A &lt;b&gt; caption\\.\n:name: tbl-x\n")
    assert "script" in text
    assert "<" not in text
    assert r"a\|b" in text
    assert "| :-- | --: |" in text
    assert "\u22120\\.500" in text
    lab = shown.data["text/html"]
    assert "<caption>A &lt;b&gt; caption.</caption>" in lab and "&lt;script&gt;" in lab
    assert "<script>" not in lab and "nan" not in lab.lower()


def test_gate_table_has_a_head_with_units_and_a_dash_for_what_is_unknown():
    raw = pd.DataFrame(
        {
            "sae_id": ["s"],
            "width": [1024],
            "l0": [16.04],
            "train_seconds": [None],
            "gate": ["pass"],
        }
    )
    table = sae_gate_table(raw)
    assert list(table) == ["SAE", "width", "L0, tokens", "training (s)", "gate"]
    with capture_output() as captured:
        show_table("tbl-saes", table, "SAEs.")
    shown = captured.outputs[0].data["text/markdown"]
    assert r"| s | 1024 | 16\.0 | – | pass |" in shown


def test_facts_of_a_run_leave_out_what_is_unknown():
    facts = run_facts(
        {"profile": "quick", "seeds": [42, 43], "commit": None, "machine": {"cores": 2}}
    )
    assert facts.to_numpy().tolist() == [
        ["profile", "quick"],
        ["seeds", "42, 43"],
        ["machine", "2 cores"],
    ]
