"""Imported rows draw with the code that draws a run, and without a model."""

import json
from dataclasses import replace

import pytest

from probing_core.errors import RunFailed, UserError
from probing_core.experiments.activations import activation_table, token_lengths
from probing_core.published.source import import_key
from probing_core.experiments.regimes import quiver_names, regime_rows, regrid
from probing_core.experiments.saes import sae_table
from probing_core.experiments.standard import standard_rows
from probing_core.experiments.study import open_study
from probing_core.experiments.throughput import throughput_table
from probing_core.models import adapter
from probing_core.profiles import load_profile
from probing_core.published.importer import store_import
from probing_core.published.layout import LLAMA, SMALL
from probing_core.runner import book, notebooks, provenance
from probing_core.store import Store
from tests.conftest import small_profile


@pytest.fixture(scope="module")
def store(found, tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("published"))
    store_import(store, found)
    return store


@pytest.fixture
def study(store, monkeypatch):
    def no_model(*arguments, **options):
        raise AssertionError("a model was asked for")

    monkeypatch.setattr(adapter, "load_model", no_model)
    # one worker: the pages are then written by this process, to a folder of its own
    return open_study(load_profile("published").model_copy(update={"workers": 1}), store)


def test_every_section_reads_its_rows_and_no_model_is_loaded(study):
    assert set(standard_rows(study)["hook"].unique()) == set(study.hooks)
    assert set(regime_rows(study)["regime"]) == set(study.profile.regimes)
    assert quiver_names(study) == list(study.model.quiver_saes)
    assert (len(activation_table(study)), len(sae_table(study))) == (113, 8)
    assert token_lengths(study).empty and throughput_table(study).empty
    assert book.compute(study) == {"published": 0.0}
    assert book.plan(study)["units"] == 0
    facts = provenance(study)
    assert facts["rows"] == "as the authors published them" and facts["device"] == "none"


def test_other_models_have_the_rows_their_tables_have(store):
    llama = open_study("published", store, model=LLAMA)
    assert set(regime_rows(llama)["regime"]) == {"scarcity"}
    assert standard_rows(llama).empty and quiver_names(llama) == ["l16r_32x"]
    small = open_study("published", store, model=SMALL)
    assert set(standard_rows(small)["method"]) == {"logreg", "pca", "knn", "xgboost", "mlp"}
    assert len({import_key(study).digest for study in (llama, small)}) == 2


def test_a_value_or_seed_that_was_not_published_is_refused_with_those_that_were(study):
    assert set(regime_rows(regrid(study, {"scarcity": [4, 10]}), ["scarcity"]).regime_value) == {
        4.0,
        10.0,
    }
    with pytest.raises(UserError, match="no scarcity 16. Known: 2, 3, 4"):
        regime_rows(regrid(study, {"scarcity": [16]}))
    with pytest.raises(UserError, match="no split seed 1. Known: 42"):
        regime_rows(regrid(study, {}, seeds=[1]))
    with pytest.raises(UserError, match="no SAE 'layer_9/"):
        quiver_names(regrid(study, {}, saes=["layer_9/*"]))


def test_values_that_part_of_a_table_lacks_are_absent_and_no_error(found, tmp_path):
    few = found.rows[found.rows["n_train"].fillna(0).lt(100) & found.rows["regime"].eq("scarcity")]
    store_import(Store(tmp_path), replace(found, rows=few))
    rows = regime_rows(open_study("published", tmp_path))
    assert rows["regime_value"].max() == 74 and set(rows["regime"]) == {"scarcity"}


def test_an_import_makes_the_pages_of_a_computed_run_stale(found, tmp_path):
    """Claims and errata are recomputed from imported tables, so they are an input of every run."""
    study = open_study(small_profile(), tmp_path)
    before = book.page_inputs(study)
    store_import(study.store, found)
    after = book.page_inputs(study)
    assert after[:-1] == before and after[-1] == import_key(study).digest


def test_pages_execute_on_imported_rows(study, tmp_path, monkeypatch):
    monkeypatch.setattr(notebooks, "SECTIONS", tmp_path)
    names = ["90-paper-and-run", "91-errata"]
    options = {"profile": "published", "parameters": {}, "inputs": [import_key(study).digest]}
    pages = notebooks.run_notebooks(study, names, **options)
    assert [page.status for page in pages] == ["completed"] * 2
    text = (tmp_path / "90-paper-and-run.ipynb").read_text(encoding="utf-8")
    outputs = json.dumps([cell.get("outputs") for cell in json.loads(text)["cells"]])
    assert "bear out 12" in outputs and "imported tables, recomputed" in outputs
    assert len(list((tmp_path / "figures").glob("fig-erratum-*.png"))) == 8


def test_a_study_of_published_rows_without_an_import_says_what_to_do(tmp_path):
    study = open_study("published", tmp_path)
    for ask in (standard_rows, regime_rows, import_key, book.compute):
        with pytest.raises((UserError, RunFailed), match="import-published FOLDER"):
            ask(study)
