"""Do better SAEs make better probes? Architectures by date, reseeds, controls (section 6).

An SAE's effect is the test AUC of its probe minus that of logistic regression on activations: same
task, same setting, same seed, mean over a regime's values.
"""

from dataclasses import dataclass
from datetime import date
from itertools import permutations

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from probing_core.analysis.paired import LEVEL, SEED, MeanInterval, mean_interval
from probing_core.analysis.quiver import SETTING
from probing_core.analysis.selection import sae_rows


@dataclass(frozen=True)
class Architecture:
    """An SAE architecture: its name on pages, and when it was proposed (paper, table 2)."""

    label: str
    proposed: date

    @property
    def year(self) -> float:
        """The date as a number of years."""
        return self.proposed.year + self.proposed.timetuple().tm_yday / 365


_RELU = Architecture("ReLU (new)", date(2024, 4, 26))
_GATED = Architecture("Gated", date(2024, 5, 1))
_TOPK = Architecture("TopK", date(2024, 6, 6))
_JUMPRELU = Architecture("JumpReLU", date(2024, 7, 19))
_BATCHTOPK = Architecture("BatchTopK", date(2024, 7, 19))
_MATRYOSHKA = Architecture("Matryoshka", date(2024, 12, 19))
ARCHITECTURES = {
    "ReLU (orig.)": Architecture("ReLU (orig.)", date(2023, 10, 4)),
    "relu": _RELU,
    "ReLU (new)": _RELU,
    "gated": _GATED,
    "Gated": _GATED,
    "topk": _TOPK,
    "TopK": _TOPK,
    "jumprelu": _JUMPRELU,
    "Jump ReLU": _JUMPRELU,
    "batchtopk": _BATCHTOPK,
    "Batch TopK": _BATCHTOPK,
    "p-anneal": Architecture("p-anneal", date(2024, 7, 31)),
    "matryoshka": _MATRYOSHKA,
    "Matryoshka": _MATRYOSHKA,
    "matching_pursuit": Architecture("matching pursuit", date(2025, 6, 3)),
    "abstopk": Architecture("AbsTopK", date(2025, 10, 1)),
}
"""By what profiles call them, and the authors' tables. The last two came after the paper."""
_POWER = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)


@dataclass(frozen=True)
class Trend:
    """Change of an SAE probe's AUC with the year its architecture was proposed.

    Attributes:
        slope: AUC a year, the mean over tasks of each task's own slope.
        detectable: Slope that would be found in four of five such studies, at 5 %.
        architectures: How many it rests on.
    """

    slope: MeanInterval
    detectable: float
    architectures: int


def effects_by_sae(rows: pd.DataFrame, *, hook: str, k: int, penalty: str = "l1") -> pd.DataFrame:
    """What every SAE's probe brings on every task, a row each.

    Returns:
        Columns ``regime``, ``sae_id``, ``dataset``, ``sae`` and ``baseline`` (test AUC) and
        ``difference``.
    """
    here = rows[rows["test_auc"].notna() & (rows["hook"] == hook)]
    dense = here[here["method"] == "logreg"].groupby(list(SETTING), dropna=False)["test_auc"]
    probes = here.assign(penalty="l1")[here["penalty"] == penalty]
    sparse = sae_rows(probes, ks=[k]).groupby(["sae_id", *SETTING], dropna=False)["test_auc"]
    both = sparse.mean().rename("sae").reset_index()
    both = both.merge(dense.mean().rename("baseline").reset_index(), on=list(SETTING))
    means = both.groupby(["regime", "sae_id", "dataset"], as_index=False)[["sae", "baseline"]]
    return means.mean().assign(difference=lambda one: one["sae"] - one["baseline"])


def best_of_each(effects: pd.DataFrame, suite: pd.DataFrame) -> pd.DataFrame:
    """Effects of one SAE an architecture and regime: at the L0 with the best mean over tasks.

    Controls and further seeds are left out. The choice looks at test AUCs, as the paper's does,
    alike for every architecture.

    Args:
        effects: From `effects_by_sae`.
        suite: By ``sae_id``, with columns ``architecture``, ``control`` and ``reseed``.
    """
    plain = suite[suite["control"].isna() & ~suite["reseed"]]
    own = effects.join(plain[["architecture"]], on="sae_id", how="inner")
    means = own.groupby(["regime", "architecture", "sae_id"])["difference"].mean().reset_index()
    best = means.loc[means.groupby(["regime", "architecture"])["difference"].idxmax()]
    return own.merge(best[["regime", "sae_id"]], on=["regime", "sae_id"])


def trend(best: pd.DataFrame) -> Trend | None:
    """The slope over dates in one regime, from `best_of_each`; ``None`` below three dates."""
    table = best[best["architecture"].isin(ARCHITECTURES)].pivot_table(
        index="dataset", columns="architecture", values="difference"
    )
    table, x = table.dropna(), np.array([ARCHITECTURES[name].year for name in table.columns])
    if len(set(x)) < 3 or table.empty:
        return None
    x = x - x.mean()
    slope = mean_interval(pd.Series(table.to_numpy() @ x / (x @ x), table.index))
    error = (slope.high - slope.low) / (2 * stats.norm.ppf((1 + LEVEL) / 2))
    return Trend(slope, float(_POWER * error), len(x))


def reseed_floor(effects: pd.DataFrame, suite: pd.DataFrame) -> pd.Series:
    """The largest difference in mean AUC between SAEs that differ in their seed alone, by regime.

    Differences below it are not differences between architectures. Empty without reseeds.
    """
    same = suite[suite["control"].isna()].groupby(["architecture", "width", "l0_asked"])
    groups = [list(names) for names in same.groups.values() if len(names) > 1]
    means = effects.groupby(["regime", "sae_id"])["difference"].mean().unstack("regime")
    spans = [np.ptp(means[means.index.isin(names)], axis=0) for names in groups]
    return pd.DataFrame(spans, columns=means.columns).max().dropna()


def win_table(
    effects: pd.DataFrame, suite: pd.DataFrame, regime: str, published: pd.DataFrame
) -> pd.DataFrame:
    """Win rates in a regime: of these effects, or published ones where there are none.

    Returns:
        The columns of `win_rates`.
    """
    best = best_of_each(effects, suite)
    best = best[best["regime"] == regime]
    return win_rates(best) if best["architecture"].nunique() > 1 else with_intervals(published)


def win_rates(best: pd.DataFrame) -> pd.DataFrame:
    """Share of tasks on which one architecture's probe beats another's, in one regime.

    Returns:
        Columns ``first``, ``second``, ``share`` (a tie is half a win), ``low``, ``high`` (Wilson's
        95 % interval over tasks) and ``n``, a row an ordered pair.
    """
    table = best.pivot_table(index="dataset", columns="architecture", values="sae")
    rows = []
    for first, second in permutations(table.columns, 2):
        pair = table[[first, second]].dropna()
        wins = float((pair[first] > pair[second]).sum() + (pair[first] == pair[second]).sum() / 2)
        rows.append((first, second, wins, len(pair)))
    return with_intervals(pd.DataFrame(rows, columns=["first", "second", "wins", "n"]))


def with_intervals(pairs: pd.DataFrame) -> pd.DataFrame:
    """Pairs with ``wins`` of ``n`` tasks, and the share and Wilson's interval of each."""
    low, high = proportion_confint(
        pairs["wins"].to_numpy(float), pairs["n"].to_numpy(float), method="wilson"
    )
    return pairs.assign(share=pairs["wins"] / pairs["n"], low=low, high=high)


def quality_correlation(
    effects: pd.DataFrame, suite: pd.DataFrame, quality: str = "explained_variance"
) -> tuple[float, float, float, int]:
    """Spearman's rank correlation over SAEs of a quality with the mean effect in one regime.

    Returns:
        The correlation, the ends of a 95 % bootstrap interval over SAEs, and their number; NaN
        with fewer than four SAEs. Controls are left out.
    """
    means = effects.groupby("sae_id")["difference"].mean()
    known = suite.loc[suite["control"].isna(), quality].astype(float).dropna()
    pair = pd.concat([known, means], axis=1, join="inner").to_numpy()
    if len(pair) < 4 or (np.ptp(pair, axis=0) == 0).any():
        return np.nan, np.nan, np.nan, len(pair)

    def rho(x: np.ndarray, y: np.ndarray) -> float:
        return float(stats.spearmanr(x, y).statistic) if np.ptp(x) and np.ptp(y) else 0.0

    found = stats.bootstrap(
        (pair[:, 0], pair[:, 1]), rho, paired=True, vectorized=False, n_resamples=999,
        method="percentile", rng=np.random.default_rng(SEED),
    ).confidence_interval  # fmt: skip
    return rho(pair[:, 0], pair[:, 1]), float(found.low), float(found.high), len(pair)
