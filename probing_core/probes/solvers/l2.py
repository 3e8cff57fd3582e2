"""L2-penalised logistic regression: scikit-learn's L-BFGS fit without what surrounds it.

The objective is the mean log-loss plus ``|coef|^2 / (2 C n)``, the intercept free. Minimiser,
start, stopping options, order of operations and precision are those of
`sklearn.linear_model.LogisticRegression`, so that a fit ends at the same coefficients to the last
bit: where classes are separable that is well before the optimum, and the end is part of the result.
What is left out are the checks and wrappers that take half the time on few rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize
from scipy.special import expit
from sklearn._loss import HalfBinomialLoss

OPTIONS = {"maxiter": 1000, "maxls": 50, "gtol": 1e-4, "ftol": 64 * np.finfo(np.float64).eps}


@dataclass(frozen=True)
class LinearFit:
    """A fitted logistic regression, in the precision of its rows, as scikit-learn keeps it.

    Attributes:
        coef: (d,) float32.
        intercept: float32.
        converged: Whether a stopping rule was met before the bound on iterations.
    """

    coef: np.ndarray
    intercept: np.floating
    converged: bool

    def logits(self, X: np.ndarray) -> np.ndarray:
        """Logits (m,) of rows (m, d), dense or sparse, of the same type."""
        return X @ self.coef + self.intercept

    def probabilities(self, X: np.ndarray) -> np.ndarray:
        """What the published code ranks by: chances of class 1, (m,) float32.

        Beyond a logit of 17 they are exactly 1, and such rows are tied.
        """
        return expit(self.logits(X))


def fit_l2(X: np.ndarray, y: np.ndarray, c: float) -> LinearFit:
    """Fit one logistic regression from zero.

    Args:
        X: (n, d) float32, C order.
        y: (n,) 0/1, both classes present.
        c: Inverse penalty; its type, numpy's or Python's, decides the precision of some sums, as
            in scikit-learn.
    """
    n, d = X.shape
    target, pointwise = y.astype(X.dtype), HalfBinomialLoss().closs
    losses, slopes = np.empty(n, X.dtype), np.empty(n, X.dtype)
    l2_strength = 1.0 / (c * n)

    def objective(point: np.ndarray) -> tuple[float, np.ndarray]:
        coef = point[:d]
        pointwise.loss_gradient(target, X @ coef + point[d], None, losses, slopes, 1)
        np.divide(slopes, n, out=slopes)
        gradient = np.empty_like(point)
        gradient[:d] = X.T @ slopes + l2_strength * coef
        gradient[d] = slopes.sum()
        return float(losses.sum() / n) + float(0.5 * l2_strength * (coef @ coef)), gradient

    start = np.zeros(d + 1, X.dtype)
    found = optimize.minimize(objective, start, method="L-BFGS-B", jac=True, options=OPTIONS)
    end = found.x.astype(X.dtype)
    return LinearFit(end[:d], end[d], bool(found.success))
