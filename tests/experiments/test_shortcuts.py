"""Shortcuts on real tasks: what tells classes without a model, and along a probe's direction."""

import numpy as np
import pytest

from probing_core.datasets import load_dataset
from probing_core.experiments import sections, shortcuts
from probing_core.experiments.latents import task_latents
from probing_core.experiments.saes import study_saes
from probing_core.experiments.study import open_study
from probing_core.models.adapter import load_model
from probing_core.models.extraction import pad
from probing_core.probes.surface import BAG
from tests.conftest import HOOK, TAGS

AIMADE = "110_aimade_humangpt3"


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    profile = open_study("published").profile.model_copy(update={"tasks": (AIMADE, "96_spam_is")})
    return open_study(profile, tmp_path_factory.mktemp("store"))


def test_the_known_shortcut_of_aimade_is_found_again(published):
    ends = shortcuts.last_tokens(published, AIMADE)
    blank = ends[ends["token"] == " "][["label_0", "label_1"]].sum()
    sizes = np.bincount(load_dataset(AIMADE).labels)
    assert blank["label_0"] / sizes[0] == pytest.approx(0.384, abs=0.001)
    assert blank["label_1"] == 0
    stop = ends[ends["token"] == "."][["label_0", "label_1"]].sum()
    assert (stop["label_1"] / sizes[1], stop["label_0"] / sizes[0]) == pytest.approx(
        (0.628, 0.188), abs=0.001
    )
    rows = sections.rows(published, "shortcuts")
    own = rows[rows["dataset"] == AIMADE].set_index("feature")["test_auc"]
    # who is sure of "human" where a text ends in a space has an AUC of half of 1 + 0.384
    assert own["ends in a space"] == pytest.approx(0.5 + 0.384 / 2, abs=0.01)
    assert own["last token"] > 0.8


def test_spam_is_told_by_its_digits_and_words(published):
    rows = sections.rows(published, "shortcuts").set_index(["dataset", "feature"])["test_auc"]
    assert rows["96_spam_is", BAG] > 0.99 and rows["96_spam_is", "digits"] > 0.9


def test_rows_are_kept_and_read_again(published):
    first = sections.rows(published, "shortcuts")
    assert sections.stored(published, "shortcuts").equals(first)


def test_latents_that_differ_most_by_class_come_with_their_means(small_study):
    found = shortcuts.class_latents(small_study, TAGS[0])
    values = task_latents(small_study, TAGS[0], study_saes(small_study)[0]).toarray()
    split, labels = small_study.split(TAGS[0]), small_study.dataset(TAGS[0]).labels
    means = [
        [values[rows][labels[rows] == label].mean(axis=0) for label in (0, 1)]
        for rows in (split.train, split.test)
    ]
    apart = np.abs(means[0][1] - means[0][0])
    assert found["latent"].tolist() == np.argsort(-apart, kind="stable")[:3].tolist()
    for label in (0, 1):
        told = found[f"label_{label}"]
        np.testing.assert_allclose(told, means[1][label][found["latent"]], rtol=1e-5)


def test_tokens_along_a_direction_are_means_of_the_models_own_activations(small_study):
    found = shortcuts.direction_tokens(small_study, TAGS[0], prompts=30)
    assert found["mean"].is_monotonic_decreasing and found["count"].min() >= shortcuts.LEAST
    text = [one for each in small_study.datasets.values() for one in each.prompts[:30]]
    model = load_model("minilm", dtype="float32", device="cpu")
    ids, _ = model.tokenize(text, 32, prepend_bos=True)
    assert found["count"].sum() <= sum(map(len, ids))
    token = found["token"].iloc[0]
    split, labels = small_study.split(TAGS[0]), small_study.dataset(TAGS[0]).labels
    x = shortcuts.read_activations(small_study, TAGS[0])[split.train]
    direction = shortcuts.DenseProbe(seed=42).fit(x, labels[split.train]).coef_[0]
    values = []
    with model.capture([HOOK]) as run:
        for row in ids:
            output = run(*pad([row], model))[HOOK][0].float().numpy()
            along = zip(row, output @ direction, strict=True)
            values += [v for one, v in along if model.bridge.tokenizer.decode([one]) == token]
    assert len(values) == found["count"].iloc[0]
    assert np.mean(values) == pytest.approx(found["mean"].iloc[0], rel=1e-3)


def test_an_audit_puts_the_probe_first_and_the_best_shortcut_next(small_study):
    found = shortcuts.audited(small_study, TAGS[0])
    assert found["feature"].iloc[0].startswith("logistic regression on minilm")
    assert found["test_auc"].iloc[1:].is_monotonic_decreasing
