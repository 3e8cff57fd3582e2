"""The regimes: for a task, a value and a seed, which rows train and test and with which labels.

All that is said of a regime stands in `REGIMES`; a new one is a function that draws a `Setting`,
entered there.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from probing_core.datasets.prompts import ProbingDataset, load_shifted
from probing_core.datasets.registry import TASKS
from probing_core.datasets.splits import MIN_TEST, Split, draw_split, standard_split
from probing_core.errors import UserError, nearest
from probing_core.profiles import Protocol

MOST_SKEWED = 0.95
"""The published grid's largest ratio; it fixes the size of imbalanced sets (PAPER B.7)."""


@dataclass(frozen=True)
class Setting:
    """Training rows of a task and test rows of the task that is tested."""

    split: Split
    train_labels: np.ndarray
    """(n_train,) int64 0/1 as the probe sees them; the test keeps the true ones."""
    groups: np.ndarray | None = None
    """(n_train,) groups of repeated prompts that validation keeps apart, if it keeps any."""


@dataclass(frozen=True)
class Draw:
    """How rows are drawn, whatever the regime."""

    protocol: Protocol
    seed: int
    max_train: int


@dataclass(frozen=True)
class Regime:
    """A condition under which probes are trained and tested.

    Attributes:
        key: Its name in profiles and rows.
        label: Its name on axes and in lists.
        draw: Gives the setting; raises `UserError` where the task cannot supply it.
        axis: What its number is, with unit or range; empty if it has none, as in its rows.
        values: The published grid (PAPER B.7).
        log: Whether its axis is logarithmic (base 2).
        quiver: Whether quivers compete, or one SAE probe with logistic regression.
        tested: The task that tests, itself by default; ``None`` if a task has none.
        condition: Its name behind "under"; the label if empty.
    """

    key: str
    label: str
    draw: Callable[[ProbingDataset, float, Draw], Setting]
    axis: str = ""
    values: tuple[float, ...] = ()
    log: bool = False
    quiver: bool = True
    tested: Callable[[ProbingDataset], ProbingDataset | None] = lambda dataset: dataset
    condition: str = ""

    @property
    def under(self) -> str:
        """Its name behind "under"."""
        return self.condition or self.label

    @property
    def sides(self) -> tuple[str, str]:
        """What is compared, with SAE probes first: a difference is the first minus the second."""
        if self.quiver:
            return "the toolbox with SAE probes", "the one without"
        return "the SAE probe", "logistic regression"


def plenty(dataset: ProbingDataset, value: float, how: Draw) -> Setting:
    """The standard split (PAPER B.3)."""
    split = standard_split(dataset, protocol=how.protocol, seed=how.seed, max_train=how.max_train)
    return Setting(split, _labels(dataset, split))


def scarce(dataset: ProbingDataset, value: float, how: Draw) -> Setting:
    """`value` balanced training prompts; all others but one test (PAPER B.3, B.7).

    Smaller sets are prefixes of larger ones. With an odd number the extra prompt is positive.
    """
    n_train, usable = int(value), 2 * dataset.n_smaller
    if n_train != value or n_train < 2:
        raise UserError(f"{dataset.tag}: {value:g} training prompts are no set of two classes")
    if n_train > usable - MIN_TEST:
        raise UserError(
            f"{dataset.tag}: {n_train} training prompts leave fewer than {MIN_TEST} of "
            f"{usable} to test"
        )
    sizes = {"n_train": n_train, "n_test": usable - n_train - 1}
    split = draw_split(dataset, **sizes, protocol=how.protocol, seed=how.seed)
    if len(split.train) < n_train:
        raise UserError(
            f"{dataset.tag}: {n_train} training prompts leave fewer than {MIN_TEST - 1} to test"
            " that do not repeat one of them"
        )
    return Setting(split, _labels(dataset, split))


def imbalanced(dataset: ProbingDataset, value: float, how: Draw) -> Setting:
    """A share `value` of positives in training and test (PAPER B.7).

    The sizes are those that the most skewed published ratio allows, whatever the ratio, so that
    a task's settings differ in the ratio alone.
    """
    if not 0.0 < value < 1.0:
        raise UserError(f"{dataset.tag}: a ratio lies between 0 and 1, not {value:g}")
    usable = int(dataset.n_smaller / MOST_SKEWED)
    n_train = min(usable - MIN_TEST, how.max_train)
    if round(n_train * (rarer := min(value, 1.0 - value))) < 1:
        least = int(0.5 / rarer) + 1
        raise UserError(
            f"{dataset.tag}: {max(n_train, 0)} training prompts cannot have a share of {value:g};"
            f" {least} can, and take {math.ceil(MOST_SKEWED * (MIN_TEST + least))} prompts of each"
            f" class, the smaller has {dataset.n_smaller}"
        )
    split = draw_split(
        dataset,
        n_train=n_train,
        n_test=max(MIN_TEST, usable - n_train - 1),
        positive_ratio=value,
        protocol=how.protocol,
        seed=how.seed,
    )
    return Setting(split, _labels(dataset, split))


def mislabelled(dataset: ProbingDataset, value: float, how: Draw) -> Setting:
    """The standard split with a share `value` of training labels flipped (PAPER B.7).

    The flips fall on either class, and on rows that validate as well.
    """
    if not 0.0 <= value <= 0.5:
        raise UserError(f"{dataset.tag}: labels can be flipped up to a half, not {value:g}")
    clean = plenty(dataset, value, how)
    labels = clean.train_labels.copy()
    chance = np.random.RandomState(how.seed)
    flipped = chance.choice(len(labels), size=int(len(labels) * value), replace=False)
    labels[flipped] = 1 - labels[flipped]
    return Setting(clean.split, labels)


def shifted(dataset: ProbingDataset) -> ProbingDataset | None:
    """The shifted test set of the eight tasks that have one (PAPER B.8)."""
    task = TASKS.get(dataset.tag)
    return load_shifted(dataset.tag) if task and task.shifted else None


REGIMES: dict[str, Regime] = {
    regime.key: regime
    for regime in (
        Regime("standard", "standard", plenty, condition="standard conditions"),
        Regime(
            "scarcity",
            "data scarcity",
            scarce,
            "training prompts (log2)",
            (
                2, 3, 4, 5, 7, 10, 14, 20, 28, 38, 53, 74, 103, 143, 198, 275, 382, 531, 737, 1024,
            ),
            log=True,
        ),
        Regime(
            "imbalance",
            "class imbalance",
            imbalanced,
            "share of positives (0 to 1)",
            tuple(step / 20 for step in range(1, 20)),
        ),
        Regime(
            "label_noise",
            "label noise",
            mislabelled,
            "share of labels flipped (0 to 1)",
            tuple(step / 20 for step in range(11)),
            quiver=False,
        ),
        Regime("covariate_shift", "covariate shift", plenty, quiver=False, tested=shifted),
    )
}  # fmt: skip
"""Every regime, in the order of the book's pages."""


def find_regime(key: str) -> Regime:
    """The regime of that name; `UserError` offers the nearest."""
    if key not in REGIMES:
        raise UserError(f"There is no regime '{key}'. {nearest(key, REGIMES)}")
    return REGIMES[key]


def _labels(dataset: ProbingDataset, split: Split) -> np.ndarray:
    return dataset.labels[split.train].astype(np.int64)
