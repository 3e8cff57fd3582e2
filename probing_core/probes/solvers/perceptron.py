"""A small perceptron as scikit-learn's `MLPClassifier` trains it: its draws, rules and layout.

With two classes and default settings the same `RandomState` gives the same initial weights and the
same batches here, so what `perceptron_cpu` and `perceptron_gpu` train differs by rounding alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.special import expit

BATCH_ROWS = 200
TOLERANCE = 1e-4
PATIENCE = 10
MEAN_DECAY, SQUARE_DECAY, EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Training:
    """How to train; the defaults are scikit-learn's.

    Attributes:
        hidden: Widths of the hidden layers.
        learning_rate: Step of Adam.
        alpha: L2 penalty of the weights; biases have none.
        seed: Seed of the initial weights and of the batches.
        max_epochs: Bound on the passes over the rows.
    """

    hidden: tuple[int, ...]
    learning_rate: float = 1e-3
    alpha: float = 1e-4
    seed: int = 42
    max_epochs: int = 1000

    def rates(self, n_rows: int) -> np.ndarray:
        """Minus the step of Adam with its bias correction, (most steps on n rows,) float64."""
        steps = np.arange(1, self.max_epochs * n_batches(n_rows) + 1, dtype=np.float64)
        correction = np.sqrt(1 - SQUARE_DECAY**steps) / (1 - MEAN_DECAY**steps)
        return -self.learning_rate * correction


@dataclass(frozen=True)
class Perceptron:
    """One trained network of ReLU layers with a logistic output.

    Attributes:
        weights: One (fan out, fan in) array a layer, of the type of the training rows.
        biases: One (fan out,) array a layer.
        epochs: Passes over the training rows.
        converged: False where training stopped at its bound on the epochs.
    """

    weights: list[np.ndarray]
    biases: list[np.ndarray]
    epochs: int
    converged: bool

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Probability of class 1 of every row.

        Args:
            features: (n, d), of the type of the weights.

        Returns:
            (n,) of that type.
        """
        values = features
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            values = np.maximum(values @ weight.T + bias, 0)
        chances: np.ndarray = expit(values @ self.weights[-1][0] + self.biases[-1])
        return chances


@dataclass(frozen=True)
class Layout:
    """How the layers lie in the flat parameters of a fit: all weights, then all biases.

    Attributes:
        units: Widths of the layers, from the inputs to the single output.
    """

    units: tuple[int, ...]

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """(fan out, fan in) of every layer."""
        return [(fan_out, fan_in) for fan_in, fan_out in pairwise(self.units)]

    @property
    def sizes(self) -> list[int]:
        """Lengths of the pieces: the weights of every layer, then the biases of every layer."""
        return [fan_out * fan_in for fan_out, fan_in in self.shapes] + list(self.units[1:])

    @property
    def n_weights(self) -> int:
        """Number of weights, biases left out."""
        return sum(fan_out * fan_in for fan_out, fan_in in self.shapes)

    def initial(self, chance: np.random.RandomState) -> np.ndarray:
        """Glorot's uniform draw, layer after layer.

        Args:
            chance: Source of the draws, left where the first shuffle of the rows begins.

        Returns:
            (parameters,) float64.
        """
        weights, biases = [], []
        for fan_in, fan_out in pairwise(self.units):
            bound = np.sqrt(6.0 / (fan_in + fan_out))
            weights.append(chance.uniform(-bound, bound, (fan_in, fan_out)).T.ravel())
            biases.append(chance.uniform(-bound, bound, fan_out))
        return np.concatenate(weights + biases)

    def perceptron(self, flat: np.ndarray, epochs: int, *, converged: bool) -> Perceptron:
        """The network of a fit's (parameters,), which must not change any more."""
        pieces = np.split(flat, np.cumsum(self.sizes)[:-1])
        weights = [p.reshape(shape) for p, shape in zip(pieces, self.shapes, strict=False)]
        return Perceptron(weights, pieces[len(weights) :], epochs, converged)


class Patience:
    """Counts the epochs in a row whose loss was not below the best one by the tolerance."""

    def __init__(self) -> None:
        self.best, self.stalled = np.inf, 0

    def exhausted(self, loss: float) -> bool:
        """Take the loss of an epoch; True once more than `PATIENCE` epochs brought nothing."""
        self.stalled = self.stalled + 1 if loss > self.best - TOLERANCE else 0
        self.best = min(loss, self.best)
        return self.stalled > PATIENCE


class RowOrder:
    """The rows of one fit, shuffled before every epoch as scikit-learn does."""

    def __init__(self, rows: np.ndarray, chance_state: Any) -> None:
        self.rows = rows
        self.chance = np.random.RandomState(0)
        self.chance.set_state(chance_state)

    def shuffle(self) -> np.ndarray:
        """Shuffle once more; returns the rows, (n,) int64."""
        drawn = np.arange(len(self.rows))
        self.chance.shuffle(drawn)
        self.rows = self.rows[drawn]
        return self.rows


def n_batches(n_rows: int) -> int:
    """Batches of an epoch."""
    return -(-n_rows // BATCH_ROWS)
