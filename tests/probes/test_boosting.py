import numpy as np
import pytest

from probing_core.probes.boosting import fast_xgboost, reference_xgboost, search_draws


def test_a_longer_search_starts_with_the_shorter_one():
    assert search_draws(42, 10)[:3] == search_draws(42, 3)


def test_another_seed_draws_other_settings():
    assert search_draws(1) != search_draws(2)


def test_standardising_does_not_change_the_fast_trees(minilm_activations):
    X, y = next(iter(minilm_activations.values()))
    X = X[:, :16]
    plain = fast_xgboost(X[:200], y[:200], X[400:], y[400:], draws=2)
    scaled = X * 4 - 2
    moved = fast_xgboost(scaled[:200], y[:200], scaled[400:], y[400:], draws=2)
    assert moved.test_auc == pytest.approx(plain.test_auc, abs=0.01)


def test_fewer_bins_keep_the_mean_test_auc(minilm_activations):
    gaps = []
    for X, y in minilm_activations.values():
        arrays = (X[:300, :48], y[:300], X[300:, :48], y[300:])
        for seed in (1, 2):
            fast = fast_xgboost(*arrays, seed=seed, draws=1)
            slow = reference_xgboost(*arrays, seed=seed, draws=1)
            assert fast.hyperparameters == slow.hyperparameters
            gaps.append(fast.test_auc - slow.test_auc)
    assert abs(np.mean(gaps)) < 0.02
