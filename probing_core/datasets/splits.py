"""Train and test rows of a task, drawn once per seed.

``paper`` draws rows exactly as published, repeated prompts and all (PAPER B.3). ``leak_free``
draws whole groups of equal prompts, so that a prompt that repeats stays on one side.
"""

from dataclasses import dataclass

import numpy as np

from probing_core.datasets.prompts import ProbingDataset
from probing_core.errors import UserError
from probing_core.profiles import Protocol

MIN_TEST = 100
MAX_TRAIN = 1024


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

    ``ceil(positive_ratio * n)`` of each set's n rows are positive. With ``leak_free`` there may
    be fewer test rows than asked for, but some, where repeated prompts leave fewer.

    Raises:
        UserError: If a class has fewer rows than the ratio asks for.
    """
    rng = np.random.RandomState(seed)
    groups = _prompt_groups(dataset) if protocol == "leak_free" else None
    train_pos, test_pos = (int(np.ceil(positive_ratio * n)) for n in (n_train, n_test))
    wanted, tested = {1: train_pos, 0: n_train - train_pos}, {1: test_pos, 0: n_test - test_pos}
    pools = {label: np.flatnonzero(dataset.labels == label) for label in (1, 0)}
    if groups is not None:
        pools = {label: _drop_conflicts(pool, dataset, groups) for label, pool in pools.items()}
    train = {c: _draw(rng, pools[c], wanted[c], groups, dataset) for c in (1, 0)}
    rest = {c: np.setdiff1d(pools[c], train[c]) for c in (1, 0)}
    if groups is not None:
        rest = {c: rest[c][~np.isin(groups[rest[c]], groups[train[c]])] for c in (1, 0)}
        tested = {c: max(1, min(tested[c], len(rest[c]))) for c in (1, 0)}
    test = {c: _draw(rng, rest[c], tested[c], None, dataset) for c in (1, 0)}
    return Split(
        train=rng.permutation(np.concatenate([train[1], train[0]])),
        test=rng.permutation(np.concatenate([test[1], test[0]])),
    )


def _draw(
    rng: np.random.RandomState,
    pool: np.ndarray,
    size: int,
    groups: np.ndarray | None,
    dataset: ProbingDataset,
) -> np.ndarray:
    """Draw rows without replacement; with groups, whole groups until the size is reached."""
    if size > len(pool):
        ones = int(dataset.labels.sum())
        raise UserError(
            f"{dataset.tag}: the split asks for {size} rows of a class that has {len(pool)} to draw"
            f" ({ones} prompts have label 1, {len(dataset) - ones} label 0; leak_free sets repeats"
            " aside); train on fewer rows, or add prompts of that class"
        )
    if groups is None:
        return rng.choice(pool, size=size, replace=False)
    ids = rng.permutation(np.unique(groups[pool]))
    rank = np.empty(groups.max() + 1, dtype=np.int64)
    rank[ids] = np.arange(len(ids))
    return pool[np.argsort(rank[groups[pool]], kind="stable")][:size]


def _prompt_groups(dataset: ProbingDataset) -> np.ndarray:
    """Number of the group of equal prompts, white space and case aside, of each row."""
    plain = [" ".join(prompt.split()).casefold() for prompt in dataset.prompts]
    return np.unique(np.array(plain, dtype=object), return_inverse=True)[1]


def _drop_conflicts(pool: np.ndarray, dataset: ProbingDataset, groups: np.ndarray) -> np.ndarray:
    """Rows whose prompt occurs with one label only."""
    other = groups[dataset.labels != dataset.labels[pool[0]]] if len(pool) else groups[:0]
    return pool[~np.isin(groups[pool], other)]
