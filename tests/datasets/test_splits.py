import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sae_probes.utils_data import get_train_test_indices

from probing_core.datasets import TASKS, load_dataset, standard_split
from probing_core.datasets.splits import draw_split
from probing_core.errors import UserError


def task(n_positive, n_negative, repeats=1, seed=0):
    rng = np.random.default_rng(seed)
    n = n_positive + n_negative
    names = [f"prompt {i // repeats}" for i in range(n)]
    frame = pd.DataFrame({"prompt": names, "target": [1] * n_positive + [0] * n_negative})
    return load_dataset(frame.iloc[rng.permutation(n)].reset_index(drop=True))


SIZES = st.integers(60, 300)


@pytest.mark.parametrize("tag", ["41_truthqa_tf", "66_living-room", "5_hist_fig_ismale"])
@pytest.mark.parametrize("seed", [42, 7])
def test_paper_protocol_draws_the_rows_of_sae_probes(tag, seed):
    dataset = load_dataset(tag)
    n_train = min(len(dataset) - 100, 1024)
    n_test = len(dataset) - n_train - 1
    split = standard_split(dataset, protocol="paper", seed=seed)
    train, test = get_train_test_indices(dataset.labels, n_train, n_test, 0.5, seed)
    assert (split.train == train).all() and (split.test == test).all()


def test_published_sizes_of_train_and_test():
    """PAPER B.3: 102 tasks reach 1,024 training rows, the mean test size is 1,944.9."""
    sizes = [task.n_prompts for task in TASKS.values()]
    train = [min(n - 100, 1024) for n in sizes]
    assert sum(n == 1024 for n in train) == 102
    assert np.mean([n - t - 1 for n, t in zip(sizes, train, strict=True)]) == pytest.approx(
        1944.9, abs=0.05
    )


@settings(max_examples=40, deadline=None)
@given(positive=SIZES, negative=SIZES, seed=st.integers(0, 2**31 - 1), repeats=st.integers(1, 6))
@pytest.mark.parametrize("protocol", ["paper", "leak_free"])
def test_train_and_test_share_no_row(protocol, positive, negative, seed, repeats):
    split = standard_split(task(positive, negative, repeats), protocol=protocol, seed=seed)
    assert not set(split.train) & set(split.test)
    assert len(set(split.train)) == len(split.train)
    assert len(set(split.test)) == len(split.test)


@settings(max_examples=40, deadline=None)
@given(n_train=st.integers(4, 60), ratio=st.floats(0.1, 0.9), seed=st.integers(0, 999))
@pytest.mark.parametrize("protocol", ["paper", "leak_free"])
def test_split_keeps_class_ratio(protocol, n_train, ratio, seed):
    dataset = task(300, 300)
    split = draw_split(
        dataset, n_train=n_train, n_test=100, positive_ratio=ratio, protocol=protocol, seed=seed
    )
    assert dataset.labels[split.train].sum() == np.ceil(ratio * n_train)
    assert dataset.labels[split.test].sum() == np.ceil(ratio * 100)


@settings(max_examples=40, deadline=None)
@given(positive=SIZES, negative=SIZES, seed=st.integers(0, 999), repeats=st.integers(2, 8))
def test_leak_free_keeps_a_repeated_prompt_on_one_side(positive, negative, seed, repeats):
    dataset = task(positive, negative, repeats)
    split = standard_split(dataset, protocol="leak_free", seed=seed)
    prompts = np.array(dataset.prompts, dtype=object)
    assert not set(prompts[split.train]) & set(prompts[split.test])


def test_leak_free_ignores_case_and_white_space():
    frame = pd.DataFrame(
        {"prompt": [f"Prompt  {i // 2}" if i % 2 else f"prompt {i // 2}" for i in range(400)],
         "target": [0] * 200 + [1] * 200}
    )  # fmt: skip
    dataset = load_dataset(frame)
    split = standard_split(dataset, protocol="leak_free", seed=1)
    assert not {i // 2 for i in split.train} & {i // 2 for i in split.test}


def test_leak_free_drops_prompts_that_occur_with_both_labels():
    frame = pd.DataFrame(
        {"prompt": ["both"] * 20 + [f"p{i}" for i in range(300)], "target": [0, 1] * 160}
    )
    split = standard_split(load_dataset(frame), protocol="leak_free", seed=1)
    assert not set(range(20)) & (set(split.train) | set(split.test))


def test_real_task_with_repeats_leaks_on_paper_and_not_leak_free():
    dataset = load_dataset("131_temp_cat_Typical Time")
    prompts = np.array(dataset.prompts, dtype=object)
    shared = {}
    for protocol in ("paper", "leak_free"):
        split = standard_split(dataset, protocol=protocol, seed=42)
        shared[protocol] = np.isin(prompts[split.test], prompts[split.train]).mean()
    assert shared["paper"] > 0.8
    assert shared["leak_free"] == 0


def test_same_seed_draws_the_same_rows():
    dataset = task(150, 150)
    first, second = (standard_split(dataset, protocol="paper", seed=3) for _ in range(2))
    assert (first.train == second.train).all() and (first.test == second.test).all()


def test_class_too_small_for_the_split_is_named():
    for sizes, label in (((30, 300), 1), ((300, 30), 0)):
        with pytest.raises(
            UserError,
            match=f"smaller class has 30 prompts; the split needs at least 52. .* label {label}",
        ):
            standard_split(task(*sizes), protocol="paper", seed=1)


def test_ratio_a_task_cannot_supply_is_told_with_the_classes_and_what_helps():
    message = (
        r"asks for 95 rows of a class that has 60 to draw \(60 prompts have label 1, 300 label 0;.*"
        " train on fewer rows, or add prompts of that class$"
    )
    with pytest.raises(UserError, match=message):
        draw_split(
            task(60, 300), n_train=100, n_test=10, positive_ratio=0.95, protocol="paper", seed=1
        )


def test_leak_free_says_that_repeats_leave_no_row_to_train_on():
    frame = pd.DataFrame(
        {"prompt": [f"p{i % 150}" for i in range(300)], "target": [1] * 150 + [0] * 150}
    )
    with pytest.raises(UserError, match="100 rows of a class that has 0 .*sets prompts with both"):
        standard_split(load_dataset(frame), protocol="leak_free", seed=1)


def test_leak_free_says_that_repeats_leave_no_row_to_test():
    frame = pd.DataFrame({"prompt": ["one", "zero"] * 60, "target": [1, 0] * 60})
    with pytest.raises(UserError, match="no training set leaves 59 prompts to test that do not"):
        standard_split(load_dataset(frame), protocol="leak_free", seed=1)
