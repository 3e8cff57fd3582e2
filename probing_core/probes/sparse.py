"""The SAE probe: the top k latents by class difference, then logistic regression on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import sparse

from probing_core.errors import UserError, nearest
from probing_core.probes.inputs import on_device
from probing_core.probes.logistic import Penalty, fast_logistic, reference_logistic
from probing_core.probes.result import ProbeResult
from probing_core.saes.selection import rank_latents

SOLVERS = ("fast", "reference")
PENALTIES = ("l1", "l2")


def evaluate_top_k(
    latents_train: sparse.csr_array,
    y_train: np.ndarray,
    latents_test: sparse.csr_array,
    y_test: np.ndarray,
    *,
    ks: Sequence[int],
    ranking: str,
    solver: str = "fast",
    seed: int = 42,
    penalty: Penalty = "l1",
    binarize: bool = False,
    binarize_above: float = 1.0,
    fit_seed: int = 1,
    device: str = "cpu",
) -> list[tuple[int, ProbeResult]]:
    """Probe the k best latents for every k (paper, §3.2 and App. C).

    Latents are ranked once, on the training rows, and never scaled. Only the columns that are
    kept become dense, and the fast L1 path keeps even those sparse.

    Args:
        latents_train: (n, d_sae) float32.
        y_train: (n,) 0/1, both classes present.
        latents_test: (m, d_sae) float32.
        y_test: (m,) 0/1.
        ks: How many latents to keep; all of them where k exceeds d_sae.
        ranking: One of `saes.selection.RANKINGS`.
        solver: 'fast' or 'reference'.
        seed: Seed of the validation folds.
        penalty: 'l1' (the paper) or 'l2'.
        binarize: Replace each latent by whether it exceeds `binarize_above`, after ranking.
        binarize_above: 1 in the paper's code; 0 gives sae-probes' "is not zero".
        fit_seed: Random state of the reference solver and of its reshuffle.
        device: Torch device of the fast fits; the kept columns are sent there once.

    Returns:
        (k, result) in the order of `ks`; hyperparameters hold C and the latents used.

    Raises:
        UserError: Unknown solver, ranking or penalty, or a k below 1.
    """
    _check(solver, penalty, ks)
    y_train, y_test = np.asarray(y_train), np.asarray(y_test)
    order = rank_latents(latents_train, y_train, ranking)[: max(ks)]
    train = _columns(latents_train, order, binarize_above if binarize else None)
    test = _columns(latents_test, order, binarize_above if binarize else None)
    sent = None if device == "cpu" else on_device(train.toarray(), device)
    results = []
    for k in ks:
        used = min(k, len(order))
        arrays = (train[:, :used], y_train, test[:, :used], y_test)
        if solver == "reference":
            result = _reference(*arrays, penalty=penalty, cv_seed=seed, fit_seed=fit_seed)
        else:
            rows = None if sent is None else sent[:, :used]
            result = fast_logistic(*arrays, penalty=penalty, cv_seed=seed, rows=rows)
        extra = {"latents": used, "ranking": ranking}
        results.append((k, replace(result, hyperparameters=result.hyperparameters | extra)))
    return results


def _reference(
    train: sparse.csc_array,
    y_train: np.ndarray,
    test: sparse.csc_array,
    y_test: np.ndarray,
    *,
    penalty: Penalty,
    cv_seed: int,
    fit_seed: int,
) -> ProbeResult:
    """The paper's own fits, which want dense rows in C order."""
    dense = [part.toarray(order="C") for part in (train, test)]
    return reference_logistic(
        dense[0], y_train, dense[1], y_test, penalty=penalty, cv_seed=cv_seed, fit_seed=fit_seed
    )


def _check(solver: str, penalty: str, ks: Sequence[int]) -> None:
    """Refuse what no probe can be."""
    for value, options, name in ((solver, SOLVERS, "solver"), (penalty, PENALTIES, "penalty")):
        if value not in options:
            raise UserError(f"unknown {name} '{value}'. {nearest(value, options)}")
    if not ks or min(ks) < 1:
        raise UserError(f"k must be at least 1, not {list(ks)}; remove the others from the profile")


def _columns(latents: sparse.csr_array, order: np.ndarray, above: float | None) -> sparse.csc_array:
    """The chosen columns in ranking order, so that the first k of them serve every k."""
    chosen = sparse.csc_array(sparse.csr_array(latents)[:, order])
    chosen.sum_duplicates()
    if above is not None:
        chosen = sparse.csc_array(chosen > above).astype(np.float32)
    return chosen
