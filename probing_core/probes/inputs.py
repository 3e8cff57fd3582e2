"""What the probes on one training set share, whatever their method and labels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from probing_core.errors import UserError

SOLVERS = ("fast", "reference")
MAX_COMPONENTS = 100


@dataclass(frozen=True)
class Inputs:
    """Training and test activations, and what is computed from them without labels, once each.

    Attributes:
        X_train: (n, d) float32, rows in random order (large sets validate on the last rows).
        X_test: (m, d) float32.

    Raises:
        UserError: Rows that are no matrix, differ in width, or are not finite.
    """

    X_train: np.ndarray
    X_test: np.ndarray

    def __post_init__(self) -> None:
        for name, which in (("X_train", "training"), ("X_test", "test")):
            rows = np.ascontiguousarray(getattr(self, name))
            object.__setattr__(self, name, rows)
            if rows.ndim != 2:
                raise UserError(f"{which} activations {rows.shape} do not match; give (n, d)")
            if not np.isfinite(rows).all():
                raise UserError(f"{which} activations hold NaN or infinity; extract them again")
        if self.X_train.shape[1] != self.X_test.shape[1]:
            raise UserError(
                f"training activations are {self.X_train.shape[1]} wide and test activations "
                f"{self.X_test.shape[1]}; take both from the same hook"
            )

    @cached_property
    def scaled(self) -> tuple[np.ndarray, np.ndarray]:
        """(n, d) and (m, d) float32: both sets, standardised by all training rows."""
        scaler = StandardScaler().fit(self.X_train)
        return scaler.transform(self.X_train), scaler.transform(self.X_test)

    def projected(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """(n, p) and (m, p) float32: both sets on the training rows' first components.

        There are min(n, d, 100) of them. scikit-learn picks a randomised decomposition at the usual
        sizes; the published code leaves its seed to chance.
        """
        kept: dict[int, tuple[np.ndarray, np.ndarray]] = self.__dict__.setdefault("_projected", {})
        if seed not in kept:
            train, test = self.scaled
            pca = PCA(n_components=min(*train.shape, MAX_COMPONENTS), random_state=seed)
            kept[seed] = np.ascontiguousarray(pca.fit_transform(train)), pca.transform(test)
        return kept[seed]
