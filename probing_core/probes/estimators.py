"""The project's linear probes as scikit-learn classifiers: same search, same solvers.

Rows have to be in random order: of more than 127, the last fifth is held out to choose by.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, Self

import numpy as np
from scipy import sparse
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from probing_core.errors import UserError, nearest
from probing_core.probes.diff_mean import diff_mean_probe, mean_difference
from probing_core.probes.inputs import Inputs
from probing_core.probes.logistic import Fit, fitter, probe_c
from probing_core.probes.result import fit_log
from probing_core.probes.validation import Probe, Split, choose
from probing_core.saes.selection import rank_latents

DENSE_METHODS = ("logreg", "diff_mean")
_UNSEEN = "no validation rows hold both classes, the first candidate was taken: shuffle the rows"
Plan = tuple[Callable[[list[Split]], Probe], Fit]
"""A probe as the search sees it, and how its rows are fitted with what the search chose."""


class _LinearProbe(ClassifierMixin, BaseEstimator):
    """What the probes share: validation chooses, then one linear fit on all training rows."""

    seed: int
    _sparse = False
    _used: Any = slice(None)
    """The columns that are fitted."""

    def fit(self, X: Any, y: Any) -> Self:
        """Fit (n, d) rows in random order, float32 as in the book or float64, and (n,) labels.

        Raises:
            ValueError: Data that do not fit together, or other than two classes.
            UserError: An option that is unknown or out of range.
        """
        X, y = self._checked(X, y, ensure_min_samples=2)
        check_classification_targets(y)
        if (kind := type_of_target(y)) != "binary":
            raise ValueError(f"Only binary classification is supported. The target is {kind}.")
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("The training labels hold one class; draw rows of both.")
        describe, solve = self._plan(X, labels)
        with fit_log() as log:
            probe, chosen, self.val_auc_ = choose(describe, labels, self.seed, log)
            (fitted,) = solve(probe.train[probe.order], labels[probe.order], [chosen])
            log.require(fitted.converged)
        if np.isnan(self.val_auc_):
            warnings.warn(_UNSEEN, stacklevel=2)
        self.converged_ = log.converged
        self.hyperparameters_ = probe.settings(chosen)
        self.coef_ = np.zeros((1, self.n_features_in_), fitted.coef.dtype)
        self.coef_[0, self._used] = fitted.coef
        self.intercept_ = np.array([fitted.intercept])
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Scores (m,) of rows (m, d), above 0 for class 1: the logits of a logistic regression."""
        check_is_fitted(self)
        rows = self._kept(self._checked(X, reset=False))
        return rows @ self.coef_[0, self._used] + self.intercept_

    def predict(self, X: Any) -> np.ndarray:
        """Classes (m,) of rows (m, d)."""
        scores = self.decision_function(X)  # first: it is what says that nothing is fitted yet
        return self.classes_[(scores > 0).astype(np.int64)]

    @available_if(lambda probe: getattr(probe, "method", "logreg") == "logreg")
    def predict_proba(self, X: Any) -> np.ndarray:
        """Chances (m, 2) of both classes; by the second the book ranks rows.

        Near 1 they round in float32, and rows may tie that the logits tell apart.
        """
        logits = self.decision_function(X)
        return np.column_stack([expit(-logits), expit(logits)])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class, tags.input_tags.sparse = False, self._sparse
        return tags

    def _checked(self, X: Any, y: Any = "no_validation", **options: Any) -> Any:
        options |= {"dtype": (np.float32, np.float64), "order": "C"}
        return validate_data(self, X, y, accept_sparse="csr" if self._sparse else False, **options)

    def _kept(self, X: Any) -> Any:
        return X

    def _plan(self, X: Any, labels: np.ndarray) -> Plan:
        raise NotImplementedError


class DenseProbe(_LinearProbe):
    """A linear probe on activations (n, d_model), as the book's baselines.

    Args:
        method: ``logreg``, L2-penalised, or ``diff_mean``, which has scores but no chances.
        seed: Seed of the validation folds.

    Attributes:
        coef_: (1, d_model) direction, from class 0 to class 1; intercept_: (1,).
        classes_, val_auc_, hyperparameters_, converged_: As `SparseProbe` has them.
    """

    def __init__(self, method: str = "logreg", *, seed: int = 42):
        self.method, self.seed = method, seed

    def _plan(self, X: np.ndarray, labels: np.ndarray) -> Plan:
        if self.method not in DENSE_METHODS:
            hint = nearest(self.method, DENSE_METHODS)
            raise UserError(f"unknown method '{self.method}'. {hint}")
        if self.method == "logreg":
            fit = fitter("l2", "fast")
            return partial(probe_c, fit, X, X[:1]), fit
        probe = partial(diff_mean_probe, Inputs(X, X[:1]), solver="fast", seed=self.seed)
        return probe, lambda rows, labels, _: [mean_difference(rows, labels)]


class SparseProbe(_LinearProbe):
    """The book's SAE probe on latents (n, d_sae), CSR or dense: the top k, then L1.

    Latents are ranked by class difference on the training rows alone, and never scaled.

    Args:
        k: How many latents to keep; all of them where there are fewer.
        ranking: ``mean_difference`` or ``normalized_mean_difference``.
        seed: Seed of the validation folds.

    Attributes:
        latents_: (at most k,) int64 columns kept, best first.
        coef_: (1, d_sae), zero for all others; intercept_: (1,).
        classes_: (2,) labels, that of class 1 last.
        val_auc_: Validation AUC (0 to 1) of what was chosen; NaN, with a warning, where no
            validation rows hold both classes.
        hyperparameters_: What validation chose, such as C.
        converged_: Whether the solver came to rest before its bound; the paper's, too, stops
            there, which regularises.
    """

    _sparse = True

    def __init__(self, k: int = 16, *, ranking: str = "mean_difference", seed: int = 42):
        self.k, self.ranking, self.seed = k, ranking, seed

    def _kept(self, X: Any) -> sparse.csr_array:
        """The latents kept, each row's sorted best first, so that sums round as in the book."""
        return sparse.csr_array(X)[:, self.latents_].tocsc().tocsr()

    def _plan(self, X: Any, labels: np.ndarray) -> Plan:
        if self.k < 1:
            raise UserError(f"k must be at least 1, not {self.k}")
        self.latents_ = self._used = rank_latents(X, labels, self.ranking)[: self.k]
        rows, fit = self._kept(X), fitter("l1", "fast")
        return partial(probe_c, fit, rows, rows[:1]), fit
