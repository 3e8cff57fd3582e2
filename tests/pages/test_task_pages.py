"""The table of tasks and the cards."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from docutils import nodes
from docutils.core import publish_doctree
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from myst_parser.docutils_ import Parser

from probing_core.datasets import TASKS
from probing_core.pages import GROUPS, write_task_pages
from probing_core.pages.facts import CACHE_NAME

REPOSITORY = Path(__file__).parents[2]
ATTACKS = [
    "<script>alert(1)</script>",
    "</li></dl><img src=x onerror=alert(1)>",
    "```\n# Heading\n```{include} /etc/passwd\n```",
    ":::::\n# Out of the card",
    "{{ title }} {ref}`x` $x$ $$y$$ [a](javascript:alert(1))",
    "\x00\x1b[31m\u202ereversed\ud800",
    "<!-- comment \n\n--> <style>*{display:none}</style>",
    "| a | b |\n|---|---|",
]


@dataclass(frozen=True)
class Prompts:
    """A data set as the pages see it."""

    prompts: tuple[str, ...]
    labels: np.ndarray


@dataclass(frozen=True)
class OwnTask:
    """A task that is not in the registry."""

    tag: str
    id: int = 9001
    source: str = "own"
    origin: str = "a file"
    asks: str = "Is it?"
    n_prompts: int = 4
    class_names: tuple[str, str] = ("0", "1")
    defects: tuple[str, ...] = ()
    shifted: bool = False


def attacked(_tag: str) -> Prompts:
    return Prompts(tuple(ATTACKS), np.array([0, 1] * (len(ATTACKS) // 2), dtype=np.int8))


def result_rows(tags) -> pd.DataFrame:
    rows = []
    for place, tag in enumerate(tags):
        common = {"section": "standard", "dataset": tag, "hook": "blocks.3.hook_resid_post"}
        base = {"sae_id": None, "ranking": None, "k": None, "binarize": None}
        rows += [
            common | base | {"method": "logreg", "val_auc": 0.9, "test_auc": 0.8 + place / 1000},
            common | base | {"method": "pca", "val_auc": 0.8, "test_auc": 0.99},
        ]
        sae = {"method": "sae_logreg", "sae_id": "topk-w2048-k32", "ranking": "mean_difference"}
        for k, val, test in ((16, 0.7, 0.61), (128, 0.7, 0.62), (512, 0.6, 0.95)):
            rows.append(
                common | sae | {"k": k, "binarize": False, "val_auc": val, "test_auc": test}
            )
    return pd.DataFrame(rows).astype({"k": "Int64", "binarize": "boolean"})


def all_text(paths) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def test_every_task_has_one_card(tmp_path):
    paths = write_task_pages(tmp_path, TASKS, None, set(), attacked)
    targets = re.findall(r"^\(task-(\d+)\)=$", all_text(paths), flags=re.MULTILINE)
    assert sorted(map(int, targets)) == sorted(task.id for task in TASKS.values())
    assert len(targets) == 113


def test_groups_cover_the_registry_without_overlap():
    ids = [one for group in GROUPS for one in group.ids]
    assert len(ids) == len(set(ids))
    assert set(ids) == {task.id for task in TASKS.values()}


def test_every_group_is_in_the_contents(tmp_path):
    toc = (REPOSITORY / "_toc.yml").read_text(encoding="utf-8")
    for path in write_task_pages(tmp_path, TASKS, None, set(), attacked):
        assert f"book/sections/{path.stem}\n" in toc


def test_table_links_every_card(tmp_path):
    table = write_task_pages(tmp_path, TASKS, None, set(), attacked)[0].read_text()
    links = re.findall(r"\{ref\}`[^`<]+ <task-(\d+)>`", table)
    assert sorted(map(int, links)) == sorted(task.id for task in TASKS.values())


def test_pages_hold_no_live_markup_from_prompts(tmp_path):
    text = all_text(write_task_pages(tmp_path, TASKS, None, set(), attacked))
    assert "<script" not in text
    assert "<img" not in text
    assert "<style" not in text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.text(alphabet=st.characters(exclude_categories=())), min_size=1, max_size=6))
def test_any_prompt_stays_inside_its_card(tmp_path_factory, prompts):
    folder = tmp_path_factory.mktemp("cards")
    labels = np.arange(len(prompts)) % 2
    task = TASKS["5_hist_fig_ismale"]
    paths = write_task_pages(folder, [task], None, set(), lambda _: Prompts(tuple(prompts), labels))
    (page,) = [path for path in paths if path.stem == "tasks-people"]
    text = page.read_text(encoding="utf-8")
    raw = text[text.index("```{raw} html\n") :].split("\n")
    assert raw[1].startswith('<dl class="examples">')
    assert raw[1].endswith("</dl>")
    assert raw[2] == "```"
    assert text.rstrip().endswith(":::::")
    assert raw[1].count("<li>") == raw[1].count("</li>") <= 4


def test_card_parses_as_one_section_with_prompts_only_in_raw_html(tmp_path):
    paths = write_task_pages(tmp_path, TASKS, None, set(), attacked)
    (page,) = [path for path in paths if path.stem == "tasks-places"]
    text = page.read_text(encoding="utf-8").replace("{ref}`All tasks <tasks-table>`", "All tasks")
    text = text.replace(":::::{div} task-card", ":::::{container} task-card")
    tree = publish_doctree(
        text,
        parser=Parser(),
        settings_overrides={
            "myst_enable_extensions": ["colon_fence", "dollarmath", "deflist"],
            "report_level": 2,
            "warning_stream": "",
        },
    )
    assert not list(tree.findall(nodes.system_message))
    titles = [node.astext() for node in tree.findall(nodes.title)]
    places = next(group for group in GROUPS if group.slug == "places")
    expected = sorted((t for t in TASKS.values() if t.id in places.ids), key=lambda t: t.id)
    assert titles[-len(expected) :] == [task.tag for task in expected]
    for node in tree.findall(nodes.Text):
        if not isinstance(node.parent, nodes.raw):
            assert "alert" not in node
    assert len(list(tree.findall(nodes.raw))) == len(expected)


def test_hostile_names_of_an_own_task_stay_text(tmp_path):
    task = OwnTask(
        tag="9001_`x`{{y}}<b>",
        source="<script>",
        asks="{ref}`z`?",
        class_names=("| a |", "</dt>"),
        defects=("# no\nheading",),
    )
    paths = write_task_pages(tmp_path, [task], None, {task.tag}, attacked)
    text = paths[0].read_text(encoding="utf-8")
    assert "<script" not in text
    assert "</dt>" not in text.replace("</dt><dd>", "")
    assert "(task-9001)=" in text
    assert "{{y}}" not in text


def test_unchanged_tasks_leave_the_pages_untouched(tmp_path):
    first = write_task_pages(tmp_path, TASKS, None, set(), attacked)
    stamps = [path.stat().st_mtime_ns for path in first]
    second = write_task_pages(tmp_path, list(TASKS.values())[::-1], None, set(), attacked)
    assert [path.stat().st_mtime_ns for path in second] == stamps


def test_prompts_are_read_once_for_a_version_of_the_data(tmp_path):
    asked = []

    def load(tag):
        asked.append(tag)
        return attacked(tag)

    first = all_text(write_task_pages(tmp_path, TASKS, None, set(), load, data_version="1"))
    second = all_text(write_task_pages(tmp_path, TASKS, None, set(), load, data_version="1"))
    assert len(asked) == len(TASKS)
    assert first == second
    write_task_pages(tmp_path, TASKS, None, set(), load, data_version="2")
    assert len(asked) == 2 * len(TASKS)


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"format": 1, "data_version": "1"}'])
def test_damaged_cache_is_read_anew(tmp_path, damage):
    good = all_text(write_task_pages(tmp_path, TASKS, None, set(), attacked, data_version="1"))
    (tmp_path / CACHE_NAME).write_text(damage)
    again = all_text(write_task_pages(tmp_path, TASKS, None, set(), attacked, data_version="1"))
    assert again == good


def test_table_shows_test_auc_of_the_probe_picked_by_validation(tmp_path):
    tag = "66_living-room"
    rows = result_rows([tag, "5_hist_fig_ismale"])
    table = write_task_pages(tmp_path, TASKS, rows, {tag}, attacked)[0].read_text()
    line = next(line for line in table.splitlines() if "<task-66>" in line)
    assert line.endswith("| yes | 0.800 | 0.620 |")
    other = next(line for line in table.splitlines() if "<task-67>" in line)
    assert other.endswith("| no | – | – |")


def test_card_lists_every_method_of_the_run(tmp_path):
    tag = "66_living-room"
    paths = write_task_pages(tmp_path, TASKS, result_rows([tag]), {tag}, attacked)
    (page,) = [path for path in paths if path.stem == "tasks-phrases"]
    text = page.read_text()
    assert text.count("{dropdown}") == 1
    assert "| Logistic regression | 0.800 |" in text
    assert "| topk\\-w2048\\-k32 | mean difference | 0.610 | 0.620 | 0.950 |" in text


def test_examples_come_from_their_class(tmp_path):
    data = Prompts(("a0", "b1", "a0", "c0", "d0", "e1"), np.array([0, 1, 0, 0, 0, 1]))
    paths = write_task_pages(tmp_path, [TASKS["5_hist_fig_ismale"]], None, set(), lambda _: data)
    text = all_text(paths)
    zero, one = re.findall(r'<ul class="prompts">(.*?)</ul>', text)
    assert re.findall(r">(\w\d)<", zero) == ["a0", "c0"]
    assert re.findall(r">(\w\d)<", one) == ["b1", "e1"]
    assert "Prompts: 6, of which 5 are distinct" in text
