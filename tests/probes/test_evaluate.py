import dataclasses
import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestCentroid

from probing_core.errors import UserError
from probing_core.experiments.multi_token import ATTENTION
from probing_core.probes import logistic, mlp
from probing_core.probes.evaluate import evaluate_label_sets
from probing_core.probes.inputs import Inputs
from probing_core.probes.methods import BASELINES, FITTED, METHODS, PARTS, SAE_METHOD
from probing_core.probes.result import UNFINISHED
from probing_core.probes.solvers import l1_flow, l2
from probing_core.probes.sparse import evaluate_top_k
from tests.probes.support import draw, encoded, evaluate


@pytest.fixture
def fitting(minilm_activations):
    X, y = next(iter(minilm_activations.values()))
    return X[:150, :24], y[:150], X[400:, :24], y[400:]


@pytest.mark.parametrize("solver", ["fast", "reference"])
@pytest.mark.parametrize("method", FITTED)
def test_every_method_finds_signal_and_repeats_itself(fitting, method, solver):
    first, second = (evaluate(method, *fitting, solver=solver, xgboost_draws=3) for _ in range(2))
    assert 0.55 < first.test_auc <= 1
    assert first.fit_seconds > 0
    assert first.warning is None and first.converged
    assert json.loads(json.dumps(first.hyperparameters)) == first.hyperparameters
    assert first == dataclasses.replace(second, fit_seconds=first.fit_seconds)


@pytest.mark.parametrize("method", FITTED)
def test_test_labels_of_one_class_give_nan_with_a_reason(fitting, method):
    X_train, y_train, X_test, y_test = fitting
    found = evaluate(method, X_train, y_train, X_test, np.ones_like(y_test), xgboost_draws=1)
    assert math.isnan(found.test_auc)
    assert "one class" in found.warning


@pytest.mark.parametrize("method", FITTED)
@pytest.mark.parametrize("n", [2, 3, 4])
def test_smallest_training_sets_work(fitting, method, n):
    X_train, y_train, X_test, y_test = fitting
    rows = np.r_[np.flatnonzero(y_train == 1)[: n - n // 2], np.flatnonzero(y_train == 0)[: n // 2]]
    found = evaluate(method, X_train[rows], y_train[rows], X_test, y_test, xgboost_draws=2)
    assert 0 <= found.val_auc <= 1
    assert 0 <= found.test_auc <= 1
    if n <= 3 and method == "logreg":
        assert found.hyperparameters == {"C": 1.0} and found.val_auc == 1.0


@pytest.mark.parametrize("method", FITTED)
def test_a_training_fold_of_one_class_is_survived(fitting, method):
    X_train, y_train, X_test, y_test = fitting
    rows = np.r_[np.flatnonzero(y_train == 1)[:1], np.flatnonzero(y_train == 0)[:5]]
    found = evaluate(method, X_train[rows], y_train[rows], X_test, y_test, xgboost_draws=2)
    assert found.val_auc == 0.5


@pytest.mark.parametrize("method", FITTED)
def test_label_sets_together_give_what_they_give_alone(fitting, method):
    X_train, y_train, X_test, y_test = fitting
    chance = np.random.default_rng(0)
    noisy = [np.where(chance.random(150) < share, 1 - y_train, y_train) for share in (0, 0.2, 0.5)]
    shared = Inputs(X_train, X_test)
    together = evaluate_label_sets(method, noisy, y_test, shared=shared, xgboost_draws=2)
    alone = [evaluate(method, X_train, y, X_test, y_test, xgboost_draws=2) for y in noisy]
    for one, other in zip(together, alone, strict=True):
        assert dataclasses.replace(one, fit_seconds=0) == dataclasses.replace(other, fit_seconds=0)


def test_misspelled_names_get_the_nearest(fitting):
    with pytest.raises(UserError, match="'xgboost'"):
        evaluate("xgbost", *fitting)
    with pytest.raises(UserError, match="'reference'"):
        evaluate("knn", *fitting, solver="refrence")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda X, y, T, t: (X, y[:-1], T, t), "do not match"),
        (lambda X, y, T, t: (X[0], y, T, t), "do not match"),
        (lambda X, y, T, t: (X, y + 1, T, t), "0 or 1"),
        (lambda X, y, T, t: (X, y * 0, T, t), "one class"),
        (lambda X, y, T, t: (X, y, T[:, 1:], t), "same hook"),
        (lambda X, y, T, t: (np.full_like(X, np.nan), y, T, t), "NaN"),
    ],
)
def test_arrays_that_cannot_be_right_are_refused(fitting, spoil, message):
    with pytest.raises(UserError, match=message):
        evaluate("logreg", *spoil(*fitting))


@pytest.mark.parametrize("solver", ["fast", "reference"])
@pytest.mark.parametrize("method", ["logreg", "pca", "mlp", SAE_METHOD])
@pytest.mark.parametrize("n_train", [3, 60])
def test_a_result_has_converged_unless_a_fit_behind_it_met_its_bound(
    minilm_activations, monkeypatch, method, solver, n_train
):
    arrays = draw(next(iter(minilm_activations.values())), n_train)

    def fit():
        if method in BASELINES:
            return evaluate(method, *arrays, solver=solver)
        return evaluate_top_k(*encoded(arrays), ks=[4], ranking="mean_difference", solver=solver)[
            0
        ][1]

    for module, name, long in ((logistic, "MAX_ITERATIONS", 20_000), (l1_flow, "PASSES", 2e4)):
        monkeypatch.setattr(module, name, long)
    free = fit()
    assert free.converged and free.warning is None
    for module, name in ((logistic, "MAX_ITERATIONS"), (l1_flow, "PASSES"), (mlp, "MAX_EPOCHS")):
        monkeypatch.setattr(module, name, 2)
    monkeypatch.setitem(l2.OPTIONS, "maxiter", 2)
    cut = fit()
    assert not cut.converged
    assert cut.warning == UNFINISHED


def test_methods_have_distinct_names_and_looks():
    for attribute in ("key", "label", "short", "colour", "marker", "line"):
        values = [getattr(METHODS[key], attribute) for key in FITTED]
        assert len(set(values)) == len(values)
    tokens = (*ATTENTION, "concatenated_pca")
    assert (*BASELINES, SAE_METHOD, "diff_mean", *PARTS, *tokens) == tuple(METHODS)


def test_difference_in_means_projects_on_the_line_between_the_means(fitting):
    X_train, y_train, X_test, y_test = fitting
    found = evaluate("diff_mean", *fitting)
    centroids = NearestCentroid().fit(X_train, y_train)
    line = centroids.centroids_[1] - centroids.centroids_[0]
    assert found.test_auc == pytest.approx(roc_auc_score(y_test, X_test @ line))
    assert found.test_acc == pytest.approx(centroids.score(X_test, y_test))


def test_naming_methods_loads_no_solver():
    code = "import sys, probing_core.probes.methods; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "numba", "sklearn", "xgboost", "scipy"} & set(done.stdout.split())


def test_a_second_process_loads_what_the_first_has_compiled(tmp_path):
    code = (
        "from numba.core import event;"
        "from probing_core.probes.compile import compile_kernels\n"
        "with event.install_recorder('numba:compile') as seen: compile_kernels()\n"
        "print(len(seen.buffer))"
    )
    counts = [
        int(
            subprocess.run(
                [sys.executable, "-c", code],
                env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)},
                capture_output=True, text=True, check=True,
            ).stdout
        )
        for _ in range(2)
    ]  # fmt: skip
    assert counts[0] > 0 and counts[1] == 0
