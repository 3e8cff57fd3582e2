"""Difference in means: one direction, from the mean of one class to that of the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from probing_core.probes.inputs import Inputs
from probing_core.probes.solvers.l2 import LinearFit
from probing_core.probes.validation import Probe, Scored, Split


def diff_mean_probe(inputs: Inputs, splits: Sequence[Split], *, solver: str, seed: int) -> Probe:
    """A baseline that the paper lacks and later work prefers (AxBench, arXiv 2501.17148).

    Rows are scored by their projection, classes told by the midpoint of the means. There is nothing
    to search, and both solvers are one.
    """

    def fit(
        rows: np.ndarray, labels: np.ndarray, queries: np.ndarray, tried: Sequence[None]
    ) -> list[Scored]:
        projected = mean_difference(rows, labels).logits(queries)
        return [Scored(projected, projected > 0)]

    return Probe(inputs.X_train, inputs.X_test, [None], None, fit, lambda one: {})


def mean_difference(rows: np.ndarray, labels: np.ndarray) -> LinearFit:
    """The direction between the class means, (d,) float64; zero is at their midpoint."""
    ones, zeros = (rows[labels == label].mean(0, dtype=np.float64) for label in (1, 0))
    return LinearFit(ones - zeros, -(ones + zeros) @ (ones - zeros) / 2, True)
