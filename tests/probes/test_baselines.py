"""Nearest neighbours, components and logistic regression: what each does on its own."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from probing_core.probes.inputs import Inputs
from probing_core.probes.knn import neighbour_counts, neighbour_shares
from probing_core.probes.logistic import C_GRID
from probing_core.probes.solvers.l2 import fit_l2
from probing_core.probes.sparse import evaluate_top_k
from probing_core.probes.validation import log2_grid, validation_splits
from tests.probes.support import draw, encoded, evaluate


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 30), st.integers(1, 30))
def test_shares_equal_scikit_learn_for_every_k(seed, n, d):
    chance = np.random.default_rng(seed)
    rows, queries = chance.standard_normal((n, d)), chance.standard_normal((7, d))
    labels = np.r_[0, 1, chance.integers(0, 2, n - 2)]
    counts = sorted({1, (n + 1) // 2, n})
    for k, share in zip(counts, neighbour_shares(rows, labels, queries, counts), strict=True):
        model = KNeighborsClassifier(n_neighbors=k).fit(rows, labels)
        np.testing.assert_allclose(share, model.predict_proba(queries)[:, 1])


@pytest.mark.parametrize("n_train", [8, 40, 200])
def test_nearest_neighbours_score_like_scikit_learn(minilm_activations, n_train):
    for activations in minilm_activations.values():
        X_train, y_train, X_test, y_test = draw(activations, n_train)
        found = evaluate("knn", X_train, y_train, X_test, y_test)
        scaler = StandardScaler().fit(X_train)
        model = KNeighborsClassifier(found.hyperparameters["k"])
        model.fit(scaler.transform(X_train), y_train)
        assert found.test_acc == pytest.approx(model.score(scaler.transform(X_test), y_test))


def test_neighbour_counts_are_those_of_the_paper_at_full_size():
    labels = np.arange(1024) % 2
    assert neighbour_counts(1024, validation_splits(labels)) == [1, 2, 4, 7, 12, 21, 35, 59, 99]


def test_grid_runs_from_one_in_even_log_steps():
    assert log2_grid(1) == [1]
    assert log2_grid(100)[0] == 1 and log2_grid(100)[-1] in (99, 100)
    assert len(log2_grid(100)) <= 10


def test_what_needs_no_labels_is_computed_once(minilm_activations):
    X_train, _, X_test, _ = draw(next(iter(minilm_activations.values())), 40)
    inputs = Inputs(X_train, X_test)
    assert inputs.scaled[0] is inputs.scaled[0]
    assert inputs.projected(1)[0] is inputs.projected(1)[0]
    inner, outer = inputs.projected(1)
    assert inner.shape == (40, 40) and outer.shape == (len(X_test), 40)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("c", [*C_GRID[::3], 1.0])
def test_l2_coefficients_are_scikit_learns(minilm_activations, c, dtype):
    X, y, _, _ = draw(next(iter(minilm_activations.values())), 120)
    X = np.ascontiguousarray(X, dtype=dtype)
    ours, theirs = fit_l2(X, y, c), LogisticRegression(C=c, max_iter=1000).fit(X, y)
    np.testing.assert_array_equal(ours.coef, theirs.coef_[0])
    assert ours.intercept == theirs.intercept_[0]
    np.testing.assert_array_equal(ours.probabilities(X), theirs.predict_proba(X)[:, 1])


@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_ties_in_validation_keep_the_largest_c(penalty):
    X = np.r_[np.zeros((100, 1)), np.ones((100, 1))].astype(np.float32)
    X = np.random.default_rng(0).permutation(X)
    y = X[:, 0].astype(int)
    if penalty == "l2":
        found = evaluate("logreg", X, y, X, y)
    else:
        rows = sparse.csr_array(X)
        ((_, found),) = evaluate_top_k(rows, y, rows, y, ks=[1], ranking="mean_difference")
    assert found.hyperparameters["C"] == C_GRID[0]


def test_a_path_cut_short_is_recorded_under_both_solvers(minilm_activations):
    arrays = encoded(draw(next(iter(minilm_activations.values())), 40))
    for solver in ("fast", "reference"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            ((_, found),) = evaluate_top_k(
                *arrays, ks=[64], ranking="mean_difference", solver=solver
            )
        assert not found.converged and "bound" in found.warning


def test_fits_leave_the_warning_filters_alone(minilm_activations):
    arrays = draw(next(iter(minilm_activations.values())), 20)
    before = list(warnings.filters)
    for solver in ("fast", "reference"):
        evaluate("logreg", *arrays, solver=solver)
    assert warnings.filters == before
    with pytest.warns(ConvergenceWarning):
        warnings.warn("still heard", ConvergenceWarning, stacklevel=1)


def test_a_first_fit_in_a_process_has_no_warning(minilm_activations, tmp_path):
    code = (
        "import sys, numpy as np; from tests.probes.support import evaluate;"
        "a = np.load(sys.argv[1]); n = 300;"
        "r = [evaluate(m, a['X'][:n], a['y'][:n], a['X'][n:], a['y'][n:], xgboost_draws=1)"
        " for m in ('pca', 'knn', 'mlp', 'xgboost', 'logreg')];"
        "print([one.warning for one in r])"
    )
    X, y = next(iter(minilm_activations.values()))
    np.savez(tmp_path / "arrays.npz", X=X, y=y)
    # A new process: libraries warn once a process, and an earlier fit would have hidden it.
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "arrays.npz")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == str([None] * 5)
