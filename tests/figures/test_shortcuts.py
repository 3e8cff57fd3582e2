"""Figures and tables of shortcuts; tokens and tasks in them are hostile text."""

import pandas as pd
import pytest

from probing_core.analysis.shortcuts import shortcut_table, without_solved
from probing_core.figures import shortcuts as draw
from tests.analysis.test_shortcuts import seen
from tests.figures.conftest import check, texts

LATENTS = pd.DataFrame({"latent": [7, 9], "label_0": [0.5, 0.1], "label_1": [0.1, 0.4],
                        "surface": ["length", ""], "surface_auc": [0.8, float("nan")]})  # fmt: skip
ENDS = pd.DataFrame({"token": [".", " ", "\x1b", "<b>"], "label_0": [10, 40, 1, 0],
                     "label_1": [60, 0, 1, 2]})  # fmt: skip


def test_classes_are_drawn_side_by_side_and_control_characters_are_spelled_out():
    drawing = draw.plot_classes(LATENTS, ENDS, ("0", "1"), "110_aimade_humangpt3")
    check(drawing)
    seen_texts = [text.get_text() for text in texts(drawing)]
    assert "latent 7\n(length 0.80)" in seen_texts and "space" in seen_texts
    assert repr("\x1b") in seen_texts and "“<b>”" in seen_texts
    assert "78.4% of prompts with label 0 and 0.0% with label 1 end in a space" in drawing.alt


def test_classes_are_drawn_without_an_sae():
    check(draw.plot_classes(LATENTS.iloc[:0], ENDS, ("no", "yes"), "task"))


@pytest.fixture
def table(rows):
    tags = sorted(rows["dataset"].unique())
    hook = rows["hook"].iloc[-1]
    probe = shortcut_table(seen(tags), rows, hook=hook)["probe_auc"]
    near = {tags[0]: probe[tags[0]]}
    return shortcut_table(seen(tags, **near), rows, hook=hook)


def test_a_dot_a_task_and_the_count_of_those_solved(table):
    drawing = draw.plot_shortcuts(table)
    check(drawing)
    assert len(drawing.figure.axes[0].collections[-1].get_offsets()) == len(table)
    assert f"On 1 of {len(table)} tasks" in drawing.alt


def test_the_headline_is_given_again_without_solved_tasks(table, rows):
    said = draw.without_sentence(without_solved(table, rows, hook=rows["hook"].iloc[-1]))
    assert f"on {len(table)} tasks" in said and f"on the {len(table) - 1} that" in said
    assert "No SAE probe" in draw.without_sentence([])


def test_cells_hold_every_task_and_say_which_needs_no_model(table):
    cells = draw.shortcut_cells(table)
    assert len(cells) == len(table)
    assert cells["needs no model"].value_counts().to_dict() == {"no": len(table) - 1, "yes": 1}


def test_tokens_along_a_direction_are_quoted():
    found = pd.DataFrame({"token": [" ", "a|b"], "mean": [2.0, 1.0], "count": [1200, 10]})
    assert draw.token_cells(found)["token"].tolist() == ["space", "“a|b”"]
    assert draw.token_cells(found)["occurrences"].tolist() == ["1,200", "10"]
