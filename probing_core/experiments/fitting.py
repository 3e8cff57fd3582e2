"""Fit every probe of one representation under a list of conditions; one tidy row a fit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from probing_core.datasets import ProbingDataset
from probing_core.datasets.regimes import Setting
from probing_core.rows import make_row
from probing_core.probes.inputs import Inputs
from probing_core.probes.registry import evaluate_label_sets
from probing_core.probes.result import ProbeResult
from probing_core.probes.sparse import evaluate_top_k
from probing_core.profiles import Profile
from probing_core.saes.gate import GateReport


@dataclass(frozen=True)
class Condition:
    """One setting of a task, or the reason why there is none, and the columns that name it."""

    setting: Setting | None
    columns: dict[str, Any]
    reason: str | None = None

    @classmethod
    def of(cls, setting: Setting, **columns: Any) -> "Condition":
        """A setting with its sizes."""
        sizes = {"n_train": len(setting.split.train), "n_test": len(setting.split.test)}
        return cls(setting, columns | sizes)


def fit_baselines(
    activations: np.ndarray,
    dataset: ProbingDataset,
    conditions: Sequence[Condition],
    *,
    methods: Sequence[str],
    xgboost_draws: int,
    profile: Profile,
    columns: dict[str, Any],
) -> list[dict[str, Any]]:
    """Fit the baselines; conditions with the same rows share what needs no labels.

    Args:
        activations: (n_prompts, d_model) float32 of the task at one hook.
        dataset: The task.
        conditions: What to fit.
        methods: Baselines.
        xgboost_draws: Settings the boosting search tries.
        profile: Gives solver and device.
        columns: Columns common to all rows.

    Returns:
        One row a method and condition; a condition without a setting gives rows without scores.
    """
    labels = dataset.labels.astype(np.int64)
    rows = []
    for group in _sharing_rows(conditions):
        settings = [one.setting for one in group if one.setting is not None]
        if not settings:
            rows += [_skipped(one, columns, method=m) for m, one in product(methods, group)]
            continue
        split = settings[0].split
        shared = Inputs(activations[split.train], activations[split.test], profile.probe_device)
        for method in methods:
            results = evaluate_label_sets(
                method,
                [setting.train_labels for setting in settings],
                labels[split.test],
                shared=shared,
                solver=profile.solver,
                xgboost_draws=xgboost_draws,
            )
            named = columns | {"method": method, "penalty": "l2" if method == "logreg" else None}
            rows += [
                make_row(result, **named, **one.columns)
                for result, one in zip(results, group, strict=True)
            ]
    return rows


def fit_sae_probes(
    latents: csr_array,
    dataset: ProbingDataset,
    conditions: Sequence[Condition],
    *,
    ks: Sequence[int],
    rankings: Sequence[str],
    report: GateReport,
    profile: Profile,
    columns: dict[str, Any],
) -> list[dict[str, Any]]:
    """Fit L1 probes on the k best latents of one SAE; all k of a ranking share their work.

    Args:
        latents: (n_prompts, d_sae) float32 of the task.
        dataset: The task.
        conditions: What to fit.
        ks: Latents kept; those wider than the SAE are left out.
        rankings: How latents are ranked on the training rows.
        report: The SAE's gate report, which names it.
        profile: Gives solver and device.
        columns: Columns common to all rows.

    Returns:
        One row a condition, ranking and k.
    """
    labels = dataset.labels.astype(np.int64)
    columns = columns | {
        "method": "sae_logreg",
        "sae_id": report.sae_id,
        "sae_architecture": report.architecture,
        "sae_width": report.width,
        "sae_l0": report.l0,
        "sae_explained_variance": report.explained_variance,
        "penalty": "l1",
        "binarize": False,
    }
    usable = [k for k in ks if k <= report.width]
    rows = []
    for one, ranking in product(conditions, rankings):
        if one.setting is None:
            rows += [_skipped(one, columns, ranking=ranking, k=k) for k in usable]
            continue
        split = one.setting.split
        results = evaluate_top_k(
            latents[split.train],
            one.setting.train_labels,
            latents[split.test],
            labels[split.test],
            ks=usable,
            ranking=ranking,
            solver=profile.solver,
            device=profile.probe_device,
        )
        rows += [
            make_row(result, ranking=ranking, k=k, **columns, **one.columns)
            for k, result in results
        ]
    return rows


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
