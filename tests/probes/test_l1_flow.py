"""The L1 flow beside SAGA, whose path it follows."""

import time
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import _base

from probing_core.probes.logistic import C_GRID, sklearn_logistic
from probing_core.probes.metrics import auc
from probing_core.probes.solvers import l1_flow
from probing_core.probes.solvers.l1_flow import fit_l1


@pytest.fixture
def latents(minilm_activations):
    """Sparse, never negative and unscaled, as SAE latents are."""
    X, y = next(iter(minilm_activations.values()))
    return sparse.csr_array(np.where(X > 0.3, X, 0)[:, :96].astype(np.float32)), y


@pytest.fixture
def saga(monkeypatch):
    """SAGA on sparse rows, with the intercept stepping as on the dense rows of the paper."""
    monkeypatch.setattr(_base, "SPARSE_INTERCEPT_DECAY", 1.0)

    def fit(X, y, c):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return sklearn_logistic("l1", c, 1).fit(X, y)

    return fit


def few(y, n):
    return np.r_[np.flatnonzero(y == 1)[: n // 2], np.flatnonzero(y == 0)[: n // 2]]


def test_the_oracle_is_the_dense_solver(latents, saga):
    X, y = latents
    rows = few(y, 60)
    thin, dense = saga(X[rows], y[rows], 10.0), saga(X[rows].toarray(), y[rows], 10.0)
    assert thin.n_iter_ == dense.n_iter_
    np.testing.assert_allclose(thin.coef_, dense.coef_, atol=1e-3 * np.abs(dense.coef_).max())


@pytest.mark.parametrize("n", [20, 60, 200])
def test_the_flow_ends_where_sagas_passes_end(latents, saga, n):
    X, y = latents
    rows = few(y, n)
    fits = fit_l1(X[rows], y[rows], C_GRID)
    for c, fit in zip(C_GRID[:5], fits[:5], strict=True):
        wanted = saga(X[rows], y[rows], c)
        size = np.linalg.norm(wanted.coef_)
        # As close as twenty steps allow.
        assert np.linalg.norm(fit.coef - wanted.coef_[0]) <= 0.05 * size
        logits = wanted.decision_function(X)
        assert np.linalg.norm(fit.logits(X) - logits) <= 0.05 * np.linalg.norm(logits)
        found, published = fit.probabilities(X), wanted.predict_proba(X)[:, 1]
        assert auc(y, found) == pytest.approx(auc(y, published), abs=5e-3)
        if not fit.converged:
            assert wanted.n_iter_[0] > 500


def test_the_stop_matters_and_is_not_the_optimum(latents, saga, monkeypatch):
    X, y = latents
    rows = few(y, 60)
    wanted = saga(X[rows], y[rows], C_GRID[0]).coef_[0]
    stopped = fit_l1(X[rows], y[rows], C_GRID)[0].coef
    monkeypatch.setattr(l1_flow, "PASSES", 1e9)
    optimum = fit_l1(X[rows], y[rows], C_GRID)[0].coef
    assert np.linalg.norm(stopped - wanted) < 0.02 * np.linalg.norm(optimum - wanted)


def test_a_flow_without_end_meets_the_optimality_conditions(minilm_activations, monkeypatch):
    X, y = next(iter(minilm_activations.values()))
    X, y = np.ascontiguousarray(X[:300, :40], dtype=np.float64), y[:300]
    X /= X.std(axis=0)
    monkeypatch.setattr(l1_flow, "PASSES", 1e9)
    monkeypatch.setattr(l1_flow, "N_STEPS", 60)
    for c, fit in zip(C_GRID[4:6], fit_l1(X, y, C_GRID)[4:6], strict=True):
        assert fit.converged
        residual = fit.probabilities(X) - y
        gradient = c * (X.T @ residual)
        active = fit.coef != 0
        assert np.all(np.abs(gradient) <= 1.05)
        np.testing.assert_allclose(gradient[active], -np.sign(fit.coef[active]), atol=0.05)
        assert c * abs(residual.sum()) < 0.05


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 40), st.integers(1, 60))
def test_separable_columns_end_at_every_c_with_finite_coefficients(seed, n, d):
    chance = np.random.default_rng(seed)
    y = np.arange(n) % 2
    X = np.maximum(chance.standard_normal((n, d)), 0) + y[:, None]
    started = time.process_time()
    for fit in fit_l1(X, y, C_GRID):
        assert np.isfinite(fit.coef).all() and np.isfinite(fit.intercept)
    assert time.process_time() - started < 5


def test_cs_come_back_in_the_order_asked_whatever_their_warm_starts(latents):
    X, y = latents
    rows = few(y, 60)
    path = dict(zip(C_GRID, fit_l1(X[rows], y[rows], C_GRID), strict=True))
    chosen = C_GRID[[5, 2, 7]]
    for c, fit in zip(chosen, fit_l1(X[rows], y[rows], chosen, warm=C_GRID), strict=True):
        np.testing.assert_allclose(fit.coef, path[c].coef, atol=2e-2 * np.abs(path[c].coef).max())


def test_a_smaller_c_never_lowers_the_loss(latents):
    X, y = latents
    losses = [
        np.sum(np.logaddexp(0, fit.logits(X)) - y * fit.logits(X)) for fit in fit_l1(X, y, C_GRID)
    ]
    assert np.all(np.diff(losses) >= -1e-3 * np.abs(losses[:-1]) - 1e-6)


def test_columns_without_entries_and_empty_rows_are_harmless():
    X = sparse.csr_array(np.r_[np.zeros((4, 3)), np.eye(3)[[0, 0, 1]]])
    for fit in fit_l1(X, np.array([0, 1, 0, 1, 0, 1, 1]), C_GRID):
        assert np.isfinite(fit.coef).all() and not fit.coef[2]
