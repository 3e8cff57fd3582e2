"""The table of all tasks, and one card for each of them."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pandas as pd

from probing_core.pages.facts import DatasetLike, TaskFacts, collect_facts, read_facts
from probing_core.pages.results import main_hook, picked_auc, result_tables, select
from probing_core.pages.text import (
    PROMPT_CHARACTERS,
    bullet_list,
    directive,
    md,
    number,
    prompt_html,
    raw_html,
    table,
    write_page,
)

SENSITIVE = frozenset({48, 91, 95, 106, 107})
"""Tasks whose examples are folded away: they insult, or describe abuse."""


class TaskLike(Protocol):
    """What the pages need to know about a task."""

    @property
    def tag(self) -> str: ...  # noqa: D102
    @property
    def id(self) -> int: ...  # noqa: D102
    @property
    def source(self) -> str: ...  # noqa: D102
    @property
    def origin(self) -> str: ...  # noqa: D102
    @property
    def asks(self) -> str: ...  # noqa: D102
    @property
    def n_prompts(self) -> int: ...  # noqa: D102
    @property
    def class_names(self) -> tuple[str, str]: ...  # noqa: D102
    @property
    def defects(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def shifted(self) -> bool: ...  # noqa: D102


@dataclass(frozen=True)
class Group:
    """A page of cards."""

    slug: str
    """End of the page name, ``tasks-<slug>``."""
    title: str
    intro: str
    ids: frozenset[int]


GROUPS: tuple[Group, ...] = (
    Group(
        "people",
        "Tasks about people",
        "Names of historical figures and athletes, and passages that mention a person.",
        frozenset([5, 6, 7, *range(56, 65), *range(154, 157)]),
    ),
    Group(
        "places",
        "Tasks about places and works",
        "Short names of places in New York, the United States and the world; titles of works.",
        frozenset(range(114, 129)),
    ),
    Group(
        "phrases",
        "Tasks about phrases",
        "Passages cut off after two given words, or after one of these words in other company.",
        frozenset(range(65, 86)),
    ),
    Group(
        "news",
        "Tasks about news",
        "Headlines and articles: what they are about, where they ran, what kind they are.",
        frozenset([21, 22, 23, 24, 26, 100, 105, 139, 140, 141, 161, 162, 163]),
    ),
    Group(
        "language",
        "Tasks about language and feeling",
        "Grammar, paraphrase, inference, and the mood of reviews and tweets.",
        frozenset([87, 89, 90, 91, 92, 113, *range(136, 139), 148, 149, 150, 157]),
    ),
    Group(
        "reasoning",
        "Tasks about reasoning",
        "Questions with an answer to be judged, sums, and questions sorted by what they ask.",
        frozenset([36, 41, 42, 44, 47, 54, *range(129, 136)]),
    ),
    Group(
        "conduct",
        "Tasks about conduct and authorship",
        "Moral judgement, toxic requests, hateful tweets, spam, and texts written by machines.",
        frozenset([*range(48, 53), 94, 95, 96, 106, 107, 110]),
    ),
    Group(
        "technical",
        "Tasks about medicine, support and code",
        "Papers and abstracts, tickets of a help desk, and source files.",
        frozenset([*range(142, 148), 151, 152, 153, 158, 159, 160]),
    ),
)


def write_task_pages(
    folder: Path,
    tasks: Mapping[str, TaskLike] | Iterable[TaskLike],
    rows: pd.DataFrame | None,
    in_run: Collection[str],
    load_dataset: Callable[[str], DatasetLike],
    *,
    data_version: str | None = None,
) -> list[Path]:
    """Write ``tasks.md`` and one page of cards per group.

    Args:
        folder: Where the generated pages of the book go; it exists.
        tasks: The registry. A task that belongs to no group gets its card on ``tasks.md``.
        rows: Tidy result rows of this run, or None.
        in_run: Tags of the tasks that this run covers.
        load_dataset: Gives the prompts and labels (0 or 1) of a tag.
        data_version: Version of the package the built-in tasks come from. With it, their
            prompts are read once and not again while the version stays.

    Returns:
        The pages, the table first.
    """
    listed = sorted(
        tasks.values() if isinstance(tasks, Mapping) else tasks,
        key=lambda task: (task.id, task.tag),
    )
    kept = select(rows, [task.tag for task in listed])
    by_tag = {str(tag): part for tag, part in kept.groupby("dataset")}
    grouped = {group.slug: [t for t in listed if t.id in group.ids] for group in GROUPS}
    built_in = [task.tag for members in grouped.values() for task in members]
    facts = collect_facts(built_in, load_dataset, folder=folder, data_version=data_version)
    own = [task for task in listed if task.tag not in facts]
    facts |= {task.tag: read_facts(load_dataset(task.tag)) for task in own}

    def cards(members: list[TaskLike]) -> list[str]:
        return [
            task_card(t, facts[t.tag], by_tag.get(t.tag), in_run=t.tag in in_run) for t in members
        ]

    pages = {"tasks": [_table_page(listed, kept, in_run), *cards(own)]}
    for group in GROUPS:
        head = f"# {group.title}\n\n{group.intro}\n{_HOW_TO_READ}"
        pages[f"tasks-{group.slug}"] = [head, *cards(grouped[group.slug])]
    return [write_page(folder / f"{name}.md", "\n\n".join(p)) for name, p in pages.items()]


_HOW_TO_READ = (
    f"Examples are the first ones in the file with at most {PROMPT_CHARACTERS} characters, or its "
    "first ones, cut in the middle. ⏎ stands for a line break. {ref}`All tasks <tasks-table>` are "
    "in one table."
)


def task_card(task: TaskLike, facts: TaskFacts, rows: pd.DataFrame | None, *, in_run: bool) -> str:
    """Write the card of one task.

    Args:
        task: The registry's entry.
        facts: Counts and examples of its prompts.
        rows: Tidy result rows of this task, or None.
        in_run: Whether this run covers the task.

    Returns:
        A Markdown section whose target is ``task-<id>``.
    """
    lines = [
        f"Source: {md(task.source)}, {md(task.origin)}",
        f"Prompts: {facts.n_prompts:,}, of which {facts.n_distinct:,} are distinct",
        f"{_label_name(task, 0, md)}: {facts.n_prompts - facts.n_ones:,} prompts",
        f"{_label_name(task, 1, md)}: {facts.n_ones:,} prompts",
        f"Shifted test set: {'yes' if task.shifted else 'no'}",
        f"In this run: {'yes' if in_run else 'no'}",
    ]
    body = [md(task.asks), bullet_list(lines)]
    if task.defects:
        body.append("Known defects\n\n" + bullet_list(md(flaw) for flaw in task.defects))
    body.append(raw_html(_examples(task, facts)))
    if rows is not None and len(rows):
        body.append(result_tables(rows))
    card = directive("div", "\n\n".join(body), argument="task-card", colons=5)
    return f"(task-{task.id})=\n## {md(task.tag)}\n\n{card}"


def _label_name(task: TaskLike, label: int, escape: Callable[[str], str]) -> str:
    name = task.class_names[label]
    answer = ("the answer is no", "the answer is yes")[label]
    raw = "" if name == str(label) else f" (in the file: {escape(name)})"
    return f"Label {label}, {answer}{raw}"


def _examples(task: TaskLike, facts: TaskFacts) -> str:
    blocks = []
    for label in (0, 1):
        items = "".join(f'<li><bdi dir="auto">{p}</bdi></li>' for p in facts.examples[label])
        name = _label_name(task, label, prompt_html)
        blocks.append(f'<dt>{name}</dt><dd><ul class="prompts">{items}</ul></dd>')
    listed = f'<dl class="examples">{"".join(blocks)}</dl>'
    if task.id not in SENSITIVE:
        return listed
    return f"<details><summary>Examples (some are offensive)</summary>{listed}</details>"


def _table_page(tasks: list[TaskLike], rows: pd.DataFrame, in_run: Collection[str]) -> str:
    hook = main_hook(rows) if len(rows) else None
    here = rows[rows["hook"] == hook] if hook else rows
    baseline = picked_auc(here, sae=False) if hook else pd.Series(dtype=float)
    sae = picked_auc(here, sae=True) if hook else pd.Series(dtype=float)
    cells = [
        [
            f"{{ref}}`{_link_text(task.tag)} <task-{task.id}>`",
            md(task.source),
            f"{task.n_prompts:,}",
            "yes" if task.tag in in_run else "no",
            number(baseline.get(task.tag)),
            number(sae.get(task.tag)),
        ]
        for task in tasks
    ]
    header = ["task", "source", "prompts", "in run"]
    listing = directive(
        "table",
        table([*header, "baseline AUC", "SAE AUC"], cells, "llrlrr"),
        argument="All tasks, and in this run the test AUC of the probe picked by validation AUC",
        class_="sortable searchable",
        name="tbl-tasks",
    )
    return f"(tasks-table)=\n# Tasks\n\n{_intro(tasks, in_run, hook)}\n\n{listing}"


def _intro(tasks: list[TaskLike], in_run: Collection[str], hook: str | None) -> str:
    published = {task.tag for task in tasks if any(task.id in group.ids for group in GROUPS)}
    own = len(tasks) - len(published)
    lines = [
        f"The paper probes {len(published)} binary tasks {{cite:p}}`kantamneni2025sparse`; this "
        f"run covers {len(published & set(in_run))} of them"
        + (f", and {own} of your own, whose cards stand below the table." if own else "."),
        "A name starts with the number of the task and leads to its card. "
        "Click a column title to sort, type into the field to search.",
    ]
    if hook:
        lines.append(
            f"The last two columns read {md(hook)}: among the five baselines, and among the SAE "
            "probes, the one with the best validation AUC is picked and its test AUC is shown. "
            "Ties go to the method listed first on the card, then to the larger k."
        )
    pages = bullet_list(f"[{group.title}](tasks-{group.slug}.md)" for group in GROUPS)
    return "\n".join(lines) + f"\n\nThe cards, one a task, are on these pages:\n\n{pages}"


def _link_text(tag: str) -> str:
    return "".join(c if c.isalnum() or c in " _-.," else "·" for c in tag)
