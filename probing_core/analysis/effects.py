"""What SAE probes change at every value of a regime, with intervals and corrected tests.

Seeds are averaged within a task first: a seed is no new task. How far the seeds alone move the
mean is kept beside how far tasks differ.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from probing_core.analysis.comparison import over_seeds
from probing_core.analysis.paired import MARGIN, MeanInterval, mean_interval
from probing_core.datasets.registry import family_of


@dataclass(frozen=True)
class Effect:
    """The change at one value of a regime, or over all of them.

    Attributes:
        value: the regime's number; NaN over all.
        difference: mean change in test AUC over tasks, with its interval over task families.
        p_value: two-sided Wilcoxon signed-rank test on the means of the families.
        p_holm: the same, corrected over the values of the grid (Holm).
        better: tasks that gain more than ``margin``.
        worse: tasks that lose more than ``margin``.
        equal: the others.
        picked_sae: share of picks that are SAE probes, in [0, 1].
        task_spread: standard deviation of the change over tasks.
        seed_spread: standard deviation of the mean change over split seeds; NaN with one seed.
        n_seeds: split seeds.
        margin: what counts as equal.
    """

    value: float
    difference: MeanInterval
    p_value: float
    p_holm: float
    better: int
    worse: int
    equal: int
    picked_sae: float
    task_spread: float
    seed_spread: float
    n_seeds: int
    margin: float = MARGIN


def effects(frame: pd.DataFrame, families: Mapping[str, str] | None = None) -> list[Effect]:
    """Estimate the change at every value.

    Args:
        frame: settings of one regime, from `comparison.compare`.
        families: family by task; None takes the known ones (tasks that share prompts).

    Returns:
        One effect a value, in increasing order.
    """
    parts = frame.sort_values("regime_value").groupby("regime_value", dropna=False)
    found = [_effect(float(value), part, families) for value, part in parts]
    if not found:
        return []
    corrected = multipletests([one.p_value for one in found], method="holm")[1]
    return [_with_holm(one, float(p)) for one, p in zip(found, corrected, strict=True)]


def overall(frame: pd.DataFrame, families: Mapping[str, str] | None = None) -> Effect:
    """Estimate the change over a whole regime; each task counts once.

    Args:
        frame: settings of one regime, from `comparison.compare`.
        families: family by task; None takes the known ones.

    Returns:
        The effect; its two p values agree, since it is one test.

    Raises:
        ValueError: if the frame is empty.
    """
    by_task = frame.groupby(["dataset", "seed"], as_index=False)[["difference", "picked_sae"]]
    return _effect(np.nan, by_task.mean().assign(regime="", regime_value=np.nan), families)


def _effect(value: float, part: pd.DataFrame, families: Mapping[str, str] | None) -> Effect:
    """Estimate the change over settings that hold each task and seed once."""
    tasks = over_seeds(part)
    difference = tasks["difference"].to_numpy()
    family = [families[t] if families else family_of(t) for t in tasks["dataset"]]
    by_family = tasks.groupby(np.array(family))["difference"].mean().to_numpy()
    p = float(stats.wilcoxon(by_family).pvalue) if np.any(by_family) else 1.0
    seeds = part.groupby("seed")["difference"].mean()
    better, worse = int((difference > MARGIN).sum()), int((difference < -MARGIN).sum())
    return Effect(
        value=value,
        difference=mean_interval(difference, families=family),
        p_value=p,
        p_holm=p,
        better=better,
        worse=worse,
        equal=difference.size - better - worse,
        picked_sae=float(tasks["picked_sae"].mean()),
        task_spread=float(np.std(difference, ddof=1)) if difference.size > 1 else np.nan,
        seed_spread=float(seeds.std(ddof=1)) if len(seeds) > 1 else np.nan,
        n_seeds=len(seeds),
    )


def _with_holm(effect: Effect, p_holm: float) -> Effect:
    return Effect(**{**effect.__dict__, "p_holm": p_holm})
