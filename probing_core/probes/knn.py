"""K nearest neighbours on standardised activations, k chosen by validation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from probing_core.probes.metrics import auc, test_scores
from probing_core.probes.pca import log2_grid
from probing_core.probes.result import ProbeResult, finish, fit_log
from probing_core.probes.validation import Split, choose, mean_scores, validation_splits

MAX_NEIGHBOURS = 100
_TEST_CHUNK = 2048


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


def reference_knn(
    X_train: np.ndarray,
    y_train: np.ndarray,
    X_test: np.ndarray,
    y_test: np.ndarray,
    *,
    seed: int = 42,
    n_jobs: int = 1,
) -> ProbeResult:
    """The paper's KNN probe (`find_best_knn`); its scaler sees all training rows.

    Args:
        X_train: (n, d) float32.
        y_train: (n,) 0/1.
        X_test: (m, d) float32.
        y_test: (m,) 0/1.
        seed: Seed of the folds.
        n_jobs: Threads of the neighbour search.

    Returns:
        Scores and k; with at most 3 rows k = 1.
    """
    with fit_log() as log:
        scaler = StandardScaler().fit(X_train)
        inner, outer = scaler.transform(X_train), scaler.transform(X_test)

        def fitted(rows: np.ndarray | slice, k: int) -> KNeighborsClassifier:
            return KNeighborsClassifier(n_neighbors=k, n_jobs=n_jobs).fit(
                inner[rows], y_train[rows]
            )

        chosen, val_auc = 1, float("nan")
        if len(y_train) > 3:
            splits = validation_splits(y_train, cv_seed=seed)
            counts = neighbour_counts(len(y_train), splits)

            def score_split(train: np.ndarray, held: np.ndarray) -> Sequence[float]:
                return [
                    auc(y_train[held], fitted(train, k).predict_proba(inner[held])[:, 1])
                    for k in counts
                ]

            index, val_auc = choose(mean_scores(y_train, splits, len(counts), score_split), log)
            chosen = counts[index]
        model = fitted(slice(None), chosen)
        if len(y_train) <= 3:
            val_auc = auc(y_train, model.predict_proba(inner)[:, 1], log)
        tested = test_scores(y_test, model.predict_proba(outer)[:, 1], model.predict(outer), log)
    return finish(log, val_auc, tested, {"k": chosen})


def fast_knn(
    X_train: np.ndarray,
    y_train: np.ndarray,
    X_test: np.ndarray,
    y_test: np.ndarray,
    *,
    seed: int = 42,
) -> ProbeResult:
    """The same probe with one distance matrix and one sort for every k.

    Equidistant neighbours (repeated prompts) are taken in row order.

    Args:
        X_train: (n, d) float32.
        y_train: (n,) 0/1.
        X_test: (m, d) float32.
        y_test: (m,) 0/1.
        seed: Seed of the folds.

    Returns:
        Scores and k; with at most 3 rows k = 1.
    """
    with fit_log() as log:
        scaler = StandardScaler().fit(X_train)
        inner = scaler.transform(X_train).astype(np.float64)
        labels = y_train.astype(np.float64)
        chosen, val_auc = 1, float("nan")
        if len(y_train) > 3:
            splits = validation_splits(y_train, cv_seed=seed)
            counts = neighbour_counts(len(y_train), splits)
            # A hold-out needs only its own rows of the matrix; folds together need them all.
            needed = np.unique(
                np.concatenate([held for _, held in splits] or [np.zeros(0, dtype=np.int64)])
            )
            distances = dict(
                zip(needed.tolist(), squared_distances(inner[needed], inner), strict=True)
            )

            def score_split(train: np.ndarray, held: np.ndarray) -> Sequence[float]:
                block = np.stack([distances[int(row)][train] for row in held])
                shares = neighbour_shares(block, labels[train], counts)
                return [auc(y_train[held], shares[i], log) for i in range(len(counts))]

            index, val_auc = choose(mean_scores(y_train, splits, len(counts), score_split), log)
            chosen = counts[index]
        else:
            shares = neighbour_shares(squared_distances(inner, inner), labels, [1])
            val_auc = auc(y_train, shares[0], log)
        share = np.concatenate(
            [
                neighbour_shares(
                    squared_distances(
                        scaler.transform(X_test[at : at + _TEST_CHUNK]).astype(np.float64), inner
                    ),
                    labels,
                    [chosen],
                )[0]
                for at in range(0, len(X_test), _TEST_CHUNK)
            ]
        )
        tested = test_scores(y_test, share, (share > 0.5).astype(np.int64), log)
    return finish(log, val_auc, tested, {"k": chosen})


def squared_distances(queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances.

    Args:
        queries: (q, d) float64.
        rows: (n, d) float64.

    Returns:
        (q, n) float64; rounding can leave tiny negative values.
    """
    return (
        -2.0 * queries @ rows.T
        + np.einsum("ij,ij->i", rows, rows)
        + np.einsum("ij,ij->i", queries, queries)[:, None]
    )


def neighbour_shares(
    distances: np.ndarray, labels: np.ndarray, counts: Sequence[int]
) -> np.ndarray:
    """Share of class 1 among the k nearest rows, for every k at once.

    Args:
        distances: (q, n) float64.
        labels: (n,) float64 0/1.
        counts: k values, each at most n.

    Returns:
        (len(counts), q) float64.
    """
    largest = max(counts)
    if largest < distances.shape[1]:
        near = np.argpartition(distances, largest - 1, axis=1)[:, :largest]
    else:
        near = np.broadcast_to(np.arange(distances.shape[1]), distances.shape)
    near = np.sort(near, axis=1)
    nearest_first = np.argsort(np.take_along_axis(distances, near, axis=1), axis=1, kind="stable")
    votes = np.cumsum(labels[np.take_along_axis(near, nearest_first, axis=1)], axis=1)
    return np.stack([votes[:, k - 1] / k for k in counts])
