"""What the cards say about the prompts of a task: counts, and a few examples, escaped."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from probing_core.pages.text import PROMPT_CHARACTERS, prompt_html, write_page

EXAMPLES_PER_CLASS = 2
CACHE_NAME = "_tasks.json"
_FORMAT = 1


class DatasetLike(Protocol):
    """What the cards need to know about a loaded data set."""

    @property
    def prompts(self) -> Any: ...  # noqa: D102
    @property
    def labels(self) -> Any: ...  # noqa: D102


@dataclass(frozen=True)
class TaskFacts:
    """Counts and examples of one task."""

    n_prompts: int
    n_distinct: int
    n_ones: int
    """Prompts with label 1."""
    examples: tuple[tuple[str, ...], tuple[str, ...]]
    """Example prompts of label 0 and of label 1, as HTML text (escaped, shortened)."""


def read_facts(dataset: DatasetLike) -> TaskFacts:
    """Count the prompts of a task and pick examples in file order, short ones first."""
    prompts = [str(prompt) for prompt in dataset.prompts]
    labels = [int(label) for label in dataset.labels]
    examples = []
    for label in (0, 1):
        pairs = zip(prompts, labels, strict=True)
        of_class = list(dict.fromkeys(prompt for prompt, own in pairs if own == label))
        short = [prompt for prompt in of_class if len(prompt) <= PROMPT_CHARACTERS] or of_class
        examples.append(tuple(prompt_html(prompt) for prompt in short[:EXAMPLES_PER_CLASS]))
    return TaskFacts(
        n_prompts=len(prompts),
        n_distinct=len(set(prompts)),
        n_ones=sum(labels),
        examples=(examples[0], examples[1]),
    )


def collect_facts(
    tags: Iterable[str],
    load_dataset: Callable[[str], DatasetLike],
    *,
    folder: Path,
    data_version: str | None,
) -> dict[str, TaskFacts]:
    """Read the facts of many tasks, from an earlier build where the data are the same.

    Args:
        tags: Tasks to read.
        load_dataset: Gives the prompts and labels of a tag.
        folder: Where the facts are kept between builds.
        data_version: Version of the package the data come from; None keeps nothing.

    Returns:
        Facts by tag.
    """
    path = folder / CACHE_NAME
    known = _read_cache(path, data_version) if data_version else {}
    facts = {tag: known.get(tag) or read_facts(load_dataset(tag)) for tag in tags}
    if data_version:
        kept = {tag: asdict(one) for tag, one in sorted((known | facts).items())}
        content = {"format": _FORMAT, "data_version": data_version, "tasks": kept}
        write_page(path, json.dumps(content, ensure_ascii=True, indent=1))
    return facts


def _read_cache(path: Path, data_version: str) -> dict[str, TaskFacts]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if (content["format"], content["data_version"]) != (_FORMAT, data_version):
            return {}
        return {
            tag: TaskFacts(**{**one, "examples": tuple(tuple(part) for part in one["examples"])})
            for tag, one in content["tasks"].items()
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}
