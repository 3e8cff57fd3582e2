"""L2-penalised logistic regression, many fits on the same rows at once.

Every fit is scikit-learn's: mean log-loss over its rows plus ``|w|^2 / (2 C n)``, intercept free,
L-BFGS from zero (see `lbfgs`). Fits differ in their rows (validation folds, as weights of 0 and 1),
labels (noise), C and features, and share the two matrix products of each step. Where there are
fewer rows than features the work is done in the span of the rows, from their Gram matrix, so that
width costs once and no longer matters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import lapack

from probing_core.probes.solvers.l2_kernel import FEW, MARGINS, fit_all
from probing_core.probes.solvers.lbfgs import TOLERANCE, minimise

_RANK_TOLERANCE = 1e-6


@dataclass(frozen=True)
class L2Fits:
    """The fits of one batch.

    Attributes:
        weights: (fits, d) float64, in the features' own coordinates.
        intercepts: (fits,) float64.
        logits: (fits, n) float64, of all the rows given, those left out as well.
        converged: (fits,) bool.
    """

    weights: np.ndarray
    intercepts: np.ndarray
    logits: np.ndarray
    converged: np.ndarray


class L2Rows:
    """Rows on a device, ready for any number of batches of fits."""

    def __init__(self, features: torch.Tensor, *, compiled: bool = True) -> None:
        """Take the rows and, where they are fewer than the features, find their span.

        Args:
            features: (n, d) float32, on the device where the fits are to run.
            compiled: Fit one after the other on a CPU, which is faster there; the batched solver
                otherwise.
        """
        self.compiled = compiled and features.device.type == "cpu"
        self.features = features
        self.span = None if features.shape[1] <= len(features) else _Span(features)
        self.rows = self.features if self.span is None else self.span.rows

    def fit(
        self,
        labels: np.ndarray,
        inverse_penalties: np.ndarray,
        row_weights: np.ndarray | None = None,
        feature_mask: np.ndarray | None = None,
    ) -> L2Fits:
        """Fit a batch.

        Args:
            labels: (n,) or (fits, n) 0/1, both classes among each fit's rows.
            inverse_penalties: (fits,) C values.
            row_weights: (fits, n), 1 for the rows of a fit and 0 for the others; all when None.
            feature_mask: (fits, d), 0 where a fit may not use a feature; only where d <= n.

        Returns:
            The fits; see `L2Fits`.
        """
        batch = _Batch(self, labels, inverse_penalties, row_weights, feature_mask)
        start = torch.zeros(
            len(batch.ridge), self.rows.shape[1] + 1, dtype=torch.float64, device=self.rows.device
        )
        points, converged = (
            batch.fit_compiled(start)
            if self.compiled
            else minimise(batch.objective, batch.largest, start)
        )
        inner = points[:, :-1]
        logits = (inner.to(self.rows.dtype) @ self.rows.mT).double() + points[:, -1:]
        return L2Fits(
            self.outward(inner).cpu().numpy(),
            points[:, -1].cpu().numpy(),
            logits.cpu().numpy(),
            converged.numpy(),
        )

    def outward(self, inner: torch.Tensor) -> torch.Tensor:
        """From the coordinates of the fits to those of the features.

        Args:
            inner: (fits, r) float64.

        Returns:
            (fits, d) float64.
        """
        if self.span is None:
            return inner
        dual = torch.linalg.solve_triangular(self.span.root.mT, inner.mT, upper=True)
        return (dual.mT.to(self.features.dtype) @ self.span.pivots).to(inner.dtype)


class _Span:
    """An orthonormal basis of the span of wide rows, by a pivoted Cholesky factor of their Gram.

    Attributes:
        rows: (n, r) float32, the rows in the basis.
        root: (r, r) float64, lower triangle: the pivot rows in the basis.
        pivots: (r, d) float32, the pivot rows; they span all of them.
    """

    def __init__(self, features: torch.Tensor) -> None:
        exact = len(features) <= FEW
        wide = features.double() if exact else features
        gram = (wide @ wide.mT).double().cpu().numpy()
        tolerance = 1e-12 if exact else _RANK_TOLERANCE
        factor, order, rank, _ = lapack.dpstrf(gram, tol=tolerance * gram.diagonal().max(), lower=1)
        order, rank = order - 1, max(int(rank), 1)
        factor = np.tril(factor)[:, :rank]
        rows = np.empty(factor.shape, dtype=np.float64 if exact else np.float32)
        rows[order] = factor
        self.rows = torch.as_tensor(rows, device=features.device)
        self.root = torch.as_tensor(np.ascontiguousarray(factor[:rank]), device=features.device)
        self.pivots = features[torch.as_tensor(order[:rank], device=features.device)]


class _Batch:
    """The objective of a batch of fits and its stopping rule."""

    def __init__(
        self,
        rows: L2Rows,
        labels: np.ndarray,
        inverse_penalties: np.ndarray,
        row_weights: np.ndarray | None,
        feature_mask: np.ndarray | None,
    ) -> None:
        device, n_fits = rows.rows.device, len(inverse_penalties)
        shape = (n_fits, len(rows.rows))

        def moved(array: np.ndarray) -> torch.Tensor:
            # A copy: a broadcast view is read-only, which torch warns of.
            return torch.as_tensor(np.array(array, dtype=np.float64), device=device)

        self.outer = rows
        self.rows = rows.rows
        self.target = moved(np.broadcast_to(labels, shape))
        weights = torch.ones(shape, dtype=torch.float64, device=device)
        weights = weights if row_weights is None else moved(row_weights)
        size = weights.sum(1)
        self.share = weights / size[:, None]
        self.ridge = 1.0 / (moved(inverse_penalties) * size)
        self.mask = None if feature_mask is None else moved(feature_mask)
        self.ratio = torch.full(
            (n_fits,), rows.features.shape[1] ** -0.5, dtype=torch.float64, device=device
        )

    def fit_compiled(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One fit after the other on the CPU; fills `points`."""
        converged = np.zeros(len(points), dtype=bool)
        none32, none64 = np.zeros((0, 0), np.float32), np.zeros((0, 0))
        span = self.outer.span
        fit_all(
            self.rows.numpy(),
            none32 if span is None else span.pivots.numpy(),
            none64 if span is None else span.root.numpy(),
            self.target.numpy(),
            self.share.numpy(),
            self.ridge.numpy(),
            none64 if self.mask is None else self.mask.numpy(),
            points.numpy(),
            converged,
        )
        return points, torch.from_numpy(converged)

    def objective(
        self, index: torch.Tensor, points: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean log-loss plus penalty, and its gradient; see `lbfgs.Objective`."""
        target, share, ridge = self.target[index], self.share[index], self.ridge[index]
        inner = points[:, :-1]
        margins = (inner.to(self.rows.dtype) @ self.rows.mT).double() + points[:, -1:]
        losses = torch.nn.functional.softplus(margins) - target * margins
        slopes = share * (torch.sigmoid(margins) - target)
        gradient = torch.empty_like(points)
        pull = (slopes.to(self.rows.dtype) @ self.rows).double()
        if self.mask is not None:
            pull *= self.mask[index]
        gradient[:, :-1] = pull + ridge[:, None] * inner
        gradient[:, -1] = slopes.sum(1)
        return (share * losses).sum(1) + 0.5 * ridge * (inner * inner).sum(1), gradient

    def largest(self, index: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        """Largest gradient entry among the features themselves, where scikit-learn looks.

        In the span of the rows it takes a product as wide as the features, so it is only worked
        out where the norm and the last known ratio of the two leave the answer open.
        """
        if self.outer.span is None:
            return gradient.abs().amax(1)
        norm = gradient.norm(dim=1)
        guess = norm * self.ratio[index]
        near = guess < MARGINS[len(self.rows) > FEW] * TOLERANCE
        if not bool(near.any()):
            return guess
        outward = self.outer.outward(gradient[near, :-1]).abs().amax(1)
        exact = torch.maximum(outward, gradient[near, -1].abs())
        guess[near] = exact
        self.ratio[index[near]] = exact / norm[near]
        return guess
