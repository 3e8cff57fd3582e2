"""Real arrays for the measurements: MiniLM activations and SAE latents out of the store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from probing_core.datasets.regimes import REGIMES, Draw
from probing_core.errors import UserError
from probing_core.experiments.activations import compute_activations, read_activations
from probing_core.experiments.saes import compute_saes, latents_input, read_latents, study_saes
from probing_core.experiments.study import Study, open_study
from probing_core.profiles import TrainedSAE

SEED = 42
MOST = 1024


@dataclass(frozen=True)
class Case:
    """One task under one condition: what fits on both representations take.

    Attributes:
        tag: The task.
        regime: A regime, with its value.
        train: (n, d) float32 activations.
        y_train: (n,) 0/1.
        test: (m, d) float32.
        y_test: (m,) 0/1.
        latents: Training and test latents.
    """

    tag: str
    regime: str
    train: np.ndarray
    y_train: np.ndarray
    test: np.ndarray
    y_test: np.ndarray
    latents: tuple[csr_array, csr_array]


def open_bench(profile: str) -> Study:
    """The study whose store holds the arrays; computes what is missing."""
    study = open_study(profile)
    compute_activations(study)
    compute_saes(study)
    return study


def cases(
    study: Study, tags: list[str], conditions: list[tuple[str, float]], most: int = MOST
) -> Iterator[Case]:
    """Every task under every condition that it has prompts for.

    Args:
        study: From `open_bench`.
        tags: The tasks.
        conditions: (regime, value); ``standard`` has no value.
        most: Largest training set.
    """
    trained = [source for source in study_saes(study) if isinstance(source, TrainedSAE)]
    source = max(trained, key=lambda sae: (sae.width, sae.l0))
    for tag in tags:
        dataset = study.datasets[tag]
        activations = read_activations(study, tag)
        latents = read_latents(study.store, latents_input(study, tag, source))
        assert latents is not None  # `open_bench` has extracted what they are made of
        for regime, value in conditions:
            try:
                how = Draw(study.profile.protocol, SEED, most)
                setting = REGIMES[regime].draw(dataset, value, how)
            except UserError:
                continue
            train, test = setting.split.train, setting.split.test
            yield Case(
                tag,
                regime if regime == "standard" else f"{regime} {value:g}",
                activations[train],
                setting.train_labels,
                activations[test],
                dataset.labels[test].astype(np.int64),
                (csr_array(latents[train]), csr_array(latents[test])),
            )
