"""Compiled loops, made ready once: workers then load them from numba's cache."""

from __future__ import annotations

import numpy as np

from probing_core.probes.metrics import auc
from probing_core.probes.solvers.l1_flow import fit_l1
from probing_core.probes.solvers.tree_bins import bin_rows
from probing_core.probes.solvers.trees import Growth, grow


def compile_kernels() -> None:
    """Run every compiled loop once on a few rows.

    The first call on a machine compiles and keeps what it made beside the package, or where
    ``NUMBA_CACHE_DIR`` points; later ones, in this process or another, load it. Call it before
    workers start, or each of them compiles for itself.
    """
    X = np.array([[0, 1], [1, 0], [2, 1], [3, 0]], dtype=np.float32)
    y = np.array([0, 1, 0, 1])
    auc(y, X[:, 0])
    fit_l1(X, y, [1.0])
    grow(bin_rows(X), y, Growth(n_estimators=1), seed=0).predict(X)
