"""The SAE probe: the top k latents by class difference, then logistic regression on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from scipy import sparse

from probing_core.errors import UserError, nearest
from probing_core.probes.inputs import SOLVERS
from probing_core.probes.logistic import Penalty, fitter, probe_c
from probing_core.probes.result import ProbeResult
from probing_core.probes.validation import run_probe
from probing_core.saes.selection import rank_latents


def evaluate_top_k(
    latents_train: sparse.csr_array,
    y_train: np.ndarray,
    latents_test: sparse.csr_array,
    y_test: np.ndarray,
    *,
    ks: Sequence[int],
    ranking: str,
    penalty: Penalty = "l1",
    solver: str = "fast",
    seed: int = 42,
    groups: np.ndarray | None = None,
) -> list[tuple[int, ProbeResult]]:
    """Probe the k best latents for every k (paper, §3.2 and App. C).

    Latents are ranked once, on the training rows, and never scaled. The fast L1 solver keeps
    their columns sparse, the others want them dense.

    Args:
        latents_train: (n, d_sae) float32.
        y_train: (n,) 0/1, both classes present.
        latents_test: (m, d_sae) float32.
        y_test: (m,) 0/1.
        ks: How many latents to keep; all of them where k exceeds d_sae.
        ranking: One of `saes.selection.RANKINGS`.
        penalty: The norm that coefficients are penalised by; L1 in the paper.
        solver: 'fast' or 'reference'.
        seed: Seed of the validation folds.
        groups: (n,) groups of training rows that validation keeps together, if any.

    Returns:
        (k, result) in the order of `ks`; hyperparameters hold C and the latents used.

    Raises:
        UserError: Unknown solver or ranking, or a k below 1.
    """
    if solver not in SOLVERS:
        raise UserError(f"unknown solver '{solver}'. {nearest(solver, SOLVERS)}")
    if not ks or min(ks) < 1:
        raise UserError(f"k must be at least 1, not {list(ks)}; remove the others from the profile")
    y_train, y_test = np.asarray(y_train), np.asarray(y_test)
    fit = fitter(penalty, solver)
    order = rank_latents(latents_train, y_train, ranking)[: max(ks)]
    # In ranking order, so that the first k columns serve every k.
    train, test = latents_train[:, order].tocsc(), latents_test[:, order].tocsc()
    results = []
    for k in ks:
        used = min(k, len(order))
        rows = [part[:, :used].tocsr() for part in (train, test)]
        if solver == "reference" or penalty == "l2":
            rows = [part.toarray() for part in rows]
        result = run_probe(partial(probe_c, fit, *rows), y_train, y_test, seed, groups)
        extra = {"latents": used, "ranking": ranking}
        results.append((k, replace(result, hyperparameters=result.hyperparameters | extra)))
    return results
