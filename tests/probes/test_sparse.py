import numpy as np
import pytest
from scipy import sparse

from probing_core.errors import UserError
from probing_core.probes.sparse import evaluate_top_k
from probing_core.saes.selection import rank_latents


@pytest.fixture
def latents(minilm_activations):
    """Rectified activations stand in for latents: real, sparse and never negative."""
    X, y = next(iter(minilm_activations.values()))
    code = sparse.csr_array(np.maximum(X - X.mean(axis=0), 0).astype(np.float32))
    return code[:400], y[:400], code[400:], y[400:]


def test_each_k_comes_back_in_the_order_asked_and_as_it_is_alone(latents):
    found = evaluate_top_k(*latents, ks=[16, 1, 4], ranking="mean_difference")
    assert [k for k, _ in found] == [16, 1, 4]
    assert [result.hyperparameters["latents"] for _, result in found] == [16, 1, 4]
    ((_, alone),) = evaluate_top_k(*latents, ks=[4], ranking="mean_difference")
    assert alone.test_auc == found[2][1].test_auc


def test_more_latents_than_there_are_uses_all(latents):
    ((k, found),) = evaluate_top_k(*latents, ks=[1000], ranking="mean_difference")
    assert k == 1000
    assert found.hyperparameters["latents"] == latents[0].shape[1]


def test_single_latent_probe_ranks_by_that_latent(latents):
    train, y_train, test, y_test = latents
    ((_, found),) = evaluate_top_k(*latents, ks=[1], ranking="mean_difference")
    best = rank_latents(train, y_train, "mean_difference")[0]
    column = test[:, [best]].toarray()[:, 0]
    gaps = column[y_test == 1][:, None] - column[y_test == 0]
    area = np.mean(0.5 + 0.5 * np.sign(gaps))
    assert found.test_auc == pytest.approx(max(area, 1 - area), abs=1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ranking": "mean_diference"}, "mean_difference"),
        ({"solver": "fats"}, "fast"),
        ({"ks": [0]}, "at least 1"),
    ],
)
def test_wrong_options_are_named(latents, options, message):
    with pytest.raises(UserError, match=message):
        evaluate_top_k(*latents, **({"ks": [1], "ranking": "mean_difference"} | options))
