"""Perceptrons trained one after the other on one thread, in compiled loops."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from probing_core.probes.solvers.perceptron import (
    BATCH_ROWS,
    EPSILON,
    MEAN_DECAY,
    SQUARE_DECAY,
    Layout,
    Patience,
    Perceptron,
    RowOrder,
    Training,
    n_batches,
)
from probing_core.probes.solvers.perceptron_loops import run_epoch


def train_on_cpu(
    features: np.ndarray, labels: np.ndarray, fits: Sequence[np.ndarray], training: Training
) -> list[Perceptron]:
    """Train one perceptron on each of several choices of rows.

    Args:
        features: (n, d) float32 or float64.
        labels: (n,) 0/1.
        fits: Rows each perceptron is trained on, int64, at least one row each.
        training: Settings, the same for every fit.

    Returns:
        The perceptrons in the order of `fits`.
    """
    layout = Layout((features.shape[1], *training.hidden, 1))
    chance = np.random.RandomState(training.seed)
    start = layout.initial(chance).astype(features.dtype)
    rows, target = np.ascontiguousarray(features), labels.astype(features.dtype)
    return [
        _train_one(rows, target, RowOrder(fit, chance.get_state()), training, layout, start)
        for fit in fits
    ]


def _train_one(
    features: np.ndarray,
    labels: np.ndarray,
    order: RowOrder,
    training: Training,
    layout: Layout,
    start: np.ndarray,
) -> Perceptron:
    """One fit from the initial parameters to its end."""
    kind = features.dtype
    n_rows, batches = len(order.rows), n_batches(len(order.rows))
    batch_rows = min(BATCH_ROWS, n_rows)
    units = np.array(layout.units)
    state = np.zeros((4, len(start)), dtype=kind)
    state[0] = start
    values, deltas = np.zeros((2, len(units) - 1, batch_rows, units[1:].max()), dtype=kind)
    rates = training.rates(n_rows).astype(kind)
    decays = (MEAN_DECAY, 1 - MEAN_DECAY, SQUARE_DECAY, 1 - SQUARE_DECAY)
    constants = np.array([training.alpha, *decays, EPSILON, np.finfo(kind).eps], dtype=kind)
    patience = Patience()
    epoch, stopped = 0, False
    while epoch < training.max_epochs and not stopped:
        loss = run_epoch(
            features,
            labels,
            # The order of a single batch would change nothing but the rounding.
            order.shuffle() if batches > 1 else order.rows,
            units,
            state,
            values,
            deltas,
            rates[epoch * batches : (epoch + 1) * batches],
            constants,
            batch_rows,
        )
        epoch += 1
        stopped = patience.exhausted(loss)
    return layout.perceptron(state[0].copy(), epoch, converged=stopped)
