import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sae_probes.run_sae_evals import get_sorted_indices, mean_act_normalization
from scipy import sparse

from probing_core.errors import UserError
from probing_core.probes.sparse import evaluate_top_k
from probing_core.saes.selection import RANKINGS, rank_latents


def latents_of(X, width=256, active=16):
    dictionary = np.random.default_rng(1).standard_normal((X.shape[1], width), dtype=np.float32)
    pre = (X - X.mean(axis=0)) @ dictionary
    floor = -np.sort(-pre, axis=1)[:, active - 1 : active]
    return sparse.csr_array(np.where(pre >= floor, np.maximum(pre, 0), 0).astype(np.float32))


@pytest.mark.parametrize("ranking", RANKINGS)
def test_ranking_equals_sae_probes_wherever_scores_differ(minilm_activations, ranking):
    for X, y in minilm_activations.values():
        latents = latents_of(X)
        dense, labels = torch.tensor(latents.toarray()), torch.tensor(y)
        normalise = mean_act_normalization if ranking.startswith("normal") else torch.clone
        theirs = get_sorted_indices(dense, labels, normalise).numpy()
        ours = rank_latents(latents, y, ranking)
        shown = normalise(dense.double())
        apart = shown[labels == 1].mean(0) - shown[labels == 0].mean(0)
        scores = apart.abs().numpy()[ours]
        # Places whose score is apart from both neighbours by more than float32 rounding.
        gap = -np.diff(scores, prepend=np.inf, append=-np.inf) > 1e-5 * scores.max()
        clear = gap[:-1] & gap[1:]
        assert clear.sum() > 100
        assert (ours[clear] == theirs[clear]).all()


@pytest.mark.parametrize("ranking", RANKINGS)
def test_equal_scores_keep_the_lowest_index_first(ranking):
    column = np.array([2.0, 1.0, 0.0, 0.0], np.float32)
    latents = sparse.csr_array(np.stack([column * 0, column, column, column * 0], axis=1))
    assert rank_latents(latents, np.array([1, 1, 0, 0]), ranking).tolist() == [1, 2, 0, 3]


def test_normalising_favours_rare_weak_latents():
    strong = np.array([9.0, 9.0, 8.0, 7.0])
    weak = np.array([0.1, 0.1, 0.0, 0.0])
    latents = sparse.csr_array(np.stack([strong, weak], axis=1).astype(np.float32))
    labels = np.array([1, 1, 0, 0])
    assert rank_latents(latents, labels, "mean_difference").tolist() == [0, 1]
    assert rank_latents(latents, labels, "normalized_mean_difference").tolist() == [1, 0]


@pytest.mark.parametrize("ranking", RANKINGS)
def test_stored_zeros_do_not_change_the_ranking(minilm_activations, ranking):
    X, y = next(iter(minilm_activations.values()))
    latents = latents_of(X[:100])
    padded = sparse.csr_array(
        (
            np.r_[latents.data, np.zeros(1, np.float32)],
            np.r_[latents.indices, latents.indices[-1] * 0],
            np.r_[latents.indptr[:-1], latents.indptr[-1] + 1],
        ),
        shape=latents.shape,
    )
    assert (rank_latents(latents, y[:100], ranking) == rank_latents(padded, y[:100], ranking)).all()


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**31))
def test_permuting_test_labels_never_changes_the_chosen_latents(seed):
    chance = np.random.default_rng(seed)
    latents = sparse.csr_array(np.maximum(chance.standard_normal((40, 12)), 0).astype(np.float32))
    labels = chance.permutation(np.arange(40) % 2)
    train, test = latents[:20], latents[20:]
    labels[:2] = (0, 1)

    def chosen(test_labels):
        ((_, result),) = evaluate_top_k(
            train, labels[:20], test, test_labels, ks=[4], ranking="mean_difference"
        )
        return result.hyperparameters, result.val_auc

    shuffled = chance.permutation(np.arange(20) % 2)
    assert chosen(np.arange(20) % 2) == chosen(shuffled)


def test_unknown_ranking_names_the_nearest():
    with pytest.raises(UserError, match="mean_difference"):
        rank_latents(sparse.csr_array(np.eye(2)), np.array([0, 1]), "mean_diff")


def test_one_class_cannot_be_ranked():
    with pytest.raises(UserError, match="one class"):
        rank_latents(sparse.csr_array(np.eye(2)), np.array([1, 1]), "mean_difference")
