import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

from probing_core.probes.scaling import fit_scale


def test_activations_are_scaled_as_by_scikit_learn(minilm_activations):
    for X, _ in minilm_activations.values():
        wanted = StandardScaler().fit(X[:200])
        np.testing.assert_allclose(fit_scale(X[:200])(X), wanted.transform(X), atol=2e-5)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 40), st.floats(-1e3, 1e3))
def test_a_constant_feature_is_centred_and_left_unscaled(seed, n, value):
    rows = np.random.default_rng(seed).standard_normal((n, 3)).astype(np.float32)
    rows[:, 1] = value
    scaled = fit_scale(rows)(rows)
    assert np.abs(scaled[:, 1]).max() <= 1e-6 * max(abs(value), 1)
    np.testing.assert_allclose(
        scaled[:, [0, 2]], StandardScaler().fit_transform(rows)[:, [0, 2]], atol=1e-4
    )


@pytest.mark.parametrize("far", [1e3, 1e4])
def test_features_far_from_zero_keep_their_spread(far):
    rows = (np.random.default_rng(0).standard_normal((500, 4)) + far).astype(np.float32)
    assert fit_scale(rows)(rows).std(axis=0) == pytest.approx(1.0, abs=1e-3)
