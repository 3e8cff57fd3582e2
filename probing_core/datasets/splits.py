"""Train and test rows of a task, drawn once per seed.

``paper`` draws rows exactly as published, repeated prompts and all (PAPER B.3). ``leak_free``
trains on the rows that ``paper`` trains on, and tests those of its test rows whose group of
repeated prompts is not in training; where too few are left, it trains on fewer rows.
``size_matched`` is its control: its training rows, with the test rows of ``paper``. The protocols
``leak_free_exact`` and ``leak_free_normalised`` leave less out: see `duplicates`. But for ``paper``
all leave out prompts that occur with both labels.
"""

from dataclasses import dataclass

import numpy as np

from probing_core.datasets.duplicates import Level, find_groups
from probing_core.datasets.prompts import ProbingDataset
from probing_core.errors import UserError
from probing_core.profiles import Protocol

MIN_TEST = 100
MAX_TRAIN = 1024
VERSION = "1"
"""Of the splits of all protocols but ``paper``: another one if any row changes sides."""
LEVELS: dict[Protocol, Level] = {
    "leak_free": "near",
    "leak_free_exact": "exact",
    "leak_free_normalised": "normalised",
}
"""Which repeated prompts a protocol keeps apart."""


@dataclass(frozen=True)
class Split:
    """Row numbers (int64) of a dataset, in the order in which probes see them."""

    train: np.ndarray
    test: np.ndarray


def standard_split(
    dataset: ProbingDataset, *, protocol: Protocol, seed: int, max_train: int = MAX_TRAIN
) -> Split:
    """The split of the standard regime (PAPER B.3).

    ``min(N - 100, max_train)`` balanced training rows; the test set is everything left but one
    row. ``N`` is twice the smaller class, which is all rows of a balanced task.

    Raises:
        UserError: If the task has too few rows of one class.
    """
    usable = 2 * dataset.n_smaller
    n_train = min(usable - MIN_TEST, max_train)
    if n_train < 4:
        raise UserError(
            f"{dataset.tag}: the smaller class has {usable // 2} prompts; the split needs at least"
            f" {(MIN_TEST + 4) // 2}. Add prompts of label {int(2 * dataset.labels.mean() < 1)}."
        )
    return draw_split(
        dataset, n_train=n_train, n_test=usable - n_train - 1, protocol=protocol, seed=seed
    )


def draw_split(
    dataset: ProbingDataset,
    *,
    n_train: int,
    n_test: int,
    positive_ratio: float = 0.5,
    protocol: Protocol,
    seed: int,
) -> Split:
    """Draw a training set, then a test set from what remains, with the same class ratio.

    ``ceil(positive_ratio * n)`` of each set's n rows are positive. But for ``paper`` there may be
    fewer test rows than asked for, and fewer training rows where that alone leaves as many to test
    as the standard split of a small task does.

    Raises:
        UserError: If a class has fewer rows than the ratio asks for.
    """
    total, sizes = n_train + n_test, (n_train, n_test)
    least = min(n_test, MIN_TEST - 1, total // 2)
    if protocol == "paper":
        return _drawn(dataset, sizes, positive_ratio, seed)
    while sizes[0] >= 2:
        split = _drawn(dataset, sizes, positive_ratio, seed, ~dataset.conflicting)
        strict = _unseen(dataset, split, "near", positive_ratio)
        if len(strict.test) >= least:
            level = LEVELS.get(protocol)
            return split if level is None else _unseen(dataset, split, level, positive_ratio)
        sizes = (fewer := int(0.95 * sizes[0]), total - fewer)
    raise UserError(
        f"{dataset.tag}: no training set leaves {least} prompts to test that do not repeat one in"
        " it; add prompts, or use the protocol 'paper'"
    )


def protocol_key(protocol: Protocol) -> str:
    """What a protocol is called in the keys of what was computed under it."""
    return protocol if protocol == "paper" else f"{protocol}-{VERSION}"


def kept_together(dataset: ProbingDataset, split: Split, protocol: Protocol) -> np.ndarray | None:
    """The groups of training rows, (n_train,), that validation keeps together, if it does."""
    level = LEVELS.get(protocol)
    return None if level is None else dataset.groups(level)[split.train]


def unseen_rows(train: ProbingDataset, rows: np.ndarray, test: ProbingDataset) -> np.ndarray:
    """Rows of a task, (m,), none of whose near repeats is among some ``rows`` of another."""
    groups = find_groups([*(train.prompts[row] for row in rows), *test.prompts], "near")
    return np.flatnonzero(~np.isin(groups[len(rows) :], groups[: len(rows)]))


def _unseen(dataset: ProbingDataset, split: Split, level: Level, ratio: float) -> Split:
    """A split without test rows that repeat training rows; the class ratio is kept."""
    groups = dataset.groups(level)
    rest = split.test[~np.isin(groups[split.test], groups[split.train])]
    ones = dataset.labels[rest] == 1
    n_test = _largest(len(rest), ratio, int(ones.sum()), int((~ones).sum()))
    positive = int(np.ceil(ratio * n_test))
    kept = np.where(ones, np.cumsum(ones) <= positive, np.cumsum(~ones) <= n_test - positive)
    return Split(split.train, rest[kept])


def _largest(size: int, ratio: float, ones: int, zeros: int) -> int:
    """Most rows, up to a size, of which the ratio is positive, with so many of each class."""
    n_rows = min(size, int(ones / ratio), int((zeros + 1) / (1 - ratio)))
    while n_rows - int(np.ceil(ratio * n_rows)) > zeros or np.ceil(ratio * n_rows) > ones:
        n_rows -= 1
    return n_rows


def _drawn(
    dataset: ProbingDataset, sizes: tuple[int, int], ratio: float, seed: int,
    usable: np.ndarray | None = None,
) -> Split:  # fmt: skip
    """The published draw, of the rows that are ``usable``, all by default.

    Where not all rows are, there may be fewer test rows than asked for.
    """
    rng = np.random.RandomState(seed)
    rows = np.flatnonzero(usable if usable is not None else np.ones(len(dataset), dtype=bool))
    pools = {label: rows[dataset.labels[rows] == label] for label in (1, 0)}
    n_train, n_test = sizes
    train_pos = int(np.ceil(ratio * n_train))
    wanted = {1: train_pos, 0: n_train - train_pos}
    train = {c: _draw(rng, pools[c], wanted[c], dataset) for c in (1, 0)}
    rest = {c: np.setdiff1d(pools[c], train[c]) for c in (1, 0)}
    if usable is not None:
        n_test = _largest(n_test, ratio, len(rest[1]), len(rest[0]))
    test_pos = int(np.ceil(ratio * n_test))
    tested = {1: test_pos, 0: n_test - test_pos}
    test = {c: _draw(rng, rest[c], tested[c], dataset) for c in (1, 0)}
    return Split(
        train=rng.permutation(np.concatenate([train[1], train[0]])),
        test=rng.permutation(np.concatenate([test[1], test[0]])),
    )


def _draw(
    rng: np.random.RandomState, pool: np.ndarray, size: int, dataset: ProbingDataset
) -> np.ndarray:
    """Draw rows without replacement."""
    if size > len(pool):
        ones = int(dataset.labels.sum())
        raise UserError(
            f"{dataset.tag}: the split asks for {size} rows of a class that has {len(pool)} to draw"
            f" ({ones} prompts have label 1, {len(dataset) - ones} label 0; leak_free sets prompts"
            " with both aside); train on fewer rows, or add prompts of that class"
        )
    return rng.choice(pool, size=size, replace=False)
