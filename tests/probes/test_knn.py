import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier

from probing_core.probes.knn import fast_knn, nearness, neighbour_counts, neighbour_shares
from probing_core.probes.scaling import fit_scale
from probing_core.probes.validation import validation_splits


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 30), st.integers(1, 6))
def test_shares_equal_scikit_learn_for_every_k(seed, n, d):
    chance = np.random.default_rng(seed)
    rows, queries = chance.standard_normal((n, d)), chance.standard_normal((7, d))
    near = nearness(torch.from_numpy(queries), torch.from_numpy(rows)).numpy()
    labels = np.r_[0, 1, chance.integers(0, 2, n - 2)]
    counts = sorted({1, (n + 1) // 2, n})
    shares = neighbour_shares(near, labels.astype(float), counts)
    for position, k in enumerate(counts):
        model = KNeighborsClassifier(n_neighbors=k).fit(rows, labels)
        np.testing.assert_allclose(shares[position], model.predict_proba(queries)[:, 1])


def test_repeated_rows_vote_in_row_order():
    shares = neighbour_shares(np.zeros((1, 4)), np.array([1.0, 0.0, 0.0, 0.0]), [1, 2, 4])
    assert shares[:, 0].tolist() == [1.0, 0.5, 0.25]


def test_counts_are_those_of_the_paper_at_full_size():
    labels = np.arange(1024) % 2
    assert neighbour_counts(1024, validation_splits(labels)) == [1, 2, 4, 7, 12, 21, 35, 59, 99]


@pytest.mark.parametrize("n_train", [8, 40, 200])
def test_repeated_test_prompts_and_ties_score_like_scikit_learn(minilm_activations, n_train):
    X, y = next(iter(minilm_activations.values()))
    # Whole numbers: many rows are equidistant, and their distances are exact.
    X = np.round(X[:, :6] * 2).astype(np.float32)
    few = np.r_[np.flatnonzero(y == 1)[: n_train // 2], np.flatnonzero(y == 0)[: n_train // 2]]
    found = fast_knn(X[few], y[few], np.repeat(X[300:310], 3, axis=0), np.repeat(y[300:310], 3))
    assert 0.0 <= found.test_auc <= 1.0
    scale = fit_scale(X[few])
    near = nearness(torch.from_numpy(scale(X[300:310])), torch.from_numpy(scale(X[few]))).numpy()
    k = found.hyperparameters["k"]
    share = neighbour_shares(near, y[few].astype(np.float32), [k])[0]
    assert found.test_acc == pytest.approx(np.mean((share > 0.5) == y[300:310]))
