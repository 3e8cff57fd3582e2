import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier

from probing_core.probes.knn import neighbour_counts, neighbour_shares, squared_distances
from probing_core.probes.validation import validation_splits


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 30), st.integers(1, 6))
def test_shares_equal_scikit_learn_for_every_k(seed, n, d):
    chance = np.random.default_rng(seed)
    rows, queries = chance.standard_normal((n, d)), chance.standard_normal((7, d))
    labels = np.r_[0, 1, chance.integers(0, 2, n - 2)]
    counts = sorted({1, (n + 1) // 2, n})
    shares = neighbour_shares(squared_distances(queries, rows), labels.astype(float), counts)
    for position, k in enumerate(counts):
        model = KNeighborsClassifier(n_neighbors=k).fit(rows, labels)
        np.testing.assert_allclose(shares[position], model.predict_proba(queries)[:, 1])


def test_repeated_rows_vote_in_row_order():
    rows = np.zeros((4, 3))
    shares = neighbour_shares(
        squared_distances(np.zeros((1, 3)), rows), np.array([1.0, 0.0, 0.0, 0.0]), [1, 2, 4]
    )
    assert shares[:, 0].tolist() == [1.0, 0.5, 0.25]


def test_counts_are_those_of_the_paper_at_full_size():
    labels = np.arange(1024) % 2
    assert neighbour_counts(1024, validation_splits(labels)) == [1, 2, 4, 7, 12, 21, 35, 59, 99]
