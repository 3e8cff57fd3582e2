"""What ``bench/`` has measured: complete and honest, whatever the numbers are."""

import json
from pathlib import Path

import numpy as np
import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench"
COLUMNS = {
    "name", "n", "width", "workers", "ours_s", "theirs_s", "ratio", "goal", "auc_difference",
}  # fmt: skip


@pytest.fixture(scope="module")
def rows():
    return json.loads((BENCH / "latest.json").read_text())


@pytest.fixture(scope="module")
def cells():
    return json.loads((BENCH / "agreement.json").read_text())["fast"]


def test_latest_is_a_list_of_rows_with_the_agreed_columns(rows):
    assert isinstance(rows, list)
    assert all(set(row) >= COLUMNS for row in rows)


def test_ratios_are_those_of_the_times(rows):
    for row in rows:
        if row["theirs_s"] is not None:
            assert row["ratio"] == pytest.approx(row["theirs_s"] / row["ours_s"])


def test_every_goal_that_is_missed_says_what_bounds_it(rows):
    for row in rows:
        if row["goal"] is not None and row["ratio"] < row["goal"]:
            assert row["note"], (row["name"], row["n"], row["width"])


def test_every_probe_is_measured_at_every_size(rows):
    fits = {(row["name"], row["width"], row["n"]) for row in rows if row["group"] == "probes"}
    for n in (20, 128, 1024):
        assert {("sae_logreg", k, n) for k in (16, 128, 512)} <= fits
        for method in ("logreg", "pca", "knn", "mlp", "xgboost"):
            assert {(method, width, n) for width in (384, 3584)} <= fits


def test_the_agreement_covers_the_tasks_and_its_means_are_those_of_its_dots(cells):
    for cell in cells:
        assert cell["n_tasks"] == len(cell["gaps"])
        assert cell["mean"] == pytest.approx(np.mean(cell["gaps"]), abs=1e-5)
        assert cell["off"] == sum(abs(gap) > 0.03 for gap in cell["gaps"])
    standard = [cell for cell in cells if cell["regime"] == "standard"]
    assert {cell["n_tasks"] for cell in standard} == {113}
