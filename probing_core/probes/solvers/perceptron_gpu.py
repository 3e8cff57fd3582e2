"""Many small perceptrons on a GPU: one batched step of Adam moves every fit.

All parameters of a fit lie in one row of one tensor, which makes a step of Adam a handful of calls
whatever the number of layers and fits; the data are sent once, and a fit that has stopped leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

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


def train_on_gpu(
    features: torch.Tensor,
    labels: np.ndarray,
    fits: Sequence[np.ndarray],
    training: Training,
) -> list[Perceptron]:
    """Train one perceptron on each of several choices of rows, all of them together.

    Args:
        features: (n, d) float32 or float64, on the device where to train.
        labels: (n,) 0/1.
        fits: Rows each perceptron is trained on, int64, at least one row each.
        training: Settings, the same for every fit.

    Returns:
        The perceptrons in the order of `fits`.
    """
    layout = Layout((features.shape[1], *training.hidden, 1))
    chance = np.random.RandomState(training.seed)
    start = torch.as_tensor(layout.initial(chance)).to(features)
    # Longest first: the fits that still have a batch are then the first ones at every step.
    order = sorted(range(len(fits)), key=lambda fit: -len(fits[fit]))
    found: dict[int, Perceptron] = {}
    with torch.inference_mode():
        problem = Problem(
            features,
            torch.as_tensor(labels).to(features),
            training.alpha,
            training.rates(len(fits[order[0]])),
        )
        adam = Adam.start(layout, start.repeat(len(fits), 1))
        rows = [RowOrder(fits[fit], chance.get_state()) for fit in order]
        patience = [Patience() for _ in order]
        batches = Batches(problem, adam, rows)
        for epoch in range(training.max_epochs):
            losses = batches.run(epoch)
            stopped = [p.exhausted(loss) for p, loss in zip(patience, losses, strict=True)]
            last = epoch + 1 == training.max_epochs
            for position, stop in enumerate(stopped):
                if stop or last:
                    found[order[position]] = adam.perceptron(position, epoch + 1, converged=stop)
            going = [position for position, stop in enumerate(stopped) if not stop]
            if last or not going:
                break
            if len(going) < len(order):
                order = [order[position] for position in going]
                patience = [patience[position] for position in going]
                rows = [rows[position] for position in going]
                adam = adam.kept(going)
                batches = Batches(problem, adam, rows)
    return [found[fit] for fit in range(len(fits))]


class Adam:
    """Parameters of some fits, what Adam keeps of them, and views of their layers."""

    def __init__(self, layout: Layout, tensors: Sequence[torch.Tensor]) -> None:
        """Take (parameters, means, squares, gradients, scratch), each (fits, parameters)."""
        self.layout, self.tensors = layout, tensors
        self.parameters, self.means, self.squares, self.gradients, self.scratch = tensors
        self.weights, self.biases = _layers(layout, self.parameters)
        self.turned = [weight.transpose(1, 2) for weight in self.weights]
        self.weight_gradients, self.bias_gradients = _layers(layout, self.gradients)
        self.penalised = self.parameters[:, : layout.n_weights]
        self.penalised_gradients = self.gradients[:, : layout.n_weights]

    @classmethod
    def start(cls, layout: Layout, parameters: torch.Tensor) -> Adam:
        """Begin at (fits, parameters)."""
        return cls(layout, [parameters, *(torch.zeros_like(parameters) for _ in range(4))])

    def first(self, count: int) -> Adam:
        """The first fits, sharing memory with these."""
        return Adam(self.layout, [tensor[:count] for tensor in self.tensors])

    def kept(self, positions: list[int]) -> Adam:
        """Some of the fits, in memory of their own."""
        return Adam(self.layout, [tensor[positions] for tensor in self.tensors])

    def perceptron(self, position: int, epochs: int, *, converged: bool) -> Perceptron:
        """A copy of one fit as it is now."""
        flat = self.parameters[position].cpu().numpy().copy()
        return self.layout.perceptron(flat, epochs, converged=converged)

    def squared_weights(self) -> torch.Tensor:
        """Sum of the squared weights, (fits,)."""
        return torch.linalg.vector_norm(self.penalised, dim=1).square_()

    def step(
        self,
        features: torch.Tensor,
        labels: torch.Tensor,
        shares: torch.Tensor,
        decay: torch.Tensor,
        rate: torch.Tensor,
    ) -> torch.Tensor:
        """Move every fit by the gradient of its own batch.

        Args:
            features: (fits, rows, d).
            labels: (fits, rows, 1).
            shares: (fits, rows, 1), one over the rows of the batch, 0 for padding.
            decay: (fits, 1), the L2 penalty over the rows of the batch.
            rate: (fits, 1), Adam's step with its bias correction, negative.

        Returns:
            (fits, rows, 1) logits before the move.
        """
        last = len(self.weights) - 1
        values = [features]
        for layer in range(last):
            product = torch.baddbmm(self.biases[layer], values[layer], self.turned[layer])
            values.append(product.relu_())
        logits = torch.baddbmm(self.biases[last], values[last], self.turned[last])
        delta = torch.sigmoid(logits).sub_(labels).mul_(shares)
        for layer in range(last, -1, -1):
            torch.bmm(delta.transpose(1, 2), values[layer], out=self.weight_gradients[layer])
            torch.sum(delta, dim=1, keepdim=True, out=self.bias_gradients[layer])
            if layer:
                delta = torch.bmm(delta, self.weights[layer])
                delta = torch.ops.aten.threshold_backward(delta, values[layer], 0)
        self.penalised_gradients.addcmul_(self.penalised, decay)
        self.means.lerp_(self.gradients, 1 - MEAN_DECAY)
        self.squares.mul_(SQUARE_DECAY)
        self.squares.addcmul_(self.gradients, self.gradients, value=1 - SQUARE_DECAY)
        torch.sqrt(self.squares, out=self.scratch).add_(EPSILON)
        torch.mul(self.means, rate, out=self.gradients)
        self.parameters.addcdiv_(self.gradients, self.scratch)
        return logits


def _layers(layout: Layout, flat: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Weights (fits, fan out, fan in) and biases (fits, 1, fan out) as views, one each a layer."""
    pieces = flat.split(layout.sizes, dim=1)
    shapes = layout.shapes
    weights = [piece.unflatten(1, shape) for piece, shape in zip(pieces, shapes, strict=False)]
    return weights, [piece.unsqueeze(1) for piece in pieces[len(shapes) :]]


@dataclass(frozen=True)
class Problem:
    """What all fits share: features (n, d), labels (n,), the L2 penalty and Adam's steps."""

    features: torch.Tensor
    labels: torch.Tensor
    alpha: float
    rates: np.ndarray


class Batches:
    """An epoch of some fits, longest fit first; shorter fits are padded with weightless rows.

    A fit whose rows make one batch is not shuffled: the order would change only the rounding.
    """

    def __init__(self, problem: Problem, adam: Adam, rows: list[RowOrder]) -> None:
        self.problem, self.rows = problem, rows
        sizes = np.array([len(fit.rows) for fit in rows])
        columns = np.arange(sizes[0])
        together = np.clip(sizes[:, None] - columns // BATCH_ROWS * BATCH_ROWS, 0, BATCH_ROWS)
        real = columns < sizes[:, None]
        self.starts = range(0, int(sizes[0]), BATCH_ROWS)
        self.steps = np.array([n_batches(size) for size in sizes])
        self.counts = [int((sizes > start).sum()) for start in self.starts]
        self.adams = {count: adam.first(count) for count in set(self.counts)}
        self.sizes = self._sent(sizes)
        self.real = self._sent(real)[:, :, None]
        self.shares = self._sent(real / np.maximum(together, 1))[:, :, None]
        self.decays = self._sent(problem.alpha / np.maximum(together[:, self.starts], 1))
        self.shuffled = len(self.starts) > 1
        if not self.shuffled:
            order = self._ordered([fit.rows for fit in rows])
            self.features, self.labels = problem.features[order], self._labels(order)

    def _sent(self, values: np.ndarray) -> torch.Tensor:
        """Host values on the device, in the type of the features."""
        return torch.from_numpy(values).to(self.problem.features)

    def _ordered(self, rows: list[np.ndarray]) -> torch.Tensor:
        """Rows of every fit as (fits, rows of the longest) int64, padded with row 0."""
        order = np.zeros((len(rows), len(rows[0])), dtype=np.int64)
        for position, own in enumerate(rows):
            order[position, : len(own)] = own
        return torch.from_numpy(order).to(self.problem.features.device)

    def _labels(self, order: torch.Tensor) -> torch.Tensor:
        return self.problem.labels[order][:, :, None]

    def run(self, epoch: int) -> list[float]:
        """One pass over the rows; returns the mean training loss of every fit.

        Args:
            epoch: Passes these fits have made before.
        """
        problem = self.problem
        if self.shuffled:
            order = self._ordered([fit.shuffle() for fit in self.rows])
            self.labels = self._labels(order)
        taken = epoch * self.steps + np.arange(len(self.starts))[:, None]
        rates = self._sent(problem.rates[np.minimum(taken, len(problem.rates) - 1)])[:, :, None]
        logits = torch.zeros_like(self.real)
        squares = torch.zeros_like(self.sizes)
        for step, (start, count) in enumerate(zip(self.starts, self.counts, strict=True)):
            columns = slice(start, start + BATCH_ROWS)
            adam = self.adams[count]
            squares[:count] += adam.squared_weights()
            logits[:count, columns] = adam.step(
                problem.features[order[:count, columns]] if self.shuffled else self.features,
                self.labels[:count, columns],
                self.shares[:count, columns],
                self.decays[:count, step : step + 1],
                rates[step, :count],
            )
        return self._losses(logits, squares)

    def _losses(self, logits: torch.Tensor, squares: torch.Tensor) -> list[float]:
        """Mean loss of every fit from the logits (fits, rows, 1) and squared weights (fits,)."""
        bound = torch.finfo(logits.dtype).eps
        right = torch.sigmoid(logits * (2 * self.labels - 1)).clamp_(bound, 1 - bound)
        surprise = right.log_().mul_(self.real).sum((1, 2))
        losses: list[float] = ((self.problem.alpha / 2 * squares - surprise) / self.sizes).tolist()
        return losses
