"""Fit every probe of one representation under a list of conditions; one tidy row a fit.

`train` and `test` are float32 features of all prompts of the task that trains, (n_prompts, d), and
of the one that tests, (m_prompts, d), which may be the same. A condition without a setting gives
rows without scores.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from probing_core.datasets.regimes import Setting
from probing_core.probes.evaluate import Inputs, evaluate_label_sets
from probing_core.probes.methods import PARTS, SAE_METHOD
from probing_core.probes.result import ProbeResult
from probing_core.probes.sparse import evaluate_top_k
from probing_core.profiles import Grid
from probing_core.rows import make_row
from probing_core.saes.gate import GateReport

_DENSE = Grid(methods=("logreg",))


@dataclass(frozen=True)
class Condition:
    """One setting of a task, or the reason why there is none, and the columns that name it."""

    setting: Setting | None
    columns: dict[str, Any]
    reason: str | None = None


@dataclass(frozen=True)
class Fits:
    """What is fitted under which conditions; `columns` are common to all rows.

    `labels` are those of the task that tests, (m_prompts,) int64 0/1.
    """

    grid: Grid
    conditions: Sequence[Condition]
    labels: np.ndarray
    solver: str
    columns: dict[str, Any]


def fit_baselines(train: np.ndarray, test: np.ndarray, fits: Fits) -> list[dict[str, Any]]:
    """Fit baselines on activations; conditions with the same rows share what needs no labels."""
    rows = []
    for group in _sharing_rows(fits.conditions):
        settings = [one.setting for one in group if one.setting is not None]
        if not settings:
            pairs = product(fits.grid.methods, group)
            rows += [_skipped(one, fits.columns, method=method) for method, one in pairs]
            continue
        split = settings[0].split
        shared = Inputs(train[split.train], test[split.test])
        for method in fits.grid.methods:
            results = evaluate_label_sets(
                method,
                [setting.train_labels for setting in settings],
                fits.labels[split.test],
                shared=shared,
                solver=fits.solver,
                xgboost_draws=fits.grid.xgboost_draws,
                groups=settings[0].groups,
            )
            penalty = "l2" if method == "logreg" else None
            named = fits.columns | {"method": method, "penalty": penalty}
            rows += [
                make_row(result, **named, **one.columns)
                for result, one in zip(results, group, strict=True)
            ]
    return rows


def fit_sae_probes(
    train: csr_array, test: csr_array, fits: Fits, report: GateReport
) -> list[dict[str, Any]]:
    """Fit probes on the k best latents of one SAE; all k of a ranking share their work.

    The gate report names the SAE; numbers of latents beyond its width are left out.
    """
    columns = fits.columns | sae_columns(report)
    columns |= {"method": SAE_METHOD, "binarize": False}
    usable = [k for k in fits.grid.k if k <= report.width]
    rows = []
    ways = product(fits.conditions, fits.grid.rankings, fits.grid.penalties)
    for one, ranking, penalty in ways:
        named = columns | {"ranking": ranking, "penalty": penalty}
        if one.setting is None:
            rows += [_skipped(one, named, k=k) for k in usable]
            continue
        split = one.setting.split
        results = evaluate_top_k(
            train[split.train],
            one.setting.train_labels,
            test[split.test],
            fits.labels[split.test],
            ks=usable,
            ranking=ranking,
            penalty=penalty,
            solver=fits.solver,
            groups=one.setting.groups,
        )
        rows += [make_row(result, k=k, **named, **one.columns) for k, result in results]
    return rows


def fit_parts(
    train: Sequence[np.ndarray], test: Sequence[np.ndarray], fits: Fits, report: GateReport
) -> list[dict[str, Any]]:
    """Fit logistic regression on each of `PARTS` of activations, the features in their order."""
    rows = []
    named = replace(fits, grid=_DENSE, columns=fits.columns | sae_columns(report))
    for part, *pair in zip(PARTS, train, test, strict=True):
        rows += [row | {"method": part} for row in fit_baselines(pair[0], pair[1], named)]
    return rows


def sae_columns(report: GateReport) -> dict[str, Any]:
    """The columns of a row that name an SAE."""
    return {
        "sae_id": report.sae_id,
        "sae_architecture": report.architecture,
        "sae_width": report.width,
        "sae_l0": report.l0,
        "sae_explained_variance": report.explained_variance,
    }


def _sharing_rows(conditions: Sequence[Condition]) -> Iterator[list[Condition]]:
    """Conditions with equal rows in one list each, in the order of their first."""
    groups: dict[bytes, list[Condition]] = {}
    for number, one in enumerate(conditions):
        split = one.setting.split if one.setting else None
        key = split.train.tobytes() + split.test.tobytes() if split else b"%d" % number
        groups.setdefault(key, []).append(one)
    yield from groups.values()


def _skipped(condition: Condition, columns: dict[str, Any], **named: Any) -> dict[str, Any]:
    """The row of a fit that its task cannot supply."""
    missing = float("nan")
    nothing = ProbeResult(missing, missing, missing, missing, {}, True, condition.reason, 0.0)
    return make_row(nothing, **columns, **named, **condition.columns)
