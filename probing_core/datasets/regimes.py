"""The hard regimes: for a task, a value and a seed, which rows train and with which labels.

A regime is an index: nothing is extracted or encoded for it. To add one, write a function that
draws a `Setting` and enter it in `REGIMES`; the grid of its values goes into a profile.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from probing_core.datasets.prompts import ProbingDataset
from probing_core.datasets.splits import MIN_TEST, Split, draw_split, standard_split
from probing_core.errors import UserError
from probing_core.profiles import Protocol

MOST_SKEWED = 0.95
"""The published grid's largest ratio; it fixes the size of imbalanced sets (PAPER B.7)."""


@dataclass(frozen=True)
class Setting:
    """One task under one condition.

    Attributes:
        split: Training and test rows.
        train_labels: (n_train,) int64 0/1 as the probe sees them; the test keeps the true ones.
    """

    split: Split
    train_labels: np.ndarray


@dataclass(frozen=True)
class Draw:
    """How rows are drawn, whatever the regime.

    Attributes:
        protocol: ``paper`` or ``leak_free``.
        seed: Seed of the draw.
        max_train: Largest training set.
    """

    protocol: Protocol
    seed: int
    max_train: int


@dataclass(frozen=True)
class Regime:
    """A condition with one number.

    Attributes:
        label: Its name in a sentence.
        axis: What its number is, with unit or range, for an axis.
        draw: Gives the setting; raises `UserError` where the task cannot supply it.
        log: Whether its axis is logarithmic (base 2).
        quiver: Whether quivers compete, or one SAE probe with logistic regression.
    """

    label: str
    axis: str
    draw: Callable[[ProbingDataset, float, Draw], Setting]
    log: bool = False
    quiver: bool = True


def scarce(dataset: ProbingDataset, value: float, how: Draw) -> Setting:
    """`value` balanced training prompts; all others but one test (PAPER B.3, B.7).

    Smaller sets are prefixes of larger ones. With an odd number the extra prompt is positive.
    """
    n_train, usable = int(value), 2 * _smaller_class(dataset)
    if n_train != value or n_train < 2:
        raise UserError(f"{dataset.tag}: {value:g} training prompts are no set of two classes")
    if n_train > usable - MIN_TEST:
        raise UserError(
            f"{dataset.tag}: {n_train} training prompts leave fewer than {MIN_TEST} of "
            f"{usable} to test"
        )
    split = draw_split(
        dataset,
        n_train=n_train,
        n_test=usable - n_train - 1,
        protocol=how.protocol,
        seed=how.seed,
    )
    return Setting(split, _labels(dataset, split))


def imbalanced(dataset: ProbingDataset, value: float, how: Draw) -> Setting:
    """A share `value` of positives in training and test (PAPER B.7).

    The sizes are those that the most skewed published ratio allows, whatever the ratio, so that
    a task's settings differ in the ratio alone.
    """
    if not 0.0 < value < 1.0:
        raise UserError(f"{dataset.tag}: a ratio lies between 0 and 1, not {value:g}")
    usable = int(_smaller_class(dataset) / MOST_SKEWED)
    n_train = min(usable - MIN_TEST, how.max_train)
    if round(n_train * min(value, 1.0 - value)) < 1:
        raise UserError(
            f"{dataset.tag}: {max(n_train, 0)} training prompts cannot have a share of {value:g}"
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
    split = standard_split(dataset, protocol=how.protocol, seed=how.seed, max_train=how.max_train)
    labels = _labels(dataset, split)
    chance = np.random.RandomState(how.seed)
    flipped = chance.choice(len(labels), size=int(len(labels) * value), replace=False)
    labels[flipped] = 1 - labels[flipped]
    return Setting(split, labels)


REGIMES: dict[str, Regime] = {
    "scarcity": Regime("data scarcity", "training prompts (log2)", scarce, log=True),
    "imbalance": Regime("class imbalance", "share of positives (0 to 1)", imbalanced),
    "label_noise": Regime(
        "label noise", "share of labels flipped (0 to 1)", mislabelled, quiver=False
    ),
}


def _smaller_class(dataset: ProbingDataset) -> int:
    return int(min(dataset.labels.sum(), (1 - dataset.labels).sum()))


def _labels(dataset: ProbingDataset, split: Split) -> np.ndarray:
    return dataset.labels[split.train].astype(np.int64)
