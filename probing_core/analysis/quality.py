"""How the fits behind a page went: what did not converge, and what was left out and why."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

NO_REASON = "no reason given"


@dataclass(frozen=True)
class FitQuality:
    """A summary of the fits in a set of rows.

    Attributes:
        n_fits: rows.
        n_tasks: distinct datasets.
        n_skipped: rows without a test AUC.
        reasons: why rows were skipped, as (warning, number of rows), most frequent first.
        n_unvalidated: rows with a test AUC but no validation AUC: no fold holds both classes.
        not_converged: share in [0, 1] of finished fits whose solver stopped early; NaN where the
            rows do not say.
        worst_method: method with the largest share of fits that did not converge.
        worst_share: that share.
        fit_seconds: time spent in fits, in seconds.
    """

    n_fits: int
    n_tasks: int
    n_skipped: int
    reasons: tuple[tuple[str, int], ...]
    n_unvalidated: int
    not_converged: float
    worst_method: str
    worst_share: float
    fit_seconds: float

    def skipped_sentence(self) -> str:
        """Say what was skipped and why, and what could not be validated."""
        said = "No fit was skipped."
        if self.n_skipped:
            why = "; ".join(f"{reason} ({count})" for reason, count in self.reasons)
            said = f"{self.n_skipped:,} of {self.n_fits:,} fits were skipped: {why}."
        if self.n_unvalidated:
            said += (
                f" {self.n_unvalidated:,} fits could not be validated, since no fold holds both"
                " classes, and compete in no quiver."
            )
        return said

    def converged_sentence(self) -> str:
        """Say what share of fits did not converge, in one sentence."""
        if np.isnan(self.not_converged):
            return "These are rows as published, which do not say which fits converged."
        if self.not_converged == 0:
            return "Every fit converged."
        return (
            f"{self.not_converged:.1%} of fits did not converge; most often "
            f"{self.worst_method} ({self.worst_share:.1%})."
        )


def fit_quality(rows: pd.DataFrame) -> FitQuality:
    """Summarise how the fits went.

    Args:
        rows: tidy result rows.

    Returns:
        Counts and shares over the rows.
    """
    missing = rows["test_auc"].isna()
    warned = rows.get("warning", pd.Series(None, index=rows.index, dtype=object))
    reasons = warned[missing].fillna(NO_REASON).astype(str).value_counts()
    finished = rows[~missing]
    said = finished["converged"].notna().any() or finished.empty
    stopped = ~finished["converged"].astype("boolean").fillna(True).astype(bool)
    by_method = stopped.groupby(finished["method"]).mean()
    worst = str(by_method.idxmax()) if len(by_method) else "none"
    seconds = rows["fit_seconds"].sum() if "fit_seconds" in rows else 0.0
    return FitQuality(
        n_fits=len(rows),
        n_tasks=int(rows["dataset"].nunique()),
        n_skipped=int(missing.sum()),
        reasons=tuple((str(reason), int(count)) for reason, count in reasons.items()),
        n_unvalidated=int((finished["val_auc"].isna()).sum()) if "val_auc" in finished else 0,
        not_converged=(float(stopped.mean()) if len(finished) else 0.0) if said else np.nan,
        worst_method=worst,
        worst_share=float(by_method.max()) if len(by_method) else 0.0,
        fit_seconds=float(seconds),
    )
