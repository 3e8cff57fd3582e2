"""Paired statistics over tasks: two probes are compared on the same tasks.

Intervals come from the bootstrap. Some tasks share prompts, so that they are not independent: given
their families it is the families that are drawn, with all their tasks. Without families tasks
count as independent, and intervals are a little too narrow.
"""

import logging
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

RESAMPLES = 9_999
MARGIN = 0.005

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MeanInterval:
    """A mean over tasks with its bootstrap interval.

    Attributes:
        mean: arithmetic mean.
        low: lower end; NaN when a single value leaves nothing to resample.
        high: upper end; NaN likewise.
        n: number of values.
        interval: ``BCa``, ``percentile`` (the fallback for degenerate data) or ``none``.
        level: coverage of the interval, a fraction in (0, 1).
        families: number of families drawn; None where single tasks were.
    """

    mean: float
    low: float
    high: float
    n: int
    interval: str
    level: float = 0.95
    families: int | None = None

    def text(self, digits: int = 3) -> str:
        """Write the mean and its interval, e.g. ``-0.003 [-0.007, -0.001]``."""
        if self.interval == "none":
            return signless_zero(self.mean, digits)
        ends = ", ".join(signless_zero(end, digits) for end in (self.low, self.high))
        return f"{signless_zero(self.mean, digits)} [{ends}]"


@dataclass(frozen=True)
class PairedDifference:
    """The difference of two paired samples, first minus second.

    Attributes:
        difference: mean difference with its interval.
        p_value: two-sided Wilcoxon signed-rank p; 1.0 when every difference is zero.
        better: pairs where the first exceeds the second by more than ``margin``.
        worse: pairs where it falls short by more than ``margin``.
        equal: pairs within the margin.
        margin: what counts as equal, in the unit of the samples.
    """

    difference: MeanInterval
    p_value: float
    better: int
    worse: int
    equal: int
    margin: float

    @property
    def n(self) -> int:
        """Number of pairs."""
        return self.difference.n


def mean_interval(
    values: ArrayLike,
    *,
    families: ArrayLike | None = None,
    seed: int = 0,
    level: float = 0.95,
) -> MeanInterval:
    """Estimate a mean and its bootstrap interval.

    Args:
        values: sample of shape (n,); NaN is not allowed.
        families: (n,) names; values of one family are drawn together.
        seed: seed of the resampling.
        level: coverage of the interval, a fraction in (0, 1).

    Returns:
        The mean with a bias-corrected and accelerated (BCa) interval, or with a percentile
        interval when BCa is undefined (for example when all values are equal).

    Raises:
        ValueError: if there is no value, or one is not finite.
    """
    sample = _sample(values)
    mean = float(np.sort(sample).mean())
    totals, sizes = _family_totals(sample, families)
    count = None if families is None else totals.size
    if totals.size < 2:
        return MeanInterval(mean, np.nan, np.nan, sample.size, "none", level, count)
    for method in ("BCa", "percentile"):
        low, high = _bootstrap(totals, sizes, method, seed, level)
        if np.isfinite(low) and np.isfinite(high):
            return MeanInterval(mean, low, high, sample.size, method, level, count)
        logger.debug("BCa interval is undefined for this sample; percentile is used instead")
    raise ValueError("no bootstrap interval exists for this sample")


def paired_difference(
    first: ArrayLike,
    second: ArrayLike,
    *,
    margin: float = MARGIN,
    seed: int = 0,
    level: float = 0.95,
) -> PairedDifference:
    """Compare two samples measured on the same tasks.

    Args:
        first: sample of shape (n,).
        second: sample of shape (n,), in the same task order.
        margin: differences no larger than this count as equal (the paper uses 0.005 in AUC).
        seed: seed of the resampling.
        level: coverage of the interval, a fraction in (0, 1).

    Returns:
        Mean difference with interval, Wilcoxon p and counts.

    Raises:
        ValueError: if the shapes differ, or a value is missing or not finite.
    """
    ours, theirs = _sample(first), _sample(second)
    if ours.shape != theirs.shape:
        raise ValueError(f"paired samples differ in shape: {ours.shape} and {theirs.shape}")
    difference = ours - theirs
    better = int((difference > margin).sum())
    worse = int((difference < -margin).sum())
    return PairedDifference(
        difference=mean_interval(difference, seed=seed, level=level),
        p_value=_wilcoxon(difference),
        better=better,
        worse=worse,
        equal=difference.size - better - worse,
        margin=margin,
    )


def signless_zero(value: float, digits: int = 3) -> str:
    """Format a number with a true minus sign, and zero without a sign."""
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        return text.lstrip("-")
    return text.replace("-", "\N{MINUS SIGN}")


def _sample(values: ArrayLike) -> NDArray[np.float64]:
    """Check a sample and return it as float64 of shape (n,)."""
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or sample.size == 0:
        raise ValueError(f"a sample has shape (n,) with n > 0, not {sample.shape}")
    if not np.isfinite(sample).all():
        raise ValueError(f"{int((~np.isfinite(sample)).sum())} of {sample.size} values are NaN")
    return sample


def _family_totals(
    sample: NDArray[np.float64], families: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum and size of each family, each value its own without families.

    Sorted, so that the order in which tasks arrive cannot move the interval.
    """
    if families is None:
        return np.sort(sample), np.ones(sample.size)
    names = np.asarray(families)
    if names.shape != sample.shape:
        raise ValueError(f"{sample.size} values and families of shape {names.shape}")
    by_value = np.argsort(sample, kind="stable")
    sample, names = sample[by_value], names[by_value]
    number = np.unique(names, return_inverse=True)[1]
    totals = np.bincount(number, weights=sample).astype(np.float64)
    sizes = np.bincount(number).astype(np.float64)
    order = np.lexsort((totals, sizes))
    return totals[order], sizes[order]


def _bootstrap(
    totals: NDArray[np.float64], sizes: NDArray[np.float64], method: str, seed: int, level: float
) -> tuple[float, float]:
    """Return the ends of one kind of bootstrap interval for the mean over all members."""

    def mean(total: NDArray[np.float64], size: NDArray[np.float64], axis: int) -> NDArray:
        return total.sum(axis=axis) / size.sum(axis=axis)

    with warnings.catch_warnings():
        # A degenerate sample is answered by the fallback, so its warning says nothing new.
        warnings.simplefilter("ignore", category=stats.DegenerateDataWarning)
        warnings.simplefilter("ignore", category=RuntimeWarning)
        found = stats.bootstrap(
            (totals, sizes),
            mean,
            paired=True,
            vectorized=True,
            confidence_level=level,
            n_resamples=RESAMPLES,
            method=method,
            rng=np.random.default_rng(seed),
        ).confidence_interval
    return float(found.low), float(found.high)


def _wilcoxon(difference: NDArray[np.float64]) -> float:
    """Return the two-sided signed-rank p value; 1.0 when nothing differs."""
    if not np.any(difference):
        return 1.0
    return float(stats.wilcoxon(difference).pvalue)
