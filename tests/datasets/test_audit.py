"""The audit counts what is wrong with a task; the committed one is that of the code."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from probing_core.datasets import TASKS, load_dataset
from probing_core.datasets.audit import Audit, audit, overlaps
from probing_core.datasets.benchmark import VERSION

KEPT = json.loads((Path(__file__).parents[2] / "book" / "tasks.json").read_text("utf-8"))


def made(prompts, targets):
    return load_dataset(pd.DataFrame({"prompt": prompts, "target": targets}), name="mine")


def test_repeats_conflicts_and_odd_characters_are_counted():
    prompts = [f"Prompt number {i} of a task" for i in range(200)]
    prompts[1], prompts[3], prompts[5] = prompts[0], prompts[2].upper(), prompts[4]
    prompts[6], prompts[8] = "caf\u00c3\u00a9 & tea \x07", "a \ufffd &amp; b"
    found = audit(made(prompts, ["off", "not off"] * 50 + ["off"] * 50 + ["not off"] * 50))
    assert (found.prompts, found.exact, found.normalised, found.conflicts) == (200, 2, 3, 3)
    assert found.odd == {"control": 1, "replaced": 1, "mojibake": 1, "entities": 1}
    assert found.by_label == (0, 0) and found.label_one == "off" and not found.absence
    assert "prompts with both labels: 3" in found.flags
    assert dict(found.lines())["odd characters"].startswith("1 with control")


def test_a_label_that_stands_for_an_absence_is_flagged():
    prompts = [f"Prompt number {i}" for i in range(240)]
    found = audit(made(prompts, ["bigram", "not_bigram"] * 120))
    assert found.absence and found.flags == ["label 1 is the absence of label 0"]
    assert not audit(made(prompts, ["bigram", "trigram"] * 120)).flags


def test_a_task_too_small_to_split_is_audited_all_the_same():
    found = audit(made([f"p {i}" for i in range(300)], [0] * 10 + [1] * 290))
    assert math.isnan(found.leak_exact) and found.as_json()["leak_near"] is None
    assert dict(found.lines())["test prompts in training"] == "not to be split"
    assert math.isnan(Audit.from_json(found.as_json()).leak_exact)


def test_tasks_that_share_prompts_are_named_with_the_share():
    first, second = (made([f"{w} {i}" for i in range(200)], [0, 1] * 100) for w in ("a", "b"))
    third = made([f"A  {i}" for i in range(100)] + [f"c {i}" for i in range(20)], [0, 1] * 60)
    named = [replace(one, tag=tag) for one, tag in ((first, "x"), (second, "y"), (third, "z"))]
    assert overlaps(named) == {"x": {"z": 0.833}, "y": {}, "z": {"x": 0.833}}


@pytest.mark.parametrize("tag", ["41_truthqa_tf", "145_disease_class_digestive system diseases"])
def test_the_kept_audit_is_that_of_the_code(tag):
    own = json.loads(json.dumps(audit(load_dataset(tag)).as_json()))
    assert {name: KEPT["tasks"][tag][name] for name in own} == own


def test_the_kept_audit_covers_every_task_and_finds_the_known_leaks():
    assert KEPT["version"] == VERSION and set(KEPT["tasks"]) == set(TASKS)
    leaks = pd.Series({tag: one["leak_exact"] for tag, one in KEPT["tasks"].items()})
    assert leaks.mean() == pytest.approx(0.186, abs=0.001)
    assert ((leaks > 0.05).sum(), (leaks > 0.75).sum()) == (91, 6)
    best = {tag: max(one["shortcuts"].values()) for tag, one in KEPT["tasks"].items()}
    assert {"161_agnews_0", "162_agnews_1", "163_agnews_2"} < {t for t in best if best[t] > 0.98}
    assert KEPT["tasks"]["110_aimade_humangpt3"]["shortcuts"]["ends in a space"] > 0.68
    for tag, one in KEPT["tasks"].items():
        assert all(TASKS[other].family == one["family"] for other in one["overlaps"]), tag
