import datasets as hf
import numpy as np
import pandas as pd
import pytest

from probing_core.datasets import load_dataset
from probing_core.errors import UserError


def table(n=120, **columns):
    frame = pd.DataFrame(
        {"prompt": [f"prompt {i}" for i in range(n)], "target": ["a", "b"] * (n // 2)}
    )
    return frame.assign(**columns)


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
        (table(prompt=list(range(120))), "prompt in row 1 is int"),
        (table(prompt=["x"] * 119 + [None]), "prompt in row 120 is empty"),
        (table(target=["a", None] * 60), "target in row 2 is missing"),
        (table(40), "40 prompts are too few"),
    ],
)
def test_table_that_cannot_be_probed_is_refused_in_one_line(frame, message):
    with pytest.raises(UserError) as error:
        load_dataset(frame)
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prompt,target\nx,\n", "target in row 1 is missing"),
        ("prompt,target\n,a\n", "prompt in row 1 is empty"),
        ("", "is not a readable CSV"),
        ('prompt,target\n"unclosed,a\n', "is not a readable CSV"),
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


def test_hostile_prompts_stay_as_they_are(tmp_path):
    prompts = ["<script>alert(1)</script>", "NA", "null", "a\x00b", "\u202eevil"] * 24
    frame = table(prompt=prompts)
    assert load_dataset(frame).prompts == tuple(prompts)
    path = tmp_path / "mine.csv"
    table(prompt=["NA"] * 120).to_csv(path, index=False)
    assert set(load_dataset(path).prompts) == {"NA"}
