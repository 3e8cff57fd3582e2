import os
import subprocess
import sys

import pytest
import yaml

from tests.conftest import small_profile


def call(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "probing_core", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"HF_HUB_OFFLINE": "1"} | environment,
    )


def write_profile(folder, **changes):
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(small_profile(**changes).model_dump(mode="json")))
    return str(path)


CASES = {
    "unknown profile": (["book", "--profile", "quik"], "Did you mean 'quick'"),
    "unknown task": (["show", "66_livingroom"], "Did you mean '66_living-room'"),
    "unknown listing": (["list", "task"], "Did you mean 'tasks'"),
    "unknown notebook": (["run", "--only", "2-probes"], "Unknown notebook '2-probes'"),
    "unknown parameter": (["run", "-p", "rankin=x"], "Did you mean 'ranking'"),
    "shapeless parameter": (["run", "-p", "ranking"], "write name=value"),
    "missing csv": (["compute", "--task", "absent.csv"], "There is no file"),
    "missing csv shown": (["show", "absent.csv"], "There is no file"),
    "mistyped tag added": (["compute", "-t", "66_livingroom"], "Did you mean '66_living-room'"),
    "file of another kind": (["compute", "-t", "Makefile"], "its name ends in .csv, .tsv"),
    "no checkout": (["import-published", "absent"], "absent is no folder"),
    "published and a task": (["run", "-P", "published", "-t", "a.csv"], "leave out --task"),
    "no list to check": (["published-check", ".", "-e", "absent.json"], "no file absent.json"),
    "model not in profile": (["compute", "--model", "gpt2"], "has no model 'gpt2'"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_ends_with_one_line_and_exit_code_2(case, tmp_path):
    arguments, message = CASES[case]
    done = call(*arguments, PROBING_STORE=str(tmp_path))
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_unknown_model_in_a_profile_names_the_nearest(tmp_path):
    model = small_profile().models[0].model_dump(mode="json") | {"name": "minilmm"}
    done = call(
        "compute", "--profile", write_profile(tmp_path, models=[model]), "-s", str(tmp_path)
    )
    assert done.returncode == 2 and "Did you mean 'minilm'" in done.stderr


def test_unknown_hook_in_a_profile_names_the_nearest(tmp_path):
    hook = "blocks.3.hook_residpost"
    model = small_profile().models[0].model_dump(mode="json")
    model |= {"hooks": [hook], "main_hook": hook}
    done = call(
        "compute", "--profile", write_profile(tmp_path, models=[model]), "-s", str(tmp_path)
    )
    assert done.returncode == 2 and "Did you mean 'blocks.3.hook_resid_post'" in done.stderr


def test_store_of_another_format_is_refused(tmp_path):
    (tmp_path / "format.json").write_text('{"version": 1}')
    done = call("status", "--store", str(tmp_path))
    assert done.returncode == 2 and "has format 1" in done.stderr


def test_help_teaches():
    done = call("--help")
    assert done.returncode == 0
    for command in ("run", "book", "compute", "status", "list", "show"):
        assert f" {command} " in done.stdout
    assert "Start with" in done.stdout
    assert "Example" in call("run", "--help").stdout


def test_status_counts_what_is_left(tmp_path):
    done = call("status", "--profile", write_profile(tmp_path), "--store", str(tmp_path / "s"))
    assert done.returncode == 0
    assert "standard: 0 of 9 files are there" in done.stdout
    assert "regimes: 0 of 18 files are there" in done.stdout


def test_lists_name_every_task_and_sae():
    assert call("list", "tasks").stdout.count("\n") == 113
    assert (
        call("list", "saes", "--profile", "paper").stdout.count("gemma-scope-9b-pt-res/layer_20")
        == 34
    )
    assert call("list", "profiles").stdout.count("\n") == 5


def test_show_tells_a_task_and_its_defects():
    done = call("show", "161_agnews_0")
    assert done.returncode == 0 and "code files" in done.stdout and "AG News" in done.stdout


def own_task(folder, name="kettle.csv"):
    lines = [f'"The kettle {i} is {"hot" if i % 2 else "cold"}.",{i % 2}' for i in range(220)]
    (folder / name).write_text("\n".join(["prompt,target", *lines]))
    return str(folder / name)


def test_audit_says_that_a_task_of_two_words_needs_no_model(tmp_path):
    own, hook = own_task(tmp_path), small_profile().models[0].main_hook
    model = {"name": "minilm", "hooks": [hook], "main_hook": hook}
    profile = write_profile(tmp_path, models=[model], regimes={})
    done = call("audit", own, "--profile", profile, "--store", str(tmp_path / "store"))
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and "test prompts in training             0.0%" in lines
    assert sum(one.endswith(f"logistic regression on minilm, {hook}") for one in lines) == 1
    assert "    1.000  bag of words" in lines
    assert lines[-1].startswith("These classes need no model")
    wrong = call("audit", "66_living-rom", "--store", str(tmp_path / "store"))
    assert wrong.returncode == 2 and "66_living-room" in wrong.stderr


def test_show_tells_a_task_of_ones_own_and_its_best_rows(tmp_path):
    own, store = own_task(tmp_path), str(tmp_path / "store")
    hook = small_profile().models[0].main_hook
    model = {"name": "minilm", "hooks": [hook], "main_hook": hook}
    profile = write_profile(tmp_path, tasks=[], models=[model], regimes={})
    before = call("show", own, "--profile", profile, "--store", store)
    assert before.returncode == 0
    assert "kettle: a task of your own\nsource    kettle.csv\n" in before.stdout
    assert "prompts   220, label 1 is '1'" in before.stdout
    assert "label 0   'The kettle 0 is cold.'" in before.stdout and "logreg" not in before.stdout
    assert call("compute", "-P", profile, "-s", store, "-t", own).returncode == 0
    assert f"logreg at {hook} (validation" in call("show", own, "-P", profile, "-s", store).stdout
    tag = call("show", "66_living-room", "-P", profile, "-s", store)
    assert tag.returncode == 0 and "logreg" not in tag.stdout
    profile = write_profile(tmp_path, tasks=["./kettle.csv"], models=[model], regimes={})
    for name in ("kettle", own):
        assert f"logreg at {hook}" in call("show", name, "-P", profile, "-s", store).stdout


def test_show_names_the_nearest_of_a_profile_with_own_tasks(tmp_path):
    own_task(tmp_path)
    profile = write_profile(tmp_path, tasks=["kettle.csv"])
    done = call("show", "66_livingroom", "-P", profile, "-s", str(tmp_path / "store"))
    assert done.returncode == 2 and "Did you mean '66_living-room'" in done.stderr
