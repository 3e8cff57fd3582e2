import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from probing_core.datasets import load_dataset, splits, standard_split
from probing_core.errors import UserError
from probing_core.experiments import activations
from probing_core.experiments.sections import keys
from probing_core.experiments.sections import rows as read_rows
from probing_core.experiments.study import open_study
from probing_core.probes.evaluate import Inputs, evaluate_label_sets
from probing_core.rows import ROW_SCHEMA, make_row
from probing_core.store import Key
from tests.conftest import HOOK, TAGS, small_profile


def mtimes(study, kind):
    return {p: p.stat().st_mtime_ns for p in (study.store.root / kind).iterdir()}


@pytest.fixture(scope="module")
def rows(small_study):
    return read_rows(small_study, "standard")


def test_rows_have_the_columns_of_the_tidy_schema(rows):
    assert list(rows.columns) == ROW_SCHEMA.names
    assert set(rows["dataset"]) == set(TAGS)
    assert set(rows["method"]) == {"logreg", "knn", "sae_logreg"}
    assert len(rows) == 3 * (2 * 2 + 2 * 3)


def test_every_row_says_protocol_solver_and_how_its_fit_went(rows):
    assert set(rows["protocol"]) == {"paper"} and set(rows["solver"]) == {"fast"}
    assert rows[["val_auc", "test_auc", "test_acc", "fit_seconds", "unit_key"]].notna().all().all()
    sae = rows[rows["method"] == "sae_logreg"]
    assert sae[["sae_id", "sae_width", "sae_l0", "sae_explained_variance", "k"]].notna().all().all()
    assert set(sae["hook"]) == {HOOK}


def test_row_equals_a_probe_fitted_by_hand(small_study, rows):
    tag = TAGS[0]
    split = standard_split(small_study.datasets[tag], protocol="paper", seed=42, max_train=1024)
    x = activations.read_activations(small_study, tag)
    y = small_study.datasets[tag].labels.astype(int)
    shared = Inputs(x[split.train], x[split.test])
    (by_hand,) = evaluate_label_sets(
        "logreg", [y[split.train]], y[split.test], shared=shared, solver="fast", xgboost_draws=1
    )
    row = rows.query("dataset == @tag and hook == @HOOK and method == 'logreg'").iloc[0]
    assert row.test_auc == pytest.approx(by_hand.test_auc, abs=1e-12)
    assert (row.n_train, row.n_test) == (600, 99)


def test_nothing_is_computed_twice(small_study, rows):
    before = {kind: mtimes(small_study, kind) for kind in ("rows", "latents", "activations")}
    again = read_rows(small_study, "standard")
    assert len(again) == len(rows)
    assert before == {kind: mtimes(small_study, kind) for kind in before}


def test_damaged_shard_is_rebuilt_alone(small_study, rows, caplog):
    before = mtimes(small_study, "rows")
    victim = small_study.store.path(keys(small_study, "standard")[0], ".parquet")
    victim.write_bytes(victim.read_bytes()[:100])
    again = read_rows(small_study, "standard")
    assert victim.name in caplog.text
    np.testing.assert_allclose(sorted(again["test_auc"]), sorted(rows["test_auc"]), atol=1e-9)
    changed = {p for p, t in mtimes(small_study, "rows").items() if before.get(p) != t}
    assert changed == {victim}


def test_damaged_activations_are_extracted_again(small_study, rows):
    tag = TAGS[1]
    path = small_study.store.path(
        activations.activation_key(small_study, tag, HOOK), ".safetensors"
    )
    good = activations.read_activations(small_study, tag)
    path.write_bytes(path.read_bytes()[:-10])
    for key in keys(small_study, "standard"):
        if tag in key.label:
            small_study.store.path(key, ".parquet").unlink()
    for latents in (small_study.store.root / "latents").glob(f"{tag}*"):
        latents.unlink()
    again = read_rows(small_study, "standard")
    rebuilt = activations.read_activations(small_study, tag)
    np.testing.assert_allclose(rebuilt, good, atol=1e-5)
    np.testing.assert_allclose(sorted(again["test_auc"]), sorted(rows["test_auc"]), atol=1e-9)


@pytest.mark.parametrize(
    "changes",
    [
        {"max_tokens": 16},
        *(
            {"models": [small_profile().models[0].model_dump() | change]}
            for change in ({"dtype": "bfloat16"}, {"position": "mean"}, {"prepend_bos": False})
        ),
    ],
)
def test_what_decides_activations_is_in_their_key(small_study, changes):
    other = open_study(small_profile(**changes), small_study.store)
    keys = [activations.activation_key(s, TAGS[0], HOOK).digest for s in (small_study, other)]
    assert keys[0] != keys[1]


@pytest.mark.parametrize(
    "changes", [{"protocol": "leak_free"}, {"solver": "reference"}, {"seeds": (1,)}]
)
def test_what_decides_rows_is_in_their_key(small_study, changes):
    other = open_study(small_profile(**changes), small_study.store)
    ours, theirs = ({k.digest for k in keys(s, "standard")} for s in (small_study, other))
    assert not ours & theirs


def test_splits_drawn_in_another_way_have_other_keys_but_the_papers_never(small_study, monkeypatch):
    found = {}
    for protocol in ("paper", "leak_free"):
        for version in ("1", "2"):
            monkeypatch.setattr(splits, "VERSION", version)
            study = open_study(small_profile(protocol=protocol), small_study.store)
            found[protocol, version] = [key.digest for key in keys(study, "standard")]
    assert found["paper", "1"] == found["paper", "2"]
    assert not {*found["leak_free", "1"]} & {*found["leak_free", "2"]}


def test_own_csv_goes_the_same_way_as_a_built_in_task(small_study, tmp_path):
    source = load_dataset(TAGS[0], max_prompts=700)
    csv = tmp_path / "mine.csv"
    import pandas as pd

    frame = pd.DataFrame({"prompt": source.prompts, "target": source.labels})
    frame.to_csv(csv, index=False)
    grid = {"methods": ["logreg"], "k": [4]}
    built_in = open_study(small_profile(tasks=TAGS[:1], standard=grid), tmp_path / "a")
    own = open_study(small_profile(tasks=(str(csv),), standard=grid), tmp_path / "b")
    first, second = read_rows(built_in, "standard"), read_rows(own, "standard")
    assert set(second["dataset"]) == {"mine"}
    np.testing.assert_allclose(first["test_auc"], second["test_auc"], atol=1e-12)


def test_same_tag_twice_is_refused(tmp_path):
    study = open_study(small_profile(tasks=(TAGS[0], TAGS[0])), tmp_path)
    with pytest.raises(UserError, match="Two tasks are called"):
        _ = study.tags


def test_model_outside_the_profile_is_refused(tmp_path):
    with pytest.raises(UserError, match="has no model 'gpt2'. "):
        open_study(small_profile(), tmp_path, model="gpt2")


def test_row_with_an_unknown_column_is_refused(rows):
    from probing_core.probes.result import ProbeResult

    result = ProbeResult(0.5, 0.5, 0.5, 0.5, {}, True, None, 0.0)
    with pytest.raises(KeyError, match="no such column"):
        make_row(result, datset="x")


def test_run_killed_at_any_moment_goes_on_where_it_was(tmp_path):
    script = f"""
        import sys; sys.path.insert(0, {os.getcwd()!r})
        from probing_core.experiments.sections import rows
        from probing_core.experiments.study import open_study
        from tests.conftest import small_profile
        study = open_study(small_profile(max_prompts=300), {str(tmp_path)!r})
        rows(study, "standard")
        print("done")
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if len(list(tmp_path.glob("rows/standard-*"))) >= 2:
            process.send_signal(signal.SIGKILL)
        time.sleep(0.02)
    process.wait()
    kept = {p: p.stat().st_mtime_ns for p in tmp_path.glob("rows/standard-*")}
    assert 2 <= len(kept) < 9
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "done"
    assert {p: p.stat().st_mtime_ns for p in kept} == kept
    assert len(list(tmp_path.glob("rows/standard-*"))) == 9


def test_keys_are_computed_once_a_study(small_study, monkeypatch):
    study = open_study(small_profile(), small_study.store)
    made = []
    of = Key.of.__func__
    monkeypatch.setattr(
        Key, "of", classmethod(lambda cls, *a, **fields: made.append(a) or of(cls, *a, **fields))
    )
    labels = [key.label for name in ("standard", "regimes") for key in keys(study, name)]
    inputs = [a for a in made if a[0] != "rows"]
    assert len(inputs) == len(set(inputs))
    assert len(made) <= len(labels) + len(inputs) and len(labels) == 27
