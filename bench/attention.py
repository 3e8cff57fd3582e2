"""The attention probe beside the published recipe, on the same tokens, one thread.

The recipe (PAPER B.10): padded tokens, Adam at 1e-4, 1,000 full-batch steps, a validation AUC after
each, the best step kept.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from torch.nn.functional import binary_cross_entropy_with_logits

from bench.table import Row
from probing_core.datasets import standard_split
from probing_core.experiments.activations import study_model
from probing_core.experiments.multi_token import read_tokens
from probing_core.experiments.study import Study
from probing_core.probes.attention import AttentionProbe, Tokens

PROMPTS, TASKS = 600, 6
STEPS = 1000


def measure(study: Study, tasks: int | None) -> list[Row]:
    """Seconds of both on some tasks, with the mean test AUC of each in what was done."""
    sides: dict[str, list[tuple[float, float]]] = {"ours": [], "published": []}
    for tag in study.tags[: tasks or TASKS]:
        dataset = study.dataset(tag)
        with tempfile.TemporaryDirectory() as folder:
            tokens, _, _ = read_tokens(
                study_model(study), dataset.prompts, study.main_hook, Path(folder) / "tokens",
                max_tokens=study.profile.max_tokens, batch_tokens=study.profile.batch_tokens,
                prepend_bos=study.model.prepend_bos,
            )  # fmt: skip
            split = standard_split(dataset, protocol="paper", seed=42, max_train=PROMPTS)
            for name, fit in (("ours", ours), ("published", published)):
                start = time.perf_counter()
                scores = fit(tokens, split.train, dataset.labels[split.train], split.test)
                seconds = time.perf_counter() - start
                sides[name].append((seconds, roc_auc_score(dataset.labels[split.test], scores)))
    seconds, aucs = np.array(list(sides.values())).transpose(2, 0, 1)
    (own, theirs), (own_auc, their_auc) = seconds.sum(1), aucs.mean(1)
    what = f"attention, {len(sides['ours'])} tasks; mean test AUC {own_auc:.3f}, {their_auc:.3f}"
    return [Row("attention", what, own, theirs, "the published recipe")]


def ours(tokens: Tokens, train: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Logits of the test prompts."""
    return AttentionProbe().fit(tokens[train], labels).decision_function(tokens[test])


def published(
    tokens: Tokens, train: np.ndarray, labels: np.ndarray, test: np.ndarray
) -> np.ndarray:
    """The same by the published recipe."""
    fitted, held = train_test_split(np.arange(len(train)), test_size=0.2, random_state=0)
    parts = {"fitted": train[fitted], "held": train[held], "test": test}
    padded = {name: _padded(tokens, rows) for name, rows in parts.items()}
    generator = torch.Generator().manual_seed(0)
    d_model = tokens.values.shape[1]
    query, value = (0.001 * torch.randn(d_model, generator=generator) for _ in range(2))
    weights = [query.requires_grad_(), value.requires_grad_(), torch.zeros(1, requires_grad=True)]
    optimizer = torch.optim.Adam(weights, lr=1e-4)
    wanted = torch.from_numpy(labels).float()
    best, kept = -1.0, np.zeros(len(test))
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = binary_cross_entropy_with_logits(_logits(padded["fitted"], weights), wanted[fitted])
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            found = roc_auc_score(labels[held], _logits(padded["held"], weights).numpy())
            if found > best:
                best, kept = found, _logits(padded["test"], weights).numpy()
    return kept


def _padded(tokens: Tokens, rows: np.ndarray) -> torch.Tensor:
    """(n, longest, d_model) float32, zeros behind each prompt."""
    spans = zip(tokens.starts[rows], tokens.lengths[rows], strict=True)
    parts = [tokens.values[start : start + length].float() for start, length in spans]
    return torch.nn.utils.rnn.pad_sequence(parts, batch_first=True)


def _logits(x: torch.Tensor, weights: list[torch.Tensor]) -> torch.Tensor:
    query, value, bias = weights
    scores = x @ query
    scores = scores.masked_fill(scores == 0, -10000)
    return (scores.softmax(1) * (x @ value)).sum(1) + bias
