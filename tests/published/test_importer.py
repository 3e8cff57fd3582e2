"""A folder of results comes from somewhere: what is wrong with it is named, the rest is kept."""

import shutil

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probing_core.errors import UserError
from probing_core.published.source import imported_rows
from probing_core.rows import ROW_SCHEMA
from probing_core.published.importer import import_results, results_folder, store_import
from probing_core.published.layout import GEMMA, HEAD, LLAMA, SMALL, TABLES, V1
from probing_core.published.tidy import snap
from probing_core.store import Store

LAYER = "baseline_probes_gemma-2-9b/normal_settings/layer20_results.csv"
NOISE = "baseline_probes_gemma-2-9b/corrupt/all_results.csv"
SHIFT = "baseline_probes_gemma-2-9b/ood/all_results.csv"


@pytest.fixture
def folder(results, tmp_path):
    """A small checkout: three of the tables."""
    for name in (LAYER, NOISE, SHIFT):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(results / name, tmp_path / name)
    return tmp_path


def remarks(folder, name):
    return [one.said for one in import_results(folder).remarks if one.file == name]


def test_every_table_at_hand_is_imported_without_a_flaw(found):
    assert found.remarks == ()
    assert list(found.rows.columns) == ROW_SCHEMA.names
    assert set(found.rows["model"]) == {GEMMA, LLAMA, SMALL}
    wanted = {"standard", "regimes", "shift", "pruning", "latents", "cola", "multi_token"}
    assert wanted <= set(found.rows["section"])
    assert set(found.sides) == {"judgements", "win_rates"}
    assert "prompt" not in found.sides["judgements"]


def test_missing_tables_are_reported_by_name_with_what_they_make(found):
    missing = {table.path: table.makes for table in found.missing}
    lost = "sae_probes_gemma-2-9b/normal_setting/all_metrics.csv"
    assert "SAE probes of google/gemma-2-9b" in missing[lost]
    assert any(line.startswith(f"missing  {lost}") for line in found.lines())


def test_floats_are_exactly_those_of_the_file(found, results):
    raw = pd.read_csv(results / LAYER, dtype=str)
    own = found.rows[found.rows["unit_key"] == LAYER]
    for column in ("test_auc", "val_auc", "test_acc", "test_f1"):
        assert own[column].tolist() == [float(text) for text in raw[column]]
    assert own["dataset"].tolist() == raw["dataset"].tolist()


def test_both_generations_are_told_apart_by_their_ranking(found):
    probes = found.rows[found.rows["section"].eq("regimes") & found.rows["method"].eq("sae_logreg")]
    counts = probes[probes["model"].eq(GEMMA)].groupby("ranking").size().to_dict()
    assert counts == {V1: 33822, HEAD: 33822}
    assert set(probes.loc[probes["model"].eq(LLAMA), "ranking"]) == {V1}


def test_ratios_lie_on_the_grid_without_float_noise(found):
    regimes = found.rows[found.rows["regime"].isin(["imbalance", "label_noise"])]
    grid = {round(step / 20, 2) for step in range(20)}
    assert set(regimes["regime_value"]) <= grid


def test_standard_rows_stand_in_where_upstreams_table_is_not_there(found):
    standard = found.rows[found.rows["section"].eq("standard") & found.rows["ranking"].eq(HEAD)]
    assert len(standard) == 113 * 3 * 2
    assert set(standard["unit_key"]) == {
        "sae_probes_gemma-2-9b/label_noise_setting/all_metrics.csv"
    }
    plain = found.rows[found.rows["section"].eq("standard") & found.rows["ranking"].eq(V1)]
    keys = ["model", "dataset", "sae_id", "k", "binarize"]
    assert not plain.duplicated(keys).any()


def test_a_folder_that_is_no_checkout_is_refused_in_one_line(tmp_path):
    for place, said in ((tmp_path / "none", "is no folder"), (tmp_path, "holds no results")):
        with pytest.raises(UserError, match=said) as error:
            results_folder(place)
        assert "\n" not in str(error.value) and "SAE-Probes" in str(error.value)


def test_a_checkout_and_its_results_folder_are_the_same(folder, tmp_path_factory):
    top = tmp_path_factory.mktemp("checkout")
    shutil.copytree(folder, top / "results")
    assert len(import_results(top).rows) == len(import_results(folder).rows)


def test_a_renamed_column_is_named_with_the_nearest_and_the_rest_is_kept(folder):
    path = folder / LAYER
    path.write_text(path.read_text().replace("test_auc", "auc_test", 1))
    (said,) = remarks(folder, LAYER)
    assert "no column 'test_auc'; skipped." in said and "auc_test" in said
    assert set(import_results(folder).rows["unit_key"]) == {NOISE, SHIFT}


@pytest.mark.parametrize("kept", [3000, 3001, 3010, 3040])
def test_a_truncated_table_keeps_its_complete_rows(folder, kept):
    path = folder / LAYER
    whole = path.read_bytes()
    path.write_bytes(whole[:kept])
    said = remarks(folder, LAYER)
    if not whole[:kept].endswith(b"\n"):
        assert any("truncated in line" in one for one in said)
    rows = import_results(folder).rows
    own = rows[rows["unit_key"] == LAYER]
    lines = whole[:kept].decode().splitlines()[1:]
    complete = lines if whole[:kept].endswith(b"\n") else lines[:-1]
    assert own["test_auc"].tolist() == [float(line.split(",")[4]) for line in complete]


def test_a_forks_own_run_under_the_same_name_is_named(folder):
    path = folder / NOISE
    lines = path.read_text().splitlines()
    own = [lines[0], *[line for line in lines if line.startswith("66_living-room,")]]
    path.write_text("\n".join(own) + "\n")
    (said,) = remarks(folder, NOISE)
    assert "covers 1 of 113 tasks in 11 rows, upstream has 1243" in said
    rows = import_results(folder).rows
    assert set(rows.loc[rows["unit_key"] == NOISE, "dataset"]) == {"66_living-room"}


def test_flawed_cells_rows_and_files_are_named_and_left_out(folder):
    path = folder / LAYER
    lines = path.read_text().splitlines()
    lines[1] = lines[1].rsplit(",", 1)[0] + ",high"
    lines[2] = ",".join([*lines[2].split(",")[:4], "1.7", *lines[2].split(",")[5:]])
    lines[3] += ",9"
    lines[6] = ",".join([*lines[6].split(",")[:4], "", *lines[6].split(",")[5:]])
    lines.append(lines[4])
    path.write_text("\n".join(lines) + "\n")
    (folder / SHIFT).write_bytes(b"\xff\xfe\x00\x01")
    text = " ".join(remarks(folder, LAYER))
    assert "line 2: 'high' in 'val_auc' is no number, and 1 more such; dropped." in text
    assert "1 lines have too many or too few cells, the first is line 4" in text
    assert "1 rows with an AUC outside 0 to 1" in text
    assert "1 rows repeat a setting" in text
    assert remarks(folder, SHIFT) == ["no UTF-8 text; skipped."]
    assert len(import_results(folder).rows.query("unit_key == @LAYER")) == 565 - 4


def test_numbers_that_fit_no_column_skip_their_table_alone(folder, results):
    name = "sae_probes_gemma-2-9b/OOD_setting/all_metrics.csv"
    (folder / name).parent.mkdir(parents=True)
    lines = (results / name).read_text().splitlines()
    cells = lines[1].split(",")
    cells[4] = "1.5"
    (folder / name).write_text("\n".join([lines[0], ",".join(cells), *lines[2:]]) + "\n")
    assert "does not fit" in " ".join(remarks(folder, name))
    assert set(import_results(folder).rows["unit_key"]) == {LAYER, NOISE, SHIFT}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.path.replace("/", " "))
def test_a_table_of_its_header_alone_is_named_and_a_cut_one_read_as_far_as_it_goes(
    table, results, tmp_path
):
    name = next((place for place in table.places if (results / place).is_file()), None)
    if name is None:
        pytest.skip(f"{table.path} is not at hand")
    whole = (results / name).read_bytes()
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_bytes(whole[: len(whole) * 2 // 3])
    assert import_results(tmp_path).remarks
    path.write_bytes(whole.splitlines()[0] + b"\n")
    with pytest.raises(UserError, match="no rows that can be read; skipped"):
        import_results(tmp_path)


def test_a_git_lfs_pointer_and_an_empty_file_are_no_tables(folder):
    (folder / NOISE).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    (folder / SHIFT).write_text("")
    assert "git lfs pull" in remarks(folder, NOISE)[0]
    assert "It is empty" in remarks(folder, SHIFT)[0]


def test_nothing_pickled_is_opened_and_the_report_says_what_is_lost(folder):
    trap = folder / "multi_token" / "rows.pkl"
    trap.parent.mkdir()
    trap.write_bytes(b"cos\nsystem\n(S'touch " + str(folder / "opened").encode() + b"'\ntR.")
    found = import_results(folder)
    assert found.pickled == ("multi_token/rows.pkl",)
    assert any(line.startswith("unopened 1 pickled files") for line in found.lines())
    assert not (folder / "opened").exists()


def test_unknown_tasks_are_named_with_the_nearest(folder):
    path = folder / SHIFT
    path.write_text(path.read_text().replace("66_living-room", "66_living_rooms"))
    (said,) = remarks(folder, SHIFT)
    assert "'66_living_rooms'" in said and "66_living-room" in said


def test_an_import_survives_the_store_and_takes_the_place_of_an_earlier_one(folder, tmp_path):
    store = Store(tmp_path / "store")
    for size in (565 + 1243 + 16, 1243 + 16):
        found = import_results(folder)
        store_import(store, found)
        kept = imported_rows(store)
        assert len(kept) == len(found.rows) == size
        pd.testing.assert_frame_equal(kept, found.rows)
        (folder / LAYER).unlink(missing_ok=True)


def test_rows_that_upstream_keeps_in_two_tables_are_taken_once(results, tmp_path):
    """A complete checkout has the whole table of which we have an extract from its history."""
    extract = "sae_probes_gemma-2-9b/normal_setting/l1_layer20_max_l0.csv"
    whole = extract.replace("l1_layer20_max_l0", "all_metrics_old")
    (tmp_path / whole).parent.mkdir(parents=True)
    shutil.copy(results / extract, tmp_path / extract)
    shutil.copy(results / extract, tmp_path / whole)
    found = import_results(tmp_path)
    assert len(found.rows) == 7910
    assert set(found.rows["unit_key"]) == {whole}


def test_every_table_has_a_reader_and_says_what_it_makes():
    assert len({place for table in TABLES for place in table.places}) >= len(TABLES)
    for table in TABLES:
        assert table.makes and table.columns, table.path


@given(st.integers(0, 20), st.floats(-9e-7, 9e-7))
def test_ratios_are_snapped_to_the_grid_and_others_left_alone(step, noise):
    near = pd.Series([step / 20 + noise, step / 20 + 0.02])
    assert snap(near).tolist() == [round(step / 20, 2), near[1]]
