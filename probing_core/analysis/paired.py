"""Paired statistics over tasks, with one interval for every mean that is shown.

Tasks that share prompts are not independent. So it is task families that the bootstrap draws, with
all their tasks, and the signed-rank test sees one mean a family. Families are looked up by the
tasks' tags here, so that nothing can draw another interval.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from probing_core.datasets.registry import family_of

RESAMPLES = 9_999
LEVEL = 0.95
SEED = 0
MARGIN = 0.005
"""Differences in AUC no larger than this count as equal, as in the paper."""


@dataclass(frozen=True)
class MeanInterval:
    """A mean over tasks with its 95% bootstrap interval over task families.

    Attributes:
        mean: arithmetic mean over tasks.
        low: lower end; NaN when a single family leaves nothing to resample.
        high: upper end; NaN likewise.
        n: number of tasks.
        families: number of families drawn.
        interval: ``BCa``, ``percentile`` (the fallback for degenerate data), ``t`` (over repeats of
            one task) or ``none``.
    """

    mean: float
    low: float
    high: float
    n: int
    families: int
    interval: str

    def text(self, digits: int = 3) -> str:
        """Write the mean and its interval, e.g. ``-0.003 [-0.007, -0.001]``."""
        mean, low, high = (signless_zero(x, digits) for x in (self.mean, self.low, self.high))
        return mean if self.interval == "none" else f"{mean} [{low}, {high}]"


@dataclass(frozen=True)
class Effect:
    """A paired difference over tasks: at one value of a regime, or over all of them.

    Attributes:
        difference: mean difference in test AUC over tasks.
        p_value: two-sided Wilcoxon signed-rank test on the means of the families; 1.0 when
            nothing differs.
        better: tasks that gain more than `MARGIN`; ``worse`` lose more, ``equal`` are the others.
        task_spread: standard deviation of the difference over tasks; NaN with one task.
        p_holm: the p value corrected over the values of a grid (Holm); NaN without a grid.
        value: the regime's number; NaN over all.
        picked_sae: share of picks that are SAE probes, in [0, 1]; NaN where nothing is picked.
        seed_spread: standard deviation of the mean difference over split seeds; NaN with one.
        n_seeds: split seeds.
    """

    difference: MeanInterval
    p_value: float
    better: int
    worse: int
    equal: int
    task_spread: float
    p_holm: float = np.nan
    value: float = np.nan
    picked_sae: float = np.nan
    seed_spread: float = np.nan
    n_seeds: int = 1


def mean_interval(values: pd.Series) -> MeanInterval:
    """Estimate a mean over tasks and its bootstrap interval over task families.

    The interval is bias-corrected and accelerated (BCa), or a percentile interval where that is
    undefined, for example when all values are equal.

    Args:
        values: one finite number a task, indexed by dataset tag.

    Raises:
        ValueError: if there is no value, one is not finite, the index holds no tags, or a task
            occurs twice: average its settings first.
    """
    totals, sizes = _family_totals(_checked(values))
    mean, n, families = float(np.sort(values).mean()), len(values), len(totals)
    if families < 2:
        return MeanInterval(mean, np.nan, np.nan, n, families, "none")
    for method in ("BCa", "percentile"):
        low, high = _bootstrap(totals, sizes, method)
        if np.isfinite(low) and np.isfinite(high):
            break
    return MeanInterval(mean, low, high, n, families, method)


def paired_effect(difference: pd.Series) -> Effect:
    """Summarise the change in test AUC of every task, indexed by dataset tag.

    Raises:
        ValueError: as `mean_interval`.
    """
    mean = mean_interval(difference)
    family = difference.groupby(family_of).mean().to_numpy()
    better, worse = int((difference > MARGIN).sum()), int((difference < -MARGIN).sum())
    return Effect(
        difference=mean,
        p_value=float(stats.wilcoxon(family).pvalue) if np.any(family) else 1.0,
        better=better,
        worse=worse,
        equal=mean.n - better - worse,
        task_spread=float(difference.std(ddof=1)),
    )


def over_repeats(values: NDArray[np.float64]) -> MeanInterval:
    """Mean of one task's repeats, (n_seeds,), with a 95% t interval; none with one repeat.

    It says how far other training rows would move it, not other tasks.
    """
    mean, n = float(values.mean()), len(values)
    if n < 2:
        return MeanInterval(mean, np.nan, np.nan, 1, 1, "none")
    half = stats.t.ppf((1 + LEVEL) / 2, n - 1) * values.std(ddof=1) / np.sqrt(n)
    return MeanInterval(mean, mean - half, mean + half, 1, 1, "t")


def signless_zero(value: float, digits: int = 3) -> str:
    """Format a number with a true minus sign, and zero without a sign."""
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")


def _checked(values: pd.Series) -> pd.Series:
    if not isinstance(values, pd.Series) or not all(isinstance(tag, str) for tag in values.index):
        raise ValueError("an interval over task families needs values indexed by dataset")
    if not len(values) or not np.isfinite(values.to_numpy(dtype=float)).all():
        raise ValueError(f"a sample has finite values, at least one; {len(values)} were given")
    if values.index.has_duplicates:
        twice = values.index[values.index.duplicated()][0]
        raise ValueError(f"task {twice!r} occurs twice in one mean: average its values first")
    return values.astype(float)


def _family_totals(sample: pd.Series) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum and size of each family, sorted: the order in which tasks arrive moves no interval."""
    family = sample.sort_values(kind="stable").groupby(family_of).agg(["sum", "size"])
    totals, sizes = family["sum"].to_numpy(), family["size"].to_numpy(dtype=np.float64)
    order = np.lexsort((totals, sizes))
    return totals[order], sizes[order]


def _bootstrap(
    totals: NDArray[np.float64], sizes: NDArray[np.float64], method: str
) -> tuple[float, float]:
    """Ends of one kind of bootstrap interval for the mean over all members of the families."""

    def mean(total: NDArray[np.float64], size: NDArray[np.float64], axis: int) -> NDArray:
        return total.sum(axis=axis) / size.sum(axis=axis)

    with warnings.catch_warnings():
        # A degenerate sample is answered by the fallback, so its warning says nothing new.
        warnings.simplefilter("ignore")
        found = stats.bootstrap(
            (totals, sizes), mean, paired=True, vectorized=True, confidence_level=LEVEL,
            n_resamples=RESAMPLES, method=method, rng=np.random.default_rng(SEED),
        ).confidence_interval  # fmt: skip
    return float(found.low), float(found.high)
