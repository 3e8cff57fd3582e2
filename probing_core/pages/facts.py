"""What the cards say about the prompts of a task: counts, and a few examples."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from probing_core.datasets import ProbingDataset, load_dataset
from probing_core.pages.text import PROMPT_CHARACTERS, write_page

EXAMPLES_PER_CLASS = 2
CACHE_NAME = "_tasks.json"


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
