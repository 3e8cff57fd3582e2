"""The fast solver beside the reference: equal where both are scikit-learn, close elsewhere."""

import numpy as np
import pytest

from probing_core.probes.logistic import fitter, sklearn_logistic
from probing_core.probes.methods import BASELINES
from probing_core.probes.metrics import auc
from probing_core.probes.sparse import evaluate_top_k
from tests.probes.support import draw, encoded, evaluate

REGIMES = {
    "standard": {"n_train": 450},
    "scarcity, 8": {"n_train": 8},
    "scarcity, 20": {"n_train": 20},
    "scarcity, 128": {"n_train": 128},
    "imbalance": {"n_train": 220, "positive": 0.1},
    "label noise": {"n_train": 220, "flipped": 0.3},
}
MEAN_WITHIN = 0.002


@pytest.fixture(params=REGIMES)
def draws(request, minilm_activations):
    return [draw(task, **REGIMES[request.param]) for task in minilm_activations.values()]


def scores(result):
    return result.val_auc, result.test_auc, result.test_acc, result.test_f1


@pytest.mark.parametrize("method", ["logreg", "pca"])
def test_l2_and_pca_are_the_references_to_the_last_bit(draws, method):
    for arrays in draws:
        fast, reference = evaluate(method, *arrays), evaluate(method, *arrays, solver="reference")
        assert scores(fast) == scores(reference)
        assert fast.hyperparameters == reference.hyperparameters
        assert fast.converged == reference.converged


def test_knn_is_the_references_but_for_equidistant_neighbours(draws):
    pairs = [[evaluate("knn", *a, solver=s) for s in ("fast", "reference")] for a in draws]
    gaps = [fast.test_auc - reference.test_auc for fast, reference in pairs]
    assert abs(np.mean(gaps)) <= MEAN_WITHIN
    for fast, reference in pairs:
        assert fast.val_auc == pytest.approx(reference.val_auc, abs=0.01)


def test_l1_keeps_the_mean_auc_and_single_fits_where_saga_converges(draws):
    gaps = []
    for arrays in draws:
        fast, reference = (
            evaluate_top_k(*encoded(arrays), ks=[24], ranking="mean_difference", solver=solver)
            for solver in ("fast", "reference")
        )
        gap = fast[0][1].test_auc - reference[0][1].test_auc
        gaps.append(gap)
        if reference[0][1].converged:
            assert abs(gap) < 5e-3
    assert abs(np.mean(gaps)) <= MEAN_WITHIN


def test_trees_keep_the_mean_auc_although_they_sample_other_rows(minilm_activations):
    gaps = []
    for X, y in minilm_activations.values():
        arrays = (X[:300, :48], y[:300], X[300:, :48], y[300:])
        for seed in (1, 2):
            fast, reference = (
                evaluate("xgboost", *arrays, seed=seed, xgboost_draws=1, solver=solver)
                for solver in ("fast", "reference")
            )
            assert fast.hyperparameters == reference.hyperparameters
            gaps.append(fast.test_auc - reference.test_auc)
    assert abs(np.mean(gaps)) < 0.02


@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_far_rows_tie_as_the_published_probabilities_do(minilm_activations, penalty):
    X_train, y_train, X_test, y_test = draw(next(iter(minilm_activations.values())), 60)
    rows = np.maximum(X_train, 0), y_train, [np.float64(1e5)]
    test = np.maximum(X_test, 0) * 20
    model = sklearn_logistic(penalty, 1e5, 1).fit(*rows[:2])
    published = model.predict_proba(test)[:, 1]
    (fit,) = fitter(penalty, "fast")(*rows)
    ranked = fit.probabilities(test)
    assert ranked.dtype == published.dtype == np.float32
    assert np.mean(ranked == 1) == pytest.approx(np.mean(published == 1), abs=0.02) and 1 in ranked
    assert auc(y_test, ranked) == pytest.approx(auc(y_test, published), abs=2e-3)
    assert auc(y_test, ranked) != auc(y_test, fit.logits(test))


@pytest.mark.parametrize("method", BASELINES)
@pytest.mark.parametrize("solver", ["fast", "reference"])
def test_baselines_do_not_depend_on_how_their_rows_lie_in_memory(
    minilm_activations, method, solver
):
    X_train, y_train, X_test, y_test = draw(next(iter(minilm_activations.values())), 40)
    plain = evaluate(method, X_train, y_train, X_test, y_test, solver=solver, xgboost_draws=1)
    turned = [np.asfortranarray(X_train), y_train, np.asfortranarray(X_test), y_test]
    other = evaluate(method, *turned, solver=solver, xgboost_draws=1)
    assert scores(plain) == scores(other)
