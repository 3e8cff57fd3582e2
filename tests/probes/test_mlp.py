import warnings

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from probing_core.probes import mlp
from probing_core.probes.mlp import fast_mlp, reference_mlp
from probing_core.probes.solvers.perceptron import Layout, Training
from probing_core.probes.solvers.perceptron_cpu import train_on_cpu
from probing_core.probes.solvers.perceptron_gpu import train_on_gpu

DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    ),
]


def drawn(n, d=24, seed=0):
    chance = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    features = chance.standard_normal((n, d)) + 0.4 * labels[:, None]
    return features.astype(np.float32), labels


def scikit_learn(features, labels, training):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return MLPClassifier(
            training.hidden,
            alpha=training.alpha,
            learning_rate_init=training.learning_rate,
            max_iter=training.max_epochs,
            random_state=training.seed,
        ).fit(features, labels)


def assert_same_network(network, model, tolerance):
    assert network.epochs == model.n_iter_
    for ours, theirs in zip(network.weights, model.coefs_, strict=True):
        np.testing.assert_allclose(ours, theirs.T, atol=tolerance)
    for ours, theirs in zip(network.biases, model.intercepts_, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=tolerance)


def test_initial_weights_equal_scikit_learn_bit_for_bit():
    model = MLPClassifier((16, 8), random_state=7)
    model._label_binarizer = type("Binary", (), {"y_type_": "binary"})
    model._random_state = np.random.RandomState(7)
    model._initialize(np.zeros((1, 1)), [24, 16, 8, 1], np.float32)
    layout = Layout((24, 16, 8, 1))
    start = layout.perceptron(
        layout.initial(np.random.RandomState(7)).astype(np.float32), 0, converged=False
    )
    assert all((a == b.T).all() for a, b in zip(start.weights, model.coefs_, strict=True))
    assert all((a == b).all() for a, b in zip(start.biases, model.intercepts_, strict=True))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("hidden", [(16, 16, 16), (5,), (32, 32)])
@pytest.mark.parametrize("n", [1, 9, 60, 200, 424])
def test_trained_weights_equal_scikit_learn(n, hidden, dtype):
    features, labels = drawn(n)
    features = features.astype(dtype)
    if n == 1:
        features, labels = np.repeat(features, 2, axis=0), np.array([0, 1])
    training = Training(hidden, learning_rate=3e-3, alpha=0.01, max_epochs=12)
    model = scikit_learn(features, labels, training)
    (network,) = train_on_cpu(features, labels, [np.arange(len(labels))], training)
    assert_same_network(network, model, 1e-3 if dtype == np.float32 else 1e-9)
    chances = network.probabilities(features)
    np.testing.assert_allclose(chances, model.predict_proba(features)[:, 1], atol=1e-3)


def test_training_to_the_end_stops_at_the_epoch_scikit_learn_stops_at():
    features, labels = drawn(60)
    training = Training((16, 16, 16), learning_rate=3e-3, alpha=0.01)
    (network,) = train_on_cpu(features, labels, [np.arange(60)], training)
    assert network.converged
    assert_same_network(network, scikit_learn(features, labels, training), 5e-3)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("n", [30, 230, 450])
def test_fits_trained_together_equal_fits_trained_alone(n, device):
    features, labels = drawn(n)
    features = features.astype(np.float64)
    fits = [np.arange(n)[np.arange(n) % 5 != left] for left in range(4)] + [np.arange(n)]
    fits.append(np.arange(n // 3))
    training = Training((16, 8), learning_rate=3e-3, alpha=0.01, max_epochs=60)
    together = train_on_gpu(torch.as_tensor(features, device=device), labels, fits, training)
    for network, alone in zip(
        together, train_on_cpu(features, labels, fits, training), strict=True
    ):
        assert (network.epochs, network.converged) == (alone.epochs, alone.converged)
        for ours, theirs in zip(network.weights, alone.weights, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-7)


def test_fits_that_stop_early_leave_the_others_as_they_were():
    features, labels = drawn(40)
    features = features.astype(np.float64)
    fits = [np.arange(40), np.arange(6), np.arange(20)]
    training = Training((16,), learning_rate=1e-2)
    together = train_on_gpu(torch.as_tensor(features), labels, fits, training)
    alone = train_on_cpu(features, labels, fits, training)
    assert len({network.epochs for network in together}) > 1
    assert [network.epochs for network in together] == [network.epochs for network in alone]


@pytest.mark.parametrize("n", [2, 3, 5, 12, 60, 130, 300])
def test_fast_scores_equal_the_reference(n):
    arrays = (*drawn(n), *drawn(200, seed=1))
    fast, reference = fast_mlp(*arrays), reference_mlp(*arrays)
    assert fast.test_auc == pytest.approx(reference.test_auc, abs=2e-3)
    assert fast.val_auc == pytest.approx(reference.val_auc, abs=2e-2)
    assert fast.hyperparameters == reference.hyperparameters
    assert (fast.converged, fast.warning) == (reference.converged, reference.warning)


def test_a_split_whose_training_rows_hold_one_class_is_not_trained():
    features, labels = drawn(6)
    labels = np.array([1, 0, 0, 0, 0, 0])
    arrays = (features, labels, *drawn(50, seed=1))
    assert fast_mlp(*arrays).val_auc == reference_mlp(*arrays).val_auc == 0.5


def test_a_fit_that_meets_its_bound_is_recorded_as_the_reference_records_it(monkeypatch):
    monkeypatch.setattr(mlp, "MAX_ITERATIONS", 3)
    monkeypatch.setattr(mlp, "UNFINISHED", mlp.UNFINISHED.replace("1000", "3"))
    arrays = (*drawn(60), *drawn(50, seed=1))
    fast, reference = fast_mlp(*arrays), reference_mlp(*arrays)
    assert not fast.converged and not reference.converged
    assert fast.warning == reference.warning
