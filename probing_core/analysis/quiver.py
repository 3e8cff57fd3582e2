"""The quiver of arrows: choose a probe by validation AUC, report its test AUC.

The paper (section 2.4, appendix C.4) compares two quivers per dataset and setting: the
baselines alone, and the baselines with SAE probes added. What happens when several arrows
share the best validation AUC decides small-sample results, so the rule is a keyword here.
"""

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd

from probing_core.analysis.selection import (
    BASELINES,
    DEFAULT_RANKING,
    baseline_rows,
    largest_l0_saes,
    sae_rows,
)
from probing_core.errors import UserError, nearest

TIES = ("neutral", "baseline", "sae_narrow_large_k", "as_published")
SIDES = ("baselines", "saes", "both")
SETTING = ("dataset", "regime", "regime_value", "seed")
VAL_DECIMALS = 9

logger = logging.getLogger(__name__)


def arrows(
    rows: pd.DataFrame,
    *,
    hook: str,
    sae_ids: Sequence[str] | None = None,
    ks: Sequence[int] = (16, 128),
    ranking: str = DEFAULT_RANKING,
) -> pd.DataFrame:
    """Collect the probes that compete in the quiver.

    Args:
        rows: tidy result rows of one model, protocol and solver.
        hook: hook whose activations all arrows read.
        sae_ids: SAEs that take part; None takes one per width at its largest L0, the paper's
            choice. An empty list leaves the baselines alone.
        ks: latents an SAE probe keeps.
        ranking: how the latents were ranked.

    Returns:
        The chosen rows with three more columns: ``arrow`` (its name), ``is_sae`` (bool) and
        ``place`` (position in the listed order: baselines, then SAEs as given, then k). Rows
        without a validation or test AUC are left out.

    Raises:
        ValueError: if an arrow occurs twice in one setting.
    """
    here = rows[rows["hook"] == hook]
    saes = largest_l0_saes(here) if sae_ids is None else list(sae_ids)
    baseline = baseline_rows(here).assign(is_sae=False)
    baseline = baseline.assign(
        arrow=baseline["method"], place=baseline["method"].map(BASELINES.index)
    )
    sae = sae_rows(here, ranking=ranking, sae_ids=saes, ks=ks).assign(is_sae=True)
    place = [
        len(BASELINES) + saes.index(sae_id) * len(ks) + list(ks).index(k)
        for sae_id, k in zip(sae["sae_id"], sae["k"], strict=True)
    ]
    names = [f"{sae_id}, k={k}" for sae_id, k in zip(sae["sae_id"], sae["k"], strict=True)]
    sae = sae.assign(arrow=names, place=place)
    both = pd.concat([part for part in (baseline, sae) if len(part)] or [baseline])
    valid = both[both["val_auc"].notna() & both["test_auc"].notna()]
    if len(valid) < len(both):
        logger.info("quiver: %d arrows without an AUC are left out", len(both) - len(valid))
    twice = valid[valid.duplicated([*SETTING, "arrow"])]
    if len(twice):
        first = twice.iloc[0]
        raise ValueError(
            f"arrow {first['arrow']!r} occurs twice for {first['dataset']!r}: "
            "give rows of one model, protocol and solver"
        )
    return valid


def quiver(
    rows: pd.DataFrame,
    *,
    hook: str,
    ties: str = "neutral",
    sae_ids: Sequence[str] | None = None,
    ks: Sequence[int] = (16, 128),
    ranking: str = DEFAULT_RANKING,
    decimals: int | None = VAL_DECIMALS,
) -> pd.DataFrame:
    """Compare the quiver with and without SAE probes, per dataset and setting.

    Args:
        rows: tidy result rows of one model, protocol and solver.
        hook: hook whose activations all arrows read.
        ties: what to do when arrows share the best validation AUC.
            ``neutral`` averages the test AUC of all of them: the expected value of a random
            pick. ``baseline`` prefers baselines, in listed order, and takes the SAE probe whose
            row comes first where only SAE probes are tied (figure 4 of the paper).
            ``sae_narrow_large_k`` prefers SAE probes, then the narrower SAE, then the larger k
            (the rule of appendix E.1), and the first listed among baselines. ``as_published``
            does what the code behind figure 6 does: one unstable sort of all rows, SAE probes
            first, on unrounded validation AUCs. Its picks depend on the order of the rows.
        sae_ids: SAEs that take part; None takes one per width at its largest L0.
        ks: latents an SAE probe keeps.
        ranking: how the latents were ranked.
        decimals: places validation AUCs are rounded to before they are compared, because
            equal AUCs can differ in the last bit; None compares them as they are.

    Returns:
        One row per setting: ``dataset``, ``regime``, ``regime_value``, ``seed``,
        ``without_auc``, ``with_auc``, ``difference`` (with minus without), ``picked_sae`` (share
        of the pick that is an SAE probe: 0 or 1 unless ties are neutral) and ``picks`` (names
        of the picked arrows, joined by `` | ``). Settings without a baseline are left out, and
        where SAE probes take part at all, settings without one: nothing is compared there.

    Raises:
        UserError: if ``ties`` is no known rule.
    """
    pool = arrows(rows, hook=hook, sae_ids=sae_ids, ks=ks, ranking=ranking)
    keys = list(SETTING)
    probed = pool.groupby(keys, dropna=False)["is_sae"].transform("any")
    if probed.any() and not probed.all():
        logger.info("quiver: %d arrows stand where no SAE probe does", int((~probed).sum()))
        pool = pool[probed]
    without = pick(pool, "baselines", ties, decimals).set_index(keys)
    with_sae = pick(pool, "both", ties, decimals).set_index(keys)
    lost = len(with_sae) - len(without)
    if lost:
        logger.info("quiver: %d settings have no baseline and are left out", lost)
    result = without[["auc"]].rename(columns={"auc": "without_auc"})
    result = result.join(with_sae.rename(columns={"auc": "with_auc"}), how="left")
    result["difference"] = result["with_auc"] - result["without_auc"]
    columns = ["without_auc", "with_auc", "difference", "picked_sae", "picks"]
    return result[columns].reset_index()


def pick(
    pool: pd.DataFrame, side: str, ties: str = "neutral", decimals: int | None = VAL_DECIMALS
) -> pd.DataFrame:
    """Choose an arrow per setting by validation AUC.

    Args:
        pool: from `arrows`.
        side: which arrows may be chosen: ``baselines``, ``saes`` or ``both``.
        ties: as in `quiver`.
        decimals: as in `quiver`.

    Returns:
        Columns ``dataset``, ``regime``, ``regime_value``, ``seed``, ``auc`` (test), ``picked_sae``
        and ``picks``.

    Raises:
        UserError: if ``side`` or ``ties`` is unknown.
    """
    for value, known, name in ((ties, TIES, "ties"), (side, SIDES, "side")):
        if value not in known:
            raise UserError(f"unknown {name} '{value}'. {nearest(value, known)}")
    if side != "both":
        pool = pool[pool["is_sae"] == (side == "saes")]
    return _choose(pool, ties, decimals)


def picked_by_task(
    rows: pd.DataFrame,
    *,
    hook: str,
    side: str,
    ties: str = "neutral",
    sae_ids: Sequence[str] | None = None,
) -> pd.Series:
    """Test AUC of the pick of every task, by the quiver's own rule.

    Args:
        rows: tidy result rows of one model, protocol and solver, of one regime and value.
        hook: hook whose activations all arrows read.
        side: which arrows may be chosen: ``baselines``, ``saes`` or ``both``.
        ties: as in `quiver`.
        sae_ids: as in `quiver`.

    Returns:
        Test AUC in [0, 1], averaged over seeds, indexed by dataset tag.

    Raises:
        UserError: if ``side`` or ``ties`` is unknown.
    """
    picks = pick(arrows(rows, hook=hook, sae_ids=sae_ids), side, ties)
    return picks.groupby("dataset")["auc"].mean().astype(float)


def _choose(pool: pd.DataFrame, ties: str, decimals: int | None) -> pd.DataFrame:
    """Pick per setting; columns SETTING, ``auc``, ``picked_sae``, ``picks``."""
    keys = list(SETTING)
    columns = [*keys, "auc", "picked_sae", "picks"]
    if pool.empty:
        return pd.DataFrame(columns=columns)
    if ties == "as_published":
        # Quicksort on one column leaves equal keys in an order of its own.
        mixed = pool.reset_index(drop=True).sort_values("is_sae", ascending=False)
        tied = mixed.loc[mixed.groupby(keys, dropna=False)["val_auc"].idxmax()]
    else:
        val = pool["val_auc"] if decimals is None else pool["val_auc"].round(decimals)
        listed = pool["place"].where(~pool["is_sae"], np.arange(len(pool)))
        pool = pool.assign(val=val, listed=listed).sort_values("place", kind="stable")
        best = pool.groupby(keys, dropna=False)["val"].transform("max")
        tied = pool[pool["val"] == best]
    if ties in ("baseline", "sae_narrow_large_k"):
        tied = _prefer(tied, ties).drop_duplicates(keys)
    return tied.groupby(keys, as_index=False, dropna=False).agg(
        auc=("test_auc", "mean"), picked_sae=("is_sae", "mean"), picks=("arrow", " | ".join)
    )[columns]


def _prefer(tied: pd.DataFrame, ties: str) -> pd.DataFrame:
    """Sort tied arrows so that the preferred one comes first in its setting."""
    if ties == "baseline":
        return tied.sort_values(["is_sae", "listed"], kind="stable")
    width = tied["sae_width"].astype("Float64").fillna(np.inf).astype(float)
    k = tied["k"].astype("Float64").fillna(0).astype(float)
    order = tied.assign(baseline=~tied["is_sae"], width=width, fewer=-k)
    return order.sort_values(["baseline", "width", "fewer", "place"], kind="stable")
