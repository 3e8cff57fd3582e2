import os
import random
import shutil
import subprocess
import sys
import textwrap
from dataclasses import astuple

import pytest

from bench.trials import damage_files, tally
from probing_core.experiments import sections
from probing_core.experiments.study import open_study
from tests.conftest import small_profile

KINDS = {
    "activations .safetensors", "extraction .safetensors", "format.json .json",
    "latents .safetensors", "rows .parquet", "saes .json", "saes/cfg.json",
    "saes/checksums.json", "saes/sae_weights.safetensors", "tokens .safetensors",
}  # fmt: skip


@pytest.fixture
def filled(small_study, tmp_path):
    """A copy of the session's store with rows and latents in it."""
    grid = {"methods": ["knn"], "k": [4]}
    root = shutil.copytree(small_study.store.root, tmp_path / "store")
    study = open_study(small_profile(standard=grid), root)
    sections.compute(study, "standard")
    return study


def test_no_damage_to_any_kind_of_file_goes_unnoticed(filled):
    counts = list(damage_files(filled.store.root, random.Random(0), 4))
    assert {count.trial for count in counts} >= KINDS
    assert all(astuple(count) == (count.trial, 6, 0, 0, 0, 0) for count in counts)


def test_a_store_that_checks_nothing_is_found_out(filled, monkeypatch):
    monkeypatch.setattr("probing_core.store.is_sealed", lambda data: True)
    found = damage_files(filled.store.root, random.Random(0), 20)
    assert sum(count.silent + count.tracebacks for count in found) > 50


def test_outcomes_are_counted_by_what_they_are():
    counts = tally("any", ["", "silent", "aborts", "", "silent"])
    assert astuple(counts) == ("any", 5, 2, 0, 1, 0)


def test_reading_rows_starts_no_thread(filled):
    """One that outlives the interpreter aborts the process at its exit, now and then."""
    script = f"""
        import os
        from probing_core.store import Key, Store
        store, key = Store({str(filled.store.root)!r}), Key("rows", *{_row_name(filled)!r}, {{}})
        before = len(os.listdir("/proc/self/task"))
        assert store.read_rows(key).num_rows > 0
        assert len(os.listdir("/proc/self/task")) == before
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, env=os.environ)


def _row_name(study):
    return sections.keys(study, "standard")[0].name.rsplit("-", 1)
