"""Our reference solver against sae-probes, an independent package; our fast solver against both."""

import numpy as np
import pytest
import torch
from sae_probes import utils_training as original
from sae_probes.run_sae_evals import get_sorted_indices, mean_act_normalization
from scipy import sparse

from probing_core.probes.boosting import reference_xgboost
from probing_core.probes.knn import fast_knn, reference_knn
from probing_core.probes.logistic import fast_logistic, reference_logistic
from probing_core.probes.mlp import reference_mlp
from probing_core.probes.pca import fast_pca, reference_pca
from probing_core.probes.registry import evaluate
from probing_core.probes.sparse import evaluate_top_k
from probing_core.saes.selection import rank_latents

SIZES = (3, 10, 60, 200, 600)
N_TEST = 100


def draw(activations, n_train):
    """Rows in random order: a balanced training set and 100 test rows of both classes."""
    X, y = activations
    order = np.random.default_rng(0).permutation(len(y))
    X, y = X[order[:-N_TEST]], y[order[:-N_TEST]]
    X_test, y_test = activations[0][order[-N_TEST:]], activations[1][order[-N_TEST:]]
    negatives = np.flatnonzero(y == 0)[: n_train // 2]
    positives = np.flatnonzero(y == 1)[: n_train - len(negatives)]
    rows = np.random.default_rng(1).permutation(np.concatenate([positives, negatives]))
    return X[rows], y[rows], X_test, y_test


def code(X, width=256, active=16):
    """SAE-like latents: a fixed random dictionary of real activations, the largest kept."""
    dictionary = np.random.default_rng(0).standard_normal((X.shape[1], width), dtype=np.float32)
    pre = (X - X.mean(axis=0)) @ dictionary
    floor = -np.sort(-pre, axis=1)[:, active - 1 : active]
    return sparse.csr_array(np.where(pre >= floor, np.maximum(pre, 0), 0).astype(np.float32))


def assert_same(ours, theirs, tolerance=1e-6):
    found = [ours.val_auc, ours.test_auc, ours.test_acc, ours.test_f1]
    wanted = [theirs.val_auc, theirs.test_auc, theirs.test_acc, theirs.test_f1]
    np.testing.assert_allclose(found, wanted, atol=tolerance)


@pytest.fixture(params=SIZES, ids=lambda n: f"n{n}")
def arrays(request, minilm_activations):
    return draw(list(minilm_activations.values())[0], request.param)


@pytest.mark.parametrize("cv_seed", [1, 42])
def test_reference_logistic_equals_sae_probes(arrays, cv_seed):
    if cv_seed == 42 and len(arrays[1]) <= 12:
        pytest.skip("leave-two-out has no seed")
    theirs = original.find_best_reg(*arrays, seed=cv_seed).metrics
    assert_same(reference_logistic(*arrays, cv_seed=cv_seed, fit_seed=cv_seed), theirs)


def test_reference_pca_equals_sae_probes_once_its_randomness_is_seeded(arrays):
    np.random.seed(42)
    assert_same(reference_pca(*arrays), original.find_best_pcareg(*arrays).metrics)


def test_reference_knn_equals_sae_probes(arrays):
    assert_same(reference_knn(*arrays), original.find_best_knn(*arrays, n_jobs=1).metrics)


@pytest.mark.parametrize("n_train", [3, 5, 60, 200])
def test_mlp_equals_sae_probes(minilm_activations, n_train):
    arrays = draw(list(minilm_activations.values())[0], n_train)
    assert_same(reference_mlp(*arrays), original.find_best_mlp(*arrays).metrics)


@pytest.mark.parametrize("n_train", [3, 5, 60, 200])
def test_reference_xgboost_equals_sae_probes(minilm_activations, n_train):
    X_train, y_train, X_test, y_test = draw(list(minilm_activations.values())[0], n_train)
    narrow = (X_train[:, :24], y_train, X_test[:, :24], y_test)
    assert_same(reference_xgboost(*narrow), original.find_best_xgboost(*narrow).metrics)


@pytest.mark.parametrize("ranking", ["mean_difference", "normalized_mean_difference"])
def test_reference_sae_probe_equals_sae_probes(arrays, ranking):
    X_train, y_train, X_test, y_test = arrays
    latents = code(np.concatenate([X_train, X_test]))
    train, test = latents[: len(y_train)], latents[len(y_train) :]
    kept = rank_latents(train, y_train, ranking)[:8]
    dense, labels = torch.tensor(train.toarray()), torch.tensor(y_train)
    if len(y_train) >= 200:
        # Below that latents tie, and the original's sort leaves their order to chance.
        normalise = mean_act_normalization if ranking.startswith("normal") else None
        assert kept.tolist() == get_sorted_indices(dense, labels, normalise)[:8].tolist()
    theirs = original.find_best_reg(
        dense[:, kept],
        labels,
        torch.tensor(test.toarray()[:, kept]),
        torch.tensor(y_test),
        penalty="l1",
        seed=42,
    ).metrics
    ((k, ours),) = evaluate_top_k(
        train,
        y_train,
        test,
        y_test,
        ks=[8],
        ranking=ranking,
        solver="reference",
        seed=42,
        fit_seed=42,
    )
    assert k == 8
    assert_same(ours, theirs)


def test_binarized_sae_probe_equals_sae_probes(minilm_activations):
    X_train, y_train, X_test, y_test = draw(list(minilm_activations.values())[0], 200)
    latents = code(np.concatenate([X_train, X_test]))
    train, test = latents[: len(y_train)], latents[len(y_train) :]
    dense, labels = torch.tensor(train.toarray()), torch.tensor(y_train)
    kept = get_sorted_indices(dense, labels, mean_act_normalization)[:8].numpy()
    theirs = original.find_best_reg(
        dense[:, kept] != 0,
        labels,
        torch.tensor(test.toarray()[:, kept]) != 0,
        torch.tensor(y_test),
        penalty="l1",
        seed=42,
    ).metrics
    ((_, ours),) = evaluate_top_k(
        train,
        y_train,
        test,
        y_test,
        ks=[8],
        ranking="normalized_mean_difference",
        solver="reference",
        seed=42,
        fit_seed=42,
        binarize=True,
        binarize_above=0.0,
    )
    assert_same(ours, theirs, tolerance=1e-3)


@pytest.mark.parametrize("method", ["logreg", "pca", "knn"])
def test_fast_baselines_stay_close_to_the_reference(minilm_activations, method):
    gaps = []
    for activations in minilm_activations.values():
        arrays = draw(activations, 600)
        fast = evaluate(method, *arrays)
        slow = evaluate(method, *arrays, solver="reference")
        assert fast.val_auc == pytest.approx(slow.val_auc, abs=0.02)
        gaps.append(fast.test_auc - slow.test_auc)
    assert abs(np.mean(gaps)) < 0.01


@pytest.mark.parametrize(
    ("fast", "reference"), [(fast_knn, reference_knn), (fast_pca, reference_pca)]
)
def test_fast_choices_equal_reference_choices_on_small_sets(arrays, fast, reference):
    if len(arrays[1]) > 200:
        pytest.skip("the reference decomposition is randomised at this size")
    ours, theirs = fast(*arrays), reference(*arrays)
    assert ours.hyperparameters == theirs.hyperparameters
    assert ours.test_auc == pytest.approx(theirs.test_auc, abs=2e-3)


def test_fast_l1_agrees_with_saga_wherever_saga_converges(minilm_activations):
    compared = 0
    for activations in minilm_activations.values():
        X_train, y_train, X_test, y_test = draw(activations, 600)
        latents = code(np.concatenate([X_train, X_test]))
        few = latents[:, :16].toarray()
        columns = (few[: len(y_train)], y_train, few[len(y_train) :], y_test)
        slow = reference_logistic(*columns, penalty="l1")
        fast = fast_logistic(*columns, penalty="l1")
        if slow.converged and slow.hyperparameters == fast.hyperparameters:
            assert fast.test_auc == pytest.approx(slow.test_auc, abs=2e-3)
            compared += 1
    assert compared >= 1
