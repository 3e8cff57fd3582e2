"""A small multilayer perceptron; the paper's code tries a single drawn configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from probing_core.probes.inputs import Inputs
from probing_core.probes.metrics import auc, test_scores
from probing_core.probes.result import ProbeResult, finish, fit_log
from probing_core.probes.solvers.perceptron import Training
from probing_core.probes.solvers.perceptron_cpu import train_on_cpu
from probing_core.probes.solvers.perceptron_gpu import train_on_gpu
from probing_core.probes.validation import choose, mean_scores, validation_splits

MAX_ITERATIONS = 1000
UNFINISHED = (
    f"ConvergenceWarning: Stochastic Optimizer: Maximum iterations ({MAX_ITERATIONS}) reached and "
    "the optimization hasn't converged yet."
)
LAYERS = [(width,) * depth for depth in (1, 2, 3) for width in (16, 32, 64)]
RATES = np.logspace(-4, -2, num=5)
DECAYS = np.logspace(-5, -2, num=5)


def drawn_settings(seed: int) -> dict[str, Any]:
    """The one configuration the original draws (paper, App. C says ten; its code takes one).

    Args:
        seed: Seed of the draw; 42 gives (16, 16, 16), learning rate 10^-2.5, decay 0.01.

    Returns:
        Arguments of `MLPClassifier`, JSON-ready.
    """
    chance = np.random.RandomState(seed)
    layers = LAYERS[chance.randint(len(LAYERS))]
    rate = float(RATES[chance.randint(len(RATES))])
    return {
        "hidden_layer_sizes": list(layers),
        "learning_rate_init": rate,
        "alpha": float(chance.choice(DECAYS)),
    }


def reference_mlp(
    X_train: np.ndarray,
    y_train: np.ndarray,
    X_test: np.ndarray,
    y_test: np.ndarray,
    *,
    seed: int = 42,
) -> ProbeResult:
    """The paper's MLP probe (`find_best_mlp`).

    Args:
        X_train: (n, d) float32; standardised here on all training rows.
        y_train: (n,) 0/1.
        X_test: (m, d) float32.
        y_test: (m,) 0/1.
        seed: Seed of folds, draw, initial weights and batches.

    Returns:
        Scores and the configuration; with at most 3 rows one layer of 32 and defaults.
    """
    with fit_log() as log:
        scaler = StandardScaler().fit(X_train)
        inner, outer = scaler.transform(X_train), scaler.transform(X_test)
        chosen = drawn_settings(seed) if len(y_train) > 3 else {"hidden_layer_sizes": [32]}

        def fitted(rows: np.ndarray | slice) -> MLPClassifier:
            return MLPClassifier(max_iter=MAX_ITERATIONS, random_state=seed, **chosen).fit(
                inner[rows], y_train[rows]
            )

        def score_split(train: np.ndarray, held: np.ndarray) -> Sequence[float]:
            return [auc(y_train[held], fitted(train).predict_proba(inner[held])[:, 1], log)]

        model = fitted(slice(None))
        if len(y_train) > 3:
            splits = validation_splits(y_train, cv_seed=seed)
            _, val_auc = choose(mean_scores(y_train, splits, 1, score_split), log)
        else:
            val_auc = auc(y_train, model.predict_proba(inner)[:, 1], log)
        tested = test_scores(y_test, model.predict_proba(outer)[:, 1], model.predict(outer), log)
    return finish(log, val_auc, tested, chosen)


def fast_mlp(
    X_train: np.ndarray,
    y_train: np.ndarray,
    X_test: np.ndarray,
    y_test: np.ndarray,
    *,
    seed: int = 42,
    shared: Inputs | None = None,
) -> ProbeResult:
    """The same probe, its fits trained by compiled loops or, on a GPU, all together.

    Args:
        X_train: (n, d) float32; standardised here on all training rows.
        y_train: (n,) 0/1.
        X_test: (m, d) float32.
        y_test: (m,) 0/1.
        seed: Seed of folds, draw, initial weights and batches.
        shared: What other probes on the same arrays have computed already.

    Returns:
        Scores and the configuration; with at most 3 rows one layer of 32 and defaults.
    """
    with fit_log() as log:
        inputs = shared or Inputs(X_train, X_test)
        rows, device = inputs.scaled_train, inputs.device
        chosen = drawn_settings(seed) if len(y_train) > 3 else {"hidden_layer_sizes": [32]}
        splits = validation_splits(y_train, cv_seed=seed)
        scored = [train for train, _ in splits if len(np.unique(y_train[train])) == 2]
        fits = [*scored, np.arange(len(y_train))]
        training = _training(chosen, seed)
        *validated, model = (
            train_on_cpu(rows, y_train, fits, training)
            if device == "cpu"
            else train_on_gpu(inputs.scaled_rows, y_train, fits, training)
        )
        if not all(network.converged for network in (*validated, model)):
            log.not_converged(UNFINISHED)
        if len(y_train) > 3:
            pending = iter(validated)

            def score_split(train: np.ndarray, held: np.ndarray) -> Sequence[float]:
                return [auc(y_train[held], next(pending).probabilities(rows[held]), log)]

            _, val_auc = choose(mean_scores(y_train, splits, 1, score_split), log)
        else:
            val_auc = auc(y_train, model.probabilities(rows), log)
        scores = model.probabilities(inputs.scale(X_test))
        tested = test_scores(y_test, scores, (scores > 0.5).astype(np.int64), log)
    return finish(log, val_auc, tested, chosen)


def _training(chosen: dict[str, Any], seed: int) -> Training:
    """The settings of a probe, from the arguments scikit-learn would get."""
    hidden = tuple(chosen["hidden_layer_sizes"])
    if "alpha" not in chosen:
        return Training(hidden, seed=seed, max_epochs=MAX_ITERATIONS)
    return Training(hidden, chosen["learning_rate_init"], chosen["alpha"], seed, MAX_ITERATIONS)
