"""A second model of a profile: its own scale, its rows, and positions of both."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from probing_core.datasets import standard_split
from probing_core.datasets.regimes import REGIMES
from probing_core.errors import UserError
from probing_core.experiments import sections
from probing_core.experiments.activations import activation_key
from probing_core.experiments.second import model_run, second_study
from probing_core.experiments.study import open_study
from probing_core.models.embedded import embedded_folder
from tests.conftest import HOOK, TAGS, small_profile

OTHER = {
    "name": "other",
    "folder": str(embedded_folder("minilm")),
    "hooks": ["hook_embed", "blocks.1.hook_resid_post"],
    "main_hook": "blocks.1.hook_resid_post",
    "other_positions": ["mean"],
    "saes": [{"width": 512, "l0": 16, "steps": 60, "batch_tokens": 512}],
    "scale": {
        "tasks": TAGS[:2],
        "max_prompts": 300,
        "standard": {"methods": ["logreg"], "k": [4]},
        "regimes": {"scarcity": {"values": [40], "methods": ["logreg"], "k": [4]}},
    },
}


@pytest.fixture(scope="module")
def study(small_study):
    first = small_profile().models[0].model_dump() | {"other_positions": ["mean"]}
    return open_study(small_profile(models=[first, OTHER]), small_study.store)


@pytest.fixture(scope="module")
def rows(study):
    return sections.rows(study, "second")


def test_second_model_has_the_scale_of_its_own(study):
    other = second_study(study)
    assert other.tags == list(TAGS[:2]) and len(other.datasets[TAGS[0]]) == 300
    assert len(study.datasets[TAGS[0]]) == 700
    back = second_study(open_study(study.whole, study.store, model="other"))
    assert back.model.name == "minilm" and back.profile.max_prompts == 700


def test_rows_are_those_of_the_second_model_run_alone(study, rows):
    alone = open_study(study.whole, study.store, model="other")
    assert not sections.lacking(study, "second")
    assert not sections.lacking(alone, "standard") and not sections.lacking(alone, "regimes")
    mine = model_run(second_study(study), rows).rows
    mine = mine[mine["regime"] != "covariate_shift"]
    assert set(mine["model"]) == {"other"} and set(mine["regime"]) == {"standard", "scarcity"}
    assert len(mine) == sum(len(sections.rows(alone, name)) for name in ("standard", "regimes"))


def test_rows_say_position_and_bos(study, rows):
    assert set(rows["position"]) == {"last", "mean"} and rows["prepend_bos"].all()
    at_mean = rows[rows["position"] == "mean"]
    assert set(at_mean["model"]) == {"minilm", "other"} and set(at_mean["method"]) == {"logreg"}
    assert set(at_mean["hook"]) == {HOOK, "blocks.1.hook_resid_post"}


def test_mean_position_is_probed_on_means(study, rows):
    tag = TAGS[1]
    at_mean = rows[(rows["position"] == "mean") & (rows["model"] == "minilm")]
    found = at_mean.set_index("dataset").loc[tag, "test_auc"]
    arrays, _ = study.store.read_arrays(activation_key(study, tag, HOOK, "mean"))
    last, _ = study.store.read_arrays(activation_key(study, tag, HOOK))
    assert np.abs(arrays["activations"] - last["activations"]).max() > 0.1
    dataset = study.datasets[tag]
    split = standard_split(dataset, protocol="paper", seed=42, max_train=1024)
    x, y = arrays["activations"], dataset.labels
    plain = (LogisticRegression(C=c, max_iter=2000) for c in np.logspace(-5, 5, 10))
    scores = (one.fit(x[split.train], y[split.train]).decision_function for one in plain)
    aucs = [roc_auc_score(y[split.test], score(x[split.test])) for score in scores]
    assert min(abs(found - auc) for auc in aucs) < 0.002


def test_runs_of_both_models_compare_the_same_way(study, rows):
    first = model_run(study, sections.rows(study, "standard"))
    second = model_run(second_study(study), rows)
    assert first.arrows["hook"] == HOOK and second.arrows["hook"] == "blocks.1.hook_resid_post"
    assert second.sae_ids and second.shallow == "blocks.1.hook_resid_post"
    assert set(second.positions["position"]) == {"last", "mean"}
    assert set(REGIMES) >= set(second.rows["regime"])


def test_a_profile_of_one_model_has_no_second(small_study):
    assert second_study(small_study) is None
    assert sections.keys(small_study, "second") == []
    none = model_run(None, sections.rows(small_study, "second"))
    assert none.rows.empty and none.model == "no second model"


def test_a_model_that_is_not_there_is_named_with_the_nearest(study):
    with pytest.raises(UserError, match="'othr' is no second model here. Did you mean 'other'"):
        sections.rows(study, "second", model="othr")


def test_published_llama_stands_second_after_gemma(tmp_path):
    study = open_study("published", tmp_path)
    rows = sections.rows(study, "second")
    assert set(rows["model"]) == {"meta-llama/Llama-3.1-8B"}
    run = model_run(second_study(study), rows)
    assert run.hook == "blocks.16.hook_resid_post" and list(run.sae_ids) == ["l16r_32x"]
    assert run.rows["prepend_bos"].all() and set(run.rows["position"]) == {"last"}
