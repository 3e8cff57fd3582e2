"""What is seen of a prompt without reading it."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from probing_core.probes.surface import BAG, LAST_TOKEN, _features, shortcut_aucs, surface


def test_surface_features_are_seen_where_a_latent_follows_one():
    plain = [f"The kettle {'x' * (i % 7)} boils" for i in range(60)]
    cases = {
        "ends in a space": [f"{p} " for p in plain],
        "upper case": [p.upper() for p in plain],
        "digits": [f"1234 {p}" for p in plain],
        "ends in punctuation": [f"{p}!" for p in plain],
        "length": [f"{p} and then some more of it" for p in plain],
    }
    fires = np.repeat([True, False], 60)
    for name, marked in cases.items():
        feature, told = surface([*marked, *plain], fires)
        assert told >= 0.9, name
        alone = roc_auc_score(fires, _features(pd.Series([*marked, *plain]))[name].astype(float))
        assert max(alone, 1 - alone) == pytest.approx(told)
        assert feature in (name, "length", "punctuation", "ends in a letter")
    half = np.arange(120) % 2 == 0
    assert surface([*plain, *plain], half)[1] < 0.8
    feature, told = surface(plain, np.arange(60) < 3)
    assert feature == "" and np.isnan(told)


def test_shortcuts_are_found_where_they_were_planted():
    rng = np.random.default_rng(0)
    words = np.array(["the", "a", "dog", "cat", "runs", "sleeps", "eats", "sees", "bird", "house"])
    labels = rng.integers(0, 2, 600)
    plain = [" ".join(rng.choice(words, 8)) for _ in labels]
    marks = {"ends in a space": " ", "ends in punctuation": "!", "ends in a digit": "7"}
    for name, mark in marks.items():
        prompts = [f"{p}{mark}" if y else p for p, y in zip(plain, labels, strict=True)]
        found = shortcut_aucs(prompts[:400], labels[:400], prompts[400:], labels[400:])
        assert found[name] == (1.0, 1.0), name
    spelled = [f"{p} zebra {p}" if y else p + p for p, y in zip(plain, labels, strict=True)]
    found = shortcut_aucs(spelled[:400], labels[:400], spelled[400:], labels[400:])
    assert found[BAG] == (1.0, 1.0)
    told = [f"{p} {'yes' if y else 'no'}" for p, y in zip(plain, labels, strict=True)]
    assert shortcut_aucs(told[:400], labels[:400], told[400:], labels[400:])[LAST_TOKEN][1] == 1.0
    nothing = shortcut_aucs(plain[:400], labels[:400], plain[400:], labels[400:])
    assert all(abs(test - 0.5) < 0.12 for _, test in nothing.values())


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=30), min_size=12, max_size=12))
def test_shortcuts_take_any_text(prompts):
    labels = np.arange(12) % 2
    found = shortcut_aucs(prompts[:8], labels[:8], prompts[8:], labels[8:])
    assert all(np.isnan(one) or 0 <= one <= 1 for pair in found.values() for one in pair)
