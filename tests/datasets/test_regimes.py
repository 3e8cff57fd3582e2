import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sae_probes import utils_data as original

from probing_core.datasets import load_dataset
from probing_core.datasets.regimes import REGIMES, Draw
from probing_core.errors import UserError
from tests.datasets.test_splits import task

HOW = Draw("paper", 42, 1024)
TAGS = ("41_truthqa_tf", "66_living-room", "5_hist_fig_ismale")


def test_published_grids_are_those_of_sae_probes():
    assert list(REGIMES["scarcity"].values) == original.get_training_sizes()
    assert REGIMES["imbalance"].values == pytest.approx(original.get_class_imbalance())
    assert REGIMES["label_noise"].values == pytest.approx(original.get_corrupt_frac())


@pytest.mark.parametrize("tag", TAGS)
def test_scarce_rows_are_those_of_sae_probes(tag):
    dataset = load_dataset(tag)
    for n in (2, 3, 20, 531):
        split = REGIMES["scarcity"].draw(dataset, n, HOW).split
        train, test = original.get_train_test_indices(dataset.labels, n, len(dataset) - n - 1)
        assert (split.train == train).all() and (split.test == test).all()


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("ratio", [0.05, 0.3, 0.95])
def test_imbalanced_rows_are_those_of_sae_probes(tag, ratio):
    dataset = load_dataset(tag)
    split = REGIMES["imbalance"].draw(dataset, ratio, HOW).split
    n_train, n_test = original.get_classimabalance_num_train(tag)
    train, test = original.get_train_test_indices(dataset.labels, n_train, n_test, ratio)
    assert (split.train == train).all() and (split.test == test).all()


@pytest.mark.parametrize("share", [0.0, 0.15, 0.5])
def test_flipped_labels_are_those_of_sae_probes(share):
    dataset = load_dataset(TAGS[0])
    setting = REGIMES["label_noise"].draw(dataset, share, HOW)
    clean = dataset.labels[setting.split.train]
    assert (setting.train_labels == original.corrupt_ytrain(clean, share)).all()


@settings(max_examples=40, deadline=None)
@given(n=st.integers(2, 200), seed=st.integers(0, 9999))
@pytest.mark.parametrize("protocol", ["paper", "leak_free"])
def test_scarce_sets_hold_both_classes_and_share_no_row_with_the_test(protocol, n, seed):
    dataset = task(160, 160)
    setting = REGIMES["scarcity"].draw(dataset, n, Draw(protocol, seed, 1024))
    assert len(setting.train_labels) == n
    assert setting.train_labels.sum() == -(-n // 2)
    assert not set(setting.split.train) & set(setting.split.test)


@settings(max_examples=40, deadline=None)
@given(ratio=st.floats(0.05, 0.95), seed=st.integers(0, 9999))
def test_imbalanced_sets_have_the_ratio_in_training_and_test_and_one_size(ratio, seed):
    dataset = task(300, 300)
    setting = REGIMES["imbalance"].draw(dataset, ratio, Draw("paper", seed, 1024))
    assert len(setting.train_labels) == 215
    for rows in (setting.split.train, setting.split.test):
        assert abs(dataset.labels[rows].mean() - ratio) <= 1 / len(rows) + 1e-9


@settings(max_examples=40, deadline=None)
@given(ratio=st.floats(0.05, 0.95))
def test_imbalance_names_the_least_prompts_that_would_do(ratio):
    with pytest.raises(UserError, match="0 training prompts cannot have a share") as raised:
        REGIMES["imbalance"].draw(task(52, 60), ratio, HOW)
    assert str(raised.value).endswith("the smaller has 52")
    least = int(re.search(r"take (\d+) prompts of each", str(raised.value))[1])
    assert len(REGIMES["imbalance"].draw(task(least, least), ratio, HOW).train_labels)
    with pytest.raises(UserError, match="cannot have a share"):
        REGIMES["imbalance"].draw(task(least - 1, least), ratio, HOW)


@settings(max_examples=40, deadline=None)
@given(share=st.floats(0, 0.5), seed=st.integers(0, 9999))
def test_the_wanted_share_of_training_labels_is_flipped_and_no_test_label(share, seed):
    dataset = task(150, 150)
    setting = REGIMES["label_noise"].draw(dataset, share, Draw("paper", seed, 1024))
    wrong = setting.train_labels != dataset.labels[setting.split.train]
    assert wrong.sum() == int(share * len(wrong))


def test_smaller_scarce_sets_are_prefixes_of_larger_ones():
    dataset = task(150, 150)
    small, large = (set(REGIMES["scarcity"].draw(dataset, n, HOW).split.train) for n in (20, 60))
    assert small < large


@pytest.mark.parametrize(
    ("regime", "value", "message"),
    [
        ("scarcity", 201, "leave fewer than 100"),
        ("scarcity", 1, "no set of two classes"),
        ("scarcity", 10.5, "no set of two classes"),
        ("imbalance", 0.0, "between 0 and 1"),
        ("imbalance", 0.999, "cannot have a share"),
        ("label_noise", 0.7, "up to a half"),
    ],
)
def test_what_a_task_cannot_supply_is_said_in_one_line(regime, value, message):
    with pytest.raises(UserError, match=message) as raised:
        REGIMES[regime].draw(task(150, 150), value, HOW)
    assert "\n" not in str(raised.value)
