"""What repeats of training prompts among the test prompts are worth, in pairs of equal training.

Rows are those of `experiments.leakage`. A cost is test AUC with repeats minus test AUC without.
"""

from dataclasses import dataclass, replace

import pandas as pd

from probing_core.analysis.comparison import compared
from probing_core.analysis.effects import overall
from probing_core.analysis.paired import Effect, MeanInterval, paired_effect
from probing_core.analysis.replication import RankAgreement, rank_agreement
from probing_core.experiments.leakage import CONTROL, SECTION, STRICT, SUITE

_PAIR = ["model", "regime", "regime_value", "dataset", "seed", "method", "sae_id", "k"]


def paired(rows: pd.DataFrame, strict: str = STRICT, section: str = SECTION) -> pd.DataFrame:
    """Every probe with its test AUC under both protocols: columns ``leaky``, ``clean``, ``cost``.

    A row is a probe, by model, regime, value, task, seed, method, SAE and k. ``n_train`` is both
    sides'.
    """
    here = rows[(rows["section"] == section) & rows["test_auc"].notna()]
    sides = [here[here["protocol"] == protocol].set_index(_PAIR) for protocol in (CONTROL, strict)]
    both = sides[0][["test_auc", "n_train"]].join(sides[1]["test_auc"].rename("clean"), how="inner")
    both = both.rename(columns={"test_auc": "leaky"}).reset_index()
    return both.assign(cost=both["leaky"] - both["clean"])


def costs(pairs: pd.DataFrame) -> dict[tuple[str, str], Effect]:
    """What repeats are worth by model and probe; a task's settings are averaged first.

    Probes are called by method, SAE probes by method and k.
    """
    suffix = pairs["k"].map(lambda k: "" if pd.isna(k) else f" {k:.0f}")
    tasks = pairs.assign(probe=pairs["method"] + suffix).groupby(["model", "probe", "dataset"])
    means = tasks["cost"].mean().groupby(["model", "probe"])
    return {
        (str(model), str(probe)): paired_effect(one.droplevel(["model", "probe"]))
        for (model, probe), one in means
    }


@dataclass(frozen=True)
class Conclusion:
    """SAE probes minus baselines in one regime, with repeats in the test, without, and the change.

    The change is the second minus the first, task by task.
    """

    leaky: MeanInterval
    clean: MeanInterval
    change: MeanInterval


def conclusions(rows: pd.DataFrame) -> dict[tuple[str, str], Conclusion]:
    """The paper's comparison under both protocols, by model and regime, on the same settings."""
    found = {}
    for model, own in rows[rows["section"] == SECTION].groupby("model", sort=False):
        how = {"hook": own["hook"].iloc[0], "ks": sorted(own["k"].dropna().astype(int).unique())}
        sides = [compared(own[own["protocol"] == one], **how) for one in (CONTROL, STRICT)]
        for regime in [name for name in sides[0] if name in sides[1]]:
            keys = ["dataset", "regime_value", "seed"]
            both = sides[0][regime].merge(sides[1][regime], on=keys, suffixes=("_leaky", "_clean"))
            if both.empty:
                continue
            moved = both["difference_clean"] - both["difference_leaky"]
            each = [both["difference_leaky"], both["difference_clean"], moved]
            found[str(model), str(regime)] = Conclusion(
                *(overall(both[keys].assign(difference=one)).difference for one in each)
            )
    return found


def sae_ranks(rows: pd.DataFrame) -> tuple[pd.DataFrame, RankAgreement]:
    """Mean test AUC of every SAE's probe under both protocols, and how their ranks agree.

    Returns:
        Columns ``first`` (with repeats) and ``second`` (without), by ``sae_id``; Spearman's
        correlation over SAEs with a bootstrap interval over them.
    """
    pairs = paired(rows, section=SUITE)
    means = pairs.groupby("sae_id")[["leaky", "clean"]].mean()
    means.columns = pd.Index(["first", "second"])
    return means, replace(rank_agreement(means), n=len(means))
