import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from probing_core.probes.metrics import auc, final_scores
from probing_core.probes.result import FitLog

labels_and_scores = st.lists(
    st.tuples(st.integers(0, 1), st.integers(-3, 3)), min_size=2, max_size=40
).filter(lambda rows: len({label for label, _ in rows}) == 2)


@given(labels_and_scores)
def test_auc_equals_scikit_learn_with_many_ties(rows):
    labels, scores = np.array(rows).T
    # To the last digit: of several equal candidates the first one computed as highest is chosen.
    assert auc(labels, scores.astype(float)) == roc_auc_score(labels, scores)


@given(st.integers(0, 10_000), st.integers(4, 130))
def test_auc_rounds_as_scikit_learn_rounds(seed, n):
    chance = np.random.default_rng(seed)
    labels, scores = np.r_[0, 1, chance.integers(0, 2, n - 2)], chance.standard_normal(n)
    for row in (scores, np.round(scores, 1)):
        assert auc(labels, row) == roc_auc_score(labels, row)


@given(labels_and_scores)
def test_accuracy_and_weighted_f1_equal_scikit_learn(rows):
    labels, guesses = np.array(rows).T
    guesses = (guesses > 0).astype(int)
    _, accuracy, f1 = final_scores(labels, guesses.astype(float), guesses, FitLog())
    assert accuracy == pytest.approx(accuracy_score(labels, guesses))
    wanted = f1_score(labels, guesses, average="weighted", zero_division=0.0)
    assert f1 == pytest.approx(wanted)


@given(st.integers(1, 20), st.integers(1, 20), st.floats(-1e6, 1e6))
def test_all_tied_scores_give_one_half(n_negative, n_positive, score):
    labels = np.r_[np.zeros(n_negative, int), np.ones(n_positive, int)]
    assert auc(labels, np.full(len(labels), score)) == 0.5


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_gives_nan_and_says_why(label):
    log = FitLog()
    assert math.isnan(auc(np.full(5, label), np.arange(5.0), log))
    assert "one class" in log.notes[0]


def test_scores_that_are_not_finite_give_nan_and_say_why():
    log = FitLog()
    assert math.isnan(auc(np.array([0, 1, 1]), np.array([0.0, np.nan, 1.0]), log))
    assert not log.converged
