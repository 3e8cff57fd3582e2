"""Our statistics on the paper's own tables give the numbers recomputed from them elsewhere."""

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from probing_core.cli import app
from probing_core.errors import UserError
from reproduction.check import check, judge, read_expected, table_lines
from reproduction.recipes import NotComputable, compute

MUST_PASS = (
    "fig1.", "fig3.partial.", "fig4.", "fig5.", "fig6.", "fig13", "fig15.", "fig16.", "fig17c.",
    "fig19.scarcity.", "normal.", "datasets.",
)  # fmt: skip
OUT_OF_REACH = (
    "fig20.v1.pruning",
    "table8.aimade_tokens",
    "paper.stated_numbers",
    "fig12.digitised_medians",
    "fig14b.legend",
    "fig12.partial.DataScarcityHacking_branch",
    "table9.sae_last_l0_68",
)
"""Not in the tables at hand."""


@pytest.fixture(scope="module")
def verdicts(found, expected):
    return {verdict.key: verdict for verdict in check(found, expected)}


def test_every_entry_of_the_kinds_that_must_pass_passes(verdicts):
    wanted = [key for key in verdicts if key.startswith(MUST_PASS)]
    assert len(wanted) >= 50
    wrong = {key: verdicts[key] for key in wanted if verdicts[key].status != "ok"}
    assert not wrong
    assert not {key: verdicts[key].left for key in wanted if verdicts[key].left}


def test_no_entry_fails_and_those_not_computed_are_known_with_their_reason(verdicts):
    skipped = {key: one.reason for key, one in verdicts.items() if one.status == "skip"}
    assert set(skipped) == set(OUT_OF_REACH)
    assert all(skipped.values())
    assert not [key for key, one in verdicts.items() if one.status == "FAIL"]


def test_computed_entries_agree_far_better_than_their_tolerance(verdicts, expected):
    """Not where an unstable sort decides: another machine's may leave another order."""
    for key, one in verdicts.items():
        computed = expected[key].get("status") == "computed" and "literal" not in key
        if one.status == "ok" and computed and not key.startswith("datasets.audit"):
            assert one.largest < 1e-9, key


def test_a_number_that_is_off_fails_its_entry():
    entry = {"value": {"delta": {"2": 0.1, "0.50": 0.2}, "n": 3}, "suggested_abs_tol": 1e-6}
    ours = {"delta": {2: 0.1, 0.5: 0.2}, "n": 3, "more": 1}
    assert judge("x", ours, entry).status == "ok"
    off = judge("x", ours | {"n": 4}, entry)
    assert (off.status, off.place, off.ours, off.expected) == ("FAIL", "n", 4, 3)
    assert judge("x", {"delta": {2: float("nan")}, "n": 3}, entry).status == "FAIL"


def test_numbers_the_tables_cannot_give_are_named_and_not_counted_as_right():
    entry = {"value": {"a": 1.0, "b": 2.0}}
    part = judge("x", {"a": 1.0}, entry)
    assert (part.status, part.compared, part.left) == ("ok", 1, ("b",))
    assert judge("x", {"c": 1.0}, entry).status == "skip"


def test_the_report_has_a_line_an_entry_and_a_count_of_what_is_left(verdicts):
    lines = table_lines(list(verdicts.values()))
    assert lines[0].split() == ["key", "ours", "expected", "largest", "allowed", "numbers", "ok"]
    ok = sum(one.status == "ok" for one in verdicts.values())
    assert f"{ok} ok, 0 failed, {len(OUT_OF_REACH)} not computed" in lines
    assert sum(line.startswith("not computed:") for line in lines) == len(OUT_OF_REACH)


def test_the_command_exits_with_1_when_a_number_is_off(results, tmp_path):
    good = {"entries": {"fig7.ood": {"value": {"n_sae_better": 2}, "suggested_abs_tol": 0}}}
    file = tmp_path / "expected.json"
    file.write_text(json.dumps(good))
    arguments = ["published-check", str(results), "--expected", str(file)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0 and "1 ok, 0 failed" in done.output
    good["entries"]["fig7.ood"]["value"]["n_sae_better"] = 3
    file.write_text(json.dumps(good))
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1
    assert "FAIL at n_sae_better" in done.output and "0 ok, 1 failed" in done.output


@pytest.mark.parametrize("seed", [1, 2])
def test_part_of_the_tables_never_stops_the_check(found, expected, seed):
    few = found.rows.sample(frac=0.03, random_state=seed).sort_index().reset_index(drop=True)
    part = replace(found, rows=few, sides={})
    wanted = {key: entry for key, entry in expected.items() if key != "datasets.audit"}
    verdicts = list(check(part, wanted))
    assert len(verdicts) == len(wanted)
    assert all(one.reason for one in verdicts if one.status == "skip")
    assert any(one.status == "FAIL" for one in verdicts)


def test_an_entry_without_a_recipe_is_counted_with_its_reason(tables):
    with pytest.raises(NotComputable, match="no recipe"):
        compute(tables, "fig99.unheard_of", {"value": 1})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no file"),
        ("{", "no readable JSON"),
        ("[1]", "no 'entries'"),
        ('{"entries": {}}', "no 'entries'"),
        ('{"entries": {"a": {"recipe": "x"}}}', "entry 'a' has no 'value'"),
        ('{"entries": {"a": {"value": 1, "suggested_abs_tol": "x"}}}', "tolerance of 'a'"),
    ],
)
def test_a_bad_file_of_expected_numbers_is_named_in_one_line(tmp_path, text, said):
    path = tmp_path / "expected.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=said) as error:
        read_expected(path)
    assert "\n" not in str(error.value) and str(path) in str(error.value)
