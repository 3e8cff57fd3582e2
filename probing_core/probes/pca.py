"""Logistic regression on the first principal components, their number chosen by validation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from probing_core.probes.inputs import Inputs
from probing_core.probes.logistic import DEFAULT_C, fitter, scored
from probing_core.probes.validation import Probe, Scored, Split, log2_grid


def pca_probe(inputs: Inputs, splits: Sequence[Split], *, solver: str, seed: int) -> Probe:
    """The paper's PCA probe (`find_best_pcareg`), by default on all components.

    Scaler and PCA see all training rows, validation rows included.
    """
    fit_linear = fitter("l2", solver, seed)
    train, test = inputs.projected(seed)

    def fit(
        rows: np.ndarray, labels: np.ndarray, queries: np.ndarray, counts: Sequence[int]
    ) -> list[Scored]:
        found = []
        for count in counts:
            (one,) = fit_linear(np.ascontiguousarray(rows[:, :count]), labels, [DEFAULT_C])
            found.append(scored(one, queries[:, :count]))
        return found

    n_components = train.shape[1]
    counts = log2_grid(n_components)
    return Probe(train, test, counts, n_components, fit, lambda count: {"components": count})
