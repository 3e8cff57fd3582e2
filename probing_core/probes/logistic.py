"""Logistic-regression probes, L1 and L2, under both solvers: one search, three ways to fit.

The only module that names scikit-learn's penalty arguments. They changed in 1.8 (``penalty`` is
deprecated; ``l1_ratio`` says L1 or L2), and the next change has to be met here alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from probing_core.probes.inputs import Inputs
from probing_core.probes.result import converges
from probing_core.probes.solvers.l1_flow import fit_l1
from probing_core.probes.solvers.l2 import LinearFit, fit_l2
from probing_core.probes.validation import Probe, Scored, Split

C_GRID = np.logspace(5, -5, 10)
DEFAULT_C = 1.0
MAX_ITERATIONS = 1000
FIT_SEED = 1
"""The published code's own seed, of SAGA and of the reshuffle before the last fit."""

Penalty = Literal["l1", "l2"]
Fit = Callable[[Any, np.ndarray, Sequence[float] | np.ndarray], list[LinearFit]]
"""Takes rows (n, d), labels (n,) and C values; gives one fit a C."""


def sklearn_logistic(penalty: Penalty, c: float, seed: int) -> LogisticRegression:
    """The scikit-learn classifier of the paper's probes, unfitted; the seed is SAGA's, for L1."""
    options: dict[str, Any] = {"solver": "saga", "l1_ratio": 1.0} if penalty == "l1" else {}
    return LogisticRegression(C=c, random_state=seed, max_iter=MAX_ITERATIONS, **options)


def fitter(penalty: Penalty, solver: str, seed: int = FIT_SEED) -> Fit:
    """How one set of rows is fitted at several C; the seed is the reference's random state."""
    if solver == "fast":
        if penalty == "l1":
            return lambda X, y, cs: fit_l1(X, y, cs, warm=C_GRID)
        return lambda X, y, cs: [fit_l2(X, y, c) for c in cs]

    def fit(X: np.ndarray, y: np.ndarray, c: float) -> LinearFit:
        unfitted = sklearn_logistic(penalty, c, seed)
        model, converged = converges(lambda: unfitted.fit(X, y))
        return LinearFit(model.coef_[0], model.intercept_[0], converged)

    return lambda X, y, cs: [fit(X, y, c) for c in cs]


def scored(last: LinearFit, queries: np.ndarray | sparse.csr_array) -> Scored:
    """Chances as published, which saturate to ties; classes by the logits, which do not."""
    return Scored(last.probabilities(queries), last.logits(queries) > 0, last.converged)


def logistic_probe(inputs: Inputs, splits: Sequence[Split], *, solver: str, seed: int) -> Probe:
    """The paper's baseline, L2 on activations that are not standardised."""
    return probe_c(fitter("l2", solver), inputs.X_train, inputs.X_test, splits)


def probe_c(
    fit_linear: Fit,
    train: np.ndarray | sparse.csr_array,
    test: np.ndarray | sparse.csr_array,
    splits: Sequence[Split],
) -> Probe:
    """The paper's logistic probe, fit for fit (`find_best_reg`; App. C); C = 1 by default."""

    def fit(rows: Any, labels: np.ndarray, queries: Any, cs: Sequence[float]) -> list[Scored]:
        return [scored(one, queries) for one in fit_linear(rows, labels, cs)]

    order = np.random.RandomState(FIT_SEED).permutation(train.shape[0])
    return Probe(train, test, list(C_GRID), DEFAULT_C, fit, lambda c: {"C": float(c)}, order)
