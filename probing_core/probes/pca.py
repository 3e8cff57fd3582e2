"""Logistic regression on the first principal components, their number chosen by validation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy import linalg
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from probing_core.probes.inputs import Inputs
from probing_core.probes.logistic import DEFAULT_C, linear_scores, sklearn_logistic
from probing_core.probes.metrics import auc, aucs, test_scores
from probing_core.probes.result import ProbeResult, finish, fit_log
from probing_core.probes.solvers.l2_batch import L2Rows
from probing_core.probes.validation import (
    choose,
    mean_scores,
    row_weights,
    validation_splits,
)

MAX_COMPONENTS = 100


def log2_grid(largest: int) -> list[int]:
    """Up to ten whole numbers from 1 to `largest`, evenly spaced in log2.

    Args:
        largest: At least 1.

    Returns:
        The unique values, ascending; rounded down, so `largest` itself may be missing by one.
    """
    return np.unique(np.logspace(0, np.log2(largest), num=10, base=2, dtype=int)).tolist()


def reference_pca(
    X_train: np.ndarray,
    y_train: np.ndarray,
    X_test: np.ndarray,
    y_test: np.ndarray,
    *,
    seed: int = 42,
) -> ProbeResult:
    """The paper's PCA probe (`find_best_pcareg`).

    Scaler and PCA see all training rows, validation rows included. scikit-learn picks a
    randomised decomposition at the usual sizes; the original leaves its seed to chance, here it
    is `seed`.

    Args:
        X_train: (n, d) float32.
        y_train: (n,) 0/1.
        X_test: (m, d) float32.
        y_test: (m,) 0/1.
        seed: Seed of folds, decomposition and classifier.

    Returns:
        Scores and the number of components; with at most 3 rows all of them.
    """
    with fit_log() as log:
        scaler = StandardScaler().fit(X_train)
        largest = min(*X_train.shape, MAX_COMPONENTS)
        pca = PCA(n_components=largest, random_state=seed)
        inner = pca.fit_transform(scaler.transform(X_train))
        counts = log2_grid(largest)

        def score_split(train: np.ndarray, held: np.ndarray) -> Sequence[float]:
            return [
                auc(
                    y_train[held],
                    sklearn_logistic("l2", DEFAULT_C, seed)
                    .fit(inner[train, :count], y_train[train])
                    .predict_proba(inner[held, :count])[:, 1],
                )
                for count in counts
            ]

        chosen, val_auc = largest, float("nan")
        if len(y_train) > 3:
            splits = validation_splits(y_train, cv_seed=seed)
            index, val_auc = choose(mean_scores(y_train, splits, len(counts), score_split), log)
            chosen = counts[index]
        model = sklearn_logistic("l2", DEFAULT_C, seed).fit(inner[:, :chosen], y_train)
        if len(y_train) <= 3:
            val_auc = auc(y_train, model.predict_proba(inner)[:, 1], log)
        outer = pca.transform(scaler.transform(X_test))[:, :chosen]
        tested = test_scores(y_test, model.predict_proba(outer)[:, 1], model.predict(outer), log)
    return finish(log, val_auc, tested, {"components": chosen})


def fast_pca(
    X_train: np.ndarray,
    y_train: np.ndarray,
    X_test: np.ndarray,
    y_test: np.ndarray,
    *,
    seed: int = 42,
    shared: Inputs | None = None,
) -> ProbeResult:
    """The same probe with one exact decomposition and one batch of fits.

    The classifier is folded back into the inputs, so test rows are never projected.

    Args:
        X_train: (n, d) float32.
        y_train: (n,) 0/1.
        X_test: (m, d) float32.
        y_test: (m,) 0/1.
        seed: Seed of the folds.
        shared: What other probes on the same arrays have computed already.

    Returns:
        Scores and the number of components; with at most 3 rows all of them.
    """
    with fit_log() as log:
        # The paper counts min(n, d) components although centring leaves n - 1; the missing one
        # is constant, so a count beyond the rank means the same classifier.
        largest = min(*X_train.shape, MAX_COMPONENTS)
        found = shared or Inputs(X_train, X_test)
        centre, basis, rows = found.once("pca", lambda: _projected(found, largest))
        counts = log2_grid(largest)
        splits = validation_splits(y_train, cv_seed=seed) if len(y_train) > 3 else []
        usable = [train for train, _ in splits if len(np.unique(y_train[train])) == 2]
        logits = iter(_component_fits(rows, y_train, usable, counts) if usable else [])

        def score_split(train: np.ndarray, held: np.ndarray) -> Sequence[float]:
            return aucs(y_train[held], next(logits)[:, held], log)

        chosen, val_auc = largest, float("nan")
        if len(y_train) > 3:
            index, val_auc = choose(mean_scores(y_train, splits, len(counts), score_split), log)
            chosen = counts[index]
        kept = np.arange(largest)[None] < chosen
        last = rows.fit(y_train, np.array([DEFAULT_C]), feature_mask=kept.astype(np.float64))
        if not last.converged[0]:
            log.not_converged(f"solver stopped at its iteration bound with {chosen} components")
        if len(y_train) <= 3:
            val_auc = auc(y_train, last.logits[0], log)
        inward = last.weights[0] @ basis
        direction = inward / found.scale.width
        bias = last.intercepts[0] - direction @ found.scale.mean - inward @ centre
        tested = linear_scores(X_test, y_test, direction, bias, log)
    return finish(log, val_auc, tested, {"components": chosen})


def _projected(inputs: Inputs, count: int) -> tuple[np.ndarray, np.ndarray, L2Rows]:
    """Centre (d,), components (count, d) and the training rows projected on them."""
    centre = inputs.scaled_rows.mean(dim=0, dtype=torch.float64).float()
    centred = inputs.scaled_rows - centre
    basis = top_components(centred, count)
    rows = L2Rows((centred @ basis.mT).contiguous(), compiled=inputs.device == "cpu")
    return centre.cpu().numpy(), basis.cpu().numpy(), rows


def _component_fits(
    rows: L2Rows, labels: np.ndarray, subsets: Sequence[np.ndarray], counts: Sequence[int]
) -> list[np.ndarray]:
    """Logits (counts, n) of each subset's fits on the first components."""
    weight = row_weights(subsets, len(labels))
    mask = (np.arange(rows.rows.shape[1]) < np.array(counts)[:, None]).astype(np.float64)
    fits = rows.fit(
        labels,
        np.full(len(subsets) * len(counts), DEFAULT_C),
        np.repeat(weight, len(counts), axis=0),
        np.tile(mask, (len(subsets), 1)),
    )
    return list(fits.logits.reshape(len(subsets), len(counts), -1))


def top_components(centred: torch.Tensor, count: int) -> torch.Tensor:
    """The first principal directions, from the smaller of the two Gram matrices.

    Args:
        centred: (n, d) float32 with column means 0; on a CPU LAPACK finds the wanted directions
            only.
        count: How many, at most min(n, d).

    Returns:
        (count, d) float32 unit rows on the same device, the largest variance first. A direction
        whose variance is rounding is 0.
    """
    tall = centred.shape[1] <= centred.shape[0]
    gram = centred.mT @ centred if tall else centred @ centred.mT
    if gram.device.type == "cpu":
        size = len(gram)
        wanted = None if size <= 2 * count else (size - count, size - 1)
        found = linalg.eigh(gram.numpy(), subset_by_index=wanted, driver="evr" if wanted else "evd")
        values, vectors = (torch.from_numpy(part) for part in found)
    else:
        values, vectors = torch.linalg.eigh(gram)
    values, vectors = values.flip(0)[:count], vectors.flip(1)[:, :count]
    if tall:
        return vectors.mT.contiguous()
    # Squared singular values below this are rounding of the Gram matrix.
    sound = values > values[0] * 1e-6
    root = torch.where(sound, values.clamp_min(1e-30).sqrt(), 1.0)
    return torch.where(sound[:, None], (vectors / root).mT @ centred, 0.0)
