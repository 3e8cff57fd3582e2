"""What the probes on one training set share, whatever their method and labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from probing_core.probes.scaling import Scale, fit_scale


@dataclass(frozen=True)
class Inputs:
    """Training and test activations, and what has been computed from them without labels.

    The five baselines of a task share the standardised arrays; label sets on the same rows (noise
    levels, seeds) share the span of the rows and the principal components as well. Each method
    still moves what it reads to the device itself.

    Attributes:
        X_train: (n, d) float32.
        X_test: (m, d) float32.
        device: Torch device of the fits that are matrix products.
    """

    X_train: np.ndarray
    X_test: np.ndarray
    device: str = "cpu"
    _made: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def scale(self) -> Scale:
        """Standardisation fitted on the training rows."""
        return fit_scale(self.X_train)

    @cached_property
    def scaled_train(self) -> np.ndarray:
        """(n, d) float32 standardised training rows."""
        return self.scale(self.X_train)

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """The result of `make`, called at the first request for `name` only."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]
