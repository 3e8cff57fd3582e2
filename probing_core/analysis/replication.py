"""Does it replicate? The same comparison in two models, task by task."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from probing_core.analysis.paired import LEVEL, SEED
from probing_core.analysis.selection import baseline_rows
from probing_core.datasets.registry import family_of
from probing_core.probes.methods import SAE_METHOD

RESAMPLES = 1_999
LEAST = 4
"""Tasks, and families of them, below which no correlation is told."""


@dataclass(frozen=True)
class RankAgreement:
    """Spearman's correlation over tasks, with a 95% percentile interval over task families.

    Attributes:
        rho: in [-1, 1]; NaN with fewer than `LEAST` tasks, or where one side does not vary.
        low: lower end; NaN with fewer than `LEAST` families.
        high: upper end; NaN likewise.
        n: number of tasks.
    """

    rho: float
    low: float
    high: float
    n: int


def both_effects(
    first: Mapping[str, pd.DataFrame], second: Mapping[str, pd.DataFrame]
) -> dict[str, pd.DataFrame]:
    """What SAE probes bring in two models, by regime, on the tasks and values that both have.

    Args:
        first: settings by regime, from `analysis.comparison.compared`.
        second: those of the other model.

    Returns:
        By regime the columns ``first`` and ``second``: mean difference in test AUC, by dataset.
    """
    found = {}
    for name in [name for name in first if name in second]:
        keys = ["dataset", "regime_value"]
        sides = [
            f.groupby(keys, dropna=False)["difference"].mean() for f in (first[name], second[name])
        ]
        pair = pd.concat(sides, axis=1, join="inner", keys=["first", "second"])
        if len(pair):
            found[name] = pair.groupby("dataset").mean()
    return found


def rank_agreement(pair: pd.DataFrame) -> RankAgreement:
    """Correlate the ranks of two columns ``first`` and ``second``, indexed by dataset tag."""
    values = pair[["first", "second"]].to_numpy(dtype=float)
    families = pd.Series(pair.index).map(family_of)
    groups = [np.flatnonzero(families == family) for family in sorted(families.unique())]
    rho = _spearman(values) if len(values) >= LEAST else np.nan
    if not np.isfinite(rho) or len(groups) < LEAST:
        return RankAgreement(rho, np.nan, np.nan, len(values))
    rng = np.random.default_rng(SEED)
    draws = rng.integers(len(groups), size=(RESAMPLES, len(groups)))
    each = [_spearman(values[np.concatenate([groups[i] for i in draw])]) for draw in draws]
    tail = 50 * (1 - LEVEL)
    low, high = np.nanpercentile(each, [tail, 100 - tail])
    return RankAgreement(rho, float(low), float(high), len(values))


def by_position(rows: pd.DataFrame) -> pd.DataFrame:
    """Test AUC of one model's logistic regression: a column a position, by dataset.

    Empty where there is one position only.
    """
    table = rows.pivot_table(index="dataset", columns="position", values="test_auc").dropna()
    return table if table.shape[1] > 1 else table.iloc[:0]


def with_baselines_at(rows: pd.DataFrame, hook: str, of: str) -> pd.DataFrame:
    """Rows at a hook in which the baselines are those of another one, as in figure 18b (D.6)."""
    saes = rows[(rows["hook"] == hook) & (rows["method"] == SAE_METHOD)]
    return pd.concat([baseline_rows(rows, hook=of).assign(hook=hook), saes], ignore_index=True)


def _spearman(values: np.ndarray) -> float:
    """Spearman's correlation of two columns; NaN where one does not vary."""
    if (np.ptp(values, axis=0) == 0).any():
        return np.nan
    return float(stats.spearmanr(values[:, 0], values[:, 1]).statistic)
