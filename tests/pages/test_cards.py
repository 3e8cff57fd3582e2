"""Cards of latents: what they say, and that hostile prompts stay text in them."""

import re

import numpy as np
import pytest
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

from probing_core.datasets import load_dataset
from probing_core.experiments.activations import study_model
from probing_core.experiments.latents import Context, Injection, best_latents
from probing_core.experiments.saes import study_saes
from probing_core.notebook import show_cards
from probing_core.pages.cards import latent_card, task_cards
from probing_core.pages.text import visible
from tests.pages.test_page_text import HOSTILE

ROW = {"latent": 7, "sae_id": "topk", "test_auc": 0.9, "shifted_auc": 0.6, "sign": 1}
ALLOWED = {
    "section", "p", "strong", "ul", "li", "bdi", "small", "span", "figure", "figcaption", "svg",
    "title", "rect", "line", "code",
}  # fmt: skip


def card(tokens=("a", " cup"), values=(0.0, 1.5), classes=("no", "yes"), row=ROW, top=("cup",)):
    contexts = [Context(tuple(tokens), np.array(values, np.float32), 1)]
    codes, labels = np.array([0, 0.5, 1.5, 0], np.float32), np.array([0, 0, 1, 1])
    injected = Injection(tuple(top), 0, 40, (0.1, 0.5), (0.2, 0.9))
    return latent_card(row, codes, labels, classes, contexts, [(3, 0.5)], injected)


def parsed(text):
    return BeautifulSoup(text, "html.parser")


@settings(max_examples=60, deadline=None)
@given(st.lists(HOSTILE, min_size=1, max_size=5), HOSTILE, HOSTILE)
def test_hostile_text_executes_nothing_and_stays_in_its_element(tokens, name, top):
    text = card(tokens, np.arange(len(tokens)), (name, f"{name}!"), ROW | {"sae_id": top}, (top,))
    assert "\n" not in text
    tree = parsed(text)
    assert {tag.name for tag in tree.find_all()} <= ALLOWED
    assert [tag.name for tag in tree.find_all(recursive=False)] == ["section"]
    allowed = {"class", "style", "title", "dir", "role", "width", "height", "viewbox", "x", "y",
               "fill", "x1", "x2", "y1", "y2", "stroke"}  # fmt: skip
    assert {key for tag in tree.find_all() for key in tag.attrs} <= allowed
    shown = "".join(visible(token, line_break="⏎") for token in tokens)
    assert tree.find("bdi").get_text() == shown


def test_card_says_what_the_latent_does():
    tree = parsed(card())
    said = tree.get_text()
    assert "Latent 7 of topk: test AUC 0.900, on shifted prompts 0.600. It speaks for yes." in said
    assert "inserted into 40 prompts of no, let it fire at the probed token in 50% (before: 10%), "
    assert "anywhere in 90% (20%)" in said and "3 (0.50)" in said
    (token,) = tree.find_all("span")
    assert token.get_text() == "cup" and token["title"] == "1.50" and "rgba" in token["style"]


def test_unknown_shift_and_absent_tokens_are_left_out():
    said = parsed(card(row=ROW | {"shifted_auc": float("nan"), "sign": -1}, top=())).get_text()
    assert "shifted" not in said and "speaks for no." in said and "No token stands out" in said


def test_histogram_has_the_shares_of_the_classes():
    svg = parsed(card()).find("svg")
    assert svg["role"] == "img"
    assert svg.find("title").get_text() == (
        "It fires on 50% of yes (above the line) and 50% of no (below), up to 1.50."
    )
    tall = [float(bar["height"]) for bar in svg.find_all("rect") if float(bar["height"])]
    assert len(tall) == 2 and tall[0] == tall[1]


def test_a_long_prompt_keeps_its_largest_token_and_its_end():
    values = np.zeros(400)
    values[100] = 2
    shown = parsed(card([f"w{i} " for i in range(400)], values)).find("bdi").get_text()
    assert "w100 " in shown and "w399" in shown and "w0 " not in shown and "w200 " not in shown
    assert shown.count("…") == 2


def test_html_prompts_are_shown_as_text(small_study):
    task, model = load_dataset("160_code_HTML", max_prompts=140), study_model(small_study)
    pages = [prompt[:300] for prompt in task.prompts if "<script" in prompt[:300]]
    shown = ""
    for page, ids in zip(pages, model.tokenize(pages, 512)[0], strict=True):
        pieces = model.pieces(ids)
        tree = parsed(card(pieces, np.ones(len(ids)), top=pieces[5:8]))
        assert {tag.name for tag in tree.find_all()} <= ALLOWED, page
        shown += tree.find("bdi").get_text()
    assert len(pages) > 10 and re.search(r"< ?script", shown)


@pytest.fixture(scope="module")
def cards(small_study):
    (source,) = study_saes(small_study)
    table = best_latents(small_study, "66_living-room", source).head(2)
    return task_cards(small_study, "66_living-room", table)


def test_cards_of_a_task_hold_its_prompts(cards):
    assert len(cards) == 2
    for one in cards:
        assert [tag.name for tag in parsed(one).find_all(recursive=False)] == ["section"]
        said = parsed(one).get_text()
        assert "on shifted prompts" in said and "[SEP]" in said and "bigram" in said


def test_cards_are_shown_for_lab_and_book_alike(cards):
    InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    with capture_output() as captured:
        show_cards(cards)
    InteractiveShell.clear_instance()
    (shown,) = captured.outputs
    raw = shown.data["text/markdown"].split("\n")
    assert raw[0] == "```{raw} html" and raw[-1] == "```" and raw[1:-1] == cards
    assert shown.data["text/html"] == "\n".join(cards)
    with pytest.raises(ValueError, match="one line"):
        show_cards(["<p>\n```\n</p>"])
