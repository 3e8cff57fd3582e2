"""A folder of results comes from somewhere: what is wrong with it is named, the rest is kept."""

import shutil

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probing_core.datasets.registry import TASKS
from probing_core.errors import UserError
from probing_core.published.source import published_import
from probing_core.store import Store
from reproduction.upstream.importer import (
    import_results,
    report_lines,
    results_folder,
    store_import,
)
from reproduction.upstream.layout import TABLES
from reproduction.upstream.reading import READERS, snap
from tests.upstream import LAYER, NOISE, SHIFT, write, write_saes

CELLS = {
    "dataset": "66_living-room", "method": "logreg", "reg_type": "l1", "layer": "20", "k": "16",
    "sae_id": "layer_20/width_16k/average_l0_408", "run_type": "baseline", "run_num": "0",
    "kind": "attn", "latent": "7", "best_feature": "7", "num_train": "1024", "binarize": "True",
}  # fmt: skip
"""A cell of every column that is no score."""


def remarks(folder, name):
    found = import_results(folder).report["remarks"]
    return [one.removeprefix(f"{name}: ") for one in found if one.startswith(f"{name}: ")]


def edit(path, **lines):
    """Change lines of a file by their number, as in line_3=lambda cells: …."""
    text = path.read_text().splitlines()
    for name, change in lines.items():
        number = int(name.removeprefix("line_")) - 1
        text[number] = ",".join(change(text[number].split(",")))
    path.write_text("\n".join(text) + "\n")


def test_floats_are_exactly_those_of_the_file_and_of_the_rows_that_ship(folder, path, shipped):
    raw = pd.read_csv(path, dtype=str)
    rows = import_results(folder).rows
    own, kept = (frame[frame["unit_key"] == LAYER].reset_index() for frame in (rows, shipped))
    for column in ("test_auc", "val_auc", "test_acc", "test_f1"):
        assert own[column].tolist() == [float(text) for text in raw[column]]
        assert own[column].tolist() == kept[column].tolist()
    assert own["dataset"].tolist() == raw["dataset"].tolist()


def test_missing_tables_are_reported_by_name_with_what_they_make(folder):
    lost = "sae_probes_gemma-2-9b/normal_setting/all_metrics.csv"
    lines = report_lines(import_results(folder))
    (said,) = [line for line in lines if line.startswith(f"missing  {lost}")]
    assert "SAE probes of google/gemma-2-9b" in said
    assert lines[0].endswith("rows from 3 tables")


def test_a_folder_that_is_no_checkout_is_refused_in_one_line(tmp_path):
    for place, said in ((tmp_path / "none", "is no folder"), (tmp_path, "holds none")):
        with pytest.raises(UserError, match=said) as error:
            results_folder(place)
        assert "\n" not in str(error.value) and "SAE-Probes" in str(error.value)


def test_a_checkout_and_its_results_folder_are_the_same(folder, tmp_path_factory):
    top = tmp_path_factory.mktemp("checkout")
    shutil.copytree(folder, top / "results")
    assert import_results(top).rows.equals(import_results(folder).rows)


def test_a_renamed_column_is_named_with_the_nearest_and_the_rest_is_kept(folder, path):
    path.write_text(path.read_text().replace("test_auc", "auc_test", 1))
    (said,) = remarks(folder, LAYER)
    assert "no column 'test_auc'; skipped." in said and "auc_test" in said
    assert set(import_results(folder).rows["unit_key"]) == {NOISE, SHIFT}


@pytest.mark.parametrize("kept", [3000, 3001, 3010, 3040])
def test_a_truncated_table_keeps_its_complete_rows(folder, path, kept):
    whole = path.read_bytes()[:kept]
    path.write_bytes(whole)
    cut = not whole.endswith(b"\n")
    assert any("truncated in line" in one for one in remarks(folder, LAYER)) == cut
    rows = import_results(folder).rows
    lines = whole.decode().splitlines()[1:]
    complete = lines[:-1] if cut else lines
    own = rows.loc[rows["unit_key"] == LAYER, "test_auc"]
    assert own.tolist() == [float(line.split(",")[4]) for line in complete]


def test_a_forks_own_run_under_the_same_name_is_named(folder):
    lines = (folder / NOISE).read_text().splitlines()
    own = [lines[0], *[line for line in lines if line.startswith("66_living-room,")]]
    (folder / NOISE).write_text("\n".join(own) + "\n")
    (said,) = remarks(folder, NOISE)
    assert "covers 1 of 113 tasks in 11 rows, upstream has 1243" in said
    rows = import_results(folder).rows
    assert set(rows.loc[rows["unit_key"] == NOISE, "dataset"]) == {"66_living-room"}


def test_flawed_cells_rows_and_files_are_named_and_left_out(folder, path):
    edit(
        path,
        line_2=lambda cells: [*cells[:-1], "high"],
        line_3=lambda cells: [*cells[:4], "1.7", *cells[5:]],
        line_4=lambda cells: [*cells, "9"],
        line_7=lambda cells: [*cells[:4], "", *cells[5:]],
    )
    path.write_text(path.read_text() + path.read_text().splitlines()[4] + "\n")
    (folder / SHIFT).write_bytes(b"\xff\xfe\x00\x01")
    text = " ".join(remarks(folder, LAYER))
    assert "line 2: 'high' in 'val_auc' is no number, and 1 more such; dropped." in text
    assert "1 lines have too many or too few cells, the first is line 4" in text
    assert "1 rows with an AUC outside 0 to 1" in text
    assert "1 rows repeat a setting" in text
    assert remarks(folder, SHIFT) == ["no UTF-8 text; skipped."]
    assert len(import_results(folder).rows.query("unit_key == @LAYER")) == 565 - 4


def test_numbers_that_fit_no_column_skip_their_table_alone(folder, shipped):
    name = "sae_probes_gemma-2-9b/OOD_setting/all_metrics.csv"
    rows = shipped[shipped["unit_key"] == name]
    write_saes(rows.assign(k=rows["k"].astype(float) + 0.5), folder / name)
    assert "does not fit" in " ".join(remarks(folder, name))
    assert set(import_results(folder).rows["unit_key"]) == {LAYER, NOISE, SHIFT}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.path.replace("/", " "))
def test_every_table_is_read_whole_cut_and_as_a_header_alone(table, tmp_path):
    cells = {name: CELLS.get(name, "0.5") for name in table.columns}
    tasks = list(TASKS)[:3] if "dataset" in cells else [""] * 3
    rows = [cells | {"dataset": task} if task else cells for task in tasks]
    path = write(pd.DataFrame(rows), tmp_path / table.path)
    found = import_results(tmp_path)
    assert list(found.report["files"]) == [table.path]
    assert (table.kind in READERS) == (len(found.rows) > 0)
    assert table.makes and all(table.path in one for one in found.report["remarks"])
    path.write_bytes(path.read_bytes()[:-4])
    assert any("truncated" in one for one in import_results(tmp_path).report["remarks"]) == (
        table.newline
    )
    path.write_text(",".join(table.columns) + "\n")
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
    assert found.report["pickled"] == ["multi_token/rows.pkl"]
    assert any(line.startswith("unopened 1 pickled files") for line in report_lines(found))
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
        assert len(published_import(store).rows) == len(found.rows) == size
        pd.testing.assert_frame_equal(published_import(store).rows, found.rows)
        assert published_import(store).report == found.report
        (folder / LAYER).unlink(missing_ok=True)


def test_rows_that_upstream_keeps_in_two_tables_are_taken_once(shipped, tmp_path):
    """A complete checkout has the whole table of which we have an extract from its history."""
    extract = "sae_probes_gemma-2-9b/normal_setting/l1_layer20_max_l0.csv"
    whole = extract.replace("l1_layer20_max_l0", "all_metrics_old")
    rows = shipped[shipped["unit_key"] == extract]
    for name in (extract, whole):
        write_saes(rows, tmp_path / name)
    found = import_results(tmp_path)
    assert len(found.rows) == 7910
    assert set(found.rows["unit_key"]) == {whole}


@given(st.integers(0, 20), st.floats(-9e-7, 9e-7))
def test_ratios_are_snapped_to_the_grid_and_others_left_alone(step, noise):
    near = pd.Series([step / 20 + noise, step / 20 + 0.02])
    assert snap(near).tolist() == [round(step / 20, 2), near[1]]
