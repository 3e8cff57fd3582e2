"""The planted world is as asked for, and whoever knows the truth is seen to help a probe."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probing_core.analysis.comparison import compare, head_to_head
from probing_core.analysis.effects import overall
from probing_core.experiments import planted, sections
from probing_core.experiments.planted import HOOK, REGIME, Dictionary, World
from probing_core.experiments.study import open_study
from probing_core.profiles import Grid
from tests.conftest import small_profile

NAMES = ("the truth", "half the truth", "cosine 0")
SMALL = World(
    n_features=256,
    d_model=64,
    n_prompts=700,
    n_tasks=4,
    dictionaries=tuple(one for one in World().dictionaries if one.name in NAMES),
    grid=Grid(values=(4, 16, 256), methods=("logreg",), k=(1, 16), seeds=(42, 43)),
)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return open_study(small_profile(), tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def rows(study):
    return sections.rows(study, "planted", world=SMALL)


def ahead(rows, name, k):
    """SAE probe minus logistic regression by number of training prompts."""
    pair = head_to_head(rows, hook=HOOK, sae_id=name, k=k)
    return pair.groupby("regime_value")["difference"].mean()


def test_one_latent_of_the_true_dictionary_tells_the_classes(rows):
    true = rows[(rows["sae_id"] == "the truth") & (rows["k"] == 1) & (rows["n_train"] >= 16)]
    assert true["test_auc"].mean() > 0.99
    assert true.loc[true["n_train"] == 256, "test_auc"].min() > 0.999


def test_random_directions_are_worse_than_logistic_regression(rows):
    for k in (1, 16):
        assert (ahead(rows, "cosine 0", k)[[16, 256]] < -0.02).all()


def test_the_truth_helps_more_where_prompts_are_few(rows):
    gain = ahead(rows, "the truth", 16)
    assert gain[4] > gain[256] + 0.02 and gain[256] > 0


def test_the_quiver_sees_help_and_harm(rows):
    change = {
        name: overall(compare(rows, REGIME, hook=HOOK, sae_ids=[name], ks=[1, 16])).difference
        for name in NAMES
    }
    assert change["the truth"].low > 0 and change["cosine 0"].high < 0
    assert change["the truth"].mean > change["half the truth"].mean > change["cosine 0"].mean


def test_rows_are_the_projects_own_and_kept(study, rows, monkeypatch):
    assert set(rows["section"]) == {"planted"} and set(rows["sae_id"].dropna()) == set(NAMES)
    assert rows["dataset"].nunique() == 4 and rows["test_auc"].notna().all()
    assert len(rows) == 4 * 2 * 3 * (1 + 3 * 2)
    monkeypatch.setattr(planted, "fit_task", None)
    pd.testing.assert_frame_equal(sections.rows(study, "planted", world=SMALL), rows)
    assert planted.keys(study, World(seed=1))[0] != planted.keys(study)[0]


def test_the_same_world_gives_the_same_rows(study, rows, tmp_path):
    again = open_study(study.whole, tmp_path)
    key = planted.keys(again, SMALL)[1]
    planted.fit_task(tmp_path, again.profile, key, SMALL.tasks[1], SMALL)
    timed = ["fit_seconds", "created_at"]
    first = rows[rows["unit_key"] == key.digest].drop(columns=timed).reset_index(drop=True)
    assert len(first)
    second = planted.read(again, SMALL).drop(columns=timed)
    pd.testing.assert_frame_equal(first, second)


@settings(max_examples=15, deadline=None)
@given(
    most=st.floats(0.05, 0.9),
    power=st.floats(0, 1.5),
    noise=st.floats(0, 0.5),
    spread=st.floats(0, 0.3),
    seed=st.integers(0, 2**31),
)
def test_the_generator_gives_what_was_asked_for(most, power, noise, spread, seed):
    world = World(
        n_features=40, d_model=16, most=most, power=power, noise=noise, spread=spread, seed=seed,
        n_prompts=1000,
    )  # fmt: skip
    task, values, activations = world.prompts(7)
    assert (values >= 0).all() and values.dtype == activations.dtype == np.float32
    assert task.labels.sum() == 500
    np.testing.assert_array_equal(values[:, 7] > 0, task.labels == 1)
    others = np.arange(40) != 7
    share, chances = (values > 0).mean(axis=0)[others], world.chances[others]
    assert np.abs(share - chances).max() < 6 * np.sqrt(0.25 / 1000)
    assert values[values > 0].mean() == pytest.approx(1, abs=0.1)
    np.testing.assert_allclose(np.linalg.norm(world.directions, axis=1), 1, rtol=1e-5)
    left = activations - values @ world.directions
    assert left.std() == pytest.approx(noise, abs=1e-5 + 0.05 * noise)


@given(cosine=st.floats(0, 1))
def test_encoder_directions_have_the_cosine_asked_for(cosine):
    world = World(n_features=40, d_model=16)
    one = Dictionary("any", cosine, keep=40)
    read = one.encode(world, np.eye(40, dtype=np.float32), world.directions).diagonal()
    np.testing.assert_allclose(read, cosine, atol=1e-5)


def test_missing_features_have_no_latent_and_only_the_largest_readings_stay():
    world = World(n_features=40, d_model=16, n_prompts=200)
    _, values, activations = world.prompts(0)
    half = Dictionary("half", missing=0.5).encode(world, values, activations).toarray()
    gone = ~half.any(axis=0)
    assert gone.sum() == 20
    np.testing.assert_array_equal(half[:, ~gone], values[:, ~gone])
    few = Dictionary("few", 1.0, keep=5).encode(world, values, activations)
    assert few.min() >= 0 and np.diff(few.indptr).max() == 5
