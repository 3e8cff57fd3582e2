"""Agreement with labels, finding wrong ones, and what confident learning flags."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from probing_core.analysis.mislabelled import (
    accuracies,
    accused,
    confident,
    curves,
    finding,
    with_originals,
)
from probing_core.experiments.mislabelled import SUBSETS, published_bars
from probing_core.experiments.study import open_study


def scored(given_labels, clean, chance, method="logreg", labels="planted", model="tiny"):
    """Scores of one probe."""
    return pd.DataFrame(
        {"model": model, "labels": labels, "method": method, "latent": -1,
         "prompt": [f"prompt {row}" for row in range(len(chance))], "given": given_labels,
         "clean": clean, "chance": chance}
    )  # fmt: skip


def test_accuracies_are_shares_of_labels_that_a_probe_gives():
    found = accuracies(scored([1, 1, 0, 0], [1, 0, 0, 1], [0.9, 0.2, 0.6, 0.8]))
    assert found["accuracy"].tolist() == [0.25, 0.75, 1.0]
    assert found["n"].tolist() == [4, 4, 2] and found["subset"].tolist() == list(SUBSETS)


def test_given_labels_agree_with_themselves_and_nowhere_where_the_two_differ():
    whole = with_originals(accuracies(scored([1, 1, 0, 0], [1, 0, 0, 1], [0.9, 0.2, 0.6, 0.8])))
    own = whole[whole["method"] == "original"]
    assert own["accuracy"].tolist() == [1.0, 0.5, 0.0]
    assert (whole["low"] <= whole["accuracy"]).all() and (whole["accuracy"] <= whole["high"]).all()


def test_published_bars_are_those_of_figure_9(tmp_path):
    whole = with_originals(published_bars(open_study("published", tmp_path)))
    bars = whole.set_index(["method", "subset"])["accuracy"]
    assert [bars["original", subset] for subset in SUBSETS] == pytest.approx([1, 0.78, 0])
    for method, told in {
        "logreg": (0.815, 0.797, 0.4590909),
        "sae_128": (0.769, 0.797, 0.5636364),
        "sae_1": (0.723, 0.781, 0.6318182),
    }.items():
        assert [bars[method, subset] for subset in SUBSETS] == pytest.approx(told, abs=1e-6)
    assert whole["n"].tolist()[:3] == [1000, 1000, 220]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.floats(0, 1)), min_size=8, max_size=40))
def test_average_precision_is_of_doubt_in_the_given_label(rows):
    given_labels, clean, chance = (np.array(column) for column in zip(*rows, strict=True))
    wrong = given_labels != clean
    found = finding(scored(given_labels.astype(int), clean.astype(int), chance))
    if min(wrong.sum(), (~wrong).sum()) < 2:
        assert found.empty
        return
    doubt = [1 - c if g else c for g, c in zip(given_labels, chance, strict=True)]
    assert found["precision"].iloc[0] == pytest.approx(average_precision_score(wrong, doubt))
    assert found["base"].iloc[0] == pytest.approx(wrong.mean())


def test_a_probe_that_knows_the_truth_finds_every_wrong_label_first():
    rng = np.random.default_rng(0)
    clean = rng.integers(0, 2, 400)
    told = np.where(rng.random(400) < 0.2, 1 - clean, clean)
    scores = scored(told, clean, np.clip(0.1 + 0.8 * clean + rng.normal(0, 0.05, 400), 0, 1))
    (row,) = finding(scores).itertuples()
    assert row.precision == 1.0 and row.low == pytest.approx(1.0)
    (flagged,) = confident(scores).itertuples()
    assert flagged.flagged == (told != clean).sum()
    assert flagged.precision == flagged.recall == 1.0
    ((_, precision, recall),) = curves(scores)
    assert precision[recall < 1].min() == 1.0


def test_confident_learning_flags_what_its_joint_counts_off_the_diagonal():
    told = [0, 0, 0, 0, 1, 1, 1, 1]
    chance = [0.1, 0.3, 0.55, 0.9, 0.95, 0.8, 0.7, 0.2]
    # the usual chance of label 1 where it is given is 0.6625, of label 0 0.5375
    (flagged,) = confident(scored(told, [0, 0, 0, 1, 1, 1, 1, 0], chance)).itertuples()
    assert flagged.flagged == 2 and flagged.precision == 1.0


def test_the_accused_are_distinct_and_the_least_believed_first():
    scores = scored([1, 1, 1, 0], [1, 0, 1, 0], [0.4, 0.1, 0.4, 0.0])
    scores.loc[2, "prompt"] = "prompt 0"
    assert accused(scores)["prompt"].tolist() == ["prompt 1", "prompt 0"]
