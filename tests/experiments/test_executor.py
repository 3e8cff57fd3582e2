import os
import signal
import subprocess
import sys
import textwrap
import time
from types import SimpleNamespace

import psutil
import pytest

from probing_core.experiments import executor
from probing_core.experiments.executor import run_units

SCRIPT = """
    import pathlib, sys, time
    from probing_core.experiments.executor import AT_INTERRUPT, run_units, stop_at_interrupt

    def unit(path):
        pathlib.Path(path).touch()
        time.sleep(300)

    if sys.argv[1] == "command":
        stop_at_interrupt()
        AT_INTERRUPT.append(lambda: "Finished: nothing.")
    try:
        run_units(unit, [(path,) for path in sys.argv[2:]], label="units", workers=2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr, flush=True)
        time.sleep(300)
"""


@pytest.fixture
def at_work(tmp_path, request):
    """A process in a group of its own whose two workers are at their units, and all it started."""
    files, kind = [tmp_path / "first", tmp_path / "second"], getattr(request, "param", "command")
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), kind, *map(str, files)]
    parent = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    until(lambda: all(file.exists() for file in files), seconds=120)
    children = psutil.Process(parent.pid).children(recursive=True)
    yield parent, children
    parent.kill()
    parent.communicate()


def until(true, *, seconds):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_leave_when_their_parent_is_killed(at_work, number):
    parent, children = at_work
    assert len(children) >= 2
    parent.send_signal(number)
    assert parent.wait() == -number
    assert psutil.wait_procs(children, timeout=5)[1] == []


def test_an_interrupt_ends_everything_at_once_and_says_what_is_finished(at_work):
    parent, children = at_work
    os.killpg(parent.pid, signal.SIGINT)
    said = parent.communicate(timeout=10)[1]
    assert parent.returncode == 130
    assert said == "Stopped. Finished: nothing. The same command goes on from there.\n"
    assert psutil.wait_procs(children, timeout=5)[1] == []


@pytest.mark.parametrize("at_work", ["library"], indirect=True)
def test_an_interrupted_cell_stops_its_units_and_goes_on(at_work):
    parent, children = at_work
    os.killpg(parent.pid, signal.SIGINT)
    assert parent.stderr.readline() == "interrupted\n"
    assert parent.poll() is None
    assert len(psutil.wait_procs(children, timeout=5)[0]) >= 2


def test_results_come_in_the_order_of_the_units_whoever_runs_them():
    units = [(number, 2) for number in range(6)]
    for workers in (1, 2):
        assert run_units(pow, units, label="powers", workers=workers) == [0, 1, 4, 9, 16, 25]
    assert run_units(pow, [], label="powers", workers=2) == []


def test_auto_takes_no_more_workers_than_memory_holds(monkeypatch):
    cores = executor.count_workers("auto")
    monkeypatch.setattr(executor, "cpu_count", lambda: 8)
    for gigabytes, expected in ((1, 1), (8, 2), (64, 8)):
        memory = SimpleNamespace(total=gigabytes * 10**9)
        monkeypatch.setattr(executor.psutil, "virtual_memory", lambda memory=memory: memory)
        assert executor.count_workers("auto") == expected
    assert executor.count_workers(5) == 5 and cores >= 1
