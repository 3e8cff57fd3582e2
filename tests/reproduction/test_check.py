"""Our statistics on the paper's own tables give the numbers recomputed from them elsewhere."""

import json
import sys
import tomllib
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pandas as pd
import pytest

from probing_core import cli
from probing_core.errors import UserError
from reproduction.check import check, judge, read_expected, table_lines
from reproduction.recipes import NotComputable, compute
from reproduction.upstream.layout import GEMMA, LLAMA, V1

ROOT = Path(__file__).resolve().parents[2]
OUT_OF_REACH = {
    "fig20.v1.pruning",
    "table8.aimade_tokens",
    "paper.stated_numbers",
    "fig12.digitised_medians",
    "fig14b.legend",
    "fig12.partial.DataScarcityHacking_branch",
    "table9.sae_last_l0_68",
}
"""Not in the published tables."""
NARROW = "layer_20/width_16k/average_l0_408"
LLAMA_LAYERS = {"9": "8", "20": "16", "31": "24", "41": "31"}


@pytest.fixture(scope="module")
def expected():
    """Numbers recomputed from the tables by others; they are no part of this repository."""
    path = ROOT.parent / "shared" / "published_numbers.json"
    if not path.is_file():
        pytest.skip("published_numbers.json is not at hand")
    return read_expected(path)


def test_every_entry_that_the_tables_can_give_passes_and_the_others_say_why(found, expected):
    verdicts = list(check(found, expected))
    ok = [one for one in verdicts if one.status == "ok"]
    assert len(ok) == 79
    assert {one.key: one.reason for one in verdicts if not one.reason} == {
        one.key: "" for one in ok
    }
    assert {one.key for one in verdicts if one.status == "skip"} == OUT_OF_REACH
    assert {one.key.split(".")[0] for one in ok if one.left} == {"fig21", "fig3_14"}
    # Not where an unstable sort decides: another machine's may leave another order.
    computed = [one for one in ok if expected[one.key].get("status") == "computed"]
    close = [one for one in computed if "literal" not in one.key and "audit" not in one.key]
    assert max(one.largest for one in close) < 1e-9
    lines = table_lines(verdicts)
    assert lines[0].split() == ["key", "ours", "expected", "largest", "allowed", "numbers", "ok"]
    assert "79 ok, 0 failed, 7 not computed" in lines
    assert sum(line.startswith("not computed:") for line in lines) == len(OUT_OF_REACH)


def test_part_of_the_tables_never_stops_the_check(found, expected):
    few = found.rows.sample(frac=0.03, random_state=1).sort_index().reset_index(drop=True)
    part = replace(found, rows=few, sides={})
    wanted = {key: entry for key, entry in expected.items() if not key.startswith("datasets.")}
    verdicts = list(check(part, wanted))
    assert len(verdicts) == len(wanted)
    assert all(one.reason for one in verdicts if one.status == "skip")
    assert any(one.status == "FAIL" for one in verdicts)


def test_a_number_that_is_off_fails_its_entry():
    entry = {"value": {"delta": {"2": 0.1, "0.50": 0.2}, "n": 3}, "suggested_abs_tol": 1e-6}
    ours = {"delta": {2: 0.1, 0.5: 0.2}, "n": 3, "more": 1}
    assert judge("x", ours, entry).status == "ok"
    off = judge("x", ours | {"n": 4}, entry)
    assert (off.status, off.place, off.ours, off.expected) == ("FAIL", "n", 4, 3)
    assert judge("x", {"delta": {2: float("nan")}, "n": 3}, entry).status == "FAIL"


def test_numbers_the_tables_cannot_give_are_named_and_not_counted_as_right(tables):
    entry = {"value": {"a": 1.0, "b": 2.0}}
    part = judge("x", {"a": 1.0}, entry)
    assert (part.status, part.compared, part.left) == ("ok", 1, ("b",))
    assert judge("x", {"c": 1.0}, entry).status == "skip"
    with pytest.raises(NotComputable, match="no recipe"):
        compute(tables, "fig99.unheard_of", entry)


@pytest.fixture(scope="module")
def as_llama(found):
    """Gemma's rows under Llama's names, whose own standard tables are not at hand."""
    rows = found.rows[found.rows["model"].eq(GEMMA) & found.rows["regime"].ne("scarcity")]
    probe = rows["method"].eq("sae_logreg")
    rows = rows[~probe | (rows["sae_id"].eq(NARROW) & rows["ranking"].eq(V1))]
    layer = rows["hook"].str.extract(r"(\d+)")[0].map(LLAMA_LAYERS)
    hooks = ("blocks." + layer + ".hook_resid_post").fillna(rows["hook"])
    saes = rows["sae_id"].where(rows["sae_id"].isna(), "l16r_32x")
    return replace(found, rows=rows.assign(model=LLAMA, hook=hooks, sae_id=saes))


@pytest.fixture(scope="module")
def gemma(found):
    """The same rows under standard conditions at layer 20, for plain pandas."""
    rows = found.rows[found.rows["model"].eq(GEMMA) & found.rows["section"].eq("standard")]
    plain = rows["hook"].eq("blocks.20.hook_resid_post") & ~rows["binarize"].fillna(False)
    own = rows["sae_id"].eq(NARROW) & rows["ranking"].eq(V1)
    return rows[plain & (own | rows["sae_id"].isna())]


def verdict(found, key, value, **more):
    (one,) = check(found, {key: {"value": value, "suggested_abs_tol": 1e-9} | more})
    return one


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_llamas_standard_numbers_answer_to_numeric_keys_by_k(as_llama, gemma, statistic):
    by_k = gemma[gemma["sae_id"].eq(NARROW)].groupby("k")["test_auc"].agg(statistic)
    value = {str(k): auc for k, auc in by_k.items()}
    key = f"llama.normal.sae_{statistic}_test_auc_by_k"
    assert list(value)[:3] == ["1", "2", "4"] and len(value) == 10
    for form in (value, {"l16r_32x": value}, {statistic: value}):
        one = verdict(as_llama, key, form)
        assert (one.status, one.compared, one.left) == ("ok", 10, ()), form
    assert verdict(as_llama, key, value | {"16": value["16"] + 1e-6}).place == "16"


def test_llamas_probes_are_compared_task_by_task_and_named_one_by_one(as_llama, gemma):
    aucs = gemma[gemma["k"].isna() | gemma["k"].eq(128)].pivot_table(
        index="dataset", columns="method", values="test_auc"
    )
    change = aucs["sae_logreg"] - aucs["logreg"]
    value = {"mean": change.mean(), "sae_better": int((change > 0).sum())}
    assert verdict(as_llama, "llama.normal.head_to_head", value).compared == 2
    assert verdict(as_llama, "llama.normal.head_to_head", value).status == "ok"
    assert verdict(as_llama, "llama.normal.logreg", aucs["logreg"].mean()).status == "ok"


@pytest.mark.parametrize(("key", "layer"), [("quiver_normal", 9), ("layer16_baselines", 20)])
def test_figure_18b_takes_the_baselines_of_the_layer_named(as_llama, found, gemma, key, layer):
    rows = found.rows[found.rows["section"].eq("standard") & found.rows["model"].eq(GEMMA)]
    base = rows[rows["hook"].eq(f"blocks.{layer}.hook_resid_post") & rows["sae_id"].isna()]
    saes = gemma[gemma["k"].isin([16, 128])].sort_values("k", kind="stable")
    both = pd.concat([base, saes], ignore_index=True)
    without, with_sae = (
        part.loc[part.groupby("dataset")["val_auc"].idxmax()].set_index("dataset")["test_auc"]
        for part in (both[both["sae_id"].isna()], both)
    )
    change = with_sae - without
    value = {"mean_delta": change.mean(), "max_delta": change.max()}
    assert verdict(as_llama, f"fig18b.{key}", value).status == "ok"
    own = str(LLAMA_LAYERS[str(layer)])
    assert verdict(as_llama, "fig18b.both", {f"layer_{own}": value}).status == "ok"
    said = verdict(as_llama, "fig18b.any", value, recipe=f"baselines of layer {own}")
    assert said.status == "ok"


@pytest.fixture
def run(monkeypatch, capsys):
    """The command line, with the commands that ``pyproject.toml`` registers."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    group, known = "probing_core.commands", list(cli.app.registered_commands)
    points = [EntryPoint(*one, group) for one in project["entry-points"][group].items()]
    monkeypatch.setattr(cli, "entry_points", lambda group: points)

    def call(*arguments):
        monkeypatch.setattr(cli.app, "registered_commands", list(known))
        monkeypatch.setattr(sys, "argv", ["", "published-check", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code, capsys.readouterr()

    return call


def test_the_command_exits_with_1_when_a_number_is_off_and_with_2_on_bad_input(run, tmp_path):
    file = tmp_path / "expected.json"
    for number, code, said in ((2, 0, "1 ok, 0 failed"), (3, 1, "FAIL at n_sae_better")):
        entry = {"value": {"n_sae_better": number}, "suggested_abs_tol": 0}
        file.write_text(json.dumps({"entries": {"fig7.ood": entry}}))
        ended, text = run("--expected", file)
        assert ended == code and said in text.out, text
    for wrong in ((tmp_path / "none", "--expected", file), ("--expected", tmp_path / "none")):
        ended, text = run(*wrong)
        assert (ended, text.out, text.err.count("\n")) == (2, "", 1)
        assert text.err.startswith("error: ") and str(tmp_path / "none") in text.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no file"),
        ("{", "no readable JSON"),
        ("[1]", "no 'entries'"),
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
