import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy.sparse import csr_array

from probing_core.analysis.comparison import compared
from probing_core.datasets import regimes as registry
from probing_core.errors import UserError
from probing_core.experiments import activations, regimes, saes
from probing_core.experiments.sections import keys
from probing_core.experiments.sections import rows as read_rows
from probing_core.experiments.study import open_study
from probing_core.figures.regimes import plot_differences
from probing_core.figures.words import regime_sentence
from probing_core.probes.evaluate import Inputs, evaluate_label_sets
from probing_core.probes.sparse import evaluate_top_k
from probing_core.profiles import load_profile
from probing_core.store import Store
from tests.conftest import HOOK, TAGS, small_profile

TAG = TAGS[1]
CONTRIBUTING = Path(__file__).parents[2] / "CONTRIBUTING.md"


@pytest.fixture(scope="module")
def rows(small_study):
    return read_rows(small_study, "regimes")


def setting(study, regime, value):
    how = registry.Draw("paper", 42, study.profile.standard.max_train)
    return registry.REGIMES[regime].draw(study.datasets[TAG], value, how)


def test_every_task_representation_and_value_has_its_rows(rows):
    assert set(rows["regime"]) == {"scarcity", "imbalance", "label_noise"}
    counts = rows.groupby(["regime", "method"]).size().to_dict()
    assert counts["scarcity", "logreg"] == counts["scarcity", "knn"] == 3 * 3
    assert counts["imbalance", "sae_logreg"] == 3 * 2 * 2
    assert counts["label_noise", "logreg"] == 3 * 2
    assert ("label_noise", "knn") not in counts
    assert set(rows["seed"]) == {42} and set(rows["hook"]) == {HOOK}


@pytest.mark.parametrize(
    ("regime", "value"), [("scarcity", 40), ("imbalance", 0.25), ("label_noise", 0.3)]
)
def test_rows_equal_probes_fitted_by_hand(small_study, rows, regime, value):
    chosen = setting(small_study, regime, value)
    split, y = chosen.split, small_study.datasets[TAG].labels.astype(int)
    x = activations.read_activations(small_study, TAG)
    own = rows.query("dataset == @TAG and regime == @regime and regime_value == @value")
    (by_hand,) = evaluate_label_sets(
        "logreg",
        [chosen.train_labels],
        y[split.test],
        shared=Inputs(x[split.train], x[split.test]),
        solver="fast",
        xgboost_draws=1,
    )
    assert own.query("method == 'logreg'")["test_auc"].item() == pytest.approx(by_hand.test_auc)
    (source,) = regimes.quiver_saes(small_study)
    where = saes.latents_input(small_study, TAG, source)
    latents = csr_array(saes.read_latents(small_study.store, where))
    ((_, probe),) = evaluate_top_k(
        latents[split.train], chosen.train_labels, latents[split.test], y[split.test],
        ks=[16], ranking="mean_difference", solver="fast",
    )  # fmt: skip
    assert own.query("k == 16")["test_auc"].item() == pytest.approx(probe.test_auc)


def test_no_noise_gives_the_standard_row(small_study, rows):
    clean = rows.query("regime == 'label_noise' and regime_value == 0 and method == 'logreg'")
    usual = read_rows(small_study, "standard").query("hook == @HOOK and method == 'logreg'")
    both = clean.merge(usual, on="dataset")
    assert len(both) == 3
    np.testing.assert_allclose(both["test_auc_x"], both["test_auc_y"], atol=1e-12)


def test_what_a_task_cannot_supply_is_a_row_with_its_reason(rows):
    skipped = rows[rows["test_auc"].isna()]
    assert set(skipped["regime_value"]) == {650.0}
    assert skipped["warning"].str.contains("leave fewer than 100 of 700 to test").all()
    assert len(skipped) == 3 * (2 + 2)


def test_nothing_is_computed_encoded_or_read_twice(small_study, rows, monkeypatch):
    folders = [small_study.store.root / kind for kind in ("rows", "latents", "activations")]
    before = {p: p.stat().st_mtime_ns for folder in folders for p in folder.iterdir()}
    assert len(read_rows(small_study, "regimes")) == len(rows)
    assert before == {p: p.stat().st_mtime_ns for folder in folders for p in folder.iterdir()}
    reads = []
    read = Store.read_arrays
    monkeypatch.setattr(
        Store, "read_arrays", lambda store, key: reads.append(key) or read(store, key)
    )
    lacking = regimes.regrid(small_study, {"scarcity": [8, 16, 32]})
    read_rows(lacking, "regimes", regimes=["scarcity"])
    wanted = {"activations": 3, "latents": 3}
    assert {kind: sum(key.kind == kind for key in reads) for kind in wanted} == wanted


def test_a_killed_run_goes_on_where_it_was(small_study, rows):
    paths = [small_study.store.path(key, ".parquet") for key in keys(small_study, "regimes")]
    times = {path: path.stat().st_mtime_ns for path in paths}
    paths[0].unlink()
    paths[3].write_bytes(b"half a file")
    again = read_rows(small_study, "regimes")
    assert len(again) == len(rows)
    assert {p for p in paths if p.stat().st_mtime_ns != times[p]} == {paths[0], paths[3]}


def test_other_values_and_seeds_have_shards_of_their_own(small_study):
    other = regimes.regrid(small_study, {"scarcity": [4]}, seeds=[1, 2])
    found = read_rows(other, "regimes", regimes=["scarcity"])
    assert set(found["seed"]) == {1, 2} and set(found["regime_value"]) == {4.0}
    kept = [saes.sae_key(s, s.model.saes[0]).digest for s in (small_study, other)]
    assert kept[0] == kept[1]


def test_names_that_are_no_regime_get_the_nearest(small_study):
    with pytest.raises(UserError, match="'scarcity'"):
        read_rows(small_study, "regimes", regimes=["scarsity"])
    with pytest.raises(UserError, match="'imbalance'"):
        regimes.regrid(small_study, {"imbalanc": [0.2]})
    with pytest.raises(UserError, match="empty"):
        regimes.regrid(small_study, {"imbalance": []})
    odd = small_profile(regimes={"scarcety": {"values": [4]}})
    with pytest.raises(UserError, match="'scarcity'"):
        keys(open_study(odd, small_study.store), "regimes")


def test_the_quiver_has_one_sae_a_width_or_those_the_profile_names():
    paper = open_study("minilm")
    found = regimes.quiver_saes(paper)
    assert [(sae.width, sae.l0) for sae in found] == [(1024, 32), (2048, 32), (4096, 32)]
    profile = load_profile("minilm")
    named = profile.models[0].model_copy(update={"quiver_saes": ("*w4096-l0_8",)})
    chosen = open_study(profile.model_copy(update={"models": (named,)}))
    assert [(sae.width, sae.l0) for sae in regimes.quiver_saes(chosen)] == [(4096, 8)]
    wrong = named.model_copy(update={"quiver_saes": ("*w9*",)})
    with pytest.raises(UserError, match="no SAE"):
        regimes.quiver_saes(open_study(profile.model_copy(update={"models": (wrong,)})))


def test_the_worked_example_of_contributing_runs(small_study, monkeypatch):
    text = CONTRIBUTING.read_text(encoding="utf-8")
    code, grid = (
        re.search(rf"```{kind}\n(.*?)```", text[text.index("worked out") :], re.S)
        for kind in ("python", "yaml")
    )
    monkeypatch.setattr(registry, "REGIMES", registry.REGIMES)
    before = dict(registry.REGIMES)
    try:
        exec(code.group(1), {})  # noqa: S102
        grids = yaml.safe_load(grid.group(1))["regimes"] | {}
        grids["overlooked"]["k"] = [4, 16]
        study = open_study(small_profile(regimes=grids), small_study.store)
        rows = read_rows(study, "regimes")
        assert set(rows["regime_value"]) == {0.0, 0.2, 0.4, 0.6}
        frames = compared(rows, hook=HOOK, ks=[4, 16])
        assert "overlooked positives" in regime_sentence("overlooked", frames["overlooked"])
        assert len(plot_differences(frames).figure.axes) == 1
    finally:
        registry.REGIMES.clear()
        registry.REGIMES.update(before)
