"""L-BFGS on many problems side by side, in torch, on any device.

The algorithm is that of L-BFGS-B without bounds (Byrd, Lu, Nocedal, Zhu 1995), which scikit-learn
runs one problem at a time: the same first step, line search, memory and stopping rules. L-BFGS
knows its problem through inner products only, so its iterates do not depend on the orthonormal
basis they are written in, and a probe may be fitted in a smaller one (see `l2_batch`).

Why not stop at the exact optimum: scikit-learn stops once no gradient entry exceeds 1e-4, and on
few rows at a large C that is far from the optimum. The stop is part of the published probe.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from probing_core.probes.solvers.line_search import accepts, advance, begin

MEMORY = 10
MAX_ITERATIONS = 1000
MAX_TRIALS = 50
TOLERANCE = 1e-4
VALUE_TOLERANCE = 64 * np.finfo(float).eps

Objective = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
Largest = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass
class _Active:
    """The problems still running; every tensor's first axis is the problem.

    `pairs` holds the last steps in its first `MEMORY` rows and the last gradient changes in the
    others; `products` is ``steps @ changes.T`` and `squares` is ``changes @ changes.T``.
    """

    index: torch.Tensor
    x: torch.Tensor
    value: torch.Tensor
    gradient: torch.Tensor
    pairs: torch.Tensor
    products: torch.Tensor
    squares: torch.Tensor
    scale: torch.Tensor

    def keep(self, which: torch.Tensor) -> _Active:
        """Only some of the problems."""
        return _Active(*(getattr(self, name)[which] for name in self.__dataclass_fields__))


def minimise(
    objective: Objective, largest: Largest, start: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Minimise every problem of a batch from its start.

    Args:
        objective: Takes (problem numbers (b,) int64, points (b, p)) and gives values (b,) and
            gradients (b, p).
        largest: Takes (problem numbers, gradients) and gives the largest absolute gradient entry
            (b,) in the coordinates where the stopping rule holds.
        start: (n_problems, p) float64.

    Returns:
        (points (n_problems, p), converged (n_problems,) bool); a problem has converged unless it
        met the bound on iterations.
    """
    index = torch.arange(len(start), device=start.device)
    value, gradient = objective(index, start)
    found, converged = start.clone(), torch.ones(len(start), dtype=torch.bool)
    active = _begin(index, start.clone(), value, gradient)
    running = largest(index, gradient) > TOLERANCE
    for iteration in range(MAX_ITERATIONS):
        if not bool(running.all()):
            found[active.index[~running]] = active.x[~running]
            active = active.keep(running)
        if len(active.index) == 0:
            return found, converged
        running = _iterate(objective, largest, active, iteration)
    found[active.index] = active.x
    converged[active.index[running].cpu()] = False
    return found, converged


def _begin(
    index: torch.Tensor, x: torch.Tensor, value: torch.Tensor, gradient: torch.Tensor
) -> _Active:
    n, width = x.shape
    empty = torch.zeros(n, MEMORY, MEMORY, dtype=x.dtype, device=x.device)
    pairs = torch.zeros(n, 2 * MEMORY, width, dtype=x.dtype, device=x.device)
    scale = torch.ones(n, dtype=x.dtype, device=x.device)
    return _Active(index, x, value, gradient, pairs, empty, empty.clone(), scale)


def _iterate(objective: Objective, largest: Largest, at: _Active, iteration: int) -> torch.Tensor:
    """One step of every active problem, in place; returns which go on."""
    direction = _direction(at, iteration)
    slope = (direction * at.gradient).sum(1)
    if bool((slope >= 0).any()):
        slope = _forget(at, direction, slope, slope >= 0)
    step = torch.ones_like(slope)
    if iteration == 0:
        step = torch.clamp(1.0 / direction.norm(dim=1), max=1e10)
    moved, value, gradient, failed = _search(objective, at, direction, slope, step)
    if bool(failed.any()):
        # As L-BFGS-B does: forget the memory and try again along the gradient; give up after that.
        hopeless = failed & (at.products.abs().amax((1, 2)) == 0)
        _forget(at, direction, slope, failed)
    else:
        hopeless = failed
    change = gradient - at.gradient
    _remember(at, moved - at.x, change, slope, iteration)
    fall = at.value - value
    bound = torch.clamp(torch.maximum(at.value.abs(), value.abs()), min=1.0) * VALUE_TOLERANCE
    at.x, at.value, at.gradient = moved, value, gradient
    flat = (fall <= bound) & ~failed
    return (largest(at.index, gradient) > TOLERANCE) & ~flat & ~hopeless


def _forget(
    at: _Active, direction: torch.Tensor, slope: torch.Tensor, which: torch.Tensor
) -> torch.Tensor:
    """Empty the memory of some problems and turn them down their gradient; returns the slopes."""
    at.pairs[which], at.products[which], at.squares[which] = 0.0, 0.0, 0.0
    at.scale[which] = 1.0
    direction[which] = -at.gradient[which]
    return torch.where(which, -(at.gradient**2).sum(1), slope)


def _direction(at: _Active, iteration: int) -> torch.Tensor:
    """Minus the inverse Hessian times the gradient, by the compact form.

    Byrd, Nocedal, Schnabel (1994), equation 3.13; the memory is a ring, put in order here.
    """
    if iteration == 0:
        return -at.gradient
    order = torch.arange(iteration - MEMORY, iteration, device=at.x.device) % MEMORY
    products = at.products[:, order][:, :, order]
    dots = torch.bmm(at.pairs, at.gradient[:, :, None])
    with_steps, with_changes = dots[:, order], dots[:, order + MEMORY]
    diagonal = torch.diagonal(products, dim1=1, dim2=2)
    # An empty slot has zeros only; a one on its diagonal leaves it without effect.
    triangle = torch.triu(products) + torch.diag_embed((diagonal == 0).to(at.x.dtype))
    scale = at.scale[:, None, None]
    inner = torch.linalg.solve_triangular(triangle, with_steps, upper=True)
    middle = diagonal[:, :, None] * inner + scale * (
        torch.bmm(at.squares[:, order][:, :, order], inner) - with_changes
    )
    outer = torch.linalg.solve_triangular(triangle.mT, middle, upper=False)
    weights = torch.empty_like(dots)
    weights[:, order], weights[:, order + MEMORY] = outer, -scale * inner
    return -(at.scale[:, None] * at.gradient) - torch.bmm(weights.mT, at.pairs)[:, 0]


def _remember(
    at: _Active, step: torch.Tensor, change: torch.Tensor, slope: torch.Tensor, iteration: int
) -> None:
    """Put the newest pair into the ring, unless its curvature is not positive beyond rounding."""
    curvature, square = (step * change).sum(1), (change * change).sum(1)
    sound = curvature > np.finfo(float).eps * -slope
    slot = iteration % MEMORY
    at.pairs[:, slot] = torch.where(sound[:, None], step, 0.0)
    at.pairs[:, slot + MEMORY] = torch.where(sound[:, None], change, 0.0)
    newest = at.pairs[:, [slot, slot + MEMORY]].mT
    dots = torch.bmm(at.pairs, newest)
    at.products[:, slot] = dots[:, MEMORY:, 0]
    at.products[:, :, slot] = dots[:, :MEMORY, 1]
    at.squares[:, slot] = dots[:, MEMORY:, 1]
    at.squares[:, :, slot] = dots[:, MEMORY:, 1]
    at.scale = torch.where(sound, curvature / torch.clamp(square, min=1e-300), at.scale)


def _search(
    objective: Objective,
    at: _Active,
    direction: torch.Tensor,
    slope: torch.Tensor,
    step: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Find a step of every problem: returns (points, values, gradients, failed)."""
    moved = at.x + step[:, None] * direction
    value, gradient = objective(at.index, moved)
    slopes = (gradient * direction).sum(1)
    facts = torch.stack([at.value, slope, step, value, slopes]).cpu().numpy()
    failed = torch.zeros(len(step), dtype=torch.bool, device=step.device)
    refused = [n for n in range(len(step)) if not accepts(*facts[:, n])]
    searches = {n: begin(*facts[:3, n]) for n in refused}
    for _ in range(MAX_TRIALS - 1):
        nexts = {n: advance(searches[n], *facts[2:, n]) for n in refused}
        refused = [n for n in refused if not np.isnan(nexts[n])]
        if not refused:
            return moved, value, gradient, failed
        which = torch.tensor(refused, device=step.device)
        tried = torch.tensor([nexts[n] for n in refused], dtype=step.dtype, device=step.device)
        moved[which] = at.x[which] + tried[:, None] * direction[which]
        value[which], gradient[which] = objective(at.index[which], moved[which])
        slopes = (gradient[which] * direction[which]).sum(1)
        facts[2:, refused] = torch.stack([tried, value[which], slopes]).cpu().numpy()
        refused = [n for n in refused if not accepts(*facts[:, n])]
    if refused:
        which = torch.tensor(refused, device=step.device)
        failed[which], moved[which] = True, at.x[which]
        value[which], gradient[which] = at.value[which], at.gradient[which]
    return moved, value, gradient, failed
