"""Real arrays for the measurements: MiniLM activations and SAE latents out of the store."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from probing_core.datasets import draw_split
from probing_core.experiments.activations import compute_activations, read_activations
from probing_core.experiments.saes import compute_saes, latents_input, read_latents, study_saes
from probing_core.experiments.study import Study, open_study

WIDE = 3584
MOST_TEST = 2000


@dataclass(frozen=True)
class Case:
    """One task's split in one representation: what a fit takes."""

    train: np.ndarray
    y_train: np.ndarray
    test: np.ndarray
    y_test: np.ndarray


def open_bench(profile: str) -> Study:
    """The study whose store holds the arrays; computes what is missing."""
    study = open_study(profile)
    compute_activations(study)
    compute_saes(study)
    return study


def widened(X: np.ndarray, width: int) -> np.ndarray:
    """Activations as they are, or a fixed random expansion of them to 3,584 features.

    ``relu(X @ W)`` with standard normal W (seed 0): full rank, and with row norms in the hundreds,
    as a Gemma residual stream has.
    """
    if width == X.shape[1]:
        return X
    weights = np.random.default_rng(0).standard_normal((X.shape[1], width), dtype=np.float32)
    return np.maximum(X @ weights, 0.0)


def cases(study: Study, n: int, width: int, count: int, *, latents: bool = False) -> list[Case]:
    """Balanced training sets of n rows of the first tasks that have so many.

    Args:
        study: From `open_bench`.
        n: Training rows.
        width: 384, or 3,584 for the expansion; not used for latents.
        count: Tasks.
        latents: The widest SAE's latents instead of activations.
    """
    source = max(study_saes(study), key=lambda sae: (sae.width, sae.l0))
    found = []
    for tag, dataset in study.datasets.items():
        labels = dataset.labels.astype(np.int64)
        usable = 2 * int(min(labels.sum(), (1 - labels).sum()))
        if usable - n < 100:
            continue
        split = draw_split(
            dataset, n_train=n, n_test=min(usable - n, MOST_TEST), protocol="paper", seed=42
        )
        if latents:
            rows = read_latents(study.store, latents_input(study, tag, source))
        else:
            rows = widened(read_activations(study, tag, study.main_hook), width)
        found.append(
            Case(rows[split.train], labels[split.train], rows[split.test], labels[split.test])
        )
        if len(found) == count:
            break
    return found
