"""What the probes on one training set share, whatever their method and labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch

from probing_core.probes.scaling import Scale, fit_scale


@dataclass(frozen=True)
class Inputs:
    """Training and test activations, and what has been computed from them without labels.

    The five baselines of a task share the standardised arrays; label sets on the same rows (noise
    levels) share the span of the rows and the principal components as well. Each array goes to
    the device once, at the first method that reads it there.

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

    @cached_property
    def rows(self) -> torch.Tensor:
        """(n, d) float32 training rows on the device."""
        return on_device(self.X_train, self.device)

    @cached_property
    def scaled_rows(self) -> torch.Tensor:
        """(n, d) float32 standardised training rows on the device."""
        return torch.from_numpy(self.scaled_train) if self.device == "cpu" else self._scaled()

    def scaled_test(self, chosen: slice) -> torch.Tensor:
        """Some test rows on the device, standardised: (rows, d) float32."""
        if self.device == "cpu":
            return torch.from_numpy(self.scale(self.X_test[chosen]))
        sent = self.once("test rows", lambda: on_device(self.X_test, self.device))
        return self._scaled(sent[chosen])

    def _scaled(self, rows: torch.Tensor | None = None) -> torch.Tensor:
        """Rows that are on the device already; the training rows by default."""
        mean, width = self.once(
            "scale",
            lambda: [on_device(part, self.device) for part in (self.scale.mean, self.scale.width)],
        )
        return ((self.rows if rows is None else rows) - mean) / width

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """The result of `make`, called at the first request for `name` only."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]


def on_device(array: np.ndarray, device: str) -> torch.Tensor:
    """A float32 copy on a device; on a CPU the array itself where it has that form."""
    return torch.as_tensor(np.ascontiguousarray(array, dtype=np.float32), device=device)
