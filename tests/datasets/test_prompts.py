import csv
import gzip
import tempfile
from pathlib import Path

import datasets as hf
import numpy as np
import pandas as pd
import pytest
import sae_probes
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from probing_core.datasets import load_dataset, load_shifted
from probing_core.errors import UserError

DATA = Path(sae_probes.__file__).parent / "data"
BUILTIN = ("5_hist_fig_ismale", "41_truthqa_tf", "66_living-room", "129_arith_mc_A", "158_code_C")


def table(n=120, **columns):
    frame = pd.DataFrame(
        {"prompt": [f"prompt {i}" for i in range(n)], "target": ["a", "b"] * (n // 2)}
    )
    return frame.assign(**columns)


def written(folder, rows, name="mine.csv", header="prompt,target"):
    path = folder / name
    path.write_bytes("\n".join([header, *rows, ""]).encode())
    return path


def refused(task):
    with pytest.raises(UserError) as error:
        load_dataset(task)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_csv_frame_and_hugging_face_dataset_give_the_same_task(tmp_path):
    frame = table()
    path = tmp_path / "mine.csv"
    frame.to_csv(path, index=False)
    loaded = [load_dataset(path), load_dataset(str(path)), load_dataset(frame)]
    loaded.append(load_dataset(hf.Dataset.from_pandas(frame)))
    assert {dataset.content_hash for dataset in loaded} == {loaded[0].content_hash}
    assert loaded[0].tag == "mine"
    assert loaded[0].class_names == ("a", "b")
    assert loaded[0].labels.tolist() == [0, 1] * 60 and loaded[0].labels.dtype == np.int8
    assert load_dataset(loaded[0]) is loaded[0]


def test_numeric_targets_are_ordered_as_numbers():
    assert load_dataset(table(target=[10, 9] * 60)).class_names == ("9", "10")


@pytest.mark.parametrize("tag", BUILTIN)
def test_built_in_tasks_read_as_pandas_reads_them(tag):
    frame = pd.read_csv(DATA / "cleaned_data" / f"{tag}.csv.zst", keep_default_na=False)
    dataset = load_dataset(tag)
    assert dataset.prompts == tuple(frame["prompt"])
    assert dataset.class_names == tuple(str(one) for one in sorted(frame["target"].unique()))
    assert [dataset.class_names[label] for label in dataset.labels] == [*map(str, frame["target"])]


def test_a_shifted_set_reads_as_pandas_reads_it():
    frame = pd.read_csv(DATA / "OOD data" / "87_glue_cola_OOD.csv.zst", keep_default_na=False)
    assert load_shifted("87_glue_cola").prompts == tuple(frame["prompt"])


@pytest.mark.parametrize(
    ("first", "second", "names"),
    [
        ("10", "9", ("9", "10")),
        ("1", "0", ("0", "1")),
        ("1.0", "0", ("0.0", "1.0")),
        ("1e-3", "-2", ("-2.0", "0.001")),
        (" 10", "+9", ("9", "10")),
        ("True", "False", ("False", "True")),
        ("true", "FALSE", ("False", "True")),
        ("yes", "no", ("no", "yes")),
        ("9", "10th", ("10th", "9")),
        ("9" * 20, "1" * 21, ("1" * 21, "9" * 20)),
        ("nan", "1", ("1", "nan")),
        ("NaN", "NA", ("NA", "NaN")),
        ("inf", "9", ("9", "inf")),
        ("9", "1e999", ("1e999", "9")),
        ("null", "None", ("None", "null")),
    ],
)
def test_targets_of_a_file_are_numbers_only_if_all_are_plain_and_finite(
    tmp_path, first, second, names
):
    dataset = load_dataset(written(tmp_path, [f"a,{first}", f"b,{second}"] * 52))
    assert dataset.class_names == names
    assert dataset.labels.tolist() == [1, 0] * 52


@pytest.mark.parametrize("word", ["NaN", "nan", "NA", "null", "inf", "None", "1", "1.50", "true"])
def test_a_prompt_in_a_file_is_the_text_that_stands_there(tmp_path, word):
    dataset = load_dataset(written(tmp_path, [f"{word},a", f"{word},b"] * 52))
    assert set(dataset.prompts) == {word}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=1))
@example(["a,b\r\nc", '"', "\r", "\x1c\u2028x", "\ufeff", "x" * 200_000])
def test_any_prompts_are_read_as_they_were_written(prompts):
    kept = [prompt for prompt in prompts if prompt.strip()] or ["x"]
    kept = (kept * 104)[: 104 * len(kept)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mine.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, quoting=csv.QUOTE_ALL)
            writer.writerows([("prompt", "target"), *((p, i % 2) for i, p in enumerate(kept))])
        assert load_dataset(path).prompts == tuple(kept)


@pytest.mark.parametrize("name", ["mine.csv", "mine.tsv", "m.CSV", "m.csv.zst", "m.tsv.gz"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_packed_files_tabs_marks_and_line_ends_are_read(tmp_path, name, end):
    mark = "\t" if ".tsv" in name else ","
    lines = ["", mark.join(["id", "prompt", "target"]), "  "]
    lines += [mark.join(["1", f'"one ""{i}""\n{mark}"', "ab"[i % 2]]) for i in range(120)]
    data = "\ufeff".encode() + (end * 2).join(lines).encode()
    pack = {"zst": zstandard.ZstdCompressor().compress, "gz": gzip.compress}
    (tmp_path / name).write_bytes(pack.get(name.split(".")[-1], bytes)(data))
    dataset = load_dataset(tmp_path / name)
    assert dataset.prompts == tuple(f'one "{i}"\n{mark}' for i in range(120))
    assert dataset.labels.tolist() == [0, 1] * 60


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["a,b,c"] * 104, "row 1 (line 2) has 3 fields, the header has 2; quote a prompt that hol"),
        (["a,b", "a,b", "x,y,a"], "row 3 (line 4) has 3 fields"),
        (["a,b", "alone"], "row 2 (line 3) has 1 field, the header has 2; quote a prompt that hol"),
        (['"two\nlines",b', "", "x,y,a"], "row 2 (line 5) has 3 fields"),
        (["a,b", "kept\0lost,b"], "row 2 (line 3) holds a NUL byte; remove it."),
        (["a,b\0"], "row 1 (line 2) holds a NUL byte"),
        (["a,b", '"unclosed,a'], "row 2 (line 3) has a stray quote; write each quote in a"),
        (["a,b", '"a"b,c', "a,b"], "row 2 (line 3) has a stray quote"),
    ],
)
def test_a_row_that_would_be_cut_or_shifted_is_refused_by_its_number(tmp_path, rows, message):
    assert refused(written(tmp_path, rows)).startswith(f"mine.csv: {message}")


def test_a_tab_in_every_row_is_refused_too(tmp_path):
    path = written(tmp_path, ["a\tb\tc"] * 104, "mine.tsv", "prompt\ttarget")
    assert "quote a prompt that holds a tab" in refused(path)


def test_cap_keeps_file_order_and_both_classes_alike():
    whole = load_dataset("5_hist_fig_ismale")
    capped = load_dataset("5_hist_fig_ismale", max_prompts=700)
    assert len(capped) == 700 and capped.labels.sum() == 350
    assert capped.n_available == whole.n_available == len(whole)
    positions = [whole.prompts.index(p) for p in capped.prompts[:50]]
    assert positions == sorted(positions)


def test_cap_fills_up_from_the_larger_class():
    capped = load_dataset(table(200, target=["a"] * 180 + ["b"] * 20), max_prompts=120)
    assert len(capped) == 120 and capped.labels.sum() == 20


def test_hash_tells_contents_apart():
    first, second = table(), table()
    second.loc[3, "prompt"] = "changed"
    third = table(target=["b", "a"] * 60)
    hashes = {load_dataset(frame).content_hash for frame in (first, second, third)}
    assert len(hashes) == 3


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (table().rename(columns={"prompt": "text"}), "no column 'prompt'"),
        (
            table().rename(columns={"target": "targets"}),
            "no column 'target'. Did you mean 'targets'",
        ),
        (table(target="a"), "needs two classes, 'target' holds 1: 'a'"),
        (table(target=["a", "b", "c"] * 40), "holds 3"),
        (table(prompt=[" "] * 120), "prompt in row 1 is empty"),
        (
            table(prompt=list(range(120))),
            "row 1 is no text but int; in a frame, astype(str) makes it",
        ),
        (table(prompt=[["a"]] * 120), "row 1 is no text but list"),
        (table(0), "there are no rows; the split needs at least 104"),
        (table().set_axis(["target", "target"], axis=1).assign(prompt="x"), "2 columns are called"),
        (table(target=[["a"], ["b"]] * 60), "a target is a word, a number or a truth value"),
        (table(prompt=["x"] * 119 + [None]), "prompt in row 120 is empty"),
        (table(target=["a", None] * 60), "target in row 2 is missing"),
        (table(40), "there are 40 rows; the split needs"),
    ],
)
def test_table_that_cannot_be_probed_is_refused_in_one_line(frame, message):
    with pytest.raises(UserError) as error:
        load_dataset(frame)
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prompt,target\n" + "x,\n" * 104, "target in row 1 is missing"),
        ("prompt,target\n,a\n", "prompt in row 1 is empty"),
        ("prompt,target\n", "mine: there are no rows; the split needs at least 104"),
        ("", "mine.csv is empty; its first line names the columns prompt and target"),
        ("\n \n", "mine.csv is empty"),
        ("text,target\nx,a\n", "there is no column 'prompt'"),
        ("prompt,target,prompt\nx,a,y\n", "2 columns are called 'prompt'"),
    ],
)
def test_csv_that_cannot_be_read_is_refused(tmp_path, text, message):
    path = tmp_path / "mine.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        load_dataset(path)


def test_missing_csv_is_named(tmp_path):
    with pytest.raises(UserError, match="There is no file .*absent.csv"):
        load_dataset(tmp_path / "absent.csv")


@pytest.mark.parametrize("name", ["mine.txt", "mine.parquet", "mine", "mine.zip"])
def test_a_file_of_another_ending_is_told_the_right_ones(tmp_path, monkeypatch, name):
    (tmp_path / name).write_text("prompt,target\n")
    monkeypatch.chdir(tmp_path)
    for task in (name, f"./{name}", tmp_path / name):
        assert "its name ends in .csv, .tsv" in refused(task)


@pytest.mark.parametrize("name", ["mine.csv", "mine.csv.gz", "mine.csv.zst"])
def test_bytes_that_are_no_text_or_no_archive_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"\xff\xfeprompt")
    assert "is not a readable CSV" in refused(tmp_path / name)


@pytest.mark.parametrize("name", ["mine.csv.gz", "mine.csv.zst"])
def test_an_archive_is_read_whole_or_refused(tmp_path, name):
    pack = gzip.compress if name.endswith("gz") else zstandard.ZstdCompressor().compress
    lines = [f"prompt {i},{'ab'[i % 2]}\n".encode() for i in range(40_000)]
    parts = [pack(b"prompt,target\n"), pack(b"".join(lines))]
    (tmp_path / name).write_bytes(b"".join(parts))
    assert len(load_dataset(tmp_path / name)) == 40_000
    (tmp_path / name).write_bytes(b"".join(parts)[: -len(parts[1]) // 3])
    assert "is not a readable CSV" in refused(tmp_path / name)


def test_a_folder_is_no_task(tmp_path):
    (tmp_path / "mine.csv").mkdir()
    assert "is not a readable CSV" in refused(tmp_path / "mine.csv")


def test_hostile_prompts_stay_as_they_are(tmp_path):
    prompts = ["<script>alert(1)</script>", "NA", "null", "a\x00b", "\u202eevil"] * 24
    frame = table(prompt=prompts)
    assert load_dataset(frame).prompts == tuple(prompts)
    path = tmp_path / "mine.csv"
    table(prompt=["NA"] * 120).to_csv(path, index=False)
    assert set(load_dataset(path).prompts) == {"NA"}
