"""Gradient-boosted trees: a random search over XGBoost's settings."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xgboost

from probing_core.probes.inputs import Inputs
from probing_core.probes.metrics import auc, test_scores
from probing_core.probes.result import ProbeResult, fit_log
from probing_core.probes.solvers.tree_bins import bin_rows
from probing_core.probes.solvers.trees import Growth, grow
from probing_core.probes.validation import search, validation_splits

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
    """The settings a search tries.

    Args:
        seed: Seed of Python's generator; the paper's code leaves it unseeded.
        draws: How many; a longer search starts with the shorter one's settings.

    Returns:
        One mapping a draw, JSON-ready.
    """
    chance = random.Random(seed)
    return [
        {name: chance.choice(values) for name, values in SEARCH_SPACE.items()} for _ in range(draws)
    ]


def boosting_probe(
    inputs: Inputs,
    y_train: np.ndarray,
    y_test: np.ndarray,
    *,
    solver: str,
    seed: int,
    draws: int = DRAWS,
) -> ProbeResult:
    """The paper's boosting probe (`find_best_xgboost`), seeded as in sae-probes.

    Args:
        inputs: The rows.
        y_train: (n,) 0/1.
        y_test: (m,) 0/1.
        solver: 'reference' is XGBoost on standardised rows. 'fast' is this package's own trees
            (`trees.py`), for which standardising changes nothing and is left out. Where a draw
            samples neither rows nor columns the trees are XGBoost's own up to rounding;
            elsewhere the samples differ, as they would with another seed.
        seed: Seed of folds, search and trees.
        draws: Settings tried.

    Returns:
        Scores and the settings; with at most 3 rows XGBoost's defaults, whose test AUC is taken
        on unscaled inputs as in the original.
    """
    boost = _own_trees if solver == "fast" else _xgboosted
    raw = (inputs.X_train, inputs.X_test)
    with fit_log() as log:
        inner, outer = raw if solver == "fast" else inputs.scaled
        chosen: dict[str, Any] = {}
        val_auc = float("nan")
        if len(y_train) > 3:
            tried = search_draws(seed, draws)

            def score_split(train: np.ndarray, held: np.ndarray) -> list[tuple[float, bool]]:
                found = boost(inner[train], y_train[train], tried, seed)
                return [(auc(y_train[held], predict(inner[held]), log), True) for predict in found]

            splits = validation_splits(y_train, cv_seed=seed)
            index, val_auc = search(y_train, splits, len(tried), score_split, log)
            chosen = tried[index]
        (predict,) = boost(inner, y_train, [chosen], seed)
        if len(y_train) <= 3:
            val_auc = auc(y_train, predict(inner), log)
        scores = predict(outer)
        predictions = (scores > 0.5).astype(np.int64)
        if len(y_train) <= 3:
            scores = predict(inputs.X_test)
        tested = test_scores(y_test, scores, predictions, log)
    return log.result(val_auc, tested, chosen)


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
