"""The table of all tasks, and one card for each of them."""

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from probing_core.analysis.quiver import picked_by_task
from probing_core.datasets import TASKS, ProbingDataset, Task
from probing_core.experiments.regimes import quiver_names
from probing_core.experiments.study import Study
from probing_core.pages import facts as known
from probing_core.pages.text import as_html, bullet_list, directive, md, number, table, write_page

_DATA = files("probing_core.datasets").joinpath("tasks.yaml").read_text(encoding="utf-8")
GROUPS: list[dict[str, Any]] = yaml.safe_load(_DATA[_DATA.index("\npages:") :])["pages"]
"""The pages of cards, ``tasks-<slug>``: slug, title, intro, ids, and ids of offensive ones."""
_OFFENSIVE = {task_id for group in GROUPS for task_id in group.get("offensive", ())}


def write_task_pages(folder: Path, study: Study, rows: pd.DataFrame) -> list[Path]:
    """Write ``tasks.md`` and a page of cards per group from a study and its standard rows.

    The folder exists. Cards of your own tasks stand on the first page.
    """
    own = [study.datasets[tag] for tag in study.tags if tag not in TASKS]
    facts = known.registry_facts(folder) | {data.tag: known.read_facts(data) for data in own}
    tasks = sorted(TASKS.values(), key=lambda task: task.id)
    tasks += [_own_task(1000 + place, dataset) for place, dataset in enumerate(own)]
    by_tag = dict(list(rows.groupby("dataset")))
    cards = {}
    for task in tasks:
        fits, in_run = by_tag.get(task.tag, rows[:0]), task.tag in study.datasets
        cards[task.id] = task_card(task, facts[task.tag], fits, in_run=in_run)
    pages = {"tasks": [_table_page(tasks, study, rows), *list(cards.values())[len(TASKS) :]]}
    for group in GROUPS:
        head = f"# {group['title']}\n\n{group['intro']}\n{known.HOW_TO_READ}"
        pages[f"tasks-{group['slug']}"] = [head, *map(cards.__getitem__, sorted(group["ids"]))]
    return [write_page(folder / f"{name}.md", "\n\n".join(p)) for name, p in pages.items()]


def _own_task(task_id: int, data: ProbingDataset) -> Task:
    asks, names = f"Is the target {data.class_names[1]!r}?", data.class_names
    return Task(data.tag, task_id, data.source, "a task of your own", asks, len(data), names, ())


def task_card(
    task: Task, facts: known.TaskFacts, rows: pd.DataFrame, *, in_run: bool = False
) -> str:
    """Write the card of one task, a Markdown section with target ``task-<id>``, from its rows."""
    lines = [
        f"Source: {md(task.source)}, {md(task.origin)}",
        f"Prompts: {facts.n_prompts:,}, of which {facts.n_distinct:,} are distinct",
        f"{_label_name(task, 0, md)}: {facts.n_prompts - facts.n_ones:,} prompts",
        f"{_label_name(task, 1, md)}: {facts.n_ones:,} prompts",
        f"Shifted test set: {_yes(task.shifted)}",
        f"In this run: {_yes(in_run)}",
    ]
    body = [md(task.asks), bullet_list(lines)]
    if task.defects:
        body.append("Known defects\n\n" + bullet_list(map(md, task.defects)))
    # Raw HTML on one line: Markdown never reads a prompt.
    body.append(f"```{{raw}} html\n{_examples(task, facts)}\n```")
    body += filter(None, [known.result_tables(rows)])
    card = directive("div", "\n\n".join(body), argument="task-card", fence=":::::")
    return f"(task-{task.id})=\n## {md(task.tag)}\n\n{card}"


def _label_name(task: Task, label: int, escape: Callable[[str], str]) -> str:
    name, answer = task.class_names[label], ("no", "yes")[label]
    raw = "" if name == str(label) else f" (in the file: {escape(name)})"
    return f"Label {label}, the answer is {answer}{raw}"


def _examples(task: Task, facts: known.TaskFacts) -> str:
    listed = ""
    for label, prompts in enumerate(facts.examples):
        items = "".join(f'<li><bdi dir="auto">{as_html(p)}</bdi></li>' for p in prompts)
        name = _label_name(task, label, as_html)
        listed += f'<dt>{name}</dt><dd><ul class="prompts">{items}</ul></dd>'
    listed = f'<dl class="examples">{listed}</dl>'
    if task.id not in _OFFENSIVE:
        return listed
    return f"<details><summary>Examples (some are offensive)</summary>{listed}</details>"


def _table_page(tasks: list[Task], study: Study, rows: pd.DataFrame) -> str:
    hook, saes = study.main_hook, quiver_names(study)
    sides = ("baselines", "saes")
    picked = [picked_by_task(rows, hook=hook, side=side, sae_ids=saes) for side in sides]
    cells = [
        [
            f"{{ref}}`{_link_text(task.tag)} <task-{task.id}>`",
            md(task.source),
            f"{task.n_prompts:,}",
            _yes(task.tag in study.datasets),
            *(number(aucs.get(task.tag)) for aucs in picked),
        ]
        for task in tasks
    ]
    header = ["task", "source", "prompts", "in run", "baseline AUC", "SAE AUC"]
    title = "All tasks, and in this run the test AUC of the probe picked by validation AUC"
    body = table(header, cells, "llrlrr")
    listing = directive(
        "table", body, argument=title, class_="sortable searchable", name="tbl-tasks"
    )
    return f"(tasks-table)=\n# Tasks\n\n{_intro(study, any(map(len, picked)))}\n\n{listing}"


def _intro(study: Study, picked: bool) -> str:
    in_run = sum(tag in TASKS for tag in study.tags)
    own = len(study.tags) - in_run
    text = (
        f"The paper probes {len(TASKS)} binary tasks {{cite:p}}`kantamneni2025sparse`; this "
        f"run covers {in_run} of them"
        + (f", and {own} of your own, whose cards stand below the table" if own else "")
        + ".\nA name starts with the number of the task and leads to its card. "
        "Click a column title to sort, type into the field to search."
    )
    if picked:
        text += (
            f"\nThe last two columns read {md(study.main_hook)}: among the five baselines, and "
            "among the SAE probes of the {term}`quiver of arrows`, the one with the best "
            "validation AUC is picked and its test AUC is shown. Ties are averaged."
        )
    pages = bullet_list(f"[{group['title']}](tasks-{group['slug']}.md)" for group in GROUPS)
    return f"{text}\n\nThe cards, one a task, are on these pages:\n\n{pages}"


def _yes(fact: bool) -> str:
    return "yes" if fact else "no"


def _link_text(tag: str) -> str:
    return "".join(c if c.isalnum() or c in " _-.," else "·" for c in tag)
