"""What can be seen of a prompt without reading it, and which words it holds, each as a probe."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from probing_core.probes.metrics import auc

MIN_SIDE = 10
"""Prompts that fire, and that are silent, below which no surface feature is told."""
LAST_TOKEN, BAG = "last token", "bag of words"
_MARK = r"[^\w\s]|_"
_WORDS = r"\w+|[^\w\s]"
_BAG_C = 10.0
MOST_CHARACTERS = 4096
"""Of a longer prompt the bag of words sees the end, about what a model of 1,024 tokens reads."""


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


def shortcut_aucs(
    train: Sequence[str], labels: np.ndarray, test: Sequence[str], tested: np.ndarray
) -> dict[str, tuple[float, float]]:
    """Validation and test AUC of probes that never see a model.

    Each surface feature alone, in the direction of the training prompts; the last token by the
    share of label 1 among the training prompts that end in it; a logistic regression on a bag of
    words. Validation is on the last fifth of the training prompts, which are in random order.

    Args:
        train: n prompts.
        labels: (n,) 0/1.
        test: m prompts.
        tested: (m,) 0/1.
    """
    held = len(train) - max(1, len(train) // 5)
    sides = [pd.Series(list(part)) for part in (train, test)]
    columns = [_features(side) for side in sides]
    sides = [side.str[-MOST_CHARACTERS:] for side in sides]
    probes: dict[str, tuple[Callable[..., np.ndarray], Any, Any]] = {
        name: (_one_feature, columns[0][name], columns[1][name]) for name in columns[0]
    }
    ends = [last_tokens(side) for side in sides]
    probes |= {LAST_TOKEN: (_by_share, *ends), BAG: (_by_words, *_bags(*sides))}
    found = {}
    for name, (fit, own, other) in probes.items():
        val = auc(labels[held:], fit(own[:held], labels[:held], own[held:]))
        found[name] = val, auc(tested, fit(own, labels, other))
    return found


def last_tokens(prompts: pd.Series) -> pd.Series:
    """The word or single mark or blank at the end of every prompt, of at most 64 characters."""
    return prompts.str[-64:].str.extract(r"(\w+|\W)\Z")[0]


def _one_feature(own: pd.Series, labels: np.ndarray, other: pd.Series) -> np.ndarray:
    sign = -1.0 if auc(labels, own.to_numpy(dtype=np.float64)) < 0.5 else 1.0
    return sign * other.to_numpy(dtype=np.float64)


def _by_share(own: pd.Series, labels: np.ndarray, other: pd.Series) -> np.ndarray:
    """The share of label 1 among equal values, drawn to that of all as by one more prompt."""
    base = float(labels.mean())
    told = pd.Series(labels).groupby(own.to_numpy()).agg(["sum", "size"])
    share = (told["sum"] + base) / (told["size"] + 1)
    return other.map(share).fillna(base).to_numpy(dtype=np.float64)


def _bags(own: pd.Series, other: pd.Series) -> tuple[csr_array, csr_array]:
    """Words of training and test prompts, weighted by how rare they are among the former."""
    words = TfidfVectorizer(token_pattern=_WORDS, sublinear_tf=True)
    if not own.str.contains(_WORDS).any():
        return csr_array((len(own), 1)), csr_array((len(other), 1))
    return csr_array(words.fit_transform(own)), csr_array(words.transform(other))


def _by_words(own: csr_array, labels: np.ndarray, other: csr_array) -> np.ndarray:
    if len(np.unique(labels)) < 2:
        return np.zeros(other.shape[0])
    return LogisticRegression(C=_BAG_C, max_iter=1000).fit(own, labels).decision_function(other)


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
