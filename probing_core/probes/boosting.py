"""Gradient-boosted trees: a random search over XGBoost's settings."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import xgboost
from sklearn.preprocessing import StandardScaler

from probing_core.probes.metrics import auc, test_scores
from probing_core.probes.result import ProbeResult, finish, fit_log
from probing_core.probes.solvers.tree_bins import bin_rows
from probing_core.probes.solvers.trees import Growth, Trees, grow
from probing_core.probes.validation import choose, mean_scores, validation_splits

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


def reference_xgboost(
    X_train: np.ndarray,
    y_train: np.ndarray,
    X_test: np.ndarray,
    y_test: np.ndarray,
    *,
    seed: int = 42,
    draws: int = DRAWS,
    n_jobs: int = 1,
) -> ProbeResult:
    """The paper's boosting probe (`find_best_xgboost`), seeded as in sae-probes.

    Args:
        X_train: (n, d) float32; standardised here on all training rows.
        y_train: (n,) 0/1.
        X_test: (m, d) float32.
        y_test: (m,) 0/1.
        seed: Seed of folds, search and trees.
        draws: Settings tried.
        n_jobs: Threads of XGBoost.

    Returns:
        Scores and the settings; with at most 3 rows XGBoost's defaults, whose test AUC is taken
        on unscaled inputs as in the original.
    """
    with fit_log() as log:
        scaler = StandardScaler().fit(X_train)
        inner, outer = scaler.transform(X_train), scaler.transform(X_test)

        def model(settings: dict[str, Any]) -> xgboost.XGBClassifier:
            return xgboost.XGBClassifier(**settings, random_state=seed, n_jobs=n_jobs)

        if len(y_train) <= 3:
            chosen: dict[str, Any] = {}
            best = model(chosen).fit(inner, y_train)
            val_auc = auc(y_train, best.predict_proba(inner)[:, 1], log)
            scores = best.predict_proba(X_test)[:, 1]
        else:
            tried = [setting | {"eval_metric": "logloss"} for setting in search_draws(seed, draws)]

            def score_split(train: np.ndarray, held: np.ndarray) -> Sequence[float]:
                return [
                    auc(
                        y_train[held],
                        model(settings)
                        .fit(inner[train], y_train[train])
                        .predict_proba(inner[held])[:, 1],
                    )
                    for settings in tried
                ]

            splits = validation_splits(y_train, cv_seed=seed)
            index, val_auc = choose(mean_scores(y_train, splits, len(tried), score_split), log)
            chosen = search_draws(seed, draws)[index]
            best = model(tried[index]).fit(inner, y_train)
            scores = best.predict_proba(outer)[:, 1]
        tested = test_scores(y_test, scores, best.predict(outer), log)
    return finish(log, val_auc, tested, chosen)


def fast_xgboost(
    X_train: np.ndarray,
    y_train: np.ndarray,
    X_test: np.ndarray,
    y_test: np.ndarray,
    *,
    seed: int = 42,
    draws: int = DRAWS,
    tree_seed: int | None = None,
) -> ProbeResult:
    """The same search with this package's own trees (`trees.py`), on one thread.

    A split's rows are binned once and shared by all draws. Trees split at thresholds, so
    standardising changes nothing and is left out. Where a draw samples neither rows nor columns
    the trees are XGBoost's own up to rounding; elsewhere the samples differ, as they would with
    another seed.

    Args:
        X_train: (n, d) float32.
        y_train: (n,) 0/1.
        X_test: (m, d) float32.
        y_test: (m,) 0/1.
        seed: Seed of folds, search and trees.
        draws: Settings tried.
        tree_seed: Seed of the trees alone, to tell chance from a difference.

    Returns:
        Scores and the settings; with at most 3 rows XGBoost's defaults.
    """
    tree_seed = seed if tree_seed is None else tree_seed
    with fit_log() as log:
        chosen: dict[str, Any] = {}
        val_auc = float("nan")
        if len(y_train) > 3:
            tried = search_draws(seed, draws)

            def score_split(train: np.ndarray, held: np.ndarray) -> Sequence[float]:
                grown = _grown(X_train[train], y_train[train], tried, tree_seed)
                return [auc(y_train[held], trees.predict(X_train[held]), log) for trees in grown]

            splits = validation_splits(y_train, cv_seed=seed)
            index, val_auc = choose(mean_scores(y_train, splits, len(tried), score_split), log)
            chosen = tried[index]
        (best,) = _grown(X_train, y_train, [chosen], tree_seed)
        if len(y_train) <= 3:
            val_auc = auc(y_train, best.predict(X_train), log)
        scores = best.predict(X_test)
        tested = test_scores(y_test, scores, (scores > 0.5).astype(np.int64), log)
    return finish(log, val_auc, tested, chosen)


def _grown(
    rows: np.ndarray, labels: np.ndarray, tried: Sequence[dict[str, Any]], seed: int
) -> list[Trees]:
    """One ensemble for every setting, all on the same binned rows."""
    binned = bin_rows(rows)
    return [grow(binned, labels, Growth(**settings), seed) for settings in tried]
