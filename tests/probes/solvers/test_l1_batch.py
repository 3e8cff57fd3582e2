import numpy as np
import pytest
import torch
from scipy import sparse

from probing_core.probes import evaluate_top_k
from probing_core.probes.logistic import C_GRID
from probing_core.probes.metrics import auc
from probing_core.probes.solvers.l1_batch import fit_l1_batch
from probing_core.probes.solvers.l1_flow import fit_l1_flow

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA device here"))]  # fmt: skip


@pytest.fixture
def latents(minilm_activations):
    """Sparse, never negative and unscaled, as SAE latents are."""
    X, y = next(iter(minilm_activations.values()))
    return np.where(X > 0.3, X, 0)[:, :64].astype(np.float32), y


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("n", [20, 150])
def test_fits_together_follow_the_flow_of_the_compiled_path(latents, n, device):
    X, y = latents
    few = np.r_[np.flatnonzero(y == 1)[: n // 2], np.flatnonzero(y == 0)[: n // 2]]
    weight = np.ones((len(C_GRID), n))
    weight[:, ::5] = 0.0
    together = fit_l1_batch(
        torch.as_tensor(X[few], device=device), np.tile(y[few], (len(C_GRID), 1)), C_GRID, weight
    )
    one_by_one = fit_l1_flow(sparse.csc_array(X[few]), y[few], C_GRID, weight[0])
    for at in range(len(C_GRID)):
        size = max(np.linalg.norm(one_by_one.coefficients[at]), 1e-3)
        apart = np.linalg.norm(together.coefficients[at] - one_by_one.coefficients[at])
        assert apart <= 0.03 * size
        scores = [X @ fit.coefficients[at] + fit.intercepts[at] for fit in (together, one_by_one)]
        assert auc(y, scores[0]) == pytest.approx(auc(y, scores[1]), abs=2e-3)
    assert together.solved.all()
    assert np.array_equal(together.at_rest, one_by_one.at_rest)


def test_a_batch_mixes_labels_and_rows(latents):
    X, y = latents
    features = torch.as_tensor(X[:120])
    chance = np.random.default_rng(0)
    labels = np.stack(
        [np.where(chance.random(120) < share, 1 - y[:120], y[:120]) for share in (0, 0.3)]
    )
    weight = np.ones((2, 120))
    weight[1, :30] = 0.0
    cs = np.array([10.0, 0.1])
    together = fit_l1_batch(features, labels, cs, weight)
    for at in range(2):
        alone = fit_l1_batch(features, labels[[at]], cs[[at]], weight[[at]])
        np.testing.assert_allclose(together.coefficients[at], alone.coefficients[0], atol=1e-8)


def test_probes_on_a_device_are_those_of_the_compiled_path(latents):
    X, y = latents
    train, test = sparse.csr_array(X[:100]), sparse.csr_array(X[300:])
    options = {"ks": [4, 32], "ranking": "mean_difference"}
    here = evaluate_top_k(train, y[:100], test, y[300:], **options)
    there = evaluate_top_k(train, y[:100], test, y[300:], device="cpu:0", **options)
    for (_, one), (_, other) in zip(here, there, strict=True):
        assert one.test_auc == pytest.approx(other.test_auc, abs=5e-3)
        assert one.hyperparameters == other.hyperparameters
