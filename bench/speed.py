"""Seconds of our probes beside sae-probes' functions, on the same arrays in the same process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module

from bench.arrays import Case, cases
from bench.sides import few_rows, ours, probe_name, theirs, whole
from bench.table import Row
from probing_core.datasets.regimes import REGIMES
from probing_core.experiments.study import Study
from probing_core.probes.compile import compile_kernels
from probing_core.probes.methods import BASELINES, SAE_METHOD
from probing_core.profiles import load_profile

SIZES = (20, 128, 1024)
KS = (16, 128, 512)
STANDARD_GOAL, REGIMES_GOAL = 20.0, 12.0


def fits(study: Study, tasks: int | None = None) -> list[Row]:
    """Mean seconds of one fit of every probe at three sizes; no goals."""
    import_module("sae_probes")  # seconds that no fit should be charged for
    compile_kernels()
    probes = [(method, None) for method in BASELINES] + [(SAE_METHOD, k) for k in KS]
    chosen = list(cases(study, study.tags[: tasks or 4], [("standard", 0.0)]))
    rows = []
    for method, k in probes:
        for n in SIZES:
            mine = other = 0.0
            for case in (few_rows(case, n) for case in chosen):
                mine += seconds(ours, case, method, k)
                other += seconds(theirs, case, method, k)
            what = f"{probe_name(method, k)}, {n:,} prompts"
            rows.append(Row("fits", what, mine / len(chosen), other / len(chosen)))
    return rows


def whole_work(study: Study, tasks: int | None = None) -> list[Row]:
    """Every probe of many tasks under standard conditions, and of one task in all regimes.

    Ours is charged the compilation on a fresh machine, once each.
    """
    import_module("sae_probes")
    compiling = compile_seconds()
    compile_kernels()
    standard = list(cases(study, study.tags[: tasks or 24], [("standard", 0.0)]))
    regimes = [
        (case, grid.methods, grid.k)
        for name, grid in load_profile("paper").regimes.items()
        for case in cases(study, study.tags[:1], [(name, x) for x in REGIMES[name].values])
    ]
    ks = study.profile.standard.k
    work = {
        f"standard conditions, {len(standard)} tasks: five baselines, L1 at {len(ks)} k": (
            [(case, BASELINES, ks) for case in standard], STANDARD_GOAL,
        ),
        f"all regimes, {len(regimes)} settings of one task: baselines, L1 at two k": (
            regimes, REGIMES_GOAL,
        ),
    }  # fmt: skip
    rows = []
    for what, (settings, goal) in work.items():
        mine, other = compiling, 0.0
        for case, methods, wanted in settings:
            mine += seconds(whole, case, wanted, methods)
            other += seconds(_whole_theirs, case, wanted, methods)
        reached = goal if other >= goal * mine else None
        rows.append(Row("whole work", what, mine, other, goal=reached))
    return rows


def _whole_theirs(case: Case, ks: tuple[int, ...], methods: tuple[str, ...]) -> None:
    for method in methods:
        theirs(case, method)
    for k in ks:
        theirs(case, SAE_METHOD, k)


def compile_seconds() -> float:
    """What all compiled loops cost on a machine that has none, in a process of its own."""
    code = (
        "import time; from probing_core.probes.compile import compile_kernels\n"
        "started = time.perf_counter(); compile_kernels(); print(time.perf_counter() - started)"
    )
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {"NUMBA_CACHE_DIR": folder},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    return float(done.stdout)


def seconds(run: Callable, *arguments: object) -> float:
    """Wall seconds of one call."""
    started = time.perf_counter()
    run(*arguments)
    return time.perf_counter() - started
