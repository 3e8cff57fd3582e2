"""The table of all tasks, and one card for each of them."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from re import sub
from typing import Any

import pandas as pd

from probing_core.analysis.quiver import picked_by_task
from probing_core.analysis.selection import baseline_rows, hook_label, ordered_hooks, sae_rows
from probing_core.analysis.shortcuts import shortcut_table
from probing_core.datasets import TASKS, ProbingDataset, Task, load_dataset
from probing_core.datasets.audit import Audit, audit
from probing_core.datasets.registry import TASKS_FILE
from probing_core.experiments.regimes import quiver_names
from probing_core.experiments.study import Study
from probing_core.pages.text import (
    PROMPT_CHARACTERS,
    bullet_list,
    directive,
    md,
    number,
    prompt_html,
    table,
    write_page,
)
from probing_core.probes.methods import BASELINES, METHODS

CACHE_NAME = "_tasks.json"
AUDITS = "tasks.json"
"""Beside the folder of generated pages: what `datasets.audit` says of every built-in task."""
EXAMPLES_PER_CLASS = 2
SENSITIVE = frozenset({48, 91, 95, 106, 107})
"""Tasks whose examples are folded away: they insult, or describe abuse."""
_HOW_TO_READ = (
    f"Examples are the first ones in the file with at most {PROMPT_CHARACTERS} characters, or its "
    "first ones, cut in the middle. ⏎ stands for a line break. {ref}`All tasks <tasks-table>` are "
    "in one table."
)


@dataclass(frozen=True)
class PageGroup:
    """A page of cards, ``tasks-<slug>``: what it says and the ids of its tasks."""

    slug: str
    title: str
    intro: str
    ids: list[int]


def page_groups() -> list[PageGroup]:
    """The pages of cards, in order; every built-in task is on one."""
    return [PageGroup(**page) for page in TASKS_FILE["pages"]]


@dataclass(frozen=True)
class TaskFacts:
    """Counts and examples of one task."""

    n_prompts: int
    n_distinct: int
    n_ones: int
    """Prompts with label 1."""
    examples: Sequence[Sequence[str]]
    """Prompts of label 0 and of label 1, raw: hostile text."""


def read_facts(dataset: ProbingDataset) -> TaskFacts:
    """Count the prompts of a task and pick examples in file order, short ones first."""
    examples = []
    for label in (0, 1):
        pairs = zip(dataset.prompts, dataset.labels, strict=True)
        of_class = list(dict.fromkeys(prompt for prompt, own in pairs if own == label))
        short = [prompt for prompt in of_class if len(prompt) <= PROMPT_CHARACTERS]
        examples.append((short or of_class)[:EXAMPLES_PER_CLASS])
    n_ones = int(dataset.labels.sum())
    return TaskFacts(len(dataset), len(set(dataset.prompts)), n_ones, examples)


def builtin_facts(tags: Iterable[str], folder: Path) -> dict[str, TaskFacts]:
    """Facts of built-in tasks by tag, kept in a folder while the package of their data stays."""
    path, package = folder / CACHE_NAME, f"sae-probes {version('sae-probes')}"
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))[package]
        facts = {tag: TaskFacts(**kept[tag]) for tag in tags}
    except (OSError, ValueError, KeyError, TypeError):
        facts = {tag: read_facts(load_dataset(tag)) for tag in tags}
    write_page(path, json.dumps({package: {tag: asdict(one) for tag, one in facts.items()}}))
    return facts


def write_task_pages(
    folder: Path, study: Study, rows: pd.DataFrame, shortcuts: pd.DataFrame
) -> list[Path]:
    """Write ``tasks.md``, the table and the cards of own tasks, and the other pages of cards.

    ``rows`` are those of the section ``standard``, ``shortcuts`` those of the section of that name.
    """
    options = {"hook": study.main_hook, "sae_ids": quiver_names(study)}
    solved = shortcut_table(shortcuts, rows, **options).to_dict("index")
    own = _own_tasks(study)
    facts = builtin_facts(TASKS, folder)
    facts |= {task.tag: read_facts(study.datasets[task.tag]) for task in own}
    by_tag = dict(list(rows.groupby("dataset")))
    audits = read_audits(folder.parent / AUDITS)
    audits |= {task.tag: audit(study.datasets[task.tag]).lines() for task in own}

    def cards(tasks: Sequence[Task]) -> list[str]:
        covered = set(study.tags)
        told = [
            (facts[t.tag], by_tag.get(t.tag), t.tag in covered, audits.get(t.tag, ()),
             solved.get(t.tag))
            for t in tasks
        ]  # fmt: skip
        return [task_card(task, *one) for task, one in zip(tasks, told, strict=True)]

    builtin = sorted(TASKS.values(), key=lambda task: task.id)
    pages = {"tasks": [_table_page([*builtin, *own], study, rows), *cards(own)]}
    for group in page_groups():
        head = f"# {group.title}\n\n{group.intro}\n{_HOW_TO_READ}"
        pages[f"tasks-{group.slug}"] = [head, *cards([t for t in builtin if t.id in group.ids])]
    return [write_page(folder / f"{name}.md", "\n\n".join(p)) for name, p in pages.items()]


def read_audits(path: Path) -> dict[str, Sequence[tuple[str, str]]]:
    """Label and value pairs by tag, of audits that lie in a file; none where there is no file."""
    if not path.exists():
        return {}
    found: dict[str, Sequence[tuple[str, str]]] = {}
    for tag, told in json.loads(path.read_text(encoding="utf-8"))["tasks"].items():
        shared = ", ".join(f"{other} ({share:.0%})" for other, share in told["overlaps"].items())
        lines = Audit.from_json(told).lines()
        found[tag] = [*lines, ("shares prompts with", shared or "no other task")]
    return found


def _own_tasks(study: Study) -> list[Task]:
    """Tasks of the user's own, numbered after the paper's."""
    return [
        Task(
            tag=tag,
            id=1000 + place,
            source=dataset.source,
            origin="a task of your own",
            asks=f"Is the target {dataset.class_names[1]!r}?",
            n_prompts=len(dataset),
            class_names=dataset.class_names,
            defects=(),
        )
        for place, (tag, dataset) in enumerate(study.datasets.items())
        if tag not in TASKS
    ]


def task_card(
    task: Task, facts: TaskFacts, rows: pd.DataFrame | None, covered: bool,
    audited: Iterable[tuple[str, str]] = (), shortcut: dict[str, Any] | None = None,
) -> str:  # fmt: skip
    """Write the card of one task; target ``task-<id>``.

    It has the result rows, pairs of a label and a value of its audit, and a row of
    `analysis.shortcuts.shortcut_table`, if there are any.
    """
    lines = [
        f"Source: {md(task.source)}, {md(task.origin)}",
        f"Prompts: {facts.n_prompts:,}, of which {facts.n_distinct:,} are distinct",
        f"{_label_name(task, 0, md)}: {facts.n_prompts - facts.n_ones:,} prompts",
        f"{_label_name(task, 1, md)}: {facts.n_ones:,} prompts",
        f"Shifted test set: {_yes(task.shifted)}",
        f"In this run: {_yes(covered)}",
    ]
    body = [md(task.asks), bullet_list(lines)]
    if task.defects:
        body.append("Known defects\n\n" + bullet_list(map(md, task.defects)))
    if shortcut:
        body.append(_shortcut(shortcut))
    if listed := [f"{md(name)}: {md(value)}" for name, value in audited]:
        body.append(directive("dropdown", "Audit", bullet_list(listed), colons=4))
    body.append(f"```{{raw}} html\n{_examples(task, facts)}\n```")
    if rows is not None:
        title = "Test AUC of every method in this run"
        body.append(directive("dropdown", title, _results(rows), colons=4))
    card = directive("div", "task-card", "\n\n".join(body), colons=5)
    return f"(task-{task.id})=\n## {md(task.tag)}\n\n{card}"


def _shortcut(found: dict[str, Any]) -> str:
    """What tells the classes without a model, flagged where that does as well as the probe."""
    said = (
        f"Without a model: a bag of words reaches a test AUC of {number(found['bag_auc'])}, "
        f"{md(found['feature'])} alone {number(found['feature_auc'])}; the probe "
        f"{number(found['probe_auc'])}."
    )
    return f"{said} **It needs no model.**" if found["solved"] else said


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _label_name(task: Task, label: int, escape: Callable[[str], str]) -> str:
    name = task.class_names[label]
    raw = "" if name == str(label) else f" (in the file: {escape(name)})"
    return f"Label {label}, the answer is {_yes(bool(label))}{raw}"


def _examples(task: Task, facts: TaskFacts) -> str:
    blocks = []
    for label, prompts in enumerate(facts.examples):
        items = "".join(f'<li><bdi dir="auto">{prompt_html(p)}</bdi></li>' for p in prompts)
        name = _label_name(task, label, prompt_html)
        blocks.append(f'<dt>{name}</dt><dd><ul class="prompts">{items}</ul></dd>')
    listed = f'<dl class="examples">{"".join(blocks)}</dl>'
    if task.id not in SENSITIVE:
        return listed
    return f"<details><summary>Examples (some are offensive)</summary>{listed}</details>"


def _results(rows: pd.DataFrame) -> str:
    """Every probe of one task, in a table of the baselines and one of the SAE probes."""
    fits, sparse = baseline_rows(rows), sae_rows(rows, ranking=None)
    hooks = ordered_hooks(fits)
    baselines = fits.pivot_table(index="method", columns="hook", values="test_auc")
    methods = [method for method in BASELINES if method in baselines.index]
    baselines = baselines.reindex(index=methods, columns=hooks)
    labels = [METHODS[method].label for method in methods]
    names = [[label[0].upper() + label[1:]] for label in labels]
    layers = [f"layer {x}" if x.isdigit() else md(x) for x in map(hook_label, hooks)]
    saes = sparse.pivot_table(index=["sae_id", "ranking"], columns="k", values="test_auc")
    probes = [[sae, ranking.replace("_", " ")] for sae, ranking in saes.index]
    tables = [
        _grid(["Baseline", *layers], names, baselines),
        _grid(["SAE", "ranked by", *(f"k = {k}" for k in saes.columns)], probes, saes),
    ]
    return "\n\n".join(part for part in tables if part)


def _grid(heads: Sequence[str], names: Sequence[Sequence[str]], values: pd.DataFrame) -> str:
    """Lay out AUCs beside the names of their rows; nothing where there are none."""
    pairs = zip(names, values.to_numpy(), strict=True)
    cells = [[*map(md, name), *map(number, line)] for name, line in pairs]
    return table(heads, cells, "l" * len(names[0]) + "r" * len(values.columns)) if cells else ""


def _table_page(tasks: Sequence[Task], study: Study, rows: pd.DataFrame) -> str:
    hook, names = study.main_hook, quiver_names(study)
    baseline = picked_by_task(rows, hook=hook, side="baselines")
    sae = picked_by_task(rows, hook=hook, side="saes", sae_ids=names)
    cells = [
        [
            "{ref}`" + sub(r"[^\w .,-]", "·", task.tag) + f" <task-{task.id}>`",
            md(task.source),
            f"{task.n_prompts:,}",
            _yes(task.tag in study.datasets),
            number(baseline.get(task.tag)),
            number(sae.get(task.tag)),
        ]
        for task in tasks
    ]
    header = ["task", "source", "prompts", "in run", "baseline AUC", "SAE AUC"]
    caption = "All tasks, and in this run the test AUC of the probe picked by validation AUC"
    text = table(header, cells, "llrlrr")
    listing = directive("table", caption, text, class_="sortable searchable", name="tbl-tasks")
    return f"(tasks-table)=\n# Tasks\n\n{_intro(study)}\n\n{listing}"


def _intro(study: Study) -> str:
    covered = len(set(study.tags) & set(TASKS))
    own = len(study.tags) - covered
    lines = [
        f"The paper probes {len(TASKS)} binary tasks {{cite:p}}`kantamneni2025sparse`; this "
        f"run covers {covered} of them"
        + (f", and {own} of your own, whose cards stand below the table." if own else "."),
        "A name starts with the number of the task and leads to its card. "
        "Click a column title to sort, type into the field to search.",
        f"The last two columns read {md(study.main_hook)}: among the five baselines, and among "
        "the SAE probes of the {term}`quiver of arrows`, the one with the best validation AUC is "
        "picked and its test AUC is shown. Where several share the best, theirs are averaged.",
        "\nThe cards, one a task, are on these pages:\n",
        bullet_list([f"[{one.title}](tasks-{one.slug}.md)" for one in page_groups()]),
    ]
    return "\n".join(lines)
