"""The 113 binary tasks of the paper (appendix B, Table 3) as the package ``sae-probes`` ships them.

A task of your own needs no entry: see :func:`probing_core.datasets.prompts.load_dataset`.
"""

from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import yaml

from probing_core.errors import UserError, nearest

TASKS_FILE: dict[str, Any] = yaml.safe_load(
    files("probing_core.datasets").joinpath("tasks.yaml").read_text(encoding="utf-8")
)
SHIFTED_IDS = frozenset(TASKS_FILE["shifts"])


@dataclass(frozen=True)
class Task:
    """A built-in binary classification task."""

    tag: str
    """File stem and name, such as ``66_living-room``."""
    id: int
    source: str
    origin: str
    """The source in a few words, with authors where they are known."""
    asks: str
    """The question whose answer is yes for label 1."""
    n_prompts: int
    class_names: tuple[str, str]
    """Raw targets of label 0 and label 1."""
    defects: tuple[str, ...]
    """Known flaws of the data, a sentence each (PAPER D.3)."""
    family: str = ""
    """Name that tasks share which share prompts; a task that stands alone has its own tag."""
    shift: tuple[str, str] = ("", "")
    """How the prompts of its shifted test set differ, in short and in words, if it has one."""

    @property
    def shifted(self) -> bool:
        """Whether a test set with a covariate shift exists (PAPER B.8)."""
        return self.id in SHIFTED_IDS


def _load(data: dict[str, Any]) -> dict[str, Task]:
    family = {member: group[0] for group in data["families"] for member in group}
    tag_of = {row["id"]: row["tag"] for row in data["tasks"]}
    tasks = {}
    for row in data["tasks"]:
        source = data["sources"][row["source"]]
        tasks[row["tag"]] = Task(
            tag=row["tag"],
            id=row["id"],
            source=source["name"],
            origin=source["what"],
            asks=row["asks"],
            n_prompts=row["prompts"],
            class_names=(row["classes"][0], row["classes"][1]),
            defects=tuple(d["text"] for d in data["defects"] if row["id"] in d["ids"]),
            family=tag_of[family.get(row["id"], row["id"])],
            shift=tuple(data["shifts"].get(row["id"], ("", ""))),
        )
    return tasks


TASKS: dict[str, Task] = _load(TASKS_FILE)


def find_task(tag: str) -> Task:
    """The built-in task with this tag; `UserError` offers the nearest."""
    if tag not in TASKS:
        raise UserError(f"Unknown task '{tag}'. {nearest(tag, TASKS)}")
    return TASKS[tag]


def family_of(tag: str) -> str:
    """The family of tasks that share prompts with this one; its own tag if it stands alone."""
    return TASKS[tag].family if tag in TASKS else tag
