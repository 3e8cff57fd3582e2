"""The table of tasks and the cards."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from docutils import nodes
from docutils.core import publish_doctree
from hypothesis import given
from hypothesis import strategies as st
from myst_parser.docutils_ import Parser

from probing_core.analysis.quiver import quiver
from probing_core.datasets import TASKS, ProbingDataset
from probing_core.experiments.regimes import quiver_names
from probing_core.experiments.sections import rows
from probing_core.experiments.study import open_study
from probing_core.pages import facts, write_task_pages
from probing_core.pages.facts import read_facts
from probing_core.pages.tasks import GROUPS, task_card
from probing_core.rows import to_frame
from tests.conftest import small_profile

REPOSITORY = Path(__file__).parents[2]
NO_ROWS = to_frame([])
ATTACKS = [
    "<script>alert(1)</script>",
    "</li></dl><img src=x onerror=alert(1)>",
    "```\n# Heading\n```{include} /etc/passwd\n```",
    ":::::\n# Out of the card",
    "{{ title }} {ref}`x` $x$ $$y$$ [a](javascript:alert(1))",
    "\x00\x1b[31m\u202ereversed",
    "<!-- comment \n\n--> <style>*{display:none}</style>",
    "| a | b |\n|---|---|",
]


def dataset(prompts, labels) -> ProbingDataset:
    return ProbingDataset("x", tuple(prompts), np.asarray(labels, np.int8), ("0", "1"), "a file")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The study of the published rows, which covers every task."""
    return open_study("published", tmp_path_factory.mktemp("published"))


@pytest.fixture(scope="module")
def fits(published):
    return rows(published, "standard")


@pytest.fixture(scope="module")
def written(published, fits, tmp_path_factory) -> list[Path]:
    """The pages of the published rows."""
    return write_task_pages(tmp_path_factory.mktemp("pages"), published, fits)


@pytest.fixture(scope="module")
def pages(written) -> dict[str, str]:
    """Text of every page by name."""
    return {path.stem: path.read_text(encoding="utf-8") for path in written}


@pytest.fixture
def folder(written, tmp_path):
    """A folder in which the facts of the paper's tasks are kept already."""
    shutil.copy(written[0].parent / facts.CACHE_NAME, tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A study with a task of one's own that attacks the pages with its prompts and its name."""
    folder = tmp_path_factory.mktemp("own")
    path = folder / "`x`{{y}}<b>|$z$.csv"
    targets = ["| a |", "</dt>{ref}`z`"] * 60
    attacks = [attack.replace("\x00", "") for attack in ATTACKS]  # no CSV can hold it
    prompts = [f"{attack} {i}" for i in range(15) for attack in attacks]
    pd.DataFrame({"prompt": prompts, "target": targets}).to_csv(path, index=False)
    return open_study(small_profile(), folder / "store", tasks=[path])


def line_of(table: str, task_id: int) -> str:
    return next(line for line in table.splitlines() if f"<task-{task_id}>" in line)


def test_every_task_has_one_card_and_a_link_to_it_in_the_table(pages):
    targets = re.findall(r"^\(task-(\d+)\)=$", "\n".join(pages.values()), flags=re.MULTILINE)
    links = re.findall(r"\{ref\}`[^`<]+ <task-(\d+)>`", pages["tasks"])
    ids = sorted(task.id for task in TASKS.values())
    assert sorted(map(int, targets)) == sorted(map(int, links)) == ids


def test_groups_cover_the_registry_without_overlap():
    ids = [one for group in GROUPS for one in group["ids"]]
    assert sorted(ids) == sorted(task.id for task in TASKS.values())


def test_every_page_is_in_the_contents(pages):
    toc = (REPOSITORY / "_toc.yml").read_text(encoding="utf-8")
    assert [name for name in pages if f"book/sections/{name}\n" not in toc] == []


def test_the_table_picks_as_the_quiver_does(published, fits, pages):
    arrows = {"hook": published.main_hook, "sae_ids": quiver_names(published)}
    expected = quiver(fits, **arrows).set_index("dataset")["without_auc"]
    shown = {tag: line_of(pages["tasks"], TASKS[tag].id).split(" | ")[4] for tag in TASKS}
    assert shown == {tag: f"{auc:.3f}" for tag, auc in expected.items()}


def test_ties_in_the_table_are_averaged(published, fits, folder):
    tag = "66_living-room"
    tied = fits[fits["dataset"].eq(tag) & fits["hook"].eq(published.main_hook)].copy()
    tied["val_auc"] = 0.9
    table = write_task_pages(folder, published, tied)[0].read_text()
    mean = tied.loc[tied["method"] != "sae_logreg", "test_auc"].mean()
    assert f"| yes | {mean:.3f} | " in line_of(table, 66)
    assert line_of(table, 67).endswith("| yes | – | – |")


def test_card_lists_every_method_of_the_run(pages, fits):
    card = next(c for c in pages["tasks-phrases"].split("(task-")[1:] if c.startswith("66)"))
    here = fits[fits["dataset"] == "66_living-room"]
    assert card.count("{dropdown}") == 1
    for method in ("logistic regression", "PCA", "nearest neighbours", "XGBoost", "MLP"):
        assert f"| {method} | 0." in card
    depths = re.findall(r"layer (\d+)", card)
    assert len(depths) >= 4 and depths == sorted(depths, key=int)
    saes = here[here["binarize"].eq(False)].drop_duplicates(["sae_id", "ranking"])
    assert len(re.findall(r"\| (?:normalised )?mean difference \| ", card)) == len(saes) > 1
    assert " k = 16 |" in card


def test_a_task_without_rows_has_a_card_without_results(own, folder):
    paths = write_task_pages(folder, own, NO_ROWS)
    text = "\n".join(path.read_text() for path in paths)
    assert "{dropdown}" not in text and text.count("In this run: yes") == 4
    assert "The last two columns" not in text


def test_pages_hold_no_live_markup_from_an_own_task(own, folder):
    text = write_task_pages(folder, own, NO_ROWS)[0].read_text(encoding="utf-8")
    card = text[text.index("(task-1000)=") :]
    assert "run covers 3 of them, and 1 of your own" in text
    assert "In this run: yes" in card and "120 are distinct" in card
    for live in ("<script", "<img", "<style", "<b>", "{{y}}"):
        assert live not in text
    assert r"(in the file: &lt;\/dt&gt;\{ref\}\`z\`)" in card
    assert "</dt>" not in card.replace("</dt><dd>", "")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text)


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=())), min_size=1, max_size=6))
def test_any_prompt_stays_inside_its_card(prompts):
    known = read_facts(dataset(prompts, np.arange(len(prompts)) % 2))
    card = task_card(TASKS["5_hist_fig_ismale"], known, NO_ROWS)
    raw = card[card.index("```{raw} html\n") :].split("\n")
    assert raw[1].startswith('<dl class="examples">')
    assert raw[1].endswith("</dl>")
    assert raw[2] == "```"
    assert card.rstrip().endswith(":::::")
    assert raw[1].count("<li>") == raw[1].count("</li>") <= 4


def test_cards_parse_as_sections_with_prompts_only_in_raw_html():
    tasks = [replace(task, asks=f"{task.asks} {ATTACKS[4]}") for task in list(TASKS.values())[:8]]
    known = read_facts(dataset(ATTACKS, [0, 1] * 4))
    cards = "\n\n".join(task_card(task, known, NO_ROWS) for task in tasks)
    settings = {"report_level": 2, "warning_stream": ""}
    settings["myst_enable_extensions"] = ["colon_fence", "dollarmath", "deflist", "substitution"]
    text = "# All\n\n" + cards.replace(":::::{div} task-card", ":::::{container} task-card")
    tree = publish_doctree(text, parser=Parser(), settings_overrides=settings)
    assert not list(tree.findall(nodes.system_message))
    titles = [node.astext() for node in tree.findall(nodes.title)]
    assert titles[-len(tasks) :] == [task.tag for task in tasks]
    assert len(list(tree.findall(nodes.raw))) == len(tasks)
    alive = [n for n in tree.findall(nodes.Text) if "onerror" in n]
    assert all(isinstance(node.parent, nodes.raw) for node in alive)


def test_examples_of_an_offensive_task_are_folded_away():
    known = read_facts(dataset(["a", "b"], [0, 1]))
    folded = {task.id for task in TASKS.values() if "<details>" in task_card(task, known, NO_ROWS)}
    assert folded == {48, 91, 95, 106, 107}


def test_examples_come_from_their_class():
    known = read_facts(dataset(("a0", "b1", "a0", "c0", "d0", "e1"), [0, 1, 0, 0, 0, 1]))
    card = task_card(TASKS["5_hist_fig_ismale"], known, NO_ROWS)
    zero, one = re.findall(r'<ul class="prompts">(.*?)</ul>', card)
    assert re.findall(r">(\w\d)<", zero) == ["a0", "c0"]
    assert re.findall(r">(\w\d)<", one) == ["b1", "e1"]
    assert "Prompts: 6, of which 5 are distinct" in card


def test_unchanged_tasks_leave_the_pages_untouched(own, folder):
    first = [path.stat().st_mtime_ns for path in write_task_pages(folder, own, NO_ROWS)]
    second = [path.stat().st_mtime_ns for path in write_task_pages(folder, own, NO_ROWS)]
    assert first == second


@pytest.fixture
def two_tasks(monkeypatch):
    tags = ("66_living-room", "87_glue_cola")
    monkeypatch.setattr(facts, "TASKS", {tag: TASKS[tag] for tag in tags})


def test_prompts_of_the_paper_are_read_once_for_a_version_of_the_data(
    two_tasks, tmp_path, monkeypatch
):
    first = facts.registry_facts(tmp_path)
    monkeypatch.setattr(facts, "load_dataset", None)
    assert facts.registry_facts(tmp_path) == first
    monkeypatch.setattr(facts, "version", lambda package: "9.9")
    with pytest.raises(TypeError):
        facts.registry_facts(tmp_path)


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}", "\xff"])
def test_damaged_cache_is_read_anew(two_tasks, tmp_path, damage):
    good = facts.registry_facts(tmp_path)
    (tmp_path / facts.CACHE_NAME).write_bytes(damage.encode("latin-1"))
    assert facts.registry_facts(tmp_path) == good
