"""L2-penalised logistic regression along a path of C values.

Solves scikit-learn's problem, ``min C * sum(log-loss) + |w|^2 / 2`` with a free intercept. Rows
are centred (the free intercept absorbs it) and turned into their own singular basis: the optimum
lies in the span of the rows, so nothing is lost, and there the curvature is at most
``s_j^2 / 4 + 1 / C``, one number a coordinate. Dividing by its root makes L-BFGS nearly indifferent
to scale, and each fit starts from the one at the next smaller C. The gradient tolerance is in those
coordinates: tightening it a hundredfold moved the test AUC of three tasks by less than 1e-4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg
from scipy.optimize import minimize
from scipy.special import expit

MAX_ITERATIONS = 1000
GRADIENT_TOLERANCE = 1e-3


@dataclass(frozen=True)
class L2Path:
    """Solutions for a list of C values, in the order given.

    Attributes:
        coefficients: (len(Cs), n_features) float64.
        intercepts: (len(Cs),) float64.
        converged: (len(Cs),) bool.
    """

    coefficients: np.ndarray
    intercepts: np.ndarray
    converged: np.ndarray


def fit_l2_path(
    features: np.ndarray,
    labels: np.ndarray,
    inverse_penalties: np.ndarray,
    *,
    tolerance: float = GRADIENT_TOLERANCE,
) -> L2Path:
    """Fit one L2 logistic regression for every C.

    Args:
        features: (n, d) float; the work is done in float64.
        labels: (n,) 0/1, both classes present.
        inverse_penalties: C values, in any order.
        tolerance: Bound on the gradient where a fit stops, in the scaled singular basis.

    Returns:
        The solutions; see `L2Path`.
    """
    centre = features.mean(axis=0, dtype=np.float64)
    rows, values, basis = singular_basis(features.astype(np.float64) - centre)
    target = labels.astype(np.float64)
    penalties = 1.0 / np.asarray(inverse_penalties, dtype=np.float64)
    coefficients = np.zeros((len(penalties), features.shape[1]))
    intercepts = np.zeros(len(penalties))
    converged = np.zeros(len(penalties), dtype=bool)
    share = target.mean()
    weights, bias = np.zeros(len(values)), float(np.log(share / (1.0 - share)))
    for position in np.argsort(-penalties, kind="stable"):
        weights, bias, converged[position] = _fit_one(
            rows, values, target, penalties[position], weights, bias, tolerance
        )
        coefficients[position] = weights @ basis
        intercepts[position] = bias - coefficients[position] @ centre
    return L2Path(coefficients, intercepts, converged)


def singular_basis(centred: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Turn rows into their singular basis through the smaller Gram matrix.

    Args:
        centred: (n, d) float64.

    Returns:
        (rows in the basis (n, r), singular values (r,) descending, basis (r, d)), with r the
        numerical rank, at least 1.
    """
    n_rows, width = centred.shape
    gram = centred.T @ centred if width <= n_rows else centred @ centred.T
    squares, vectors = linalg.eigh(gram, overwrite_a=True, check_finite=False)
    # Squared singular values below this are rounding of the Gram matrix.
    kept = squares > max(squares[-1], 1e-300) * 1e-13
    kept[-1] = True
    values = np.sqrt(np.maximum(squares[kept][::-1], 1e-300))
    vectors = vectors[:, kept][:, ::-1]
    if width <= n_rows:
        return centred @ vectors, values, np.ascontiguousarray(vectors.T)
    return vectors * values, values, (vectors.T @ centred) / values[:, None]


def _fit_one(
    rows: np.ndarray,
    values: np.ndarray,
    target: np.ndarray,
    penalty: float,
    weights: np.ndarray,
    bias: float,
    tolerance: float,
) -> tuple[np.ndarray, float, bool]:
    """One fit in the singular basis from a start; returns (weights, bias, converged)."""
    n_rows = len(target)
    scale = 1.0 / np.sqrt(values**2 / 4.0 + penalty)
    bias_scale = 2.0 / np.sqrt(n_rows)
    scaled_rows = np.ascontiguousarray(rows * scale)

    def objective(point: np.ndarray) -> tuple[float, np.ndarray]:
        margins = scaled_rows @ point[:-1] + point[-1] * bias_scale
        slope = expit(margins) - target
        own = point[:-1] * scale
        loss = np.logaddexp(0.0, margins).sum() - target @ margins
        gradient = np.append(slope @ scaled_rows + penalty * own * scale, slope.sum() * bias_scale)
        return loss + 0.5 * penalty * (own @ own), gradient

    start = np.append(weights / scale, bias / bias_scale)
    found = minimize(
        objective,
        start,
        jac=True,
        method="L-BFGS-B",
        options={
            "maxiter": MAX_ITERATIONS,
            "gtol": tolerance,
            "ftol": 64 * np.finfo(float).eps,
            "maxls": 50,
        },
    )
    converged = bool(found.success) or bool(np.abs(found.jac).max() <= 10 * tolerance)
    return found.x[:-1] * scale, float(found.x[-1] * bias_scale), converged
