"""K nearest neighbours on standardised activations, k chosen by validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from probing_core.probes.inputs import Inputs
from probing_core.probes.metrics import auc, test_scores
from probing_core.probes.result import ProbeResult, fit_log
from probing_core.probes.validation import Split, log2_grid, search, validation_splits

MAX_NEIGHBOURS = 100

Shares = Callable[[np.ndarray, np.ndarray, np.ndarray, Sequence[int]], list[np.ndarray]]


def neighbour_counts(n_rows: int, splits: Sequence[Split]) -> list[int]:
    """The k values tried.

    Args:
        n_rows: Training rows, more than 3.
        splits: From `validation_splits`.

    Returns:
        Up to ten values from 1 to min(n - 1, 100, the smallest fold's training rows).
    """
    smallest = min((len(train) for train, _ in splits), default=n_rows)
    return log2_grid(min(n_rows - 1, MAX_NEIGHBOURS, smallest))


def knn_probe(
    inputs: Inputs, y_train: np.ndarray, y_test: np.ndarray, *, solver: str, seed: int
) -> ProbeResult:
    """The paper's KNN probe (`find_best_knn`); its scaler sees all training rows.

    Args:
        inputs: The rows.
        y_train: (n,) 0/1.
        y_test: (m,) 0/1.
        solver: 'fast' looks the neighbours up once for all k, 'reference' once for each.
        seed: Seed of the folds.

    Returns:
        Scores and k; with at most 3 rows k = 1.
    """
    shares: Shares = neighbour_shares if solver == "fast" else _reference_shares
    with fit_log() as log:
        inner, outer = inputs.scaled
        chosen, val_auc = 1, float("nan")
        if len(y_train) > 3:
            splits = validation_splits(y_train, cv_seed=seed)
            counts = neighbour_counts(len(y_train), splits)

            def score_split(train: np.ndarray, held: np.ndarray) -> list[tuple[float, bool]]:
                found = shares(inner[train], y_train[train], inner[held], counts)
                return [(auc(y_train[held], share, log), True) for share in found]

            index, val_auc = search(y_train, splits, len(counts), score_split, log)
            chosen = counts[index]
        else:
            val_auc = auc(y_train, shares(inner, y_train, inner, [1])[0], log)
        (share,) = shares(inner, y_train, outer, [chosen])
        tested = test_scores(y_test, share, (share > 0.5).astype(np.int64), log)
    return log.result(val_auc, tested, {"k": chosen})


def neighbour_shares(
    rows: np.ndarray, labels: np.ndarray, queries: np.ndarray, counts: Sequence[int]
) -> list[np.ndarray]:
    """Share of class 1 among the k nearest rows, for every k at once.

    Args:
        rows: (n, d) float32.
        labels: (n,) 0/1.
        queries: (q, d) float32.
        counts: k values, each at most n.

    Returns:
        (q,) float64 for every k. Where the k-th neighbour is equidistant with the next, as for
        repeated prompts, another one may vote than in a search for that k alone.
    """
    near = NearestNeighbors(n_neighbors=max(counts)).fit(rows)
    votes = np.cumsum(labels[near.kneighbors(queries, return_distance=False)], axis=1)
    return [votes[:, k - 1] / k for k in counts]


def _reference_shares(
    rows: np.ndarray, labels: np.ndarray, queries: np.ndarray, counts: Sequence[int]
) -> list[np.ndarray]:
    """The same by scikit-learn's classifier."""
    models = (KNeighborsClassifier(n_neighbors=k).fit(rows, labels) for k in counts)
    return [model.predict_proba(queries)[:, 1] for model in models]
