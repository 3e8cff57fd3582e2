"""What SAE probes change at every value of a regime; a task's seeds are averaged first."""

from dataclasses import replace

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from probing_core.analysis.comparison import over_seeds
from probing_core.analysis.paired import Effect as Effect
from probing_core.analysis.paired import paired_effect

SIGNIFICANT = 0.05
"""Level of the tests after Holm's correction."""


def effects(frame: pd.DataFrame) -> list[Effect]:
    """Estimate the change at every value, ascending, in a frame from `comparison.compare`."""
    parts = frame.sort_values("regime_value").groupby("regime_value", dropna=False)
    found = [replace(_effect(part), value=float(value)) for value, part in parts]
    if not found:
        return []
    corrected = multipletests([one.p_value for one in found], method="holm")[1]
    return [replace(one, p_holm=float(p)) for one, p in zip(found, corrected, strict=True)]


def overall(frame: pd.DataFrame) -> Effect:
    """Estimate the change over a whole regime; each task counts once.

    Args:
        frame: settings with ``dataset``, ``seed``, ``difference`` and perhaps ``picked_sae``.

    Raises:
        ValueError: if the frame is empty.
    """
    numbers = [name for name in ("difference", "picked_sae") if name in frame]
    by_task = frame.groupby(["dataset", "seed"], as_index=False)[numbers].mean()
    return _effect(by_task.assign(regime="", regime_value=np.nan))


def _effect(part: pd.DataFrame) -> Effect:
    """Estimate the change over settings that hold each task and seed once."""
    tasks = over_seeds(part).set_index("dataset")
    seeds = part.groupby("seed")["difference"].mean()
    return replace(
        paired_effect(tasks["difference"]),
        picked_sae=float(tasks["picked_sae"].mean()) if "picked_sae" in tasks else np.nan,
        seed_spread=float(seeds.std(ddof=1)),
        n_seeds=len(seeds),
    )
