"""K nearest neighbours on standardised activations, k chosen by validation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from probing_core.probes.inputs import Inputs
from probing_core.probes.validation import Probe, Scored, Split, log2_grid

MAX_NEIGHBOURS = 100


def neighbour_counts(n_rows: int, splits: Sequence[Split]) -> list[int]:
    """Up to ten k from 1 to min(n_rows - 1, 100, the smallest fold's training rows)."""
    smallest = min((len(train) for train, _ in splits), default=n_rows)
    return log2_grid(min(n_rows - 1, MAX_NEIGHBOURS, smallest))


def knn_probe(inputs: Inputs, splits: Sequence[Split], *, solver: str, seed: int) -> Probe:
    """The paper's KNN probe (`find_best_knn`); its scaler sees all training rows.

    The fast solver looks the neighbours up once for all k, the reference once for each.
    """
    shares = neighbour_shares if solver == "fast" else _reference_shares
    train, test = inputs.scaled
    counts = neighbour_counts(len(train), splits)

    def fit(
        rows: np.ndarray, labels: np.ndarray, queries: np.ndarray, counts: Sequence[int]
    ) -> list[Scored]:
        return [Scored(share, share > 0.5) for share in shares(rows, labels, queries, counts)]

    return Probe(train, test, counts, 1, fit, lambda k: {"k": k})


def neighbour_shares(
    rows: np.ndarray, labels: np.ndarray, queries: np.ndarray, counts: Sequence[int]
) -> list[np.ndarray]:
    """Share of class 1 among the k nearest of (n, d) rows, for every k at once.

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
