"""A small multilayer perceptron; the paper's code tries a single drawn configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.neural_network import MLPClassifier

from probing_core.probes.inputs import Inputs
from probing_core.probes.result import converges
from probing_core.probes.validation import Probe, Scored, Split

MAX_EPOCHS = 1000
LAYERS = [(width,) * depth for depth in (1, 2, 3) for width in (16, 32, 64)]
RATES = np.logspace(-4, -2, num=5)
DECAYS = np.logspace(-5, -2, num=5)


def drawn_settings(seed: int) -> dict[str, Any]:
    """The one configuration the original draws (paper, App. C says ten; its code takes one).

    Seed 42 gives (16, 16, 16), learning rate 10^-2.5, decay 0.01, as JSON-ready arguments of
    `MLPClassifier`.
    """
    chance = np.random.RandomState(seed)
    return {
        "hidden_layer_sizes": list(LAYERS[chance.randint(len(LAYERS))]),
        "learning_rate_init": float(RATES[chance.randint(len(RATES))]),
        "alpha": float(chance.choice(DECAYS)),
    }


def mlp_probe(inputs: Inputs, splits: Sequence[Split], *, solver: str, seed: int) -> Probe:
    """The paper's MLP probe (`find_best_mlp`) on standardised rows; both solvers are one.

    The seed is that of the draw, the initial weights and the batches. Up to 3 rows meet one layer
    of 32 and scikit-learn's defaults.
    """

    def fit(
        rows: np.ndarray, labels: np.ndarray, queries: np.ndarray, tried: Sequence[dict[str, Any]]
    ) -> list[Scored]:
        (settings,) = tried
        unfitted = MLPClassifier(max_iter=MAX_EPOCHS, random_state=seed, **settings)
        model, converged = converges(lambda: unfitted.fit(rows, labels))
        chances = model.predict_proba(queries)[:, 1]
        return [Scored(chances, chances > 0.5, converged)]

    default = {"hidden_layer_sizes": [32]}
    return Probe(*inputs.scaled, [drawn_settings(seed)], default, fit, dict)
