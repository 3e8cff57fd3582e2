"""How the fits behind a page went: what was left out and why, and what did not converge."""

import pandas as pd

from probing_core.probes.methods import METHODS


def skipped_sentence(rows: pd.DataFrame) -> str:
    """Say what was skipped and why, and what could not be validated."""
    missing = rows["test_auc"].isna()
    said = "No fit was skipped."
    if missing.any():
        reasons = rows.loc[missing, "warning"].fillna("no reason given").value_counts()
        why = "; ".join(f"{reason} ({count})" for reason, count in reasons.items())
        said = f"{missing.sum():,} of {len(rows):,} fits were skipped: {why}."
    unvalidated = int(rows.loc[~missing, "val_auc"].isna().sum())
    if unvalidated:
        said += (
            f" {unvalidated:,} fits could not be validated, since no fold holds both classes, and "
            "compete in no quiver."
        )
    return said


def converged_sentence(rows: pd.DataFrame) -> str:
    """Say what share of the finished fits did not converge."""
    finished = rows[rows["test_auc"].notna()]
    if len(finished) and finished["converged"].isna().all():
        return "These are rows as published, which do not say which fits converged."
    stopped = finished["converged"].astype("boolean").eq(False).fillna(False).astype(bool)
    if not stopped.any():
        return "Every fit converged."
    by_method = stopped.groupby(finished["method"]).mean()
    worst = str(by_method.idxmax())
    return (
        f"{stopped.mean():.1%} of fits did not converge; most often {METHODS[worst].label} "
        f"({by_method.max():.1%})."
    )
