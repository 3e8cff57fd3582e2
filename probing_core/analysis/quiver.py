"""The quiver of arrows: choose a probe by validation AUC, report its test AUC.

The paper (section 2.4, appendix C.4) compares two quivers per dataset and setting: the baselines
alone, and with SAE probes added. The rule for ties decides small-sample results.
"""

from collections.abc import Sequence
from typing import Any

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
"""Rules for arrows that share the best validation AUC. ``neutral`` averages their test AUCs: what
a random pick gives. ``baseline`` prefers baselines in listed order, then the SAE probe whose row
comes first (figure 4). ``sae_narrow_large_k`` prefers SAE probes, then the narrower SAE, then the
larger k (appendix E.1). ``as_published`` does as the code behind figure 6: one unstable sort of all
rows, SAE probes first, on unrounded AUCs; its picks depend on the order of the rows."""
SIDES = ("baselines", "saes", "both")
SETTING = ("dataset", "regime", "regime_value", "seed")
KS = (16, 128)
"""Latents that competing SAE probes keep, as in the paper."""
VAL_DECIMALS = 9


def arrows(
    rows: pd.DataFrame, *, hook: str, sae_ids: Sequence[str] | None = None,
    ks: Sequence[int] = KS, ranking: str = DEFAULT_RANKING,
) -> pd.DataFrame:  # fmt: skip
    """Collect the probes that compete in the quiver.

    Args:
        rows: tidy result rows of one model, protocol and solver.
        hook: hook whose activations all arrows read.
        sae_ids: SAEs that take part; None takes one per width at its largest L0, the paper's
            choice. An empty list leaves the baselines alone.
        ks: latents an SAE probe keeps.
        ranking: how the latents were ranked.

    Returns:
        The chosen rows with ``arrow`` (its name), ``is_sae`` (bool) and ``place`` (in the listed
        order: baselines, then SAEs as given, then k); those without an AUC are left out.

    Raises:
        ValueError: if an arrow occurs twice in one setting.
    """
    here = rows[(rows["hook"] == hook) & rows["val_auc"].notna() & rows["test_auc"].notna()]
    saes = largest_l0_saes(rows[rows["hook"] == hook]) if sae_ids is None else list(sae_ids)
    plain = baseline_rows(here)
    plain = plain.assign(
        arrow=plain["method"], is_sae=False, place=plain["method"].map(BASELINES.index)
    )
    sparse = sae_rows(here, ranking=ranking, sae_ids=saes, ks=ks)
    each = [(sae, int(k)) for sae, k in zip(sparse["sae_id"], sparse["k"], strict=True)]
    sparse = sparse.assign(
        arrow=[f"{sae}, k={k}" for sae, k in each],
        is_sae=True,
        place=[len(BASELINES) + saes.index(sae) * len(ks) + list(ks).index(k) for sae, k in each],
    )
    pool = pd.concat([part for part in (plain, sparse) if len(part)] or [plain])
    twice = pool[pool.duplicated([*SETTING, "arrow"])]
    if len(twice):
        arrow, dataset = twice.iloc[0][["arrow", "dataset"]]
        raise ValueError(
            f"arrow {arrow!r} occurs twice for {dataset!r}: "
            "give rows of one model, protocol and solver"
        )
    return pool


def quiver(
    rows: pd.DataFrame, *, ties: str = "neutral", decimals: int | None = VAL_DECIMALS,
    **options: Any,
) -> pd.DataFrame:  # fmt: skip
    """Compare the quiver with and without SAE probes, per dataset and setting.

    Args:
        rows: tidy result rows of one model, protocol and solver.
        ties: rule where arrows share the best validation AUC, see `TIES`.
        decimals: places validation AUCs are rounded to before they are compared, because
            equal AUCs can differ in the last bit; None compares them as they are.
        options: as in `arrows`: ``hook``, ``sae_ids``, ``ks`` and ``ranking``.

    Returns:
        Columns of `SETTING`, ``without_auc``, ``with_auc``, ``difference`` (with minus without),
        ``picked_sae`` (share of the pick that is an SAE probe) and ``picks`` (names of the picked
    X
    Raises:
        UserError: if ``ties`` is no known rule.
    """
    pool = arrows(rows, **options)
    keys = list(SETTING)
    pool = pool[pool.groupby(keys, dropna=False)["is_sae"].transform("any").astype(bool)]
    without = pick(pool, "baselines", ties, decimals).set_index(keys)["auc"]
    chosen = pick(pool, "both", ties, decimals).set_index(keys).rename(columns={"auc": "with_auc"})
    result = chosen.join(without.rename("without_auc"), how="inner")
    return result.assign(difference=result["with_auc"] - result["without_auc"]).reset_index()


def picked_by_task(
    rows: pd.DataFrame, *, side: str, ties: str = "neutral", **options: Any
) -> pd.Series:
    """Test AUC of every task's pick from one side (see `pick`), by dataset tag."""
    picks = pick(arrows(rows, **options), side, ties)
    return picks.groupby("dataset")["auc"].mean().astype(float)


def pick(
    pool: pd.DataFrame, side: str, ties: str = "neutral", decimals: int | None = VAL_DECIMALS
) -> pd.DataFrame:
    """Choose an arrow of one side per setting by validation AUC, in a pool from `arrows`.

    Returns:
        Columns of `SETTING`, ``auc`` (test), and ``picked_sae`` and ``picks`` as in `quiver`.

    Raises:
        UserError: if ``side`` or ``ties`` is unknown.
    """
    for value, known, name in ((ties, TIES, "ties"), (side, SIDES, "side")):
        if value not in known:
            raise UserError(f"unknown {name} '{value}'. {nearest(value, known)}")
    if side != "both":
        pool = pool[pool["is_sae"] == (side == "saes")]
    keys = list(SETTING)
    columns = [*keys, "auc", "picked_sae", "picks"]
    if pool.empty:
        numbers = dict.fromkeys(["regime_value", "seed", "auc", "picked_sae"], float)
        return pd.DataFrame(columns=columns).astype(numbers)
    tied = _literal(pool) if ties == "as_published" else _best(pool, decimals)
    if ties in ("baseline", "sae_narrow_large_k"):
        tied = _prefer(tied, ties).drop_duplicates(keys)
    return tied.groupby(keys, as_index=False, dropna=False).agg(
        auc=("test_auc", "mean"), picked_sae=("is_sae", "mean"), picks=("arrow", " | ".join)
    )[columns]


def arrow_shares(frame: pd.DataFrame) -> pd.DataFrame:
    """Split picks of `quiver` among their SAE probes: ``sae_id``, ``k``, ``share`` (sums to 1)."""
    names = frame["picks"].str.split(" | ", regex=False)
    single = frame.assign(arrow=names, weight=1.0 / names.str.len()).explode("arrow")
    parts = single["arrow"].str.extract(r"^(?P<sae_id>.*), k=(?P<k>\d+)$")
    table = parts.assign(share=single["weight"]).dropna().astype({"k": int})
    table = table.groupby(["sae_id", "k"], as_index=False)["share"].sum()
    return table.assign(share=table["share"] / table["share"].sum())


def _literal(pool: pd.DataFrame) -> pd.DataFrame:
    """Quicksort on one column leaves equal keys in an order of its own."""
    mixed = pool.reset_index(drop=True).sort_values("is_sae", ascending=False)
    return mixed.loc[mixed.groupby(list(SETTING), dropna=False)["val_auc"].idxmax()]


def _best(pool: pd.DataFrame, decimals: int | None) -> pd.DataFrame:
    """Keep the arrows that share a setting's best validation AUC, in listed order."""
    val = pool["val_auc"] if decimals is None else pool["val_auc"].round(decimals)
    listed = pool["place"].where(~pool["is_sae"], np.arange(len(pool)))
    pool = pool.assign(val=val, listed=listed).sort_values("place", kind="stable")
    return pool[pool["val"] == pool.groupby(list(SETTING), dropna=False)["val"].transform("max")]


def _prefer(tied: pd.DataFrame, ties: str) -> pd.DataFrame:
    """Sort tied arrows so that the preferred one comes first in its setting."""
    if ties == "baseline":
        return tied.sort_values(["is_sae", "listed"], kind="stable")
    order = tied.assign(baseline=~tied["is_sae"], fewer=-tied["k"])
    return order.sort_values(["baseline", "sae_width", "fewer", "place"], kind="stable")
