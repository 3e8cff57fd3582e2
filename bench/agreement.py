"""Does the fast solver give the reference's answer, and what do saturated scores cost?

Both solvers on the same rows of every task of a profile, in five conditions; the regimes' training
sets are capped so that the reference stays affordable. Boosting samples other rows and columns than
XGBoost, so its single fits differ as with another seed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.arrays import Case, cases
from bench.sides import RANKING, ours, probe_name
from probing_core.experiments.study import Study
from probing_core.probes.inputs import SOLVERS
from probing_core.probes.logistic import C_GRID, fitter
from probing_core.probes.methods import BASELINES, SAE_METHOD
from probing_core.probes.metrics import auc
from probing_core.saes.selection import rank_latents

CONDITIONS = (
    ("standard", 0.0, 1024),
    ("scarcity", 20.0, 1024),
    ("scarcity", 128.0, 1024),
    ("imbalance", 0.1, 384),
    ("label_noise", 0.2, 384),
)
"""Regime, its value, most training rows."""
PROBES = (*((method, None) for method in BASELINES), (SAE_METHOD, 16), (SAE_METHOD, 128))
DRAWS = 2


def agreement(study: Study, tasks: int | None = None) -> list[dict[str, Any]]:
    """One entry a probe and condition: how far fast and reference are apart over the tasks."""
    entries = []
    for regime, value, most in CONDITIONS:
        found = list(cases(study, study.tags[:tasks], [(regime, value)], most))
        for method, k in PROBES if found else ():
            pairs = [
                [ours(case, method, k, solver=solver, draws=DRAWS) for solver in SOLVERS]
                for case in found
            ]
            gaps = np.array([fast.test_auc - reference.test_auc for fast, reference in pairs])
            same = [fast.hyperparameters == slow.hyperparameters for fast, slow in pairs]
            entry = {
                "probe": probe_name(method, k),
                "regime": found[0].regime.replace("_", " "),
                "n_tasks": len(found),
                "mean": float(gaps.mean()),
                "largest": float(np.abs(gaps).max()),
                "same_setting": float(np.mean(same)),
                "converged": float(np.mean([slow.converged for _, slow in pairs])),
            }
            entries.append(entry)
    order = [probe_name(*probe) for probe in PROBES]
    return sorted(entries, key=lambda entry: order.index(entry["probe"]))


def ties(study: Study, tasks: int | None = None) -> list[dict[str, Any]]:
    """What ranking by published probabilities costs against logits, where classes are even or not.

    Returns:
        For L2 and for L1 at k = 128, over all C and at the largest alone: the mean and the largest
        of AUC by logits minus AUC by probabilities, and the share of test rows that saturate.
    """
    found: dict[str, list[np.ndarray]] = {}
    for case in cases(study, study.tags[:tasks], [("standard", 0.0), ("imbalance", 0.95)]):
        where = "" if case.regime == "standard" else f", {case.regime}"
        found.setdefault(f"L2{where}", []).append(_cost(case, "l2", case.train, case.test))
        train, test = case.latents
        kept = rank_latents(train, case.y_train, RANKING)[:128]
        cost = _cost(case, "l1", train[:, kept], test[:, kept])
        found.setdefault(f"L1, k = 128{where}", []).append(cost)
    entries = []
    for probe, costs in found.items():
        every = np.array(costs)
        for what, part in (("all C", every), (f"C = {C_GRID[0]:g}", every[:, :1])):
            entry = {
                "probe": f"{probe}, {what}",
                "n_fits": int(part[..., 0].size),
                "mean": float(part[..., 0].mean()),
                "largest": float(np.abs(part[..., 0]).max()),
                "tied": float(part[..., 1].mean()),
            }
            entries.append(entry)
    return entries


def _cost(case: Case, penalty: Any, train: Any, test: Any) -> np.ndarray:
    """(Cs, 2): the AUC that ties cost, and the share of test rows that saturate."""
    rows = []
    for fit in fitter(penalty, "fast")(train, case.y_train, C_GRID):
        published = fit.probabilities(test)
        cost = auc(case.y_test, fit.logits(test)) - auc(case.y_test, published)
        rows.append((cost, np.mean((published == 0) | (published == 1))))
    return np.array(rows)
