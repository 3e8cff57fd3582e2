"""Batches of logistic fits on the same rows: what `logistic` asks for, and who fits it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from scipy import sparse

from probing_core.probes.inputs import Inputs
from probing_core.probes.solvers.l1_batch import fit_l1_batch
from probing_core.probes.solvers.l1_flow import fit_l1_flow
from probing_core.probes.solvers.l2_batch import L2Rows
from probing_core.probes.validation import row_weights

C_GRID = np.logspace(5, -5, 10)


@dataclass(frozen=True)
class Fits:
    """One subset at every C: (Cs, d) weights, (Cs,) intercepts, (Cs, n) logits, (Cs,) bools."""

    weights: np.ndarray
    intercepts: np.ndarray
    logits: np.ndarray
    converged: np.ndarray


@dataclass(frozen=True)
class Request:
    """Fits wanted for one label set: each subset of the rows at each C."""

    labels: np.ndarray
    subsets: Sequence[np.ndarray]
    cs: np.ndarray


Fitter = Callable[[Sequence[Request]], list[list[Fits]]]


def l1_fitter(features: np.ndarray | sparse.sparray) -> Fitter:
    """L1 fits on sparse rows by compiled loops, one path over C a subset.

    Args:
        features: (n, p) float32.

    Returns:
        What fits a list of requests.
    """
    columns, by_row = sparse.csc_array(features), sparse.csr_array(features)

    def path(wanted: Request, weight: np.ndarray) -> Fits:
        # The smaller C values come along as warm starts: cheaper than one cold fit at a large C.
        grid = np.append(wanted.cs, [c for c in C_GRID if c < wanted.cs.min()])
        flow = fit_l1_flow(columns, wanted.labels, grid, weight)
        keep = slice(0, len(wanted.cs))
        weights, biases = flow.coefficients[keep], flow.intercepts[keep]
        logits = (by_row @ weights.T).T + biases[:, None]
        return Fits(weights, biases, logits, (flow.at_rest & flow.solved)[keep])

    def fit(requests: Sequence[Request]) -> list[list[Fits]]:
        return [
            [path(one, weight) for weight in row_weights(one.subsets, len(one.labels))]
            for one in requests
        ]

    return fit


def l1_batch_fitter(rows: torch.Tensor) -> Fitter:
    """L1 fits on a device: all label sets, subsets and C values in one batch.

    Args:
        rows: (n, p) float32 on the device.

    Returns:
        What fits a list of requests.
    """

    def fit_batch(labels: np.ndarray, cs: np.ndarray, weights: np.ndarray) -> Fits:
        flow = fit_l1_batch(rows, labels, cs, weights)
        logits = flow.coefficients @ rows.cpu().numpy().T + flow.intercepts[:, None]
        return Fits(flow.coefficients, flow.intercepts, logits, flow.at_rest & flow.solved)

    return _batched(fit_batch)


def l2_fitter(shared: Inputs) -> Fitter:
    """L2 fits on dense rows: all label sets, subsets and C values in one batch.

    Args:
        shared: The rows; their span is found once.

    Returns:
        What fits a list of requests.
    """
    rows = shared.once("l2", lambda: L2Rows(shared.rows, compiled=shared.device == "cpu"))

    def fit_batch(labels: np.ndarray, cs: np.ndarray, weights: np.ndarray) -> Fits:
        every = rows.fit(labels, cs, weights)
        return Fits(every.weights, every.intercepts, every.logits, every.converged)

    return _batched(fit_batch)


def _batched(fit_batch: Callable[[np.ndarray, np.ndarray, np.ndarray], Fits]) -> Fitter:
    """Put all requests into one batch of (labels, C values, row weights), and take it apart."""

    def fit(requests: Sequence[Request]) -> list[list[Fits]]:
        labels, cs, weights = [], [], []
        for one in requests:
            for weight in row_weights(one.subsets, len(one.labels)):
                labels += [one.labels] * len(one.cs)
                weights += [weight] * len(one.cs)
                cs += list(one.cs)
        if not cs:
            return [[] for _ in requests]
        every = fit_batch(np.array(labels), np.array(cs), np.array(weights))
        parts = (every.weights, every.intercepts, every.logits, every.converged)
        at, found = 0, []
        for one in requests:
            ends = [at + len(one.cs) * count for count in range(len(one.subsets) + 1)]
            found.append(
                [Fits(*(part[low:high] for part in parts)) for low, high in pairwise(ends)]
            )
            at = ends[-1]
        return found

    return fit
