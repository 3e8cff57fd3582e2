"""The published rows ship; an import in the store takes their place as long as it can be read."""

import os
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from probing_core.datasets.regimes import REGIMES
from probing_core.published.paper import paper_differences
from probing_core.published.source import (
    ROWS_KEY,
    SHIPPED,
    imported,
    published_import,
    published_rows,
    source_digest,
)
from probing_core.rows import ROW_SCHEMA
from probing_core.store import Store
from reproduction.upstream.importer import import_results, ship, store_import
from reproduction.upstream.layout import GEMMA, HEAD, LLAMA, SMALL, TABLES, V1

MOST_BYTES = 4_000_000


@pytest.fixture(scope="module")
def results():
    """The folder of upstream's tables; they are no part of this repository."""
    root = Path(__file__).resolve().parents[2]
    default = root.parent / "shared" / "published" / "results"
    folder = Path(os.environ.get("PUBLISHED_RESULTS") or default)
    if not folder.is_dir():
        pytest.skip("PUBLISHED_RESULTS is not set: the paper's result tables are not at hand")
    return folder


def test_what_ships_is_what_an_import_of_the_tables_gives(results, tmp_path):
    ship(import_results(results), tmp_path)
    for name in ("rows", "win_rates", "judgements"):
        fresh, kept = (pq.read_table(top / f"{name}.parquet") for top in (tmp_path, SHIPPED))
        assert fresh.equals(kept), name
    assert (tmp_path / "report.json").read_text() == (SHIPPED / "report.json").read_text()


def test_what_ships_is_small_whole_and_named_after_its_origin(shipped):
    assert (SHIPPED / "rows.parquet").stat().st_size <= MOST_BYTES
    assert len(shipped) == published_import().report["rows"] == 147_827
    assert list(shipped.columns) == ROW_SCHEMA.names
    assert set(shipped["model"]) == {GEMMA, LLAMA, SMALL}
    known = {place for table in TABLES for place in table.places}
    assert set(shipped["unit_key"]) <= set(published_import().report["files"]) <= known
    assert published_import().report["remarks"] == []
    origin = (SHIPPED / "ORIGIN.md").read_text("utf-8")
    assert "9917d94" in origin and "MIT License" in origin and "Copyright (c)" in origin


def test_side_tables_ship_without_prompts():
    assert len(published_import().sides["win_rates"]) == 6 * 56
    judged = published_import().sides["judgements"]
    assert len(judged) == 1000 and all(
        pd.api.types.is_numeric_dtype(kind) for kind in judged.dtypes
    )


def test_both_generations_are_told_apart_by_their_ranking(shipped):
    probes = shipped[shipped["section"].eq("regimes") & shipped["method"].eq("sae_logreg")]
    counts = probes[probes["model"].eq(GEMMA)].groupby("ranking").size().to_dict()
    assert counts == {V1: 33822, HEAD: 33822}
    assert set(probes.loc[probes["model"].eq(LLAMA), "ranking"]) == {V1}


def test_ratios_lie_on_the_grid_without_float_noise(shipped):
    regimes = shipped[shipped["regime"].isin(["imbalance", "label_noise"])]
    assert set(regimes["regime_value"]) <= {round(step / 20, 2) for step in range(20)}


def test_standard_rows_stand_in_where_upstreams_table_is_not_there(shipped):
    standard = shipped[shipped["section"].eq("standard")]
    later = standard[standard["ranking"].eq(HEAD)]
    assert len(later) == 113 * 3 * 2
    assert set(later["unit_key"]) == {"sae_probes_gemma-2-9b/label_noise_setting/all_metrics.csv"}
    plain = standard[standard["ranking"].eq(V1)]
    assert not plain.duplicated(["model", "dataset", "sae_id", "k", "binarize"]).any()


def test_a_sections_rows_are_those_of_its_model_in_order(shipped):
    for model in (GEMMA, SMALL):
        own = shipped[shipped["section"].eq("standard") & shipped["model"].eq(model)]
        found = published_rows(None, "standard", model)
        pd.testing.assert_frame_equal(found, own.reset_index(drop=True))
    assert published_rows(None, "standard", "minilm").empty


def test_an_import_overrides_what_ships_and_changes_the_digest(folder, tmp_path):
    store = Store(tmp_path / "store")
    assert not imported(store) and source_digest(store) == source_digest(None)
    store_import(store, import_results(folder))
    assert imported(store) and len(published_rows(store, "standard", GEMMA)) == 565
    assert published_import(store).sides == {}
    assert source_digest(store) != source_digest(None)
    before = source_digest(store)
    (folder / "baseline_probes_gemma-2-9b/ood/all_results.csv").unlink()
    store_import(store, import_results(folder))
    assert source_digest(store) != before


@pytest.mark.parametrize("suffix", [".parquet", ".json"])
def test_a_damaged_import_gives_way_to_what_ships_with_a_line_in_the_log(
    folder, tmp_path, caplog, suffix
):
    store = Store(tmp_path / "store")
    store_import(store, import_results(folder))
    for path in store.path(ROWS_KEY).parent.glob(f"r*{suffix}"):
        path.write_bytes(path.read_bytes()[:-20])
    assert len(published_import(store).rows) == 147_827
    assert "the published rows that ship are used" in caplog.text
    assert source_digest(store) == source_digest(None)
    assert published_import(store).report == published_import().report


def test_the_paper_has_a_difference_in_each_of_its_regimes():
    for name in REGIMES:
        paper = paper_differences()[name]
        assert paper.low < paper.mean < paper.high and paper.source.startswith("figure")
    assert set(paper_differences()) == set(REGIMES)
