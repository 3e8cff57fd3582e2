"""Groups of repeated prompts are those that a comparison of all pairs finds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probing_core.datasets import load_dataset
from probing_core.datasets.duplicates import SHORT, THRESHOLD, find_groups

WORDS = st.lists(
    st.sampled_from(["one", "two", "three", "four", "five", "six", "seven", "eight"]), min_size=4
)


def shingles(text):
    data = " ".join(text.split()).casefold().encode()
    return {data[at : at + 5] for at in range(len(data) - 4)}


def same(groups):
    return groups[:, None] == groups[None, :]


@settings(max_examples=60, deadline=None)
@given(st.lists(WORDS.map(" ".join), min_size=2, max_size=12))
def test_near_prompts_share_a_group_and_others_do_not_unless_by_a_chain(prompts):
    groups, sets = find_groups(prompts, "near"), [shingles(one) for one in prompts]
    for i, first in enumerate(sets):
        for j, second in enumerate(sets):
            near = len(first & second) / len(first | second)
            if near > THRESHOLD + 0.1 and min(len(first), len(second)) >= SHORT:
                assert groups[i] == groups[j]
            if groups[i] == groups[j] and first != second and (groups == groups[i]).sum() == 2:
                assert near >= THRESHOLD


@settings(max_examples=60, deadline=None)
@given(st.lists(WORDS.map(" ".join), min_size=1, max_size=12))
def test_a_coarser_level_joins_groups_and_parts_none(prompts):
    prompts = [*prompts, prompts[0].upper() + "\n", prompts[0]]
    exact, plain, near = (
        same(find_groups(prompts, one)) for one in ("exact", "normalised", "near")
    )
    assert (exact <= plain).all() and (plain <= near).all()
    assert exact[0, -1] and not exact[0, -2] and plain[0, -2]


def test_short_prompts_that_differ_in_a_letter_are_not_near():
    assert len(set(find_groups(["john adam", "john adams", "John  Adam"], "near"))) == 2


def test_a_prompt_with_one_word_changed_is_near():
    text = "The committee met on Tuesday to discuss the budget for the coming year in detail. " * 3
    assert len(set(find_groups([text, text.replace("Tuesday", "Friday", 1)], "near"))) == 1


def test_text_no_file_can_hold_is_grouped_all_the_same():
    groups = find_groups(["a\ud800", "a\ud800", "", "\0"], "near")
    assert groups[0] == groups[1] and len(set(groups.tolist())) == 3


@pytest.mark.parametrize(("tag", "low", "high"), [("42_temp_sense", 500, 650)])
def test_questions_with_other_answers_are_near(tag, low, high):
    dataset = load_dataset(tag)
    assert low < len(np.unique(dataset.groups("near"))) < high
    assert dataset.groups("near") is dataset.groups("near")
