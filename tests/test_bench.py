"""What ``bench/`` has measured: complete and honest, whatever the numbers are."""

import json
from pathlib import Path

import pytest

from bench.agreement import CONDITIONS, PROBES
from bench.sides import probe_name
from bench.table import Row, as_page, pipe_table
from probing_core.probes.methods import METHODS

BENCH = Path(__file__).resolve().parents[1] / "bench"
SHORT = {method.short for method in METHODS.values()}


@pytest.fixture(scope="module")
def kept():
    return json.loads((BENCH / "solvers.json").read_text())


def test_the_fragment_shows_what_was_kept(kept):
    assert (BENCH / "solvers.md").read_text() == as_page(kept)


def test_the_agreement_covers_every_probe_and_condition_within_the_promise(kept):
    rows = kept["agreement"]["rows"]
    assert len(rows) == len(PROBES) * len(CONDITIONS)
    for row in rows:
        assert row["largest"] >= abs(row["mean"])
        # Boosting samples other rows and columns than XGBoost.
        if row["probe"] != "XGBoost":
            assert abs(row["mean"]) <= 0.002, row


def test_ties_cost_nothing_where_nothing_saturates(kept):
    for row in kept["ties"]["rows"]:
        assert row["n_fits"] > 0 and 0 <= row["tied"] <= 1
        assert row["largest"] == 0 or row["tied"] > 0


def test_rows_of_speed_name_their_method_and_no_goal_is_claimed_that_is_not_met(kept):
    for group in ("whole work", "fits"):
        for row in (Row(**row) for row in kept.get(group, {"rows": []})["rows"]):
            assert row.goal is None or row.ratio >= row.goal
            assert row.group == group and any(name in row.what for name in SHORT)


def test_probes_are_named_as_the_field_names_them():
    assert probe_name("logreg", None) == "L2"
    assert probe_name("sae_logreg", 16) == "L1, k = 16"


def test_a_table_has_a_line_a_row():
    lines = pipe_table(["what", "ratio"], [["L2", "2.0"], ["KNN", "3.0"]]).splitlines()
    assert lines == ["| what | ratio |", "| :-- | --: |", "| L2 | 2.0 |", "| KNN | 3.0 |"]
