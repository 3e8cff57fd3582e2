"""Numbers of the hard regimes: figures 5, 6, 16, 17 and 19."""

from typing import Any

import numpy as np
import pandas as pd

from probing_core.analysis.quiver import arrows, pick
from probing_core.published.layout import GEMMA, V1
from reproduction.recipes.tables import QUIVER_K, QUIVER_SAES, RULES, Tables

EXAMPLES = ("26_headline_isfrontpage", "36_sciq_tf", "114_nyc_borough_Manhattan")


def quivers_by_value(
    tables: Tables, regime: str, ranking: str, rule: str, model: str = GEMMA
) -> dict[str, Any]:
    """What SAE probes add to the quiver at every value of a regime (figures 6, 17a, b, 19)."""
    found = tables.picks(model, regime, ranking, rule)
    change, without, with_sae = (found[c] for c in ("difference", "without_auc", "with_auc"))
    said: dict[str, Any] = {
        "delta": by_value(found, "difference"),
        "overall_mean_delta": change.mean(),
        "n_rows": len(found),
    }
    if rule == "neutral_ties":
        rows = arrows(tables.both(regime, ranking, model), **tables.pool(model, ranking))
        only = pick(rows, "baselines", *RULES[rule])["picks"]
        return said | {
            "paired_ci95_halfwidth": paired_half_width(found),
            "mean_without": without.mean(),
            "mean_with": with_sae.mean(),
            "mean_ties_without": only.str.count(r" \| ").mean() + 1,
            "mean_ties_with": found["picks"].str.count(r" \| ").mean() + 1,
            "mean_sae_share_of_ties": found["picked_sae"].mean(),
        }
    counts = found.groupby("regime_value")["picked_sae"].sum()
    chosen = found.loc[found["picked_sae"].eq(1), "picks"]
    return said | {
        "ci95_halfwidth": unpaired_half_width(found),
        "mean_without": by_value(found, "without_auc"),
        "mean_with": by_value(found, "with_auc"),
        "overall_mean_without": without.mean(),
        "overall_mean_with": with_sae.mean(),
        "pct_rows_sae_chosen": 100 * found["picked_sae"].mean(),
        "sae_chosen_count": counts.astype(int).to_dict(),
        "share_of_sae_choices_by_k": {k: chosen.str.endswith(f"k={k}").mean() for k in QUIVER_K},
        "fraction_rows_delta_lt0": (change < 0).mean(),
        "fraction_rows_delta_gt0": (change > 0).mean(),
    }


def noise_by_value(tables: Tables, ranking: str = V1, model: str = GEMMA) -> dict[str, Any]:
    """One SAE probe beside logistic regression under label noise (figures 6 and 19, right)."""
    found = tables.compared(model, ranking)
    return {
        "delta": by_value(found, "difference"),
        "ci95_halfwidth": unpaired_half_width(found),
        "logreg": by_value(found, "without_auc"),
        "sae": by_value(found, "with_auc"),
        "sae_win_pct": {x: 100 * share for x, share in by_value(found, "picked_sae").items()},
        "overall_logreg": found["without_auc"].mean(),
        "overall_sae": found["with_auc"].mean(),
    }


def wins_by_position(tables: Tables, ranking: str = V1) -> dict[float, float]:
    """Percentage of places where the SAE row beats the logistic row (figure 17c as drawn).

    The two files list the tasks in different orders: most rows compared are of different tasks.
    """
    probe = tables.saes("label_noise", ranking, sae_ids=QUIVER_SAES[GEMMA][:1], ks=[128])
    logreg, share = tables.logreg("label_noise"), {}
    for value, part in probe.groupby("regime_value"):
        other = logreg.loc[logreg["regime_value"].eq(value), "test_auc"].to_numpy()
        both = min(len(part), len(other))
        wins = part["test_auc"].to_numpy()[:both] > other[:both]
        share[float(value)] = 100 * float(wins.mean())
    return share


def examples(tables: Tables, regime: str, ranking: str, rule: str) -> dict[str, Any]:
    """Test AUC on the three tasks of figure 5, without and with SAE probes."""
    noise = regime == "label_noise"
    found = tables.compared(GEMMA, ranking) if noise else tables.picks(GEMMA, regime, ranking, rule)
    without, with_sae = ("logreg", "sae") if noise else ("without", "with_sae")
    return {
        task: {without: by_value(own, "without_auc"), with_sae: by_value(own, "with_auc")}
        for task, own in found.groupby("dataset")
        if task in EXAMPLES
    }


def heat_map(tables: Tables, ranking: str) -> dict[str, Any]:
    """What the cells of figure 16 hold, in short."""
    frames = {
        name: tables.picks(GEMMA, name, ranking, "tie_rule_in_text")
        for name in ("scarcity", "imbalance")
    }
    said = {}
    for name, frame in (frames | {"corrupt": tables.compared(GEMMA, ranking)}).items():
        change = frame["difference"]
        signs = {"frac_negative": (change < 0).mean(), "frac_positive": (change > 0).mean()}
        said[name] = change.agg(["min", "max", "mean"]).to_dict() | signs | {"cells": len(change)}
    return said


def unpaired_half_width(found: pd.DataFrame) -> dict[float, float]:
    """Half-widths as figure 6 draws them: the two means taken as if they were independent."""
    groups = found.groupby("regime_value")
    variances = groups["without_auc"].var() + groups["with_auc"].var()
    return (1.96 * np.sqrt(variances / groups.size())).to_dict()


def paired_half_width(found: pd.DataFrame) -> dict[float, float]:
    """Half-widths from the differences task by task."""
    return (1.96 * found.groupby("regime_value")["difference"].sem()).to_dict()


def by_value(frame: pd.DataFrame, column: str) -> dict[float, float]:
    """Means of a column by the regime's value."""
    return frame.groupby("regime_value")[column].mean().to_dict()
