"""Which latents a sparse probe keeps: a ranking from the training rows alone (paper, §3.2)."""

from typing import get_args

import numpy as np
from scipy import sparse

from probing_core.errors import UserError, nearest
from probing_core.profiles import Ranking

RANKINGS = get_args(Ranking)
_EPSILON = 1e-6


def rank_latents(latents: sparse.csr_array, labels: np.ndarray, ranking: str) -> np.ndarray:
    """Order latents by how far apart the two classes are on them.

    ``mean_difference`` is |mean over class 1 - mean over class 0| (the paper's first version);
    ``normalized_mean_difference`` divides each latent by the mean of its nonzero magnitudes
    first (the later version, and sae-probes).

    Returns:
        (d_sae,) int64 latent indices, best first; among equals the lowest index comes first.

    Raises:
        UserError: Unknown ranking, or labels of one class.
    """
    if ranking not in RANKINGS:
        raise UserError(f"unknown ranking '{ranking}'. {nearest(ranking, RANKINGS)}")
    labels = np.asarray(labels)
    positive, negative = labels == 1, labels == 0
    if not positive.any() or not negative.any():
        raise UserError("cannot rank latents: the training labels hold one class; draw both")
    rows = sparse.csr_array(latents)
    contrast = positive / positive.sum() - negative / negative.sum()
    scores = np.abs(rows.T @ contrast)
    if ranking == "normalized_mean_difference":
        width = rows.shape[1]
        live = rows.data != 0
        where = rows.indices[live]
        total = np.bincount(where, np.abs(rows.data[live]).astype(np.float64), minlength=width)
        count = np.bincount(where, minlength=width)
        scores = scores / (total / (count + _EPSILON) + _EPSILON)
    return np.argsort(-scores, kind="stable").astype(np.int64)
