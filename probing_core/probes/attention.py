"""A probe that learns where to look: attention over a prompt's tokens (paper, section 5).

Each head weighs tokens by a softmax of ``x @ query`` and adds up ``x @ value``; the logit is the
sum over heads and a bias. Restarts differ in their first weights and in how much values are
penalised; all of them, heads included, are one tensor program.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import train_test_split
from torch.nn.functional import binary_cross_entropy_with_logits

from probing_core.probes.metrics import auc

_TOKENS_AT_ONCE = 1 << 16
_BYTES_HELD = 1 << 30
"""Tokens up to this size are read from their file once, not at every step."""
_CHECKED_EVERY = 5
"""Steps between two looks at the prompts that validate."""
Chunk = tuple[torch.Tensor, torch.Tensor, np.ndarray]


@dataclass(frozen=True)
class Tokens:
    """Token activations of prompts one after the other, without padding.

    Attributes:
        values: (n_tokens, d_model), of any float type; may be mapped from a file.
        starts: (n_prompts,) where each prompt begins.
        lengths: (n_prompts,) tokens of each, at least one.
    """

    values: torch.Tensor
    starts: np.ndarray
    lengths: np.ndarray

    def __len__(self) -> int:
        """Prompts."""
        return len(self.lengths)

    def __getitem__(self, rows: np.ndarray) -> Self:
        """Some prompts; nothing is copied."""
        return replace(self, starts=self.starts[rows], lengths=self.lengths[rows])

    def chunks(self, rows: np.ndarray) -> Iterator[Chunk]:
        """Some prompts, a bounded number of tokens at once.

        Yields:
            (t, d_model) float32 tokens, (t,) int64 which of the chunk's prompts each is of, and the
            places of these prompts in `rows`.
        """
        number = np.cumsum(self.lengths[rows]) // _TOKENS_AT_ONCE
        for places in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(number)) + 1):
            own = rows[places]
            of = np.repeat(np.arange(len(own)), self.lengths[own])
            first = np.repeat(np.cumsum(self.lengths[own]) - self.lengths[own], self.lengths[own])
            at = np.repeat(self.starts[own], self.lengths[own]) + np.arange(len(of)) - first
            yield self.values[torch.from_numpy(at)].float(), torch.from_numpy(of), places


class AttentionProbe(ClassifierMixin, BaseEstimator):
    """Binary classifier of prompts by their tokens.

    Args:
        heads: Attention heads.
        tied: Whether a head's value is its query: then it is a softmax-weighted maximum.
        restarts: Initialisations, each with another penalty on the values.
        steps: Full-batch steps of Adam at most.
        patience: Looks at the validation loss without a better one, of any restart, that end it.
        learning_rate: Adam's.
        seed: Of the weights and of which fifth of the prompts validates.
    """

    def __init__(
        self, heads: int = 1, *, tied: bool = False, restarts: int = 4, steps: int = 150,
        patience: int = 4, learning_rate: float = 0.03, seed: int = 0,
    ) -> None:  # fmt: skip
        self.heads, self.tied, self.restarts = heads, tied, restarts
        self.steps, self.patience, self.learning_rate, self.seed = (
            steps, patience, learning_rate, seed,
        )  # fmt: skip

    def fit(self, X: Tokens, y: np.ndarray, groups: np.ndarray | None = None) -> Self:
        """Fit on prompts with (n,) 0/1 labels; the step with the best validation AUC is kept.

        Of (n,) groups, those that a prompt of the validating fifth is in validate as a whole.
        """
        labels = np.asarray(y)
        self.classes_ = np.unique(labels)
        rows = np.arange(len(X))
        fitted, held = train_test_split(
            rows, test_size=0.2, stratify=labels, random_state=self.seed
        )
        if groups is not None:
            held = np.flatnonzero(np.isin(groups, groups[held]))
            fitted = np.setdiff1d(fitted, held)
        self._standardise(X, fitted)
        small = 4 * int(X.lengths.sum()) * X.values.shape[1] <= _BYTES_HELD
        train, held_out = (
            partial(iter, list(self._chunks(X, some))) if small else partial(self._chunks, X, some)
            for some in (fitted, held)
        )
        generator = torch.Generator().manual_seed(self.seed)
        shape = (X.values.shape[1], self.restarts, self.heads)
        query, value = (0.01 * torch.randn(shape, generator=generator) for _ in range(2))
        weights = [query, query if self.tied else value, torch.zeros(self.restarts)]
        free = [one.requires_grad_() for one in ([query] if self.tied else weights[:2])]
        optimizer = torch.optim.Adam([*free, weights[2].requires_grad_()], lr=self.learning_rate)
        penalties = torch.tensor([0.0, *np.logspace(-4, -1, self.restarts - 1)][: self.restarts])
        target = torch.from_numpy(labels).float()
        self.val_auc_, best_loss, waited = -1.0, torch.full((self.restarts,), np.inf), 0
        for step in range(self.steps):
            if step % _CHECKED_EVERY == 0:
                logits = _logits(held_out(), weights)
                loss = _bce(logits, target[held])
                waited = 0 if bool((loss < best_loss - 1e-4).any()) else waited + 1
                best_loss = torch.minimum(best_loss, loss)
                self._keep(logits, labels[held], weights, step)
                if waited >= self.patience:
                    break
            optimizer.zero_grad()
            for x, of, places in train():
                wanted = target[fitted[places]]
                share = len(places) / len(fitted)
                (share * _bce(_pooled(x, of, len(places), weights), wanted).sum()).backward()
            (penalties * weights[1].square().sum((0, 2))).sum().backward()
            optimizer.step()
        return self

    def decision_function(self, X: Tokens) -> np.ndarray:
        """Logits (n,) float32."""
        return _logits(self._chunks(X, np.arange(len(X))), self.weights_)[:, 0].numpy()

    def predict_proba(self, X: Tokens) -> np.ndarray:
        """Chances of both classes, (n, 2)."""
        ones = torch.from_numpy(self.decision_function(X)).sigmoid().numpy()
        return np.stack([1 - ones, ones], axis=1)

    def predict(self, X: Tokens) -> np.ndarray:
        """Classes (n,)."""
        return self.classes_[(self.decision_function(X) > 0).astype(int)]

    def _standardise(self, X: Tokens, rows: np.ndarray) -> None:
        """Centre and scale of the training tokens, dimension by dimension."""
        total, square, count = torch.zeros(1), torch.zeros(1), 0
        for x, _, _ in X.chunks(rows):
            total, square, count = total + x.sum(0), square + x.square().sum(0), count + len(x)
        self.center_ = total / count
        self.scale_ = (square / count - self.center_.square()).clamp(min=1e-8).sqrt()

    def _chunks(self, X: Tokens, rows: np.ndarray) -> Iterator[Chunk]:
        for x, of, places in X.chunks(rows):
            yield (x - self.center_) / self.scale_, of, places

    def _keep(
        self, logits: torch.Tensor, labels: np.ndarray, weights: list[torch.Tensor], step: int
    ) -> None:
        """Keep the restart that ranks the validating prompts best, if it is the best so far."""
        aucs = [auc(labels, column) for column in logits.numpy().T]
        place = int(np.argmax(aucs))
        if aucs[place] > self.val_auc_:
            self.val_auc_, self.n_steps_ = aucs[place], step
            query, value, bias = (one.detach().clone() for one in weights)
            self.weights_ = [query[:, [place]], value[:, [place]], bias[[place]]]


@torch.no_grad()
def _logits(chunks: Iterable[Chunk], weights: list[torch.Tensor]) -> torch.Tensor:
    """(n, restarts) logits of some prompts."""
    return torch.cat([_pooled(x, of, len(places), weights) for x, of, places in chunks])


def _bce(logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Mean log-loss of every restart, (restarts,)."""
    wanted = wanted[:, None].expand_as(logits)
    return binary_cross_entropy_with_logits(logits, wanted, reduction="none").mean(0)


def _pooled(x: torch.Tensor, of: torch.Tensor, n: int, weights: list[torch.Tensor]) -> torch.Tensor:
    """Logits (n, restarts) of prompts by (t, d_model) tokens; `of` says whose each token is."""
    query, value, bias = weights
    scores, values = x @ query.flatten(1), x @ value.flatten(1)
    index = of[:, None].expand_as(scores)
    least = torch.full((n, scores.shape[1]), -torch.inf)
    top = least.scatter_reduce(0, index, scores.detach(), "amax")
    shares = (scores - top[of]).exp()
    none = torch.zeros_like(top)
    read = none.index_add(0, of, shares * values) / none.index_add(0, of, shares)
    return read.unflatten(1, query.shape[1:]).sum(2) + bias
