"""No group of repeated prompts lies across a split: any task, size, seed and regime."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probing_core.datasets import TASKS, load_dataset, standard_split
from probing_core.datasets.regimes import REGIMES, Draw
from probing_core.datasets.splits import LEVELS, kept_together, unseen_rows
from probing_core.errors import UserError
from probing_core.probes.validation import validation_splits

KEPT = {}
HARD = ("41_truthqa_tf", "95_toxic_is", "131_temp_cat_Typical Time", "144_cancer_cat_Colon_Cancer")


def task(tag):
    if tag not in KEPT:
        KEPT.clear()  # one at a time is held
        KEPT[tag] = load_dataset(tag, max_prompts=1500)
    return KEPT[tag]


def draw(dataset, regime, value, protocol, seed, max_train):
    try:
        return REGIMES[regime].draw(dataset, value, Draw(protocol, seed, max_train))
    except UserError:
        return None


@settings(max_examples=6, deadline=None)
@given(
    setting=st.sampled_from(
        [("standard", 0), ("scarcity", 20), ("scarcity", 275), ("scarcity", 531),
         ("imbalance", 0.05), ("imbalance", 0.3), ("imbalance", 0.95), ("label_noise", 0.3)]
    ),
    protocol=st.sampled_from(sorted(LEVELS)),
    seed=st.integers(0, 9999),
    max_train=st.integers(10, 1024),
)  # fmt: skip
@pytest.mark.parametrize("tag", TASKS)
def test_no_group_lies_across_a_split(tag, setting, protocol, seed, max_train):
    dataset = task(tag)
    found = draw(dataset, *setting, protocol, seed, max_train)
    if found is None:
        return
    groups, split = dataset.groups(LEVELS[protocol]), found.split
    assert len(split.test) and not set(groups[split.train]) & set(groups[split.test])
    assert not dataset.conflicting[np.r_[split.train, split.test]].any()
    together = kept_together(dataset, split, protocol)
    for train, held in validation_splits(found.train_labels, groups=together):
        assert not set(together[train]) & set(together[held])
        assert len(train) + len(held) == len(split.train)


@pytest.mark.parametrize("regime", ["standard", "scarcity", "imbalance"])
@pytest.mark.parametrize("tag", [*HARD, "58_wikidatapolitical_party", "36_sciq_tf"])
def test_the_control_trains_on_the_same_rows_and_leak_free_tests_some_of_its(tag, regime):
    value = {"standard": 0, "scarcity": 275, "imbalance": 0.25}[regime]
    strict, control = (
        draw(task(tag), regime, value, one, 7, 512).split for one in ("leak_free", "size_matched")
    )
    assert (strict.train == control.train).all()
    assert set(strict.test) < set(control.test)
    assert len(strict.test) >= 99
    for split in (strict, control):
        wanted = value if regime == "imbalance" else 0.5
        ones = task(tag).labels[split.test].sum()
        assert ones == np.ceil(wanted * len(split.test))


@pytest.mark.parametrize(
    "tag", ["58_wikidatapolitical_party", "36_sciq_tf", "6_hist_fig_isamerican"]
)
def test_where_the_task_allows_training_rows_are_those_of_the_paper(tag):
    dataset = load_dataset(tag)
    paper, strict = (
        standard_split(dataset, protocol=one, seed=42) for one in ("paper", "leak_free")
    )
    assert (paper.train == strict.train).all()
    assert set(strict.test) < set(paper.test)


def test_a_task_of_few_distinct_prompts_trains_on_fewer():
    dataset = load_dataset("131_temp_cat_Typical Time")
    sizes = [
        len(standard_split(dataset, protocol=one, seed=42).train)
        for one in ("paper", "leak_free", "size_matched")
    ]
    assert sizes[0] == 962 and sizes[1] == sizes[2] < 500
    with pytest.raises(UserError, match="737 training prompts leave fewer than 99 to test that do"):
        REGIMES["scarcity"].draw(dataset, 737, Draw("leak_free", 42, 1024))


def test_a_shifted_test_set_loses_the_prompts_that_training_has():
    dataset = task("73_control-group")
    rows = np.arange(0, 300)
    assert len(unseen_rows(dataset, rows, dataset)) < len(dataset) - 300
    assert not set(unseen_rows(dataset, rows, dataset)) & set(rows)


@given(groups=st.lists(st.integers(0, 8), min_size=4, max_size=160), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_validation_without_repeats_is_the_papers(groups, seed):
    labels = np.arange(len(groups)) % 2
    every = validation_splits(labels, cv_seed=seed, groups=np.arange(len(groups)))
    plain = validation_splits(labels, cv_seed=seed)
    assert all(
        (a == b).all() for x, y in zip(every, plain, strict=True) for a, b in zip(x, y, strict=True)
    )
    own = np.array(groups)
    for train, held in validation_splits(labels, cv_seed=seed, groups=own):
        assert len(train) and not set(own[train]) & set(own[held])
