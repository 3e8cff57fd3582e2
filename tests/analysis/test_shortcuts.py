"""Shortcuts beside probes: which tasks need no model, and the headline without them."""

import pandas as pd
import pytest

from probing_core.analysis.shortcuts import shortcut_table, verdict, without_solved
from probing_core.probes.surface import BAG
from tests.figures.conftest import in_families
from tests.study_rows import study_rows


@pytest.fixture(scope="module")
def rows():
    return in_families(study_rows(6, ks=(16, 128)))


def seen(tags, **aucs):
    """Two features and a bag of words, of every task the same but for the tasks named."""
    return pd.DataFrame(
        [(tag, name, val, aucs.get(tag, auc) if name == BAG else auc)
         for tag in tags for name, val, auc in
         (("length", 0.6, 0.9), ("digits", 0.7, 0.5), (BAG, 0.5, 0.2))],
        columns=["dataset", "feature", "val_auc", "test_auc"],
    )  # fmt: skip


def test_the_best_feature_is_chosen_by_validation_not_by_test(rows):
    table = shortcut_table(seen(rows["dataset"].unique()), rows, hook=rows["hook"].iloc[0])
    assert set(table["feature"]) == {"digits"} and set(table["feature_auc"]) == {0.5}


def test_a_task_is_solved_where_a_shortcut_comes_within_two_hundredths(rows):
    tags, hook = sorted(rows["dataset"].unique()), rows["hook"].iloc[-1]
    probe = shortcut_table(seen(tags), rows, hook=hook)["probe_auc"]
    near = {tags[0]: probe[tags[0]] - 0.019, tags[1]: probe[tags[1]] - 0.021}
    table = shortcut_table(seen(tags, **near), rows, hook=hook)
    assert table["solved"].tolist() == [tag == tags[0] for tag in table.index]
    every, left = without_solved(table, rows, hook=hook)
    assert (every.difference.n, left.difference.n) == (len(tags), len(tags) - 1)


def test_a_task_without_a_probe_is_not_called_solved(rows):
    table = shortcut_table(seen(["no such task"]), rows.iloc[:0], hook="blocks.0")
    assert table["probe_auc"].isna().all() and not table["solved"].any()


def test_no_shortcuts_leave_an_empty_table(rows):
    assert shortcut_table(seen([]), rows, hook=rows["hook"].iloc[0]).empty


@pytest.mark.parametrize(("best", "said"), [(0.89, "need no model"), (0.8, "0.100 AUC ahead")])
def test_the_verdict_says_whether_a_model_is_needed(best, said):
    told = pd.DataFrame({"feature": ["logistic regression", "length"], "test_auc": [0.9, best]})
    assert said in verdict(told)
