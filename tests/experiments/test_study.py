"""Tasks of one's own in a study: their names, their SAEs, and what a study refuses."""

import shutil

import datasets as hf
import pandas as pd
import pytest
import yaml

from probing_core.datasets import load_dataset
from probing_core.errors import UserError
from probing_core.experiments import sections
from probing_core.experiments.saes import sae_keys
from probing_core.experiments.study import open_study
from probing_core.models.embedded import embedded_folder
from probing_core.runner.book import compute, run
from probing_core.runner.provenance import provenance
from tests.conftest import HOOK, TAGS, small_profile

ONE = {"name": "minilm", "hooks": [HOOK], "main_hook": HOOK}
NASTY = ["$\\frac$", "<b>", "${x}_", "a/b", "$$"]


def frame(n=120, word="kettle", ones=None):
    ones = n // 2 if ones is None else ones
    prompts = [f"The {word} number {i} is {'hot' if i < ones else 'cold'}." for i in range(n)]
    return pd.DataFrame({"prompt": prompts, "target": [1] * ones + [0] * (n - ones)})


def study_of(tmp_path, own, **changes):
    return open_study(small_profile(**{"tasks": []} | changes), tmp_path / "store", tasks=own)


def test_frames_in_a_list_get_names_that_do_not_collide(tmp_path):
    named = load_dataset(frame(), name="kettle")
    tasks = [frame(), named, frame(word="lamp"), hf.Dataset.from_pandas(frame(word="pan"))]
    study = study_of(tmp_path, tasks)
    assert study.tags == ["your-task", "kettle", "your-task-2", "your-task-3"]
    assert "lamp" in study.datasets["your-task-2"].prompts[0]


def test_a_mapping_names_whatever_is_a_task(tmp_path):
    path = tmp_path / "mine.csv"
    frame(word="pan").to_csv(path, index=False)
    tasks = {"kettle": frame(), "lamp": hf.Dataset.from_pandas(frame(word="lamp")), "pan": path}
    study = study_of(tmp_path, tasks, max_prompts=110)
    assert study.tags == ["kettle", "lamp", "pan"]
    assert {len(dataset) for dataset in study.datasets.values()} == {110}
    assert study.datasets["pan"].source == "mine.csv"


def test_a_fault_in_a_frame_is_told_with_its_name(tmp_path):
    with pytest.raises(UserError, match="^your-task-2: there are 8 rows"):
        study_of(tmp_path, [frame(), frame(8)])
    with pytest.raises(UserError, match="^lamp: there are 8 rows"):
        study_of(tmp_path, {"lamp": frame(8)})


def test_two_files_of_one_stem_are_told_with_both_paths(tmp_path):
    paths = [tmp_path / place / f"mine.{end}" for place, end in (("a", "csv"), ("b", "csv.gz"))]
    for path in paths:
        path.parent.mkdir()
        frame().to_csv(path, index=False)
    with pytest.raises(UserError, match="Two tasks are called 'mine'.*Rename one") as error:
        study_of(tmp_path, [str(path) for path in paths]).tags  # noqa: B018
    assert all(str(path) in str(error.value) for path in paths)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["66_living-room", "66_living-room_shifted"])
def test_a_task_of_ones_own_takes_no_name_of_the_papers(tmp_path, name):
    with pytest.raises(UserError, match=f"'{name}' is a task of the paper: call table in memory"):
        study_of(tmp_path, {name: frame()}).tags  # noqa: B018


def test_a_study_without_a_task_says_where_to_add_one(tmp_path):
    with pytest.raises(UserError, match="has no tasks: add one with --task"):
        compute(study_of(tmp_path, []))


def test_saes_train_on_tasks_of_ones_own_where_there_are_no_others(tmp_path):
    assert study_of(tmp_path, {"kettle": frame()}).training_tags == ["kettle"]
    both = study_of(tmp_path, {"kettle": frame()}, tasks=TAGS)
    assert both.training_tags == list(TAGS)


def test_tasks_of_ones_own_alone_are_computed_without_an_sae_and_with_one(tmp_path):
    tasks = {name: frame(220, word) for name, word in (("kettle", "kettle"), ("lamp", "lamp"))}
    for saes in ([], [{"width": 64, "l0": 8, "steps": 40, "batch_tokens": 256}]):
        study = study_of(tmp_path, tasks, models=[ONE | {"saes": saes}])
        compute(study)
        rows = sections.stored(study, "standard")
        assert set(rows["dataset"]) == {"kettle", "lamp"} and rows["test_auc"].notna().all()
        assert rows["sae_id"].notna().any() == bool(saes)


def test_a_skewed_task_tells_why_a_value_was_skipped(tmp_path):
    study = study_of(tmp_path, {"few": frame(400, ones=60)}, models=[ONE])
    found = sections.rows(study, "regimes", regimes=["imbalance"])
    assert found["test_auc"].isna().all()
    for reason in found["warning"]:
        assert reason.endswith("prompts of each class, the smaller has 60")


def test_a_task_in_memory_is_refused_for_notebooks_before_anything_is_computed(tmp_path):
    study = study_of(tmp_path, {"kettle": frame()})
    with pytest.raises(UserError, match="read tasks from files: save 'kettle' as a CSV"):
        run(study, profile="quick", notebooks=["02-probes"])
    assert [path.name for path in study.store.root.iterdir()] == ["format.json"]


@pytest.mark.parametrize("name", NASTY)
def test_a_nasty_name_is_a_file_of_the_store(tmp_path, name):
    study = study_of(tmp_path, {name: frame()}, models=[ONE])
    (key,) = sections.keys(study, "lengths")
    path = study.store.path(key, ".safetensors")
    assert path.parent == study.store.root / "extraction" and not set(path.name) & set("$/<>\\")


def test_rows_and_keys_of_a_local_model_show_its_name_and_no_path(
    tmp_path, monkeypatch, small_study
):
    shutil.copytree(embedded_folder("minilm"), tmp_path / "models" / "mine")
    (key,) = sae_keys(small_study)
    shutil.copytree(small_study.store.path(key), tmp_path / "study" / "saes" / "first")
    frame(220).to_csv(tmp_path / "study" / "kettle.csv", index=False)
    own = ONE | {"name": "../models/mine", "saes": [{"folder": "saes/first"}]}
    own["saes"][0]["gate"] = {"min_explained_variance": -9, "max_l0": 1e9}
    settings = small_profile().model_dump(mode="json") | {"models": [own], "tasks": ["kettle.csv"]}
    (tmp_path / "study" / "mine.yaml").write_text(yaml.safe_dump(settings))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    study = open_study("../study/mine.yaml", tmp_path / "store", model="mine")
    rows = sections.rows(study, "standard")
    assert set(rows["model"]) == {"mine"} and set(rows["dataset"]) == {"kettle"}
    assert set(rows["sae_id"].dropna()) == {"first"} and rows["test_auc"].notna().all()
    keys = [one for name in sections.SECTIONS for one in sections.keys(study, name)]
    assert len(keys) > 4
    for one in keys:
        assert str(tmp_path) not in f"{one.label}{one.fields}"
    shown = provenance(study)
    assert shown["model"] == "mine" and str(tmp_path) not in str(shown)
    assert str(tmp_path) not in rows.to_csv()
