"""The flow of `l1_flow`, all fits of a batch side by side in torch, on any device.

The steps are the same (BDF2, the same lengths, centres and ends); what differs is how one step is
solved. Coordinate descent goes entry by entry, so here it is the accelerated proximal gradient
method with restarts (Beck and Teboulle 2009; O'Donoghue and Candes 2015), which is two matrix
products an iteration whatever the number of fits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from probing_core.probes.solvers.l1_flow import (
    FIRST_STEP,
    LOOSE,
    N_STEPS,
    PASSES,
    RELATIVE_TOLERANCE,
    REST,
    L1Fits,
)

MAX_ITERATIONS = 20_000
CHECK_EVERY = 20


@dataclass
class _Problems:
    """Fits that share their rows; the first axis of every tensor but `rows` is the fit.

    `rows` is (n, p + 1) with a last column of ones, so that a point holds weights and intercept;
    `penalty` is 0 for the intercept.
    """

    rows: torch.Tensor
    target: torch.Tensor
    weight: torch.Tensor
    penalty: torch.Tensor
    curvature: torch.Tensor

    def keep(self, which: torch.Tensor) -> _Problems:
        """Only some of the fits."""
        return _Problems(
            self.rows, self.target[which], self.weight[which], self.penalty[which], self.curvature
        )

    def gradient(self, points: torch.Tensor) -> torch.Tensor:
        """Gradient of the summed log-loss at (fits, p + 1)."""
        margins = points @ self.rows.mT
        return (self.weight * (torch.sigmoid(margins) - self.target)) @ self.rows


def fit_l1_batch(
    features: torch.Tensor,
    labels: np.ndarray,
    inverse_penalties: np.ndarray,
    row_weights: np.ndarray,
    *,
    passes: float = PASSES,
) -> L1Fits:
    """Fit L1 logistic regressions that share their rows.

    Args:
        features: (n, p), on the device where the fits are to run; the work is done in float64.
        labels: (fits, n) 0/1, both classes among each fit's rows.
        inverse_penalties: (fits,) C values.
        row_weights: (fits, n), 1 keeps a row and 0 leaves it out.
        passes: Where the flow ends, in passes of SAGA; finite.

    Returns:
        The solutions in the order given; see `L1Fits`.
    """
    problems = _problems(features, labels, inverse_penalties, row_weights)
    squares = (problems.rows[:, :-1] ** 2).sum(1)
    pass_length = 2.0 / ((problems.weight > 0) * squares).amax(1).add(1.0)
    fits, size = len(problems.weight), problems.rows.shape[1]
    found = torch.zeros(fits, size, dtype=torch.float64, device=features.device)
    at_rest, solved = np.zeros(fits, bool), np.ones(fits, bool)
    running = torch.arange(fits, device=features.device)
    now, older, before, previous = found.clone(), found.clone(), 0.0, 0.0
    for end in np.geomspace(FIRST_STEP, passes, N_STEPS):
        length = float(end) - before
        growth = length / previous if previous else 0.0
        own = (1.0 + growth) ** 2 / (1.0 + 2.0 * growth)
        ridge = (1.0 + 2.0 * growth) / ((1.0 + growth) * length * pass_length[running])
        centre = now + (own - 1.0) * (now - older)
        point, done = _solve(problems.keep(running), ridge[:, None], centre, now)
        solved[running.cpu().numpy()] &= done.cpu().numpy()
        found[running] = point
        moved = (point - now)[:, :-1].abs().amax(1) / length
        rest = moved <= REST * point[:, :-1].abs().amax(1)
        at_rest[running[rest].cpu().numpy()] = True
        running, older, now = running[~rest], now[~rest], point[~rest]
        before, previous = float(end), length
        if len(running) == 0:
            break
    answer = found.cpu().numpy()
    return L1Fits(answer[:, :-1], answer[:, -1], at_rest, solved)


def _problems(
    features: torch.Tensor, labels: np.ndarray, cs: np.ndarray, row_weights: np.ndarray
) -> _Problems:
    """The fits on the device of the features."""
    rows = torch.cat([features.double(), torch.ones_like(features[:, :1]).double()], dim=1)
    target, weight, penalty = (
        torch.as_tensor(np.array(part, dtype=np.float64), device=rows.device)
        for part in (labels, row_weights, 1.0 / np.asarray(cs)[:, None])
    )
    free = torch.ones(1, rows.shape[1], dtype=torch.float64, device=rows.device)
    free[:, -1] = 0.0
    # A bound for every choice of rows: leaving rows out only lowers it.
    curvature = 0.25 * torch.linalg.matrix_norm(rows, 2) ** 2
    return _Problems(rows, target, weight, penalty * free, curvature)


def _solve(
    problems: _Problems, ridge: torch.Tensor, centre: torch.Tensor, start: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """One step of the flow for every fit; returns (points, whether each met the tolerance)."""
    answer, met = start.clone(), torch.zeros(len(start), dtype=torch.bool, device=start.device)
    index = torch.arange(len(start), device=start.device)
    point, ahead, speed = start, start, torch.ones_like(ridge)
    for iteration in range(1, MAX_ITERATIONS + 1):
        rate = 1.0 / (problems.curvature + ridge)
        step = ahead - rate * (problems.gradient(ahead) + ridge * (ahead - centre))
        bound = rate * problems.penalty
        following = step - step.clamp(-bound, bound)
        # Momentum that points uphill starts anew.
        uphill = ((ahead - following) * (following - point)).sum(1, keepdim=True) > 0
        speed = torch.where(uphill, 1.0, speed)
        faster = 0.5 * (1.0 + torch.sqrt(1.0 + 4.0 * speed**2))
        ahead = following + (speed - 1.0) / faster * (following - point)
        point, speed = following, faster
        if iteration % CHECK_EVERY and iteration < MAX_ITERATIONS:
            continue
        done = _breach(problems, ridge, centre, point) <= _enough(problems, ridge, point)
        answer[index], met[index] = point, done
        if bool(done.all()):
            break
        if bool(done.any()):
            left = ~done
            problems, index, ridge, centre = (
                problems.keep(left),
                index[left],
                ridge[left],
                centre[left],
            )
            point, ahead, speed = point[left], ahead[left], speed[left]
    return answer, met


def _breach(
    problems: _Problems, ridge: torch.Tensor, centre: torch.Tensor, point: torch.Tensor
) -> torch.Tensor:
    """Largest breach of the optimality conditions of each fit."""
    gradient = problems.gradient(point) + ridge * (point - centre)
    active = (gradient + problems.penalty * point.sign()).abs()
    idle = (gradient.abs() - problems.penalty).clamp_min(0.0)
    return torch.where(point != 0.0, active, idle).amax(1)


def _enough(problems: _Problems, ridge: torch.Tensor, point: torch.Tensor) -> torch.Tensor:
    """The breach that is tolerated, as in `l1_flow`."""
    largest = point[:, :-1].abs().amax(1)
    return torch.maximum(RELATIVE_TOLERANCE * problems.penalty[:, 0], LOOSE * ridge[:, 0] * largest)
