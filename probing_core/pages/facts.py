"""What the cards say of a task beside its registry entry: prompts counted, examples, results."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from probing_core.analysis.selection import baseline_rows, hook_label, ordered_hooks, sae_rows
from probing_core.datasets import TASKS, ProbingDataset, load_dataset
from probing_core.figures.standard import RANKINGS
from probing_core.pages.text import PROMPT_CHARACTERS, directive, md, number, table, write_page
from probing_core.probes.methods import METHODS

EXAMPLES_PER_CLASS = 2
CACHE_NAME = "_tasks.json"
HOW_TO_READ = (
    f"Examples are the first ones in the file with at most {PROMPT_CHARACTERS} characters, or its "
    "first ones, cut in the middle. ⏎ stands for a line break. {ref}`All tasks <tasks-table>` are "
    "in one table."
)


class TaskFacts(NamedTuple):
    """Counts of one task, and example prompts of label 0 and of label 1 as the file has them."""

    n_prompts: int
    n_distinct: int
    n_ones: int
    examples: list[list[str]]


def read_facts(dataset: ProbingDataset) -> TaskFacts:
    """Count the prompts of a task and pick examples in file order, short ones first."""
    prompts, examples = dataset.prompts, []
    for label in (0, 1):
        pairs = zip(prompts, dataset.labels, strict=True)
        of_class = list(dict.fromkeys(prompt for prompt, own in pairs if own == label))
        short = [prompt for prompt in of_class if len(prompt) <= PROMPT_CHARACTERS] or of_class
        examples.append(short[:EXAMPLES_PER_CLASS])
    return TaskFacts(len(prompts), len(set(prompts)), int(dataset.labels.sum()), examples)


def registry_facts(folder: Path) -> dict[str, TaskFacts]:
    """Facts of the paper's tasks by tag, read once for a version of the package they come in."""
    path = folder / CACHE_NAME
    made_by = f"{version('sae-probes')}, {EXAMPLES_PER_CLASS} examples of {PROMPT_CHARACTERS}"
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))[made_by]
        return {tag: TaskFacts(*kept[tag]) for tag in TASKS}
    except (OSError, ValueError, LookupError, TypeError):
        facts = {tag: read_facts(load_dataset(tag)) for tag in TASKS}
        write_page(path, json.dumps({made_by: facts}))
        return facts


def result_tables(rows: pd.DataFrame) -> str:
    """Lay out every probe of one task as two small tables, folded away; nothing without rows."""
    parts = []
    if len(fits := baseline_rows(rows)):
        means = fits.pivot_table("test_auc", "method", "hook")[ordered_hooks(fits)]
        means = means.sort_index(key=lambda index: index.map(list(METHODS).index))
        hooks = [hook_label(hook) for hook in means.columns]
        heads = [f"layer {hook}" if hook.isdigit() else md(hook) for hook in hooks]
        parts.append(_grid(["Baseline", *heads], [[METHODS[m].label] for m in means.index], means))
    if len(fits := sae_rows(rows, ranking=None)):
        means = fits.pivot_table("test_auc", ["sae_id", "ranking"], "k")
        names = [[md(sae), RANKINGS[ranking]] for sae, ranking in means.index]
        parts.append(_grid(["SAE", "ranked by", *(f"k = {k}" for k in means)], names, means))
    title, body = "Test AUC of every method in this run", "\n\n".join(parts)
    return directive("dropdown", body, argument=title, fence="::::") if parts else ""


def _grid(header: list[str], names: list[list[str]], means: pd.DataFrame) -> str:
    values = means.to_numpy(float).tolist()
    cells = [[*name, *map(number, row)] for name, row in zip(names, values, strict=True)]
    return table(header, cells, "l" * len(names[0]) + "r" * len(values[0]))
