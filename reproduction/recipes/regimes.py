"""Numbers of the hard regimes: figures 5, 6, 16, 17 and 19."""

from typing import Any

import numpy as np
import pandas as pd

from probing_core.published.layout import GEMMA
from reproduction.recipes.tables import (
    QUIVER_K,
    QUIVER_SAES,
    Tables,
    baseline_picks,
)

EXAMPLES = ("26_headline_isfrontpage", "36_sciq_tf", "114_nyc_borough_Manhattan")


def quivers_by_value(
    tables: Tables, regime: str, ranking: str, rule: str, model: str = GEMMA
) -> dict[str, Any]:
    """What SAE probes add to the quiver at every value of a regime (figures 6, 17a, b, 19)."""
    found = tables.picks(model, regime, ranking, rule)
    change = found["difference"]
    said: dict[str, Any] = {
        "delta": _by_value(found, "difference"),
        "overall_mean_delta": change.mean(),
        "n_rows": len(found),
    }
    if rule == "neutral_ties":
        only = baseline_picks(tables, model, regime, ranking, rule)
        return said | {
            "paired_ci95_halfwidth": paired_half_width(found).to_dict(),
            "mean_without": found["without_auc"].mean(),
            "mean_with": found["with_auc"].mean(),
            "mean_ties_without": _tied(only).mean(),
            "mean_ties_with": _tied(found["picks"]).mean(),
            "mean_sae_share_of_ties": found["picked_sae"].mean(),
        }
    counts = found.groupby("regime_value")["picked_sae"].sum()
    chosen = found.loc[found["picked_sae"].eq(1), "picks"]
    return said | {
        "ci95_halfwidth": unpaired_half_width(found).to_dict(),
        "mean_without": _by_value(found, "without_auc"),
        "mean_with": _by_value(found, "with_auc"),
        "overall_mean_without": found["without_auc"].mean(),
        "overall_mean_with": found["with_auc"].mean(),
        "pct_rows_sae_chosen": 100 * found["picked_sae"].mean(),
        "sae_chosen_count": counts.astype(int).to_dict(),
        "share_of_sae_choices_by_k": {k: chosen.str.endswith(f"k={k}").mean() for k in QUIVER_K},
        "fraction_rows_delta_lt0": (change < 0).mean(),
        "fraction_rows_delta_gt0": (change > 0).mean(),
    }


def noise_by_value(tables: Tables, ranking: str, model: str = GEMMA) -> dict[str, Any]:
    """One SAE probe beside logistic regression under label noise (figures 6 and 19, right)."""
    found = tables.compared(model, ranking)
    return {
        "delta": _by_value(found, "difference"),
        "ci95_halfwidth": unpaired_half_width(found).to_dict(),
        "logreg": _by_value(found, "without_auc"),
        "sae": _by_value(found, "with_auc"),
        "sae_win_pct": {x: 100 * share for x, share in _by_value(found, "picked_sae").items()},
        "overall_logreg": found["without_auc"].mean(),
        "overall_sae": found["with_auc"].mean(),
    }


def wins_by_position(tables: Tables, ranking: str, model: str = GEMMA) -> dict[float, float]:
    """Percentage of positions where the SAE row beats the logistic row at the same place.

    That is figure 17c as drawn: the two files list the tasks in different orders, so the rows
    compared are mostly of different tasks (PAPER D.6).
    """
    probe = tables.saes("label_noise", ranking, model, sae_ids=QUIVER_SAES[model][:1], ks=[128])
    logreg = tables.baseline("label_noise", model)
    logreg = logreg[logreg["method"].eq("logreg")]
    share = {}
    for value, part in probe.groupby("regime_value"):
        other = logreg.loc[logreg["regime_value"].eq(value), "test_auc"].to_numpy()
        mine = part["test_auc"].to_numpy()
        both = min(len(mine), len(other))
        share[float(value)] = 100 * float((mine[:both] > other[:both]).mean())
    return share


def examples(
    tables: Tables, regime: str, ranking: str, rule: str = "tie_rule_in_text"
) -> dict[str, Any]:
    """Test AUC on the three tasks of figure 5, without and with SAE probes."""
    noise = regime == "label_noise"
    found = tables.compared(GEMMA, ranking) if noise else tables.picks(GEMMA, regime, ranking, rule)
    names = ("logreg", "sae") if noise else ("without", "with_sae")
    said = {}
    for task in EXAMPLES:
        own = found[found["dataset"].eq(task)]
        columns = zip(names, ("without_auc", "with_auc"), strict=True)
        said[task] = {name: _by_value(own, column) for name, column in columns}
    return said


def heat_map(tables: Tables, ranking: str) -> dict[str, Any]:
    """What the cells of figure 16 hold, in short."""
    rule = "tie_rule_in_text"
    frames = {name: tables.picks(GEMMA, name, ranking, rule) for name in ("scarcity", "imbalance")}
    frames["corrupt"] = tables.compared(GEMMA, ranking)
    return {
        name: {
            "min": frame["difference"].min(),
            "max": frame["difference"].max(),
            "mean": frame["difference"].mean(),
            "cells": len(frame),
            "frac_negative": (frame["difference"] < 0).mean(),
            "frac_positive": (frame["difference"] > 0).mean(),
        }
        for name, frame in frames.items()
    }


def unpaired_half_width(found: pd.DataFrame) -> pd.Series:
    """Half-widths as figure 6 draws them: the two means taken as if they were independent."""
    groups = found.groupby("regime_value")
    variances = groups["without_auc"].var() + groups["with_auc"].var()
    return 1.96 * np.sqrt(variances / groups.size())


def paired_half_width(found: pd.DataFrame) -> pd.Series:
    """Half-widths from the differences task by task."""
    groups = found.groupby("regime_value")["difference"]
    return 1.96 * groups.std(ddof=1) / np.sqrt(groups.size())


def _by_value(frame: pd.DataFrame, column: str) -> dict[float, float]:
    return frame.groupby("regime_value")[column].mean().to_dict()


def _tied(picks: pd.Series) -> pd.Series:
    """How many arrows share each pick."""
    return picks.str.count(r" \| ") + 1
