"""Gradient-boosted trees: a random search over XGBoost's settings."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xgboost

from probing_core.probes.inputs import Inputs
from probing_core.probes.solvers.tree_bins import bin_rows
from probing_core.probes.solvers.trees import Growth, grow
from probing_core.probes.validation import NO_SEARCH, Probe, Scored, Split

DRAWS = 10

# The order matters: one seeded generator walks through it, as in sae-probes 0.4.2.
SEARCH_SPACE: dict[str, list[Any]] = {
    "n_estimators": np.arange(50, 300, step=50).tolist(),
    "max_depth": np.arange(2, 6).tolist(),
    "learning_rate": np.logspace(-3, -1, num=10).tolist(),
    "subsample": np.linspace(0.7, 1.0, num=5).tolist(),
    "colsample_bytree": np.linspace(0.7, 1.0, num=5).tolist(),
    "reg_alpha": np.logspace(-3, 1, num=10).tolist(),
    "reg_lambda": np.logspace(-3, 1, num=10).tolist(),
    "min_child_weight": np.arange(1, 10).tolist(),
}

Predict = Callable[[np.ndarray], np.ndarray]
"""Takes rows (m, d) and gives chances of class 1, (m,) float32."""


def search_draws(seed: int, draws: int = DRAWS) -> list[dict[str, Any]]:
    """The settings a search tries, JSON-ready; a longer search starts with the shorter one's.

    The paper's code leaves Python's generator, which draws them, unseeded.
    """
    chance = random.Random(seed)
    return [
        {name: chance.choice(values) for name, values in SEARCH_SPACE.items()} for _ in range(draws)
    ]


def boosting_probe(
    inputs: Inputs, splits: Sequence[Split], *, solver: str, seed: int, draws: int = DRAWS
) -> Probe:
    """The paper's boosting probe (`find_best_xgboost`), seeded as in sae-probes.

    The reference is XGBoost on standardised rows. The fast solver is this package's own trees
    (`trees.py`), for which standardising changes nothing and is left out. Where a draw samples
    neither rows nor columns they are XGBoost's own up to rounding; elsewhere the samples differ,
    as they would with another seed.

    The seed is that of search and trees. Up to 3 rows meet XGBoost's defaults, and their test AUC
    is taken on unscaled inputs as in the original.
    """
    raw = (inputs.X_train, inputs.X_test)
    boost, (train, test) = (_own_trees, raw) if solver == "fast" else (_xgboosted, inputs.scaled)

    def fit(
        rows: np.ndarray, labels: np.ndarray, queries: np.ndarray, tried: Sequence[dict[str, Any]]
    ) -> list[Scored]:
        found = []
        for predict in boost(rows, labels, tried, seed):
            chances = predict(queries)
            predictions = chances > 0.5
            if queries is test and len(train) <= NO_SEARCH:
                chances = predict(inputs.X_test)
            found.append(Scored(chances, predictions))
        return found

    return Probe(train, test, search_draws(seed, draws), {}, fit, dict)


def _xgboosted(
    rows: np.ndarray, labels: np.ndarray, tried: Sequence[dict[str, Any]], seed: int
) -> list[Predict]:
    """XGBoost's classifier for every setting, on one thread."""

    def fitted(settings: dict[str, Any]) -> Predict:
        model = xgboost.XGBClassifier(**settings, random_state=seed, n_jobs=1).fit(rows, labels)
        return lambda queries: model.predict_proba(queries)[:, 1]

    return [fitted(settings) for settings in tried]


def _own_trees(
    rows: np.ndarray, labels: np.ndarray, tried: Sequence[dict[str, Any]], seed: int
) -> list[Predict]:
    """One ensemble for every setting, all on the same binned rows."""
    binned = bin_rows(rows)
    return [grow(binned, labels, Growth(**settings), seed).predict for settings in tried]
