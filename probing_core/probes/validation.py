"""The search every probe makes: which rows validate it (paper, Table 4), what wins, what it scores.

Wherever a probe has training rows, validation rows and test rows, they are (n, d), (v, d) and
(m, d) float32, and their labels (n,), (v,) and (m,) int64 0/1.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from sklearn.model_selection import StratifiedKFold

from probing_core.probes.metrics import auc, final_scores
from probing_core.probes.result import FitLog, ProbeResult, fit_log

NO_SEARCH = 3
LEAVE_TWO_OUT = 12
SIX_FOLD = 127
SINGLE_CLASS_SCORE = 0.5

Split = tuple[np.ndarray, np.ndarray]


class Scored(NamedTuple):
    """What a fit says of q rows: float chances (q,) of class 1, and whether each is of class 1."""

    chances: np.ndarray
    predictions: np.ndarray
    converged: bool = True


class Probe(NamedTuple):
    """One method as the search sees it.

    Attributes:
        train: Training rows, dense or sparse.
        test: Test rows of the same kind.
        candidates: What the search tries, in order.
        default: Taken where up to 3 rows leave nothing to search with.
        fit: Takes rows, their labels, the rows to score and some candidates; gives one `Scored`
            a candidate.
        settings: What the result calls a candidate.
        order: The order of the training rows in the last fit.
    """

    train: Any
    test: Any
    candidates: Sequence[Any]
    default: Any
    fit: Callable[[Any, np.ndarray, Any, Sequence[Any]], list[Scored]]
    settings: Callable[[Any], dict[str, Any]]
    order: np.ndarray | slice = slice(None)


def run_probe(
    describe: Callable[[list[Split]], Probe], y_train: np.ndarray, y_test: np.ndarray, seed: int,
    groups: np.ndarray | None = None,
) -> ProbeResult:  # fmt: skip
    """Search a probe by validation, refit it on all training rows and score the test rows.

    `describe` takes the validation splits, whose folds `seed` shuffles, and gives the probe. The
    splits keep `groups` of training rows, (n,), together.
    """
    with fit_log() as log:
        probe, chosen, val_auc = choose(describe, y_train, seed, log, groups)
        rows, labels = probe.train[probe.order], y_train[probe.order]
        (last,) = probe.fit(rows, labels, probe.test, [chosen])
        log.require(last.converged)
        scores = final_scores(y_test, last.chances, last.predictions, log)
    warning = "; ".join(log.notes) or None
    found = probe.settings(chosen)
    return ProbeResult(val_auc, *scores, found, log.converged, warning, log.seconds)


def choose(
    describe: Callable[[list[Split]], Probe], y_train: np.ndarray, seed: int, log: FitLog,
    groups: np.ndarray | None = None,
) -> tuple[Probe, Any, float]:  # fmt: skip
    """A probe, the candidate that validation chose for it, and the validation AUC of that one."""
    splits = validation_splits(y_train, cv_seed=seed, groups=groups)
    probe = describe(splits)

    def score_split(train: np.ndarray, held: np.ndarray) -> list[tuple[float, bool]]:
        rows, labels = probe.train[train], y_train[train]
        found = probe.fit(rows, labels, probe.train[held], probe.candidates)
        return [(auc(y_train[held], one.chances, log), one.converged) for one in found]

    if len(y_train) > NO_SEARCH:
        index, val_auc = search(y_train, splits, len(probe.candidates), score_split, log)
        return probe, probe.candidates[index], val_auc
    rows, labels = probe.train[probe.order], y_train[probe.order]
    (own,) = probe.fit(rows, labels, probe.train, [probe.default])
    return probe, probe.default, auc(y_train, own.chances, log)


def validation_splits(
    labels: np.ndarray, *, cv_seed: int = 42, groups: np.ndarray | None = None
) -> list[Split]:
    """The validation splits of a training set.

    Up to 3 rows there is no search; up to 12, every pair with one row of each class is left
    out in turn; up to 127, six shuffled stratified folds; beyond, the last fifth (at most 100
    rows) is held out, which relies on the rows being in random order.

    Args:
        labels: (n,) 0/1 training labels.
        cv_seed: Seed of the six-fold shuffle. The paper's code uses 42 everywhere;
            sae-probes' logistic regression uses its own seed (1 unless told otherwise).
        groups: (n,) groups of rows. Those of a held-out row's group are held out with it; a split
            that this leaves nothing to train on is dropped.

    Returns:
        Pairs of int64 (training rows, validation rows). Leave-out and fold splits whose
        validation rows lack a class are dropped; the hold-out is kept as it is.
    """
    splits = _published_splits(labels, cv_seed)
    if groups is None:
        return splits
    held = [np.isin(groups, groups[held_out]) for _, held_out in splits]
    moved = zip(splits, held, strict=True)
    kept = [(t[~h[t]], np.r_[v, t[h[t]]]) for (t, v), h in moved]
    return [split for split in kept if len(split[0])]


def _published_splits(labels: np.ndarray, cv_seed: int) -> list[Split]:
    n_rows = len(labels)
    if n_rows <= NO_SEARCH:
        return []
    if n_rows <= LEAVE_TWO_OUT:
        every = np.arange(n_rows)
        pairs = [(a, b) for a, b in combinations(range(n_rows), 2) if labels[a] != labels[b]]
        return [(np.setdiff1d(every, pair), np.array(pair)) for pair in pairs]
    if n_rows <= SIX_FOLD:
        folds = StratifiedKFold(n_splits=6, shuffle=True, random_state=cv_seed)
        with warnings.catch_warnings():
            # A class with fewer than six rows is expected here: the folds without it are dropped.
            warnings.filterwarnings("ignore", "The least populated class", UserWarning)
            found = list(folds.split(np.zeros((n_rows, 1)), labels))
        return [(train, held) for train, held in found if len(np.unique(labels[held])) == 2]
    held_out = min(int(0.2 * n_rows), 100)
    rows = np.arange(n_rows)
    return [(rows[: n_rows - held_out], rows[n_rows - held_out :])]


def log2_grid(largest: int) -> list[int]:
    """Up to ten whole numbers from 1 to `largest`, evenly spaced in log2 and rounded down.

    So `largest` itself may be missing by one.
    """
    return np.unique(np.logspace(0, np.log2(largest), num=10, base=2, dtype=int)).tolist()


def search(
    labels: np.ndarray,
    splits: Sequence[Split],
    n_candidates: int,
    score_split: Callable[[np.ndarray, np.ndarray], Sequence[tuple[float, bool]]],
    log: FitLog,
) -> tuple[int, float]:
    """Score every candidate on every split and pick one; the first of several best ones.

    Args:
        labels: (n,) 0/1 training labels.
        splits: From `validation_splits`.
        n_candidates: How many there are.
        score_split: Takes (training rows, validation rows) and gives each candidate's AUC and
            whether its fit converged. Not called where the training rows hold one class: all
            candidates get 0.5 there.
        log: Notes an undefined score, or an unfinished fit of the chosen candidate.

    Returns:
        (index, its mean validation AUC); the AUC is NaN where validation was impossible.
    """
    aucs = np.full((max(len(splits), 1), n_candidates), math.nan)
    converged = np.ones(n_candidates, dtype=bool)
    for at, (train, held) in enumerate(splits):
        if len(np.unique(labels[train])) < 2:
            aucs[at] = SINGLE_CLASS_SCORE
            continue
        for candidate, (score, finished) in enumerate(score_split(train, held)):
            aucs[at, candidate] = score
            converged[candidate] &= finished
    scores = aucs.mean(axis=0)
    index = 0 if np.isnan(scores).all() else int(np.nanargmax(scores))
    if math.isnan(scores[index]):
        log.note("validation AUC undefined: no split holds both classes; first candidate used")
    log.require(bool(converged[index]))
    return index, float(scores[index])
