"""Probe methods by name: add one here and every experiment can ask for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from probing_core.errors import UserError, nearest
from probing_core.probes.boosting import fast_xgboost, reference_xgboost
from probing_core.probes.inputs import Inputs
from probing_core.probes.knn import fast_knn, reference_knn
from probing_core.probes.logistic import fast_logistic, fast_logistic_sets, reference_logistic
from probing_core.probes.mlp import fast_mlp, reference_mlp
from probing_core.probes.pca import fast_pca, reference_pca
from probing_core.probes.result import ProbeResult

METHODS = ("logreg", "pca", "knn", "xgboost", "mlp")
SOLVERS = ("fast", "reference")

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class _Options:
    """What the methods' fits may need besides the arrays; each takes what it knows."""

    seed: int
    draws: int
    n_jobs: int
    shared: Inputs


Fit = Callable[[Arrays, _Options], ProbeResult]

_FITS: dict[tuple[str, str], Fit] = {
    ("logreg", "fast"): lambda a, o: fast_logistic(*a, cv_seed=o.seed, shared=o.shared),
    ("logreg", "reference"): lambda a, o: reference_logistic(*a, cv_seed=o.seed),
    ("pca", "fast"): lambda a, o: fast_pca(*a, seed=o.seed, shared=o.shared),
    ("pca", "reference"): lambda a, o: reference_pca(*a, seed=o.seed),
    ("knn", "fast"): lambda a, o: fast_knn(*a, seed=o.seed, shared=o.shared),
    ("knn", "reference"): lambda a, o: reference_knn(*a, seed=o.seed, n_jobs=o.n_jobs),
    ("xgboost", "fast"): lambda a, o: fast_xgboost(*a, seed=o.seed, draws=o.draws),
    ("xgboost", "reference"): lambda a, o: reference_xgboost(
        *a, seed=o.seed, draws=o.draws, n_jobs=o.n_jobs
    ),
    ("mlp", "fast"): lambda a, o: fast_mlp(*a, seed=o.seed, shared=o.shared),
    ("mlp", "reference"): lambda a, o: reference_mlp(*a, seed=o.seed),
}


def evaluate(
    method: str,
    X_train: np.ndarray,
    y_train: np.ndarray,
    X_test: np.ndarray,
    y_test: np.ndarray,
    *,
    solver: str = "fast",
    seed: int = 42,
    xgboost_draws: int = 10,
    n_jobs: int = 1,
    device: str = "cpu",
    shared: Inputs | None = None,
) -> ProbeResult:
    """Fit one baseline probe: search by validation, refit on all training rows, score on test.

    Args:
        method: One of `METHODS`.
        X_train: (n, d) float32 activations, rows in random order (large sets validate on the
            last rows).
        y_train: (n,) 0/1, both classes present.
        X_test: (m, d) float32.
        y_test: (m,) 0/1.
        solver: 'fast', or 'reference' for the paper's own fits.
        seed: Seed of the folds and of whatever the method draws. Logistic regression keeps the
            paper's own seed 1 for its solver and its last reshuffle.
        xgboost_draws: Settings the boosting search tries.
        n_jobs: Threads inside one fit, where a method has any.
        device: Torch device of the fast fits that are matrix products: logistic regression, PCA,
            KNN and the MLP. Trees grow entry by entry and stay on the CPU.
        shared: The same arrays as `Inputs`: pass it to several calls, and what needs no labels is
            computed once. Its device counts then.

    Returns:
        Scores, chosen hyperparameters and what went wrong on the way.

    Raises:
        UserError: Unknown method or solver, arrays that do not fit together, labels that are
            not 0/1, one class only, or activations that are not finite.
    """
    if method not in METHODS:
        raise UserError(f"unknown method '{method}'. {nearest(method, METHODS)}")
    if solver not in SOLVERS:
        raise UserError(f"unknown solver '{solver}'. {nearest(solver, SOLVERS)}")
    arrays = _checked(X_train, y_train, X_test, y_test)
    shared = shared or Inputs(arrays[0], arrays[2], device)
    return _FITS[method, solver](arrays, _Options(seed, xgboost_draws, n_jobs, shared))


def evaluate_label_sets(
    method: str,
    label_sets: Sequence[np.ndarray],
    y_test: np.ndarray,
    *,
    shared: Inputs,
    solver: str = "fast",
    seed: int = 42,
    xgboost_draws: int = 10,
    n_jobs: int = 1,
) -> list[ProbeResult]:
    """Fit one baseline probe for each of several labellings of the same rows.

    Logistic regression fits them all in one batch; the other methods share what needs no labels.

    Args:
        method: One of `METHODS`.
        label_sets: Several (n,) 0/1, both classes in each, such as levels of label noise.
        y_test: (m,) 0/1.
        shared: The rows, and the device of the fits.
        solver: As in `evaluate`.
        seed: As in `evaluate`.
        xgboost_draws: As in `evaluate`.
        n_jobs: As in `evaluate`.

    Returns:
        One result a label set, equal to those of `evaluate`.

    Raises:
        UserError: As `evaluate`.
    """
    if (method, solver) == ("logreg", "fast"):
        checked = [_checked(shared.X_train, y, shared.X_test, y_test) for y in label_sets]
        return fast_logistic_sets(
            shared.X_train,
            [arrays[1] for arrays in checked],
            shared.X_test,
            checked[0][3],
            cv_seed=seed,
            shared=shared,
        )
    return [
        evaluate(
            method,
            shared.X_train,
            labels,
            shared.X_test,
            y_test,
            solver=solver,
            seed=seed,
            xgboost_draws=xgboost_draws,
            n_jobs=n_jobs,
            shared=shared,
        )
        for labels in label_sets
    ]


def _checked(
    X_train: np.ndarray, y_train: np.ndarray, X_test: np.ndarray, y_test: np.ndarray
) -> Arrays:
    """The four arrays in the types every method expects, or a one-line complaint."""
    X_train, X_test = np.asarray(X_train), np.asarray(X_test)
    y_train, y_test = np.asarray(y_train), np.asarray(y_test)
    for name, rows, labels in (("training", X_train, y_train), ("test", X_test, y_test)):
        if rows.ndim != 2 or len(rows) != len(labels):
            raise UserError(
                f"{name} activations {rows.shape} and labels {labels.shape} do not "
                "match; give (n, d) and (n,)"
            )
        if not np.isin(labels, (0, 1)).all():
            raise UserError(f"{name} labels must be 0 or 1; recode the others first")
        if not np.isfinite(rows).all():
            raise UserError(f"{name} activations hold NaN or infinity; extract them again")
    if X_train.shape[1] != X_test.shape[1]:
        raise UserError(
            f"training activations are {X_train.shape[1]} wide and test activations "
            f"{X_test.shape[1]}; take both from the same hook"
        )
    if len(np.unique(y_train)) < 2:
        raise UserError("the training labels hold one class; draw rows of both")
    return X_train, y_train.astype(np.int64), X_test, y_test.astype(np.int64)
