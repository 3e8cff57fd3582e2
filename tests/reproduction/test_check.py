"""Our statistics on the paper's own tables give the numbers recomputed from them elsewhere."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from probing_core.errors import UserError
from reproduction.check import check, judge, read_expected, table_lines
from reproduction.commands import published_check
from reproduction.recipes import NotComputable, compute
from tests.upstream import SHIFT, write_shift

OUT_OF_REACH = {
    "fig20.v1.pruning",
    "table8.aimade_tokens",
    "paper.stated_numbers",
    "fig12.digitised_medians",
    "fig14b.legend",
    "fig12.partial.DataScarcityHacking_branch",
    "table9.sae_last_l0_68",
}
"""Not in the tables at hand."""


@pytest.fixture(scope="module")
def expected():
    """Numbers that others computed from upstream's tables; they are no part of this repository."""
    shared = Path(__file__).resolve().parents[3] / "shared" / "published" / "results"
    results = Path(os.environ.get("PUBLISHED_RESULTS") or shared)
    path = results.parent.parent / "published_numbers.json"
    if not path.is_file():
        pytest.skip(f"{path.name} is not at hand: test_facts compares the numbers that ship")
    return read_expected(path)


@pytest.fixture
def command():
    app = typer.Typer()
    app.command()(published_check)
    return lambda *arguments: CliRunner().invoke(app, [str(one) for one in arguments])


def test_every_expected_number_that_the_tables_give_is_ours(found, expected):
    """Far within its tolerance, except where an unstable sort or a picture decides."""
    verdicts = {verdict.key: verdict for verdict in check(found, expected)}
    assert {key for key, one in verdicts.items() if one.status == "skip"} == OUT_OF_REACH
    assert not [one for one in verdicts.values() if one.status == "FAIL"]
    assert sum(one.status == "ok" for one in verdicts.values()) == 79
    for key, one in verdicts.items():
        computed = expected[key].get("status") == "computed" and "literal" not in key
        if one.status == "ok" and computed and not key.startswith("datasets.audit"):
            assert one.largest < 1e-9 and not one.left, key
    lines = table_lines(list(verdicts.values()))
    assert lines[0].split() == ["key", "ours", "expected", "largest", "allowed", "numbers", "ok"]
    assert "79 ok, 0 failed, 7 not computed" in lines
    assert sum(line.startswith("not computed:") for line in lines) == len(OUT_OF_REACH)


@pytest.mark.parametrize("seed", [1, 2])
def test_part_of_the_tables_never_stops_the_check(found, seed):
    few = found.rows.sample(frac=0.03, random_state=seed).sort_index().reset_index(drop=True)
    part = replace(found, rows=few, sides={})
    keys = ("fig4.v1.quiver", "fig6.v1.corrupt", "fig9.cola", "fig15.v1.k", "normal.v1.sae_mean")
    entries = {key: {"value": {"mean_delta": 9.0, "delta": {"0.5": 9.0}}} for key in keys}
    verdicts = list(check(part, entries))
    assert len(verdicts) == len(keys)
    assert all(one.reason for one in verdicts if one.status == "skip")
    assert any(one.status == "FAIL" for one in verdicts)


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


@pytest.mark.parametrize("source", ["what ships", "a folder"])
def test_the_command_exits_with_1_when_a_number_is_off(command, found, tmp_path, source):
    write_shift(found.rows, tmp_path)
    folder = [tmp_path] if source == "a folder" else []
    assert (tmp_path / SHIFT).is_file()
    for right, code, said in ((2, 0, "1 ok, 0 failed"), (3, 1, "FAIL at n_sae_better")):
        file = tmp_path / "expected.json"
        file.write_text(json.dumps({"entries": {"fig7.ood": {"value": {"n_sae_better": right}}}}))
        done = command(*folder, "--expected", file)
        assert done.exit_code == code and said in done.output


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
