"""The splits as a product: in one line, and in one file that others read without this code."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import probing_core
from probing_core.datasets import TASKS, load_dataset
from probing_core.datasets.benchmark import SEEDS, VERSION, split_table
from probing_core.datasets.splits import standard_split

BOOK = Path(__file__).parents[2] / "book"
SIDES = ("train", "validation", "test")


@pytest.fixture(scope="module")
def kept():
    return pd.read_parquet(BOOK / "leak-free.parquet")


def test_one_line_gives_a_task_with_its_splits():
    task = probing_core.load_task("96_spam_is", protocol="leak_free", seed=43)
    groups = [set(task.groups("near")[getattr(task, side)]) for side in SIDES]
    assert all(groups) and not groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2]
    whole = standard_split(load_dataset("96_spam_is"), protocol="leak_free", seed=43)
    assert set(np.r_[task.train, task.validation]) == set(whole.train)
    assert (task.test == whole.test).all() and (task.protocol, task.seed) == ("leak_free", 43)
    assert task.content_hash == load_dataset("96_spam_is").content_hash


def test_a_task_without_a_protocol_has_no_splits():
    assert not hasattr(probing_core.load_task("96_spam_is"), "train")


@pytest.mark.parametrize("tag", ["41_truthqa_tf", "131_temp_cat_Typical Time"])
def test_the_file_holds_the_rows_of_the_code(kept, tag):
    own = split_table(load_dataset(tag)).to_pandas()
    there = kept[kept["task"] == tag].reset_index(drop=True)
    pd.testing.assert_frame_equal(there, own)


def test_the_file_covers_every_task_and_seed_and_names_its_version(kept):
    assert set(kept["task"]) == set(TASKS) and set(kept["version"]) == {VERSION}
    assert kept.groupby("task").size().to_dict() == {t: one.n_prompts for t, one in TASKS.items()}
    for seed in SEEDS:
        assert set(kept[f"seed_{seed}"].dropna()) == set(SIDES)
        assert (kept.groupby("task")[f"seed_{seed}"].nunique() == 3).all()


def test_the_reader_needs_only_pandas_and_the_data(tmp_path):
    reader = (BOOK / "leak_free.py").read_text("utf-8")
    assert "probing_core" not in reader
    assert len([line for line in reader.splitlines() if line.strip()]) <= 21
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from leak_free import leak_free;"
        "sides = leak_free('87_glue_cola', 44);"
        "print(*(f'{len(v)} {v.index[0]}' for v in sides.values()));"
        "assert not any(m.startswith(('probing_core', 'torch')) for m in sys.modules)"
    )
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(BOOK)],
        cwd=tmp_path, env=env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    task = probing_core.load_task("87_glue_cola", protocol="leak_free", seed=44)
    own = [np.sort(getattr(task, side)) for side in SIDES]
    assert done.stdout.split() == [str(n) for rows in own for n in (len(rows), rows[0])]
