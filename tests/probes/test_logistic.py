import time
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from probing_core.probes.l1_path import fit_l1_path
from probing_core.probes.l2_path import fit_l2_path
from probing_core.probes.logistic import (
    C_GRID,
    fast_logistic,
    reference_logistic,
    sklearn_logistic,
)
from probing_core.probes.metrics import auc

TAG = 0


@pytest.fixture
def rows(minilm_activations):
    X, y = list(minilm_activations.values())[TAG]
    return X[:300, :40].astype(np.float64), y[:300]


def loss(X, y, weights, bias):
    logits = X @ weights + bias
    return np.sum(np.logaddexp(0, logits) - y * logits)


def l1_objective(X, y, weights, bias, c):
    return c * loss(X, y, weights, bias) + np.abs(weights).sum()


def test_l1_optimum_is_no_worse_than_long_saga(rows):
    X, y = rows
    X = X / X.std(axis=0)
    cs = np.array([10.0, 1.0, 0.1, 0.01])
    path = fit_l1_path(sparse.csc_array(X), y, cs)
    for position, c in enumerate(cs):
        model = sklearn_logistic("l1", c, 0).set_params(max_iter=20_000, tol=1e-8).fit(X, y)
        theirs = l1_objective(X, y, model.coef_[0], model.intercept_[0], c)
        ours = l1_objective(X, y, path.coefficients[position], path.intercepts[position], c)
        assert ours <= theirs * (1 + 1e-6)
        np.testing.assert_allclose(path.coefficients[position], model.coef_[0], atol=2e-3)
    assert path.converged.all()


def test_l1_solution_meets_the_optimality_conditions(rows):
    X, y = rows
    path = fit_l1_path(sparse.csc_array(X), y, C_GRID)
    for position, c in enumerate(C_GRID):
        if not path.converged[position]:
            continue
        weights = path.coefficients[position]
        logits = X @ weights + path.intercepts[position]
        residual = 1 / (1 + np.exp(-logits)) - y
        gradient = c * (X.T @ residual)
        assert np.all(np.abs(gradient) <= 1 + 2e-3)
        np.testing.assert_allclose(
            gradient[weights != 0], -np.sign(weights[weights != 0]), atol=2e-3
        )
        assert c * abs(residual.sum()) < 2e-3
    assert path.converged.sum() >= 8


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 40), st.integers(1, 60))
def test_separable_columns_end_at_every_c_with_finite_weights(seed, n, d):
    chance = np.random.default_rng(seed)
    y = np.arange(n) % 2
    X = np.maximum(chance.standard_normal((n, d)), 0) + y[:, None]
    started = time.perf_counter()
    path = fit_l1_path(sparse.csc_array(X), y, C_GRID)
    assert np.isfinite(path.coefficients).all() and np.isfinite(path.intercepts).all()
    assert time.perf_counter() - started < 5


def test_leaving_rows_out_by_weight_equals_dropping_them(rows):
    X, y = rows
    keep = np.arange(300) % 3 > 0
    masked = fit_l1_path(sparse.csc_array(X), y, C_GRID[3:6], keep.astype(float))
    dropped = fit_l1_path(sparse.csc_array(X[keep]), y[keep], C_GRID[3:6])
    np.testing.assert_allclose(masked.coefficients, dropped.coefficients, atol=1e-9)


def test_a_smaller_c_never_lowers_the_loss(rows):
    X, y = rows
    for fit, features in ((fit_l1_path, sparse.csc_array(X)), (fit_l2_path, X)):
        path = fit(features, y, C_GRID)
        losses = [loss(X, y, w, b) for w, b in zip(path.coefficients, path.intercepts, strict=True)]
        assert np.all(np.diff(losses) >= -1e-3 * np.abs(losses[:-1]) - 1e-6)


def test_the_usual_tolerance_ranks_rows_as_a_tight_one(minilm_activations):
    for X, y in minilm_activations.values():
        loose = fit_l2_path(X[:400], y[:400], C_GRID)
        tight = fit_l2_path(X[:400], y[:400], C_GRID, tolerance=1e-7)
        for ours, exact in zip(loose.coefficients[2:], tight.coefficients[2:], strict=True):
            assert auc(y[400:], X[400:] @ ours) == pytest.approx(
                auc(y[400:], X[400:] @ exact), abs=5e-3
            )


@pytest.mark.parametrize("width", [40, 384])
def test_l2_optimum_equals_a_tight_scikit_learn_fit(minilm_activations, width):
    X, y = list(minilm_activations.values())[TAG]
    X, y = X[:200, :width].astype(np.float64), y[:200]
    cs = np.array([100.0, 1.0, 0.01])
    path = fit_l2_path(X, y, cs, tolerance=1e-7)
    for position, c in enumerate(cs):
        model = sklearn_logistic("l2", c, 0).set_params(tol=1e-9, max_iter=10_000).fit(X, y)
        logits = X @ path.coefficients[position] + path.intercepts[position]
        np.testing.assert_allclose(logits, model.decision_function(X), atol=1e-2, rtol=1e-2)
    assert path.converged.all()


def test_ties_in_validation_keep_the_largest_c():
    X = np.r_[np.zeros((100, 1)), np.ones((100, 1))].astype(np.float32)
    order = np.random.default_rng(0).permutation(200)
    X, y = X[order], X[order, 0].astype(int)
    for penalty in ("l1", "l2"):
        assert fast_logistic(X, y, X, y, penalty=penalty).hyperparameters["C"] == C_GRID[0]


def test_sparse_and_dense_columns_give_the_same_probe(rows):
    X, y = rows
    X = np.where(X > 0, X, 0).astype(np.float32)
    for penalty in ("l1", "l2"):
        dense = fast_logistic(X[:200], y[:200], X[200:], y[200:], penalty=penalty)
        thin = fast_logistic(
            sparse.csc_array(X[:200]), y[:200], sparse.csc_array(X[200:]), y[200:], penalty=penalty
        )
        assert (dense.val_auc, dense.test_auc) == pytest.approx((thin.val_auc, thin.test_auc))


def test_an_unfinished_fit_is_recorded_and_not_shown(minilm_activations):
    X, y = list(minilm_activations.values())[TAG]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = reference_logistic(X[:140, :60] * 50, y[:140], X[140:, :60], y[140:], penalty="l1")
    assert not found.converged
    assert "iteration bound" in found.warning or "ConvergenceWarning" in found.warning


def test_fits_leave_the_warning_filters_alone(rows):
    X, y = rows
    before = list(warnings.filters)
    fast_logistic(X[:100], y[:100], X[100:], y[100:])
    reference_logistic(X[:100], y[:100], X[100:], y[100:])
    assert warnings.filters == before
    with pytest.warns(ConvergenceWarning):
        warnings.warn("still heard", ConvergenceWarning, stacklevel=1)


def test_three_rows_use_c_one_and_the_training_auc(minilm_activations):
    X, y = list(minilm_activations.values())[TAG]
    few = np.r_[np.flatnonzero(y == 1)[:2], np.flatnonzero(y == 0)[:1]]
    found = fast_logistic(X[few], y[few], X[300:], y[300:])
    assert found.hyperparameters["C"] == 1.0
    assert found.val_auc == 1.0
