import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from probing_core.probes.pca import fast_pca, log2_grid, reference_pca, top_components


@pytest.mark.parametrize("shape", [(30, 8), (8, 30), (300, 250), (250, 700)])
def test_components_are_those_of_scikit_learn_up_to_sign(shape):
    chance = np.random.default_rng(0)
    rows = (chance.standard_normal(shape) * np.linspace(3, 1, shape[1])).astype(np.float32)
    count = min(7, *shape)
    found = top_components(torch.from_numpy(rows - rows.mean(axis=0)), count).numpy()
    wanted = PCA(n_components=count, svd_solver="full").fit(rows).components_
    np.testing.assert_allclose(np.abs(np.sum(found * wanted, axis=1)), 1.0, atol=1e-3)


def test_repeated_rows_leave_zero_components(minilm_activations):
    X, y = next(iter(minilm_activations.values()))
    few = np.r_[np.flatnonzero(y == 1)[:4], np.flatnonzero(y == 0)[:4]]
    twice = np.r_[few, few, few]
    found = fast_pca(X[twice], y[twice], X[300:], y[300:])
    wanted = reference_pca(X[twice], y[twice], X[300:], y[300:])
    assert found.test_auc == pytest.approx(wanted.test_auc, abs=5e-3)


@pytest.mark.parametrize("n_train", [20, 60, 120])
def test_both_solvers_choose_the_same_probe(minilm_activations, n_train):
    # Below a few hundred rows scikit-learn's decomposition is exact as well.
    for X, y in minilm_activations.values():
        found = fast_pca(X[:n_train], y[:n_train], X[300:], y[300:])
        wanted = reference_pca(X[:n_train], y[:n_train], X[300:], y[300:])
        assert found.hyperparameters == wanted.hyperparameters
        assert found.test_auc == pytest.approx(wanted.test_auc, abs=1e-3)


def test_grid_runs_from_one_in_even_log_steps():
    assert log2_grid(1) == [1]
    assert log2_grid(100)[0] == 1 and log2_grid(100)[-1] in (99, 100)
    assert len(log2_grid(100)) <= 10


def test_constant_columns_are_harmless(minilm_activations):
    X, y = next(iter(minilm_activations.values()))
    X = np.concatenate([X[:, :10], np.ones((len(X), 3), np.float32)], axis=1)
    found = fast_pca(X[:100], y[:100], X[300:], y[300:])
    wanted = reference_pca(X[:100], y[:100], X[300:], y[300:])
    assert found.test_auc == pytest.approx(wanted.test_auc, abs=5e-3)
