"""Logistic regression on the first principal components, their number chosen by validation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from probing_core.probes.l2_path import fit_l2_path, singular_basis
from probing_core.probes.logistic import DEFAULT_C, linear_scores, sklearn_logistic
from probing_core.probes.metrics import auc, test_scores
from probing_core.probes.result import ProbeResult, finish, fit_log
from probing_core.probes.validation import choose, mean_scores, validation_splits

MAX_COMPONENTS = 100


def log2_grid(largest: int) -> list[int]:
    """Up to ten whole numbers from 1 to `largest`, evenly spaced in log2.

    Args:
        largest: At least 1.

    Returns:
        The unique values, ascending; rounded down, so `largest` itself may be missing by one.
    """
    return np.unique(np.logspace(0, np.log2(largest), num=10, base=2, dtype=int)).tolist()


def reference_pca(
    X_train: np.ndarray,
    y_train: np.ndarray,
    X_test: np.ndarray,
    y_test: np.ndarray,
    *,
    seed: int = 42,
) -> ProbeResult:
    """The paper's PCA probe (`find_best_pcareg`).

    Scaler and PCA see all training rows, validation rows included. scikit-learn picks a
    randomised decomposition at the usual sizes; the original leaves its seed to chance, here it
    is `seed`.

    Args:
        X_train: (n, d) float32.
        y_train: (n,) 0/1.
        X_test: (m, d) float32.
        y_test: (m,) 0/1.
        seed: Seed of folds, decomposition and classifier.

    Returns:
        Scores and the number of components; with at most 3 rows all of them.
    """
    with fit_log() as log:
        scaler = StandardScaler().fit(X_train)
        largest = min(*X_train.shape, MAX_COMPONENTS)
        pca = PCA(n_components=largest, random_state=seed)
        inner = pca.fit_transform(scaler.transform(X_train))
        counts = log2_grid(largest)

        def score_split(train: np.ndarray, held: np.ndarray) -> Sequence[float]:
            return [
                auc(
                    y_train[held],
                    sklearn_logistic("l2", DEFAULT_C, seed)
                    .fit(inner[train, :count], y_train[train])
                    .predict_proba(inner[held, :count])[:, 1],
                )
                for count in counts
            ]

        chosen, val_auc = largest, float("nan")
        if len(y_train) > 3:
            splits = validation_splits(y_train, cv_seed=seed)
            index, val_auc = choose(mean_scores(y_train, splits, len(counts), score_split), log)
            chosen = counts[index]
        model = sklearn_logistic("l2", DEFAULT_C, seed).fit(inner[:, :chosen], y_train)
        if len(y_train) <= 3:
            val_auc = auc(y_train, model.predict_proba(inner)[:, 1], log)
        outer = pca.transform(scaler.transform(X_test))[:, :chosen]
        tested = test_scores(y_test, model.predict_proba(outer)[:, 1], model.predict(outer), log)
    return finish(log, val_auc, tested, {"components": chosen})


def fast_pca(
    X_train: np.ndarray,
    y_train: np.ndarray,
    X_test: np.ndarray,
    y_test: np.ndarray,
    *,
    seed: int = 42,
) -> ProbeResult:
    """The same probe with one exact decomposition, and the classifier folded back into inputs.

    Args:
        X_train: (n, d) float32.
        y_train: (n,) 0/1.
        X_test: (m, d) float32.
        y_test: (m,) 0/1.
        seed: Seed of the folds.

    Returns:
        Scores and the number of components; with at most 3 rows all of them.
    """
    with fit_log() as log:
        scaler = StandardScaler().fit(X_train)
        scaled = scaler.transform(X_train).astype(np.float64)
        centre = scaled.mean(axis=0)
        inner, _, basis = singular_basis(scaled - centre)
        # The paper counts min(n, d) components although centring leaves n - 1; the missing one
        # is constant, so a count beyond the rank means the same classifier.
        largest = min(*X_train.shape, MAX_COMPONENTS)
        counts = log2_grid(largest)

        def score_split(train: np.ndarray, held: np.ndarray) -> Sequence[float]:
            found = []
            for count in counts:
                path = fit_l2_path(inner[train, :count], y_train[train], np.array([DEFAULT_C]))
                logits = inner[held, :count] @ path.coefficients[0] + path.intercepts[0]
                found.append(auc(y_train[held], logits, log))
            return found

        chosen, val_auc = largest, float("nan")
        if len(y_train) > 3:
            splits = validation_splits(y_train, cv_seed=seed)
            index, val_auc = choose(mean_scores(y_train, splits, len(counts), score_split), log)
            chosen = counts[index]
        last = fit_l2_path(inner[:, :chosen], y_train, np.array([DEFAULT_C]))
        weights, bias = last.coefficients[0], last.intercepts[0]
        if not last.converged[0]:
            log.not_converged(f"solver stopped at its iteration bound with {chosen} components")
        if len(y_train) <= 3:
            val_auc = auc(y_train, inner[:, :chosen] @ weights + bias, log)
        direction = weights @ basis[:chosen] / scaler.scale_
        bias -= direction @ scaler.mean_ + (weights @ basis[:chosen]) @ centre
        tested = linear_scores(X_test, y_test, direction, bias, log)
    return finish(log, val_auc, tested, {"components": chosen})
