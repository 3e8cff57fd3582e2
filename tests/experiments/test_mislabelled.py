"""Labels of three sources for one comparison, on a real study."""

import json

import numpy as np
import pandas as pd
import pytest

from probing_core.analysis.mislabelled import accuracies, finding
from probing_core.datasets import TASKS, load_dataset
from probing_core.errors import UserError
from probing_core.experiments import sections
from probing_core.experiments.mislabelled import COLUMNS, TASK, relabelled, scores
from probing_core.experiments.study import open_study
from tests.conftest import small_profile
from tests.endpoint import completion

ROOMS = "66_living-room"


@pytest.fixture(scope="module")
def cola(tmp_path_factory):
    """A study of CoLA and a task that a model knows."""
    profile = small_profile(tasks=(TASK, ROOMS))
    return open_study(profile, tmp_path_factory.mktemp("store"))


def test_the_papers_council_judged_the_last_prompts_of_cola(cola):
    one = relabelled(cola, "council")
    whole = load_dataset(TASK)
    assert one.tested.prompts == whole.prompts[-1000:][:700]
    assert (one.tested.labels == whole.labels[-1000:][:700]).all()
    assert 0.2 < (one.clean != one.tested.labels).mean() < 0.24
    assert len(one.train_rows) == 700 and set(one.train_labels) == {0, 1}


def test_planted_labels_are_flipped_in_training_and_test_alike(cola):
    one = relabelled(cola, "planted", ROOMS, share=0.2, seed=3)
    data, split = cola.dataset(ROOMS), cola.split(ROOMS, 3)
    assert (one.train_rows == split.train).all() and (one.rows == split.test).all()
    assert (one.clean == data.labels[split.test]).all()
    assert (one.train_labels != data.labels[split.train]).sum() == int(0.2 * len(split.train))
    assert 0.1 < (one.tested.labels[one.rows] != one.clean).mean() < 0.3
    with pytest.raises(UserError, match="flipped up to a half"):
        relabelled(cola, "planted", ROOMS, share=0.6)
    assert (relabelled(cola, "planted", ROOMS, share=0.0).tested.labels == data.labels).all()


def test_planted_noise_is_found_well_above_chance(cola):
    found = finding(scores(cola, "planted", ROOMS))
    best = found.loc[found["precision"].idxmax()]
    assert best["low"] > best["base"] + 0.1 and best["precision"] > 2 * best["base"]


def test_every_probe_scores_every_judged_prompt(cola):
    table = scores(cola, "council")
    assert list(table.columns) == COLUMNS and set(table["labels"]) == {"council"}
    assert table.groupby("method").size().to_dict() == dict.fromkeys(
        ("logreg", "sae_1", "sae_128"), 700
    )
    assert table["chance"].between(0, 1).all()
    differ = (table["given"] != table["clean"]).sum() // 3
    assert accuracies(table)["n"].tolist()[:3] == [700, 700, differ]
    again = scores(cola, "council")
    pd.testing.assert_frame_equal(table, again)


def test_a_study_without_the_task_scores_nothing(small_study):
    assert scores(small_study, "council").empty


def council(path, frame):
    frame.to_csv(path, index=False)
    return str(path)


def test_a_file_of_judges_gives_their_majority_and_leaves_out_a_split_vote(cola, tmp_path):
    sheet = pd.DataFrame(
        {"number": [4, 5, 6, 7], "prompt": ["a", "b", "c", "d"], "original_target": [1, 0, 1, 0],
         "one": [1, 1, 0, 1],
         "two": [1, 1, 1, np.nan], "three": [0, 1, np.nan, np.nan]}
    )  # fmt: skip
    one = relabelled(cola, council(tmp_path / "mine.csv", sheet))
    assert one.name == "mine" and one.tested.prompts == ("a", "b", "d")
    assert one.clean.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.drop(columns="prompt"), "no column 'prompt'"),
        (lambda f: f.assign(original_target=[0, 2]), "row 2"),
        (lambda f: f.drop(columns=["one", "two"]), "neither a column 'ensemble'"),
        (lambda f: f.assign(ensemble=["yes", "no"]), "the column 'ensemble' holds"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(cola, tmp_path, change, said):
    sheet = pd.DataFrame({"prompt": ["a", "b"], "original_target": [0, 1], "one": [1, 1],
                          "two": [0, 1]})  # fmt: skip
    path = council(tmp_path / "bad.csv", change(sheet))
    with pytest.raises(UserError, match=said):
        relabelled(cola, path)
    with pytest.raises(UserError, match="cannot be read"):
        relabelled(cola, str(tmp_path / "absent.csv"))


def test_the_papers_council_knows_cola_alone(cola):
    with pytest.raises(UserError, match="give a CSV, or 'planted'"):
        relabelled(cola, "council", ROOMS)


def test_a_live_council_is_asked_about_the_last_prompts(cola, server):
    answer = {str(number): int(number != 3) for number in range(150)}
    server.replies.append((200, completion(json.dumps(answer)), {}))
    one = relabelled(cola, "live", judges=["x", "y"], asked=150)
    assert one.tested.prompts == load_dataset(TASK).prompts[-150:]
    assert one.clean.tolist() == list(answer.values())
    asked = [body["messages"][0]["content"] for _, _, body in server.asked]
    assert len(asked) == 16 and all(TASKS[TASK].asks in text for text in asked)


def test_what_is_scored_by_default_is_computed_with_the_other_sections(cola):
    before = len(sections.lacking(cola, "mislabelled"))
    sections.compute(cola, "mislabelled")
    assert before <= len(sections.keys(cola, "mislabelled")) == 2
    assert not sections.lacking(cola, "mislabelled")
    stored = sections.stored(cola, "mislabelled")
    asked = [scores(cola, "council"), scores(cola, "planted", ROOMS)]
    pd.testing.assert_frame_equal(stored, pd.concat(asked, ignore_index=True))
