"""What is seen of a prompt without reading it."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from probing_core.probes.surface import _features, surface


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
