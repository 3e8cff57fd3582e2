"""What is wrong with a task: repeats, leaks, conflicting labels, oddities of text and labels."""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np

from probing_core.datasets.duplicates import Level, normalised
from probing_core.datasets.prompts import ProbingDataset
from probing_core.datasets.splits import standard_split
from probing_core.errors import UserError

OVERLAP = 0.1
"""Share of the smaller task's distinct prompts from which on two tasks overlap."""
_LEVELS: tuple[Level, ...] = ("exact", "normalised", "near")
_ODD = {
    "control": re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"),
    "replaced": re.compile("\ufffd"),
    "mojibake": re.compile("Ã[\x80-\xbf\u0192-\u2122]|â€|Â[\xa0-\xbf]"),
    "entities": re.compile(r"&(amp|lt|gt|quot|nbsp|#\d+);"),
}


@dataclass(frozen=True)
class Audit:
    """Counts of what may mislead a probe.

    Attributes:
        prompts: Rows of the task.
        exact: Rows whose prompt stands in an earlier row, letter for letter.
        normalised: The same, case and white space aside.
        near: The same, prompts that are near each other too (`duplicates`).
        by_label: `exact` of label 0 and of label 1.
        conflicts: Distinct prompts that occur with both labels, case and white space aside.
        leak_exact: Share of the standard split's test prompts that occur in training; NaN where the
            task is too small to split.
        leak_near: The same, prompts that are near a training prompt too.
        label_one: Raw target of label 1.
        absence: Whether label 1 is called the absence of label 0.
        shortest: Characters of the shortest prompt.
        median: Of the median one.
        longest: Of the longest one.
        odd: Prompts that hold control characters, U+FFFD, text decoded twice, or HTML entities.
    """

    prompts: int
    exact: int
    normalised: int
    near: int
    by_label: tuple[int, int]
    conflicts: int
    leak_exact: float
    leak_near: float
    label_one: str
    absence: bool
    shortest: int
    median: int
    longest: int
    odd: dict[str, int]

    @property
    def flags(self) -> list[str]:
        """What to look at before a result on this task is believed, a phrase each."""
        found = {
            f"{self.leak_exact:.0%} of test prompts occur in training": self.leak_exact > 0.05,
            f"most prompts repeat: {self.exact:,} of {self.prompts:,}": self.exact
            > self.prompts / 2,
            f"prompts with both labels: {self.conflicts:,}": self.conflicts > 0,
            "label 1 is the absence of label 0": self.absence,
        }
        return [text for text, true in found.items() if true]

    def lines(self) -> list[tuple[str, str]]:
        """The audit as pairs of a label and a value, in plain text."""

        def share(value: float) -> str:
            return "not to be split" if np.isnan(value) else f"{value:.1%}"

        odd = [f"{count:,} with {name}" for name, count in self.odd.items() if count]
        return [
            ("repeats, letter for letter", f"{self.exact:,} of {self.prompts:,} prompts"),
            ("repeats, case and white space aside", f"{self.normalised:,}"),
            ("repeats, nearly", f"{self.near:,}"),
            ("repeats of label 0 and label 1", "{:,} and {:,}".format(*self.by_label)),
            ("prompts with both labels", f"{self.conflicts:,}"),
            ("test prompts in training", share(self.leak_exact)),
            ("test prompts in training, nearly", share(self.leak_near)),
            ("label 1", self.label_one + (", an absence" if self.absence else "")),
            ("characters", f"{self.shortest:,} to {self.longest:,}, median {self.median:,}"),
            ("odd characters", ", ".join(odd) or "none"),
            ("look at", "; ".join(self.flags) or "nothing"),
        ]

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Self:
        """What `as_json` wrote; further keys are left out."""
        own: dict[str, Any] = {field.name: told[field.name] for field in fields(cls)}
        own["by_label"] = tuple(own["by_label"])
        own = {name: float("nan") if one is None else one for name, one in own.items()}
        return cls(**own)

    def as_json(self) -> dict[str, Any]:
        """The fields and flags as JSON values, numbers rounded to four places, NaN as null."""
        told = asdict(self) | {"flags": self.flags}
        floats = {name: value for name, value in told.items() if isinstance(value, float)}
        return told | {n: None if np.isnan(v) else round(v, 4) for n, v in floats.items()}


def audit(dataset: ProbingDataset) -> Audit:
    """Look for what may mislead a probe on a task; no model is asked."""
    groups = {level: dataset.groups(level) for level in _LEVELS}
    repeats = {level: len(dataset) - len(np.unique(own)) for level, own in groups.items()}
    sides = [groups["exact"][dataset.labels == label] for label in (0, 1)]
    by_label = [len(side) - len(np.unique(side)) for side in sides]
    lengths = np.array([len(prompt) for prompt in dataset.prompts])
    zero, one = (name.casefold() for name in dataset.class_names)
    return Audit(
        prompts=len(dataset),
        exact=repeats["exact"],
        normalised=repeats["normalised"],
        near=repeats["near"],
        by_label=(by_label[0], by_label[1]),
        conflicts=len(np.unique(groups["normalised"][dataset.conflicting])),
        leak_exact=_leak(dataset, groups["exact"]),
        leak_near=_leak(dataset, groups["near"]),
        label_one=dataset.class_names[1],
        absence=one in (f"in{zero}", f"un{zero}") or one.startswith(("not", "non")),
        shortest=int(lengths.min()),
        median=int(np.median(lengths)),
        longest=int(lengths.max()),
        odd={n: sum(bool(p.search(one)) for one in dataset.prompts) for n, p in _ODD.items()},
    )


def overlaps(datasets: Iterable[ProbingDataset]) -> dict[str, dict[str, float]]:
    """Tasks by tag, each with those that share prompts with it and how much they share.

    It is the share of the smaller task's distinct prompts, from `OVERLAP` on.
    """
    held = {one.tag: {normalised(prompt) for prompt in one.prompts} for one in datasets}
    found: dict[str, dict[str, float]] = {tag: {} for tag in held}
    for tag, own in held.items():
        for other, theirs in held.items():
            share = len(own & theirs) / min(len(own), len(theirs))
            if tag != other and share >= OVERLAP:
                found[tag][other] = round(share, 3)
    return found


def _leak(dataset: ProbingDataset, groups: np.ndarray) -> float:
    try:
        split = standard_split(dataset, protocol="paper", seed=42)
    except UserError:
        return float("nan")
    return float(np.isin(groups[split.test], groups[split.train]).mean())
