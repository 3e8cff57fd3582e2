import numpy as np
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st

from probing_core.probes.boosting import search_draws
from probing_core.probes.solvers.tree_bins import bin_rows
from probing_core.probes.solvers.trees import LEAF, Growth, grow

GROWTHS = (
    Growth(n_estimators=60),
    Growth(n_estimators=40, max_depth=3, learning_rate=0.1, reg_alpha=0.5, reg_lambda=0.1),
    Growth(n_estimators=40, max_depth=5, learning_rate=0.05, reg_alpha=10.0, min_child_weight=4),
)


def noisy(n_rows, n_columns, seed=0, decimals=None):
    """Rows whose label leans on three columns, one pair of them by their product."""
    chance = np.random.default_rng(seed)
    X = chance.standard_normal((n_rows, n_columns)).astype(np.float32)
    X = X if decimals is None else X.round(decimals)
    lean = X[:, 0] + X[:, 1] * X[:, 2] + chance.standard_normal(n_rows)
    return X, (lean > 0.3).astype(np.int64)


def xgboosted(X, y, growth):
    model = xgboost.XGBClassifier(**vars(growth), tree_method="hist", n_jobs=1)
    return model.fit(X, y)


def test_a_longer_search_starts_with_the_shorter_one():
    assert search_draws(42, 10)[:3] == search_draws(42, 3) != search_draws(43, 3)


@pytest.mark.parametrize("growth", GROWTHS, ids=["defaults", "shallow", "penalised"])
@pytest.mark.parametrize(("n_rows", "decimals"), [(20, None), (128, None), (700, None), (700, 1)])
def test_without_sampling_the_trees_are_xgboosts(growth, n_rows, decimals):
    X, y = noisy(n_rows, 40, decimals=decimals)
    X_test, _ = noisy(300, 40, seed=1)
    ours = grow(bin_rows(X), y, growth, seed=0).predict(X_test)
    theirs = xgboosted(X, y, growth).predict_proba(X_test)[:, 1]
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("n_rows", [100, 256, 257, 258, 300, 924, 1024])
@pytest.mark.parametrize("decimals", [None, 2])
def test_cuts_are_xgboosts(n_rows, decimals):
    X, y = noisy(n_rows, 5, decimals=decimals)
    matrix = xgboost.QuantileDMatrix(X, y, max_bin=256, nthread=1)
    starts, cuts = matrix.get_quantile_cut()
    ours = bin_rows(X).cuts
    for column in range(5):
        # XGBoost adds the least value in front and one above all values at the end.
        theirs = cuts[starts[column] + 1 : starts[column + 1] - 1]
        np.testing.assert_array_equal(ours[column, np.isfinite(ours[column])], theirs)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 400), st.integers(0, 3))
def test_codes_count_the_cuts_at_or_below_a_value(seed, n_rows, decimals):
    X, _ = noisy(n_rows, 19, seed, decimals)
    binned = bin_rows(X)
    for column in range(19):
        code = binned.codes[column // 16, :, column % 16]
        wanted = np.searchsorted(binned.cuts[column], X[:, column], side="right")
        np.testing.assert_array_equal(code, wanted)


def test_a_monotone_transform_changes_no_training_score():
    X, y = noisy(120, 20)
    growth = Growth(n_estimators=30, subsample=0.8, colsample_bytree=0.7)
    plain = grow(bin_rows(X), y, growth, seed=3).predict(X)
    bent = np.exp(X)
    np.testing.assert_array_equal(grow(bin_rows(bent), y, growth, seed=3).predict(bent), plain)


def test_constant_columns_are_never_split_on():
    X, y = noisy(200, 24)
    X[:, 3:] = 7.0
    trees = grow(bin_rows(X), y, Growth(), seed=0)
    assert set(np.unique(trees.columns)) <= {LEAF, 0, 1, 2}


def test_only_constant_columns_predict_the_share_of_class_one():
    y = np.array([1, 1, 1, 0])
    trees = grow(bin_rows(np.ones((4, 5), dtype=np.float32)), y, Growth(), seed=0)
    np.testing.assert_allclose(trees.predict(np.zeros((2, 5))), 0.75, atol=1e-4)


def test_the_seed_decides_the_samples():
    X, y = noisy(150, 30)
    growth = Growth(n_estimators=20, subsample=0.7, colsample_bytree=0.7)
    first, again, other = (grow(bin_rows(X), y, growth, seed).predict(X) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_tree_sees_its_share_of_the_columns():
    X, y = noisy(200, 40)
    growth = Growth(n_estimators=300, max_depth=1, learning_rate=0.01, colsample_bytree=0.7)
    roots = grow(bin_rows(X), y, growth, seed=0).columns[:, 0]
    favourite = np.bincount(roots).max() / len(roots)
    assert 0.6 < favourite < 0.8
