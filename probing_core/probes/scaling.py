"""Standardisation as scikit-learn's `StandardScaler` does it, at the cost of two passes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Scale:
    """Centre and width of each feature.

    Attributes:
        mean: (d,) float32.
        width: (d,) float32, 1 where a feature is constant.
    """

    mean: np.ndarray
    width: np.ndarray

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Standardise (n, d) rows; gives float32."""
        scaled = np.subtract(rows, self.mean, dtype=np.float32)
        scaled /= self.width
        return scaled


def fit_scale(rows: np.ndarray) -> Scale:
    """Mean and standard deviation of every feature.

    Args:
        rows: (n, d) float32.

    Returns:
        The scale; features whose spread is rounding count as constant, as in scikit-learn.
    """
    mean = rows.mean(axis=0, dtype=np.float64)
    centred = rows - mean.astype(rows.dtype)
    drift = centred.mean(axis=0, dtype=np.float64)
    variance = np.maximum(np.einsum("ij,ij->j", centred, centred) / len(rows) - drift**2, 0.0)
    rounding = np.finfo(np.float64).eps
    constant = variance <= len(rows) * rounding * variance + (len(rows) * mean * rounding) ** 2
    # Repeated values whose mean rounds: their spread is the rounding of float32.
    constant |= np.ptp(rows, axis=0) == 0.0
    width = np.where(constant, 1.0, np.sqrt(variance))
    return Scale(mean.astype(np.float32), width.astype(np.float32))
