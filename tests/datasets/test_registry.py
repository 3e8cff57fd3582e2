import itertools

import pytest
from sae_probes.utils_data import get_dataset_sizes, get_yvals

from probing_core.datasets import TASKS, find_task, load_dataset, load_shifted
from probing_core.datasets.registry import family_of
from probing_core.errors import UserError


def test_registry_holds_exactly_the_113_binary_tasks_of_the_package():
    assert {tag: task.n_prompts for tag, task in TASKS.items()} == get_dataset_sizes()
    assert len(TASKS) == 113


def test_registry_counts_the_334092_prompts_that_design_reports():
    assert sum(task.n_prompts for task in TASKS.values()) == 334_092


@pytest.mark.parametrize(
    "tag", ["41_truthqa_tf", "66_living-room", "105_click_bait", "21_headline_istrump"]
)
def test_labels_equal_those_of_sae_probes(tag):
    dataset = load_dataset(tag)
    assert (dataset.labels == get_yvals(tag)).all()
    assert dataset.class_names == find_task(tag).class_names


def test_every_task_names_source_question_and_classes():
    for task in TASKS.values():
        assert task.source and task.origin and task.asks.endswith("?)") or "?" in task.asks
        assert len(set(task.class_names)) == 2


def test_eight_tasks_have_a_shifted_test_set():
    shifted = [task.tag for task in TASKS.values() if task.shifted]
    sizes = {tag: len(load_shifted(tag)) for tag in shifted}
    assert len(sizes) == 8 and shifted == [task.tag for task in TASKS.values() if task.shift[0]]
    assert sizes.pop("5_hist_fig_ismale") == 299
    assert set(sizes.values()) == {300}


def test_shifted_labels_follow_the_training_task():
    assert load_shifted("66_living-room").class_names == load_dataset("66_living-room").class_names


def test_task_without_a_shifted_set_says_so():
    with pytest.raises(UserError, match="has no shifted test set"):
        load_shifted("113_movie_sent")


def test_unknown_task_offers_the_nearest():
    with pytest.raises(
        UserError, match="Unknown task '66_livingroom'. Did you mean '66_living-room'"
    ):
        find_task("66_livingroom")


def test_known_defects_are_on_record():
    assert any("code files" in text for text in find_task("161_agnews_0").defects)
    assert find_task("113_movie_sent").defects == ()


def test_families_are_the_tasks_that_share_a_tenth_of_their_prompts():
    prompts = {tag: set(load_dataset(tag).prompts) for tag in TASKS}
    parent = {tag: tag for tag in TASKS}

    def root(tag):
        return tag if parent[tag] == tag else root(parent[tag])

    for a, b in itertools.combinations(TASKS, 2):
        shared = len(prompts[a] & prompts[b])
        if shared >= 0.1 * min(len(prompts[a]), len(prompts[b])):
            parent[root(b)] = root(a)
    for a, b in itertools.combinations(TASKS, 2):
        assert (root(a) == root(b)) == (family_of(a) == family_of(b)), (a, b)
    assert len({task.family for task in TASKS.values()}) == 64  # book/method.md says so
    assert family_of("my-own-task") == "my-own-task"
