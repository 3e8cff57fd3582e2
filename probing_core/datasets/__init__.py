"""Tasks: prompts with binary labels, and the rows to train and test on."""

from probing_core.datasets.prompts import ProbingDataset, load_dataset, load_shifted
from probing_core.datasets.registry import TASKS, Task, find_task
from probing_core.datasets.splits import Split, standard_split

__all__ = [
    "TASKS",
    "ProbingDataset",
    "Split",
    "Task",
    "find_task",
    "load_dataset",
    "load_shifted",
    "standard_split",
]
