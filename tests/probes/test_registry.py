import dataclasses
import json
import math

import numpy as np
import pytest

from probing_core.errors import UserError
from probing_core.probes import METHODS, ProbeResult, evaluate, inputs
from probing_core.probes.inputs import Inputs
from probing_core.probes.registry import evaluate_label_sets


@pytest.fixture
def fitting(minilm_activations):
    X, y = next(iter(minilm_activations.values()))
    return X[:150, :24], y[:150], X[400:, :24], y[400:]


@pytest.mark.parametrize("solver", ["fast", "reference"])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_signal_and_repeats_itself(fitting, method, solver):
    first = evaluate(method, *fitting, solver=solver, xgboost_draws=3)
    second = evaluate(method, *fitting, solver=solver, xgboost_draws=3)
    assert isinstance(first, ProbeResult)
    assert 0.55 < first.test_auc <= 1
    assert first.fit_seconds > 0
    same = dataclasses.replace(second, fit_seconds=first.fit_seconds)
    assert first == same


@pytest.mark.parametrize("method", METHODS)
def test_hyperparameters_can_be_written_as_json(fitting, method):
    found = evaluate(method, *fitting, xgboost_draws=2)
    assert json.loads(json.dumps(found.hyperparameters)) == found.hyperparameters


@pytest.mark.parametrize("method", METHODS)
def test_test_labels_of_one_class_give_nan_with_a_reason(fitting, method):
    X_train, y_train, X_test, y_test = fitting
    found = evaluate(method, X_train, y_train, X_test, np.ones_like(y_test), xgboost_draws=1)
    assert math.isnan(found.test_auc)
    assert "one class" in found.warning


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [2, 3, 4])
def test_smallest_training_sets_work(fitting, method, n):
    X_train, y_train, X_test, y_test = fitting
    rows = np.r_[np.flatnonzero(y_train == 1)[: n - n // 2], np.flatnonzero(y_train == 0)[: n // 2]]
    found = evaluate(method, X_train[rows], y_train[rows], X_test, y_test, xgboost_draws=2)
    assert 0 <= found.val_auc <= 1
    assert 0 <= found.test_auc <= 1


@pytest.mark.parametrize("method", METHODS)
def test_a_training_fold_of_one_class_is_survived(fitting, method):
    X_train, y_train, X_test, y_test = fitting
    rows = np.r_[np.flatnonzero(y_train == 1)[:1], np.flatnonzero(y_train == 0)[:5]]
    found = evaluate(method, X_train[rows], y_train[rows], X_test, y_test, xgboost_draws=2)
    assert found.val_auc == 0.5


def test_misspelled_names_get_the_nearest(fitting):
    with pytest.raises(UserError, match="'xgboost'"):
        evaluate("xgbost", *fitting)
    with pytest.raises(UserError, match="'reference'"):
        evaluate("knn", *fitting, solver="refrence")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda X, y, T, t: (X, y[:-1], T, t), "do not match"),
        (lambda X, y, T, t: (X, y + 1, T, t), "0 or 1"),
        (lambda X, y, T, t: (X, y * 0, T, t), "one class"),
        (lambda X, y, T, t: (X, y, T[:, 1:], t), "same hook"),
        (lambda X, y, T, t: (np.full_like(X, np.nan), y, T, t), "NaN"),
    ],
)
def test_arrays_that_cannot_be_right_are_refused(fitting, spoil, message):
    with pytest.raises(UserError, match=message):
        evaluate("logreg", *spoil(*fitting))


@pytest.mark.parametrize("method", METHODS)
def test_label_sets_together_give_what_they_give_alone(fitting, method):
    X_train, y_train, X_test, y_test = fitting
    chance = np.random.default_rng(0)
    noisy = [np.where(chance.random(150) < share, 1 - y_train, y_train) for share in (0, 0.2, 0.5)]
    shared = Inputs(X_train, X_test)
    together = evaluate_label_sets(method, noisy, y_test, shared=shared, xgboost_draws=2)
    alone = [evaluate(method, X_train, y, X_test, y_test, xgboost_draws=2) for y in noisy]
    for one, other in zip(together, alone, strict=True):
        assert dataclasses.replace(one, fit_seconds=0) == dataclasses.replace(other, fit_seconds=0)


@pytest.mark.parametrize("n", [20, 150])
@pytest.mark.parametrize("method", ["logreg", "pca", "knn", "mlp"])
def test_the_batched_fits_of_a_device_give_what_the_compiled_ones_give(fitting, method, n):
    X_train, y_train, X_test, y_test = fitting
    arrays = (X_train[:n], y_train[:n], X_test, y_test)
    here = evaluate(method, *arrays)
    # Named with its number, the CPU counts as any other device.
    there = evaluate(method, *arrays, device="cpu:0")
    assert there.test_auc == pytest.approx(here.test_auc, abs=5e-3)
    assert there.hyperparameters == here.hyperparameters


def test_rows_go_to_the_device_once(fitting, monkeypatch):
    X_train, y_train, X_test, y_test = fitting
    sent = []

    def sending(array, device):
        sent.append(array.shape)
        return on_device(array, device)

    on_device = inputs.on_device
    monkeypatch.setattr(inputs, "on_device", sending)
    shared = Inputs(X_train, X_test, "cpu:0")
    for method in ("logreg", "pca", "knn", "mlp"):
        evaluate(method, X_train, y_train, X_test, y_test, shared=shared)
    assert sorted(sent) == [(24,), (24,), X_train.shape, X_test.shape]
