"""What can be seen of a prompt without reading it, each as a probe of one feature."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from probing_core.probes.metrics import auc

MIN_SIDE = 10
"""Prompts that fire, and that are silent, below which no surface feature is told."""
_MARK = r"[^\w\s]|_"


def surface(prompts: Sequence[str], fires: np.ndarray) -> tuple[str, float]:
    """The surface feature of prompts that best tells where a latent fires, (n,) bool, and its AUC.

    The AUC counts in either direction; it is NaN where fewer than ten prompts fire or are silent.
    """
    if min(fires.sum(), (~fires).sum()) < MIN_SIDE:
        return "", float("nan")
    found = {
        name: max(told := auc(fires, column.to_numpy(dtype=np.float64)), 1 - told)
        for name, column in _features(pd.Series(prompts)).items()
    }
    best = max(found, key=lambda name: found[name])
    return best, found[best]


def _features(prompts: pd.Series) -> dict[str, pd.Series]:
    """What can be seen of a prompt without reading it; shares are of its characters."""
    length, last = prompts.str.len(), prompts.str[-1:]
    return {
        "length": length,
        "ends in a letter": last.str.isalpha(),
        "ends in a digit": last.str.isdigit(),
        "ends in punctuation": last.str.contains(_MARK),
        "ends in a space": last.str.isspace(),
        "upper case": prompts.str.count("[A-Z]") / length,
        "digits": prompts.str.count("[0-9]") / length,
        "punctuation": prompts.str.count(_MARK) / length,
    }
