"""A small multilayer perceptron; the paper's code tries a single drawn configuration."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.neural_network import MLPClassifier

from probing_core.probes.inputs import Inputs
from probing_core.probes.metrics import auc, test_scores
from probing_core.probes.result import ProbeResult, converges, fit_log
from probing_core.probes.validation import search, validation_splits

MAX_EPOCHS = 1000
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


def mlp_probe(
    inputs: Inputs, y_train: np.ndarray, y_test: np.ndarray, *, solver: str, seed: int
) -> ProbeResult:
    """The paper's MLP probe (`find_best_mlp`) on standardised rows; both solvers are one.

    Args:
        inputs: The rows.
        y_train: (n,) 0/1.
        y_test: (m,) 0/1.
        solver: No matter.
        seed: Seed of folds, draw, initial weights and batches.

    Returns:
        Scores and the configuration; with at most 3 rows one layer of 32 and defaults.
    """
    with fit_log() as log:
        inner, outer = inputs.scaled
        chosen = drawn_settings(seed) if len(y_train) > 3 else {"hidden_layer_sizes": [32]}

        def fitted(rows: np.ndarray | slice) -> tuple[MLPClassifier, bool]:
            unfitted = MLPClassifier(max_iter=MAX_EPOCHS, random_state=seed, **chosen)
            return converges(lambda: unfitted.fit(inner[rows], y_train[rows]))

        def score_split(train: np.ndarray, held: np.ndarray) -> list[tuple[float, bool]]:
            model, converged = fitted(train)
            return [(auc(y_train[held], model.predict_proba(inner[held])[:, 1], log), converged)]

        last, converged = fitted(slice(None))
        log.require(converged)
        if len(y_train) > 3:
            splits = validation_splits(y_train, cv_seed=seed)
            _, val_auc = search(y_train, splits, 1, score_split, log)
        else:
            val_auc = auc(y_train, last.predict_proba(inner)[:, 1], log)
        tested = test_scores(y_test, last.predict_proba(outer)[:, 1], last.predict(outer), log)
    return log.result(val_auc, tested, chosen)
