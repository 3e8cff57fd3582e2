import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sae_probes.utils_training import get_cv, get_splits

from probing_core.probes.result import FitLog
from probing_core.probes.validation import search, validation_splits

labels_of_both_classes = (
    st.lists(st.integers(0, 1), min_size=4, max_size=160)
    .filter(lambda drawn: len(set(drawn)) == 2)
    .map(np.array)
)


def balanced(n):
    return np.random.default_rng(n).permutation(np.arange(n) % 2)


@given(labels_of_both_classes)
def test_splits_never_overlap_and_cover_every_row(labels):
    for train, held in validation_splits(labels):
        assert sorted([*train, *held]) == list(range(len(labels)))


@given(labels_of_both_classes)
def test_folds_and_pairs_validate_on_both_classes(labels):
    if len(labels) <= 127:
        assert all(len(np.unique(labels[held])) == 2 for _, held in validation_splits(labels))


@pytest.mark.parametrize("n", [2, 3])
def test_tiny_sets_are_not_searched(n):
    assert validation_splits(balanced(n)) == []


@pytest.mark.parametrize("n", [4, 5, 10, 12, 13, 60, 127, 128, 499, 500, 1024])
@pytest.mark.parametrize("cv_seed", [1, 42])
def test_splits_equal_those_of_sae_probes(n, cv_seed):
    rows, labels = np.zeros((n, 2)), balanced(n)
    theirs = get_splits(get_cv(rows, seed=cv_seed), rows, labels)
    ours = validation_splits(labels, cv_seed=cv_seed)
    assert len(ours) == len(theirs)
    for (train, held), (their_train, their_held) in zip(ours, theirs, strict=True):
        assert train.tolist() == list(their_train)
        assert held.tolist() == list(their_held)


def test_folds_without_a_class_are_dropped():
    labels = np.zeros(40, int)
    labels[[3, 17]] = 1
    assert len(validation_splits(labels)) == 2


def test_training_rows_of_one_class_score_one_half_without_a_fit():
    labels = np.array([1, 0, 0, 0])

    def never(train, held):
        raise AssertionError("fitted on one class")

    assert search(labels, validation_splits(labels), 2, never, FitLog()) == (0, 0.5)


def test_impossible_validation_gives_nan_and_says_why():
    log = FitLog()
    index, score = search(np.array([0, 1]), [], 3, lambda *_: [(1.0, True)] * 3, log)
    assert index == 0
    assert math.isnan(score)
    assert "no split" in log.notes[0]


def test_the_first_of_the_best_candidates_wins_and_nan_never_does():
    labels = balanced(200)
    aucs = [(math.nan, True), (0.7, True), (0.9, True), (0.9, True)]
    found = search(labels, validation_splits(labels), 4, lambda *_: aucs, FitLog())
    assert found == (2, 0.9)


@pytest.mark.parametrize(("unfinished", "converged"), [(0, True), (1, False)])
def test_only_the_chosen_candidate_must_have_converged_on_every_fold(unfinished, converged):
    labels, log, folds = balanced(60), FitLog(), iter(range(6))

    def score_split(train, held):
        last = next(folds) == 5
        return [(0.6, not (last and unfinished == 0)), (0.8, not (last and unfinished == 1))]

    assert search(labels, validation_splits(labels), 2, score_split, log)[0] == 1
    assert log.converged is converged
