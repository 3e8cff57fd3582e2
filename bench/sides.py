"""One probe of a case, by this package and by sae-probes' own functions."""

from __future__ import annotations

import dataclasses

from bench.arrays import Case
from probing_core.probes.evaluate import evaluate_label_sets
from probing_core.probes.inputs import Inputs
from probing_core.probes.methods import BASELINES, METHODS, SAE_METHOD
from probing_core.probes.result import ProbeResult
from probing_core.probes.sparse import evaluate_top_k
from probing_core.saes.selection import rank_latents

RANKING = "normalized_mean_difference"
DRAWS = 10


def probe_name(method: str, k: int | None) -> str:
    """The field's name of a probe: ``KNN``, ``L1, k = 16``."""
    return METHODS[method].short + (f", k = {k}" if k else "")


def ours(
    case: Case, method: str, k: int | None = None, *, solver: str = "fast", draws: int = DRAWS,
    shared: Inputs | None = None,
) -> ProbeResult:  # fmt: skip
    """This package's probe."""
    if method == SAE_METHOD:
        train, test = case.latents
        ((_, result),) = evaluate_top_k(
            train, case.y_train, test, case.y_test, ks=[k or 1], ranking=RANKING, solver=solver
        )
        return result
    shared = shared or Inputs(case.train, case.test)
    (result,) = evaluate_label_sets(
        method, [case.y_train], case.y_test, shared=shared, solver=solver, xgboost_draws=draws
    )
    return result


def theirs(case: Case, method: str, k: int | None = None) -> None:
    """The same by sae-probes; its ranking breaks ties at random, so ours chooses the latents."""
    import torch
    from sae_probes import utils_training as original

    arrays = (case.train, case.y_train, case.test, case.y_test)
    if method == SAE_METHOD:
        train, test = case.latents
        kept = rank_latents(train, case.y_train, RANKING)[:k]
        dense = [train[:, kept].toarray(), case.y_train, test[:, kept].toarray(), case.y_test]
        parts = [torch.from_numpy(part) for part in dense]
        original.find_best_reg(*parts, penalty="l1", seed=42)
        return
    fit = {
        "logreg": original.find_best_reg,
        "pca": original.find_best_pcareg,
        "knn": lambda *given: original.find_best_knn(*given, n_jobs=1),
        "xgboost": original.find_best_xgboost,
        "mlp": original.find_best_mlp,
    }[method]
    fit(*arrays)


def whole(case: Case, ks: tuple[int, ...], methods: tuple[str, ...] = BASELINES) -> None:
    """All probes of a case by this package."""
    shared = Inputs(case.train, case.test)
    for method in methods:
        ours(case, method, shared=shared)
    train, test = case.latents
    evaluate_top_k(train, case.y_train, test, case.y_test, ks=ks, ranking=RANKING)


def few_rows(case: Case, n: int) -> Case:
    """The case with its first `n` training rows, of which both classes must be there."""
    train, test = case.latents
    return dataclasses.replace(
        case, train=case.train[:n], y_train=case.y_train[:n], latents=(train[:n], test)
    )
