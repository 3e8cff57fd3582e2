"""Do better SAEs make better probes? Architectures by date, reseeds, controls (section 6).

An SAE's effect is the test AUC of its probe minus that of logistic regression on activations: same
task, same setting, same seed, mean over a regime's values.
"""

from dataclasses import dataclass
from datetime import date
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from probing_core.analysis.comparison import head_to_head
from probing_core.analysis.paired import LEVEL, MeanInterval, mean_interval
from probing_core.analysis.replication import RankAgreement, rank_agreement


@dataclass(frozen=True)
class Architecture:
    """An SAE architecture: its name on pages, and when it was proposed (paper, table 2)."""

    label: str
    proposed: date

    @property
    def year(self) -> float:
        """The date as a number of years."""
        return self.proposed.year + self.proposed.timetuple().tm_yday / 365


_TRAINED_AND_PUBLISHED = {
    ("ReLU (orig.)",): Architecture("ReLU (orig.)", date(2023, 10, 4)),
    ("relu", "ReLU (new)"): Architecture("ReLU (new)", date(2024, 4, 26)),
    ("gated", "Gated"): Architecture("Gated", date(2024, 5, 1)),
    ("topk", "TopK"): Architecture("TopK", date(2024, 6, 6)),
    ("jumprelu", "Jump ReLU"): Architecture("JumpReLU", date(2024, 7, 19)),
    ("batchtopk", "Batch TopK"): Architecture("BatchTopK", date(2024, 7, 19)),
    ("p-anneal",): Architecture("p-anneal", date(2024, 7, 31)),
    ("matryoshka", "Matryoshka"): Architecture("Matryoshka", date(2024, 12, 19)),
    ("matching_pursuit",): Architecture("matching pursuit", date(2025, 6, 3)),
    ("abstopk",): Architecture("AbsTopK", date(2025, 10, 1)),
}
ARCHITECTURES = {name: one for names, one in _TRAINED_AND_PUBLISHED.items() for name in names}
"""By what profiles call them, and the authors' tables. The last two came after the paper."""
CONTROLS = {
    "random": "random weights",
    "shuffled": "shuffled encoder",
    "pca": "PCA components",
    "directions": "random directions",
    "frozen_decoder": "frozen decoder",
    "frozen_encoder": "frozen encoder",
    "reinitialised": "model re-initialised",
}
"""Controls by name; the frozen ones are trained in part."""
QUALITIES = {
    "explained_variance": "explained variance of tokens",
    "loss_recovered": "loss recovered",
}
"""What is measured of an SAE without a probe."""
_POWER = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)


def label(architecture: str) -> str:
    """The name of an architecture on pages; its own where it is not known."""
    known = ARCHITECTURES.get(architecture)
    return known.label if known else architecture


def sae_label(one: Any) -> str:
    """Name what an SAE of the suite is: its architecture, or the control."""
    if isinstance(one.control, str):
        return CONTROLS.get(one.control, one.control)
    return label(one.architecture)


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
    probes = rows[(rows["method"] == "logreg") | (rows["penalty"] == penalty)].assign(penalty="l1")
    names = probes["sae_id"].dropna().unique()
    pairs = [
        head_to_head(probes, hook=hook, sae_id=name, k=k).assign(sae_id=name) for name in names
    ]
    keys, values = ["regime", "sae_id", "dataset"], ["sae", "baseline", "difference"]
    both = pd.concat(pairs) if pairs else pd.DataFrame(columns=[*keys, *values])
    return both.groupby(keys, as_index=False)[values].mean()


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
    """The slope over dates in one regime, from `best_of_each`.

    ``None`` below three dates, or two families of tasks.
    """
    table = best[best["architecture"].isin(ARCHITECTURES)].pivot_table(
        index="dataset", columns="architecture", values="difference"
    )
    table, x = table.dropna(), np.array([ARCHITECTURES[name].year for name in table.columns])
    if len(set(x)) < 3 or table.empty:
        return None
    x = x - x.mean()
    slope = mean_interval(pd.Series(table.to_numpy() @ x / (x @ x), table.index))
    if not np.isfinite(slope.low):
        return None
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
) -> RankAgreement:
    """Spearman's rank correlation over SAEs of a quality with the mean effect in one regime.

    The interval is a bootstrap over SAEs. Controls are left out.
    """
    known = suite.loc[suite["control"].isna(), quality].astype(float).dropna()
    means = effects.groupby("sae_id")["difference"].mean()
    return rank_agreement(pd.DataFrame({"first": known, "second": means}).dropna())
