import numpy as np
import pytest

from probing_core.probes.l2_path import singular_basis
from probing_core.probes.pca import fast_pca, log2_grid, reference_pca


@pytest.mark.parametrize("shape", [(30, 8), (8, 30)])
def test_singular_basis_rebuilds_the_rows(shape):
    rows = np.random.default_rng(0).standard_normal(shape)
    inner, values, basis = singular_basis(rows)
    np.testing.assert_allclose(inner @ basis, rows, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(inner, axis=0), values)
    assert np.all(np.diff(values) <= 0)


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
