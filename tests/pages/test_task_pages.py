"""The table of tasks and the cards."""

import json
import re
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from docutils import nodes
from docutils.core import publish_doctree
from hypothesis import given, settings
from hypothesis import strategies as st
from myst_parser.docutils_ import Parser

from probing_core.analysis.quiver import quiver
from probing_core.datasets import TASKS, ProbingDataset, Task
from probing_core.datasets.prompts import from_frame
from probing_core.experiments import sections
from probing_core.experiments.shortcuts import COLUMNS
from probing_core.experiments.study import open_study
from probing_core.pages import page_groups, write_task_pages
from probing_core.pages.tasks import CACHE_NAME, builtin_facts, read_facts, task_card
from probing_core.probes.surface import BAG
from probing_core.profiles import load_profile
from probing_core.published.source import published_rows
from tests.conftest import TAGS, small_profile

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
MODEL = "google/gemma-2-9b"


NONE = pd.DataFrame(columns=COLUMNS)


def hostile_task() -> ProbingDataset:
    frame = pd.DataFrame({"prompt": ATTACKS * 13, "target": ["</dt>", "| a `x` {{y}}"] * 52})
    return from_frame(frame, tag=r"`x`{{y}}<b>$\frac$", source="<script>{ref}`z`\n# no")


def all_text(paths) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def card_of(text: str, task: Task) -> str:
    return text.split(f"(task-{task.id})=")[1].split("(task-")[0]


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """The authors' rows of three tasks and one more."""
    found = published_rows(None, "standard", MODEL)
    return found[found["dataset"].isin([*TAGS, "67_social-security"])]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study of published rows that covers three tasks."""
    profile = load_profile("published").model_copy(update={"tasks": TAGS})
    return open_study(profile, tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def shortcuts(study) -> pd.DataFrame:
    """What tells the classes of its tasks without a model, and of one more, perfectly."""
    own = sections.rows(study, "shortcuts")
    other = own[own["dataset"] == TAGS[0]].assign(dataset="67_social-security", test_auc=1.0)
    return pd.concat([own, other])


@pytest.fixture(scope="module")
def paths(tmp_path_factory, study, rows, shortcuts) -> list[Path]:
    """Pages of a study of published rows."""
    return write_task_pages(tmp_path_factory.mktemp("pages"), study, rows, shortcuts)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory, paths, rows) -> str:
    """The first page of a study with a hostile task."""
    folder = tmp_path_factory.mktemp("hostile")
    shutil.copy(paths[0].parent / CACHE_NAME, folder)
    own = open_study(small_profile(), folder / "store", tasks=[hostile_task()])
    return write_task_pages(folder, own, rows.iloc[:0], NONE)[0].read_text(encoding="utf-8")


def test_every_task_has_one_card_and_the_table_links_it(paths):
    targets = re.findall(r"^\(task-(\d+)\)=$", all_text(paths), flags=re.MULTILINE)
    links = re.findall(r"\{ref\}`[^`<]+ <task-(\d+)>`", paths[0].read_text())
    ids = sorted(task.id for task in TASKS.values())
    assert sorted(map(int, targets)) == sorted(map(int, links)) == ids
    assert len(ids) == 113


def test_groups_cover_the_registry_without_overlap():
    ids = [one for group in page_groups() for one in group.ids]
    assert sorted(ids) == sorted(task.id for task in TASKS.values())


def test_every_published_task_is_picked_as_the_quiver_picks(paths, study, tmp_path):
    every = published_rows(None, "standard", MODEL)
    shutil.copy(paths[0].parent / CACHE_NAME, tmp_path)
    shown = write_task_pages(tmp_path, study, every, NONE)[0].read_text()
    found = dict(re.findall(r"<task-(\d+)>`.* \| ([\d.–]+) \| [\d.–]+ \|$", shown, re.MULTILINE))
    picked = quiver(every, hook=study.main_hook).set_index("dataset")["without_auc"]
    assert len(picked) == 113
    assert found == {str(TASKS[tag].id): f"{auc:.3f}" for tag, auc in picked.items()}


def test_cards_say_what_tells_the_classes_and_flag_what_needs_no_model(paths, shortcuts):
    text = all_text(paths)
    for tag in TAGS:
        own = shortcuts[shortcuts["dataset"] == tag].set_index("feature")["test_auc"]
        assert f"a bag of words reaches a test AUC of {own[BAG]:.3f}" in card_of(text, TASKS[tag])
    assert "**It needs no model.**" in card_of(text, TASKS["67_social-security"])
    assert "Without a model" not in card_of(text, TASKS["130_temp_cat_Frequency"])


def test_task_without_rows_has_dashes_and_no_table_of_results(paths):
    task = TASKS["130_temp_cat_Frequency"]
    (line,) = [x for x in paths[0].read_text().splitlines() if f"<task-{task.id}>" in x]
    assert line.endswith("| no | – | – |")
    assert paths[0].read_text().count("| yes |") == len(TAGS)
    assert "{dropdown}" not in card_of(all_text(paths), task)


def test_card_lists_every_probe_of_the_run(paths, rows):
    task = TASKS["66_living-room"]
    card = card_of(all_text(paths), task)
    here = rows[rows["dataset"] == task.tag]
    assert "| Baseline | embed | layer 9 | layer 20 | layer 31 | layer 41 |" in card
    knn = here[(here["method"] == "knn") & (here["hook"] == "blocks.20.hook_resid_post")]
    line = next(line for line in card.splitlines() if line.startswith("| Nearest neighbours |"))
    assert line.split(" | ")[3] == f"{knn['test_auc'].item():.3f}"
    plain = here[here["method"].eq("sae_logreg") & here["binarize"].eq(False)]
    ours = plain["sae_id"].eq("layer_20/width_131k/average_l0_276") & plain["k"].eq(1)
    best = plain[ours & plain["ranking"].eq("mean_difference")]
    line = next(line for line in card.splitlines() if r"131k\/average\_l0\_276 | mean" in line)
    place = card.split("| SAE | ")[1].splitlines()[0].split(" | ").index("k = 1")
    assert line.split(" | ")[place + 1] == f"{best['test_auc'].item():.3f}"
    saes = plain.groupby("ranking")["sae_id"].nunique()
    assert card.count("| mean difference |") == saes["mean_difference"]
    assert card.count("| normalized mean difference |") == saes["normalized_mean_difference"]


def test_pages_hold_no_live_markup_from_prompts_and_names(paths, hostile):
    text = all_text(paths) + hostile
    for tag in ("script", "img", "style", "b>"):
        assert f"<{tag}" not in text
    assert "</dt>" not in hostile.replace("</dt><dd>", "")
    markdown = re.sub(r"```\{raw\} html\n.*\n```", "", hostile)
    assert "{{y}}" not in markdown and "\n# no" not in markdown
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text)


def test_own_task_is_counted_and_has_its_card_below_the_table(hostile):
    assert "covers 3 of them, and 1 of your own" in hostile
    assert hostile.index("{table}") < hostile.index("(task-1003)=")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(alphabet=st.characters(exclude_categories=())), min_size=1, max_size=6))
def test_any_prompt_stays_inside_its_card(prompts):
    labels = (np.arange(len(prompts)) % 2).astype(np.int8)
    data = ProbingDataset("x", tuple(prompts), labels, ("0", "1"), "", len(prompts))
    text = task_card(TASKS["5_hist_fig_ismale"], read_facts(data), None, covered=True)
    raw = text[text.index("```{raw} html\n") :].split("\n")
    assert raw[1].startswith('<dl class="examples">')
    assert raw[1].endswith("</dl>")
    assert raw[2] == "```"
    assert text.endswith(":::::")
    assert raw[1].count("<li>") == raw[1].count("</li>") <= 4


def test_card_parses_as_one_section_with_prompts_only_in_raw_html(hostile):
    card = hostile[hostile.index("(task-1003)=") :]
    card = card.replace(":::::{div} task-card", ":::::{container} task-card")
    tree = publish_doctree(
        "# Page\n\n" + card.replace("::::{dropdown} Audit", "::::{container} audit"),
        parser=Parser(),
        settings_overrides={
            "myst_enable_extensions": ["colon_fence", "dollarmath", "deflist"],
            "doctitle_xform": False,
            "report_level": 2,
            "warning_stream": "",
        },
    )
    assert not list(tree.findall(nodes.system_message))
    assert [n.astext() for n in tree.findall(nodes.title)] == ["Page", r"`x`{{y}}<b>$\frac$"]
    assert len(list(tree.findall(nodes.raw))) == 1
    for node in tree.findall(nodes.Text):
        assert isinstance(node.parent, nodes.raw) or "alert" not in node


def test_same_input_leaves_the_pages_untouched(paths, study, rows, shortcuts):
    stamps = [path.stat().st_mtime_ns for path in paths]
    again = write_task_pages(paths[0].parent, study, rows, shortcuts)
    assert [path.stat().st_mtime_ns for path in again] == stamps


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}", "other version", "unknown field"])
def test_facts_are_kept_between_builds_and_read_anew_where_they_do_not_fit(tmp_path, damage):
    tag, path = "66_living-room", tmp_path / CACHE_NAME
    good = builtin_facts([tag], tmp_path)[tag]
    ((package, facts),) = json.loads(path.read_text()).items()
    path.write_text(json.dumps({package: {tag: facts[tag] | {"n_prompts": 1}}}))
    assert builtin_facts([tag], tmp_path)[tag].n_prompts == 1
    unfit = {
        "other version": json.dumps({f"{package}1": facts}),
        "unknown field": json.dumps({package: {tag: {"n_promts": 1}}}),
    }
    path.write_text(unfit.get(damage, damage))
    assert asdict(builtin_facts([tag], tmp_path)[tag]) == asdict(good)


def test_examples_come_from_their_class():
    prompts = ("a0", "b1", "a0", "c0", "d0", "e1", "x" * 500)
    data = ProbingDataset("x", prompts, np.array([0, 1, 0, 0, 0, 1, 1]), ("0", "1"), "", 7)
    facts = read_facts(data)
    assert [list(part) for part in facts.examples] == [["a0", "c0"], ["b1", "e1"]]
    assert (facts.n_prompts, facts.n_distinct, facts.n_ones) == (7, 6, 3)
