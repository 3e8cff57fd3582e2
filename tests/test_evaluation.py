"""One SAE evaluated: from a folder, from memory, beside sae-probes; broken ones are refused."""

import json

import numpy as np
import pytest
import torch
from sae_probes.run_sae_evals import run_sae_evals

from probing_core import evaluate
from probing_core.errors import UserError
from probing_core.experiments.activations import read_activations
from probing_core.experiments.saes import sae_key, study_saes
from probing_core.experiments.study import open_study
from probing_core.runner.report import write_report
from probing_core.saes.sources import load_folder
from tests.conftest import HOOK, small_profile

GRID = {"k": [16, 128], "seeds": [42]}
CHANGES = {
    "sections": {"improvements": GRID},
    "suite_regimes": {"scarcity": {"values": [40]}, "imbalance": {"values": [0.25]}},
}


@pytest.fixture(scope="module")
def folder(small_study):
    return small_study.store.path(sae_key(small_study, study_saes(small_study)[0]))


@pytest.fixture(scope="module")
def where(small_study):
    return {"profile": small_profile(**CHANGES), "store": small_study.store}


@pytest.fixture(scope="module")
def found(folder, where):
    return evaluate(folder, **where)


def test_an_sae_is_probed_in_every_regime_beside_logistic_regression(found):
    assert set(found.means) == {"standard", "scarcity", "imbalance", "covariate_shift"}
    assert set(found.rows["method"]) == {"logreg", "diff_mean", "sae_logreg"}
    assert found.by_regime()["tasks"].tolist() == [3, 3, 3, 2]
    rows = found.rows[(found.rows["regime"] == "standard") & (found.rows["seed"] == 42)]
    for one in found.by_task().query("regime == 'standard'").itertuples():
        here = rows[rows["dataset"] == one.dataset]
        sae = here[(here["k"] == 128) & (here["penalty"] == "l1")]["test_auc"].item()
        dense = here[here["method"] == "logreg"]["test_auc"].item()
        assert one.difference == pytest.approx(sae - dense, abs=1e-3)


def test_the_verdict_says_where_it_helps_and_what_it_was_compared_with(found):
    assert found.name in found.verdict and HOOK in found.verdict
    assert found.verdict.endswith("The store holds no other SAE at this hook to compare it with.")
    assert "label noise" in found.not_run()["regime"].tolist()
    assert "<p>" in found._repr_html_()


class Plain:
    """Someone's own SAE: it encodes and decodes, and knows nothing of SAELens."""

    def __init__(self, sae):
        self.weights = {name: t.detach() for name, t in sae.state_dict().items()}
        self.sae = sae

    def encode(self, x):
        return self.sae.encode(x)

    def decode(self, latents):
        return latents @ self.weights["W_dec"] + self.weights["b_dec"]


def test_an_object_that_encodes_and_decodes_gets_the_same_numbers(found, folder, where):
    mine = evaluate(Plain(load_folder(folder)), **where)
    assert mine.name == "Plain"
    assert mine.by_task()["sae"].tolist() == found.by_task()["sae"].tolist()


def test_a_saelens_sae_in_memory_joins_the_store(found, folder, where):
    mine = evaluate(load_folder(folder), **where)
    assert mine.name.startswith("given-")
    assert mine.by_task()["sae"].tolist() == found.by_task()["sae"].tolist()
    assert list(where["store"].root.glob("given/*/sae_weights.safetensors"))


def broken(folder, change):
    sae = load_folder(folder)
    with torch.no_grad():
        change(sae)
    return sae


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda sae: setattr(sae.cfg.metadata, "hook_name", "blocks.5.hook_resid_post"),
            "explains",
        ),
        (lambda sae: sae.W_enc.mul_(8), "explains|L0"),  # scaled inputs
        (lambda sae: sae.W_dec.mul_(4), "explains"),  # an unnormalised decoder
        (lambda sae: sae.W_dec.copy_(torch.randn_like(sae.W_dec)), "explains"),
        (lambda sae: setattr(sae.cfg, "k", 500), "explains|L0"),  # another activation function
    ],
)
def test_a_broken_sae_is_refused_with_the_reason(folder, where, change, reason):
    with pytest.raises(UserError, match=reason):
        evaluate(broken(folder, change), **where)


def test_the_same_sae_and_task_give_the_aucs_of_sae_probes(folder, tmp_path, small_study):
    tag = "95_toxic_is"
    exact = small_profile(
        tasks=(tag,), max_prompts=5000, solver="reference", sections=CHANGES["sections"],
        suite_regimes={"scarcity": {"values": [40]}},
    )  # fmt: skip
    mine = evaluate(folder, profile=exact, store=tmp_path)
    rows = mine.rows[mine.rows["penalty"].eq("l1") & mine.rows["k"].notna()]
    cache = tmp_path / "cache" / "model_activations_minilm"
    cache.mkdir(parents=True)
    study = open_study(exact, tmp_path)
    torch.save(torch.from_numpy(read_activations(study, tag)), cache / f"{tag}_{HOOK}.pt")
    run_sae_evals(
        load_folder(folder), "minilm", HOOK, "l1", "normal", ks=[16, 128], datasets=[tag],
        results_path=tmp_path / "theirs", model_cache_path=tmp_path / "cache", device="cpu",
        mean_diff_normalization="none",
    )  # fmt: skip
    (theirs,) = (tmp_path / "theirs").rglob("*.json")
    paths = mine.export(tmp_path / "ours")
    ours = next(path for path in paths if "normal_setting" in str(path))
    assert ours.relative_to(tmp_path / "ours") == theirs.relative_to(tmp_path / "theirs")
    pairs = zip(json.loads(theirs.read_text()), json.loads(ours.read_text()), strict=True)
    for one, other in pairs:
        assert set(other) == set(one) - {"indices"}
        assert other["k"] == one["k"]
        assert other["test_auc"] == pytest.approx(one["test_auc"], abs=2e-3)
    assert len(rows) >= 2


def test_rows_go_out_in_the_layout_of_saebench(found, tmp_path):
    found.export(tmp_path)
    whole = json.loads((tmp_path / "saebench.json").read_text())
    assert whole["eval_type_id"] == "sparse_probing_sae_probes"
    mean = np.mean([one["sae_top_128_test_auc"] for one in whole["eval_result_details"]])
    assert whole["eval_result_metrics"]["sae"]["sae_top_128_test_auc"] == pytest.approx(mean)
    assert len(whole["eval_result_details"]) == 3


def test_a_report_is_a_notebook_and_one_file_of_html(folder, tmp_path, small_study):
    import yaml

    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(small_profile(**CHANGES).model_dump(mode="json")))
    found = evaluate(folder, profile=path, store=small_study.store)
    asked = {"tasks": [], "own_tasks": [], "model": "minilm", "hook": "", "profile": str(path)}
    store = str(small_study.store.root)
    notebook, page = write_report(str(folder), found, tmp_path / "out", store=store, **asked)
    text = page.read_text()
    assert found.verdict.split(" (")[0] in text and "data:image/png" in text
    for file in (notebook, page):
        assert store not in file.read_text() and str(tmp_path) not in file.read_text()


def test_another_hook_than_the_sae_states_is_refused_before_anything_runs(folder, tmp_path):
    with pytest.raises(UserError, match=f"reads {HOOK}, not blocks.5"):
        evaluate(folder, hook="blocks.5.hook_resid_post", store=tmp_path)
    assert not list(tmp_path.glob("activations/*"))


def test_without_a_hook_a_new_model_cannot_be_read(where):
    with pytest.raises(UserError, match="Which hook of smollm2"):
        evaluate(Plain, model="smollm2", **where)
    with pytest.raises(UserError, match="Unknown model 'minlm'. Did you mean 'minilm'"):
        evaluate(Plain, model="minlm", **where)
    with pytest.raises(UserError, match="no folder 'nowhere'"):
        evaluate("nowhere", **where)
