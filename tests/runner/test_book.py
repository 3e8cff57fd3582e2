import os
import re
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest
import yaml

from bench.trials import ROOT, copy_checkout
from tests.conftest import small_profile


@pytest.fixture
def store(small_study, tmp_path):
    """A copy of the session's store with activations and an SAE, and no rows."""
    root = tmp_path / "store"
    return shutil.copytree(small_study.store.root, root, ignore=shutil.ignore_patterns("rows"))


@pytest.fixture
def start(store, tmp_path):
    """Starts a command on that store, in a checkout and in a process group of its own."""
    profile, started = tmp_path / "mine.yaml", []
    settings = small_profile(workers=2, regimes={}).model_dump(mode="json")
    profile.write_text(yaml.safe_dump(settings))

    def start(root, *arguments):
        command = [sys.executable, *arguments]
        if arguments[0] != "-c":
            command[1:1] = ["-m", "probing_core"]
            command += ["-P", str(profile), "-s", str(store)]
        process = subprocess.Popen(
            command,
            cwd=root,
            env=os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(root)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def until(true):
    deadline = time.monotonic() + 180
    while not (found := true()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def test_an_interrupted_compute_says_what_is_finished_and_goes_on_from_there(start, store):
    process = start(ROOT, "compute")
    assert any("Fitting" in line for line in process.stderr)
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=10)[1]
    there = len([*store.glob("rows/*.parquet")])
    assert process.returncode == 130 and "Traceback" not in said
    counted = re.fullmatch(
        r"Stopped\. Finished files: activations 12 of 12, lengths 3 of 3, saes 1 of 1,"
        r" standard (\d) of 9, shift 0 of 6, unshifted 0 of 6, shortcuts 0 of 3,"
        r" mislabelled 0 of 1,"
        r" multi_token 0 of 3, improvements 0 of (\d+), leakage 0 of (\d+),"
        r" planted 0 of 10\."
        r" The same command goes on from there\.",
        said.splitlines()[-1],
    )
    # Each worker may finish one more while the others are counted.
    assert 0 <= there - int(counted[1]) <= 2
    process = start(ROOT, "compute")
    assert f"to compute: {9 - there} files of standard" in process.communicate()[1]
    later = int(counted[2]) + int(counted[3])
    assert process.returncode == 0
    assert len([*store.glob("rows/*.parquet")]) == 9 + 6 + 6 + 3 + 1 + 3 + later + 3 + 10


def test_a_second_run_gives_way_to_the_first_until_that_one_is_gone(start, tmp_path):
    root = copy_checkout(tmp_path / "checkout")
    command = (root, "run", "--only", "01-activations")
    first = start(*command)
    until((root / "book/sections/run.txt").exists)
    first.send_signal(signal.SIGSTOP)  # so that it cannot end before the second one comes
    second = start(*command)
    said = second.communicate()[1]
    assert second.returncode == 2 and said.count("\n") == 1
    assert f"process {first.pid} ('python -m probing_core run --only 01-activations" in said
    first.send_signal(signal.SIGCONT)
    children = until(lambda: psutil.Process(first.pid).children(recursive=True))
    first.kill()
    first.communicate()
    assert psutil.wait_procs(children, timeout=5)[1] == []
    assert "01-activations: completed" in start(*command).communicate()[0]


def test_the_build_leaves_with_its_parent(start, tmp_path):
    root = copy_checkout(tmp_path / "checkout")
    (root / "book/_ext/offline_math.py").write_text(
        "import pathlib, time\npathlib.Path('reached').touch()\ntime.sleep(600)\n"
    )
    process = start(root, "-c", "from probing_core.runner import book; book.build_html()")
    until((root / "reached").exists)
    (build,) = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    assert psutil.wait_procs([build], timeout=5)[1] == []
