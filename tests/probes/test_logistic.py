import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from probing_core.probes.logistic import (
    C_GRID,
    fast_logistic,
    reference_logistic,
)

TAG = 0


@pytest.fixture
def rows(minilm_activations):
    X, y = list(minilm_activations.values())[TAG]
    return X[:300, :40].astype(np.float64), y[:300]


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


@pytest.mark.parametrize("n_train", [8, 20, 60, 120])
def test_both_solvers_choose_the_same_l2_probe(minilm_activations, n_train):
    for X, y in minilm_activations.values():
        few = np.r_[np.flatnonzero(y[:550] == 1)[: n_train // 2], np.flatnonzero(y[:550] == 0)]
        few = np.random.default_rng(0).permutation(few[:n_train])
        arrays = X[few], y[few], X[550:], y[550:]
        ours = fast_logistic(*arrays)
        # In double precision, as the fast solver works on few rows.
        theirs = reference_logistic(arrays[0].astype(np.float64), *arrays[1:])
        assert ours.hyperparameters == theirs.hyperparameters
        assert ours.val_auc == theirs.val_auc
        assert ours.test_auc == pytest.approx(theirs.test_auc, abs=1e-4)


@pytest.mark.parametrize("n_train", [8, 20, 60, 200])
def test_both_solvers_choose_the_same_l1_probe(minilm_activations, n_train):
    X, y = list(minilm_activations.values())[TAG]
    X = np.where(X > 0.3, X, 0)[:, :64].astype(np.float32)
    few = np.r_[np.flatnonzero(y == 1)[: n_train // 2], np.flatnonzero(y == 0)[: n_train // 2]]
    few = np.random.default_rng(0).permutation(few)
    rest = np.setdiff1d(np.arange(len(y)), few)
    ours = fast_logistic(X[few], y[few], X[rest], y[rest], penalty="l1")
    theirs = reference_logistic(X[few], y[few], X[rest], y[rest], penalty="l1")
    assert ours.test_auc == pytest.approx(theirs.test_auc, abs=0.02)


def test_a_flow_cut_short_is_recorded_as_the_published_solver_records_it(minilm_activations):
    X, y = list(minilm_activations.values())[TAG]
    X = np.where(X > 0.3, X, 0)[:, :64].astype(np.float32)
    ours = fast_logistic(X[:40], y[:40], X[300:], y[300:], penalty="l1")
    theirs = reference_logistic(X[:40], y[:40], X[300:], y[300:], penalty="l1")
    assert not theirs.converged
    assert not ours.converged and "iteration bound" in ours.warning


def test_a_fit_that_goes_well_has_no_warning(minilm_activations):
    X, y = list(minilm_activations.values())[TAG]
    code = (
        "import sys, numpy as np; from probing_core.probes import evaluate;"
        "a = np.load(sys.argv[1]); n = 300;"
        "r = [evaluate(m, a['X'][:n], a['y'][:n], a['X'][n:], a['y'][n:], xgboost_draws=1)"
        " for m in ('pca', 'knn', 'mlp', 'xgboost', 'logreg')];"
        "print([one.warning for one in r])"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "arrays.npz"
        np.savez(path, X=X, y=y)
        # A new process: libraries warn once a process, and an earlier fit would have hidden it.
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
        )
    assert done.stdout.strip() == str([None] * 5)
