"""K nearest neighbours on standardised activations, k chosen by validation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from probing_core.probes.inputs import Inputs
from probing_core.probes.metrics import auc, aucs, test_scores
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
    shared: Inputs | None = None,
) -> ProbeResult:
    """The same probe with one distance matrix for every k and fold.

    Distances are float32; equidistant neighbours (repeated prompts) are taken in row order.

    Args:
        X_train: (n, d) float32.
        y_train: (n,) 0/1.
        X_test: (m, d) float32.
        y_test: (m,) 0/1.
        seed: Seed of the folds.
        shared: What other probes on the same arrays have computed already.

    Returns:
        Scores and k; with at most 3 rows k = 1.
    """
    with fit_log() as log:
        inputs = shared or Inputs(X_train, X_test)
        rows = inputs.scaled_rows
        labels = y_train.astype(np.float32)
        chosen, val_auc = 1, float("nan")
        if len(y_train) > 3:
            splits = validation_splits(y_train, cv_seed=seed)
            counts = neighbour_counts(len(y_train), splits)
            # A hold-out needs only its own rows of the matrix; folds together need them all.
            needed = np.unique(
                np.concatenate([held for _, held in splits] or [np.zeros(0, dtype=np.int64)])
            )
            distances = nearness(rows[torch.from_numpy(needed)], rows).cpu().numpy()

            def score_split(train: np.ndarray, held: np.ndarray) -> Sequence[float]:
                block = distances[np.searchsorted(needed, held)][:, train]
                return aucs(y_train[held], neighbour_shares(block, labels[train], counts), log)

            index, val_auc = choose(mean_scores(y_train, splits, len(counts), score_split), log)
            chosen = counts[index]
        else:
            own = nearness(rows, rows).cpu().numpy()
            val_auc = auc(y_train, neighbour_shares(own, labels, [1])[0], log)
        share = np.concatenate(
            [
                _test_shares(inputs.scaled_test(slice(at, at + _TEST_CHUNK)), rows, labels, chosen)
                for at in range(0, len(X_test), _TEST_CHUNK)
            ]
        )
        tested = test_scores(y_test, share, (share > 0.5).astype(np.int64), log)
    return finish(log, val_auc, tested, {"k": chosen})


def nearness(queries: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Squared Euclidean distances, less the squared norm of each query.

    Args:
        queries: (q, d) float32.
        rows: (n, d) float32.

    Returns:
        (q, n) float32, ordered within a query as the distances are.
    """
    return torch.addmm((rows * rows).sum(1), queries, rows.mT, alpha=-2.0)


def _test_shares(
    queries: torch.Tensor, rows: torch.Tensor, labels: np.ndarray, count: int
) -> np.ndarray:
    """Share of class 1 among the `count` nearest rows of each query, (q,) float64."""
    distances = nearness(queries, rows)
    if rows.device.type != "cpu":
        near = torch.topk(distances, count, largest=False).indices.cpu().numpy()
        return labels[near].mean(axis=1, dtype=np.float64)
    block = distances.numpy()
    bound = np.partition(block, count - 1, axis=1)[:, count - 1 : count]
    within = block <= bound
    votes = within.astype(np.float32) @ labels
    # More rows than wanted only where the last ones are equidistant: take those in row order.
    for tied in np.flatnonzero(within.sum(axis=1) > count):
        votes[tied] = count * neighbour_shares(block[tied : tied + 1], labels, [count])[0, 0]
    return votes.astype(np.float64) / count


def neighbour_shares(
    distances: np.ndarray, labels: np.ndarray, counts: Sequence[int]
) -> np.ndarray:
    """Share of class 1 among the k nearest rows, for every k at once.

    Args:
        distances: (q, n) float.
        labels: (n,) float 0/1.
        counts: k values, each at most n.

    Returns:
        (len(counts), q) float64.
    """
    order = np.argsort(distances, axis=1, kind="stable")[:, : max(counts)]
    votes = np.cumsum(labels[order], axis=1, dtype=np.float64)
    return np.stack([votes[:, k - 1] / k for k in counts])
