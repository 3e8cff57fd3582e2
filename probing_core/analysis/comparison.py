"""What SAE probes add in a regime, setting by setting: quivers, or one probe beside another."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from probing_core.analysis.quiver import KS, SETTING, quiver
from probing_core.analysis.selection import DEFAULT_RANKING, largest_l0_saes, sae_rows
from probing_core.datasets.regimes import REGIMES
from probing_core.probes.methods import SAE_METHOD

NOT_COMPARED = "not compared"
"""What is said where no SAE probe stands beside the baselines: there is no difference, not 0."""


def lacking_side(hook: str, ks: Sequence[int] = KS, ranking: str = DEFAULT_RANKING) -> str:
    """Name what a comparison lacks, for where it cannot be made."""
    kept = " or ".join(map(str, ks))
    return f"no SAE probe with k = {kept}, ranking {ranking}, beside a baseline at {hook}"


def head_to_head(
    rows: pd.DataFrame, *, hook: str, sae_id: str | None = None, k: int = 128,
    ranking: str = DEFAULT_RANKING,
) -> pd.DataFrame:  # fmt: skip
    """Put one SAE probe beside logistic regression: same task, same setting, same seed.

    Without a ``sae_id`` it is the narrowest SAE at its largest L0, as in figure 1 of the paper.

    Returns:
        One row a setting that has both: ``dataset``, ``regime``, ``regime_value``, ``seed``,
        ``baseline``, ``sae`` (test AUC) and ``difference`` (SAE minus baseline).
    """
    here = rows[(rows["hook"] == hook) & rows["test_auc"].notna()]
    saes = [sae_id] if sae_id else largest_l0_saes(here)[:1]
    sides = here[here["method"] == "logreg"], sae_rows(here, ranking=ranking, sae_ids=saes, ks=[k])
    means = [side.groupby(list(SETTING), dropna=False)["test_auc"].mean() for side in sides]
    pair = pd.concat(means, axis=1, join="inner", keys=["baseline", "sae"])
    return pair.assign(difference=pair["sae"] - pair["baseline"]).reset_index()


def compare(
    rows: pd.DataFrame, regime: str, *, hook: str, ties: str = "neutral",
    sae_ids: Sequence[str] | None = None, ks: Sequence[int] = KS, ranking: str = DEFAULT_RANKING,
) -> pd.DataFrame:  # fmt: skip
    """Compare with and without SAE probes as the registry of regimes says, with `quiver`'s options.

    Head to head it is the first of ``sae_ids`` that the regime has, with the largest of ``ks``.
    Where it has none of them, the narrowest at its largest L0: the paper probed shifted data with
    another SAE.

    Returns:
        The columns of `quiver`. Head to head ``picked_sae`` is 1 where the SAE probe has the
        better test AUC, and ``picks`` is empty.
    """
    part = rows[rows["regime"] == regime]
    if REGIMES[regime].quiver:
        return quiver(part, hook=hook, ties=ties, sae_ids=sae_ids, ks=ks, ranking=ranking)
    sae = first_held(part, sae_ids)
    pair = head_to_head(part, hook=hook, sae_id=sae, k=max(ks), ranking=ranking)
    pair = pair.rename(columns={"baseline": "without_auc", "sae": "with_auc"})
    return pair.assign(picked_sae=(pair["difference"] > 0).astype(float), picks="")


def compared(rows: pd.DataFrame, **options: Any) -> dict[str, pd.DataFrame]:
    """Compare in every regime of the rows that has both sides, in the registry's order."""
    held = set(rows.loc[rows["method"] == SAE_METHOD, "regime"])
    found = {name: compare(rows, name, **options) for name in REGIMES if name in held}
    return {name: frame for name, frame in found.items() if len(frame)}


def rare_test_prompts(rows: pd.DataFrame) -> pd.Series:
    """Count the test prompts of the rarer class in the rows of one regime, by dataset and value.

    Classes are balanced but under class imbalance, whose value is the share of positives. The
    count is the fewest over seeds, and NaN where the rows do not say.
    """
    share = rows["regime_value"].where(rows["regime"] == "imbalance", 0.5)
    count = (np.minimum(share, 1 - share) * rows["n_test"].astype(float)).round()
    return count.groupby([rows["dataset"], rows["regime_value"]], dropna=False).min()


def first_held(rows: pd.DataFrame, sae_ids: Sequence[str] | None) -> str | None:
    """The first of some SAEs that the rows hold, or ``None`` when they hold none of them."""
    held = set(rows["sae_id"].dropna())
    return next((name for name in sae_ids or () if name in held), None)


def over_seeds(frame: pd.DataFrame) -> pd.DataFrame:
    """Average the numbers of a frame of settings over seeds: one row a task and value."""
    keys = [name for name in SETTING if name != "seed"]
    numbers = [c for c in frame.select_dtypes("number").columns if c not in SETTING]
    return frame.groupby(keys, as_index=False, dropna=False)[numbers].mean()
