import numpy as np
import pytest
import torch

from probing_core.probes.logistic import C_GRID, sklearn_logistic
from probing_core.probes.solvers.l2_batch import L2Rows

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA device here"))]  # fmt: skip


@pytest.fixture(params=[0, 1])
def rows(request, minilm_activations):
    X, y = list(minilm_activations.values())[request.param]
    return X, y


def theirs(X, y, c):
    return sklearn_logistic("l2", c, 1).fit(X, y).decision_function


@pytest.mark.parametrize(("n", "width"), [(100, 384), (60, 384), (12, 384)])
def test_fits_in_the_span_take_scikit_learns_steps(rows, n, width):
    X, y = rows[0][:, :width].astype(np.float64), rows[1]
    few = np.r_[np.flatnonzero(y == 1)[: n // 2], np.flatnonzero(y == 0)[: n // 2]]
    found = L2Rows(torch.from_numpy(X[few].astype(np.float32))).fit(y[few], C_GRID)
    for at, c in enumerate(C_GRID):
        model = sklearn_logistic("l2", c, 1).fit(X[few], y[few])
        np.testing.assert_allclose(found.weights[at], model.coef_[0], atol=2e-4, rtol=1e-3)
    assert found.converged.all()


@pytest.mark.parametrize(("n", "width"), [(400, 384), (100, 40)])
def test_fits_end_where_scikit_learn_ends_up_to_rounding(rows, n, width):
    X, y = rows[0][:, :width], rows[1]
    few = np.r_[np.flatnonzero(y == 1)[: n // 2], np.flatnonzero(y == 0)[: n // 2]]
    found = L2Rows(torch.from_numpy(X[few])).fit(y[few], C_GRID)
    shuffled = np.random.default_rng(0).permutation(width)
    for at, c in enumerate(C_GRID):
        wanted = theirs(X[few], y[few], c)(X)
        # The same problem with its columns in another order: what rounding alone does there.
        rounding = 1 - np.corrcoef(wanted, theirs(X[few][:, shuffled], y[few], c)(X[:, shuffled]))
        logits = X @ found.weights[at] + found.intercepts[at]
        assert 1 - np.corrcoef(logits, wanted)[0, 1] < 1e-4 + 20 * rounding[0, 1]


def test_a_tight_fit_is_the_optimum(rows):
    X, y = rows[0][:200, :40].astype(np.float64), rows[1][:200]
    found = L2Rows(torch.from_numpy(X.astype(np.float32))).fit(y, np.array([0.01]))
    model = sklearn_logistic("l2", 0.01, 1).set_params(tol=1e-10, max_iter=10_000).fit(X, y)
    logits = X @ found.weights[0] + found.intercepts[0]
    np.testing.assert_allclose(logits, model.decision_function(X), atol=1e-2)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("n", [60, 400])
def test_the_batched_solver_gives_what_the_compiled_one_gives(rows, n, device):
    X, y = rows[0][:n], rows[1][:n]
    weight = np.ones((len(C_GRID), n))
    weight[:, : n // 5] = 0.0
    one_by_one = L2Rows(torch.from_numpy(X)).fit(y, C_GRID, weight)
    together = L2Rows(torch.as_tensor(X, device=device), compiled=False).fit(y, C_GRID, weight)
    for at in range(len(C_GRID)):
        assert np.corrcoef(one_by_one.logits[at], together.logits[at])[0, 1] > 0.99
    assert together.converged.all()


def test_many_label_sets_share_their_rows(rows):
    X, y = rows[0][:150], rows[1][:150]
    chance = np.random.default_rng(0)
    noisy = np.stack([np.where(chance.random(150) < share, 1 - y, y) for share in (0, 0.1, 0.3)])
    together = L2Rows(torch.from_numpy(X)).fit(noisy, np.full(3, 0.1))
    for at, labels in enumerate(noisy):
        alone = L2Rows(torch.from_numpy(X)).fit(labels, np.array([0.1]))
        np.testing.assert_allclose(together.logits[at], alone.logits[0], atol=1e-4)


@pytest.mark.parametrize("n", [60, 300])
def test_leaving_rows_out_by_weight_equals_dropping_them(rows, n):
    X, y = rows[0][:n], rows[1][:n]
    keep = np.arange(n) % 4 > 0
    masked = L2Rows(torch.from_numpy(X)).fit(
        y, np.array([1.0, 0.01]), np.tile(keep.astype(float), (2, 1))
    )
    dropped = L2Rows(torch.from_numpy(X[keep])).fit(y[keep], np.array([1.0, 0.01]))
    logits = X @ dropped.weights.T + dropped.intercepts
    np.testing.assert_allclose(masked.logits.T, logits, atol=0.1)


def test_a_mask_equals_leaving_features_out(rows):
    X, y = rows[0][:200, :30], rows[1][:200]
    mask = (np.arange(30) < 12).astype(float)[None]
    masked = L2Rows(torch.from_numpy(X)).fit(y, np.array([1.0]), feature_mask=mask)
    narrow = L2Rows(torch.from_numpy(X[:, :12])).fit(y, np.array([1.0]))
    np.testing.assert_allclose(masked.logits, narrow.logits, atol=1e-3)
    assert not masked.weights[0, 12:].any()


def test_repeated_and_zero_rows_do_not_break_the_span(rows):
    X, y = rows[0][:20], rows[1][:20]
    X = np.concatenate([X, X, np.zeros_like(X[:2])])
    y = np.r_[y, y, 0, 1]
    found = L2Rows(torch.from_numpy(X)).fit(y, C_GRID)
    assert np.isfinite(found.logits).all()
    assert found.logits[:, :20] == pytest.approx(found.logits[:, 20:40], abs=1e-2)
