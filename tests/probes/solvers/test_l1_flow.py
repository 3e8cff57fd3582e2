import time
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from probing_core.probes.logistic import C_GRID, sklearn_logistic
from probing_core.probes.metrics import auc
from probing_core.probes.solvers.l1_flow import fit_l1_flow


@pytest.fixture
def rows(minilm_activations):
    X, y = next(iter(minilm_activations.values()))
    return X[:300, :40].astype(np.float64), y[:300]


@pytest.fixture
def latents(minilm_activations):
    """Sparse, never negative and unscaled, as SAE latents are."""
    X, y = next(iter(minilm_activations.values()))
    return np.where(X > 0.3, X, 0)[:, :96].astype(np.float32), y


def loss(X, y, weights, bias):
    logits = X @ weights + bias
    return np.sum(np.logaddexp(0, logits) - y * logits)


@pytest.mark.parametrize("n", [20, 60, 200])
def test_the_flow_ends_where_sagas_passes_end(latents, n):
    X, y = latents
    few = np.r_[np.flatnonzero(y == 1)[: n // 2], np.flatnonzero(y == 0)[: n // 2]]
    columns = sparse.csc_array(X[few])
    flow = fit_l1_flow(columns, y[few], C_GRID)
    optimum = fit_l1_flow(columns, y[few], C_GRID, passes=np.inf)
    for at, c in enumerate(C_GRID[:6]):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            saga = sklearn_logistic("l1", c, 1).fit(X[few], y[few])
        # As close as twenty steps allow.
        apart = np.linalg.norm(flow.coefficients[at] - saga.coef_[0])
        size = np.linalg.norm(saga.coef_[0])
        assert apart <= 0.05 * size
        left = np.linalg.norm(optimum.coefficients[at] - saga.coef_[0])
        if left > size:
            # Far closer than the optimum, which SAGA is far from when its passes end.
            assert apart < 0.1 * left
        logits = X @ flow.coefficients[at] + flow.intercepts[at]
        assert auc(y, logits) == pytest.approx(auc(y, saga.decision_function(X)), abs=5e-3)
        if not flow.at_rest[at]:
            assert saga.n_iter_[0] > 500


def test_without_an_end_the_flow_reaches_the_optimum(rows):
    X, y = rows
    X = X / X.std(axis=0)
    cs = np.array([10.0, 1.0, 0.1, 0.01])
    found = fit_l1_flow(sparse.csc_array(X), y, cs, passes=np.inf)
    for at, c in enumerate(cs):
        model = sklearn_logistic("l1", c, 0).set_params(max_iter=20_000, tol=1e-8).fit(X, y)
        np.testing.assert_allclose(found.coefficients[at], model.coef_[0], atol=2e-3)
    assert found.solved.all()


def test_the_optimum_meets_the_optimality_conditions(rows):
    X, y = rows
    found = fit_l1_flow(sparse.csc_array(X), y, C_GRID, passes=np.inf)
    for at, c in enumerate(C_GRID):
        if not found.solved[at]:
            continue
        weights = found.coefficients[at]
        residual = 1 / (1 + np.exp(-(X @ weights + found.intercepts[at]))) - y
        gradient = c * (X.T @ residual)
        assert np.all(np.abs(gradient) <= 1 + 2e-3)
        np.testing.assert_allclose(
            gradient[weights != 0], -np.sign(weights[weights != 0]), atol=2e-3
        )
        assert c * abs(residual.sum()) < 2e-3
    assert found.solved.sum() >= 8


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 40), st.integers(1, 60))
def test_separable_columns_end_at_every_c_with_finite_weights(seed, n, d):
    chance = np.random.default_rng(seed)
    y = np.arange(n) % 2
    X = np.maximum(chance.standard_normal((n, d)), 0) + y[:, None]
    started = time.perf_counter()
    found = fit_l1_flow(sparse.csc_array(X), y, C_GRID)
    assert np.isfinite(found.coefficients).all() and np.isfinite(found.intercepts).all()
    assert found.solved.all()
    assert time.perf_counter() - started < 5


def test_leaving_rows_out_by_weight_equals_dropping_them(rows):
    X, y = rows
    keep = np.arange(300) % 3 > 0
    masked = fit_l1_flow(sparse.csc_array(X), y, C_GRID[3:6], keep.astype(float))
    dropped = fit_l1_flow(sparse.csc_array(X[keep]), y[keep], C_GRID[3:6])
    np.testing.assert_allclose(masked.coefficients, dropped.coefficients, atol=1e-9)


def test_a_smaller_c_never_lowers_the_loss(rows):
    X, y = rows
    found = fit_l1_flow(sparse.csc_array(X), y, C_GRID)
    losses = [loss(X, y, *fit) for fit in zip(found.coefficients, found.intercepts, strict=True)]
    assert np.all(np.diff(losses) >= -1e-3 * np.abs(losses[:-1]) - 1e-6)


def test_columns_without_entries_and_empty_rows_are_harmless():
    X = sparse.csc_array(np.r_[np.zeros((4, 3)), np.eye(3)[[0, 0, 1]]])
    found = fit_l1_flow(X, np.array([0, 1, 0, 1, 0, 1, 1]), C_GRID)
    assert np.isfinite(found.coefficients).all() and not found.coefficients[:, 2].any()
