"""The attention probe finds the one token that tells, however prompts are grouped."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from probing_core.probes import attention
from probing_core.probes.attention import AttentionProbe, Tokens


def made(n=300, d=32, seed=0):
    """Prompts in which one marked token tells the class, and their labels."""
    rng = np.random.default_rng(seed)
    lengths, y = rng.integers(3, 30, n), rng.integers(0, 2, n)
    starts = np.cumsum(lengths) - lengths
    x = rng.normal(size=(lengths.sum(), d)).astype(np.float32)
    for start, length, label in zip(starts, lengths, y, strict=True):
        place = start + rng.integers(length)
        x[place, 0] += 6
        x[place, 1] += 3 * (2 * label - 1)
    return Tokens(torch.from_numpy(x), starts, lengths), y


@pytest.mark.parametrize("options", [{}, {"heads": 8}, {"tied": True}], ids=str)
def test_it_finds_the_token_that_a_mean_drowns(options):
    tokens, y = made()
    train, test = np.arange(220), np.arange(220, 300)
    probe = AttentionProbe(**options).fit(tokens[train], y[train])
    found = roc_auc_score(y[test], probe.predict_proba(tokens[test])[:, 1])
    ends = tokens.starts + tokens.lengths
    spans = zip(tokens.starts, ends, strict=True)
    means = np.array([tokens.values[a:b].mean(0).numpy() for a, b in spans])
    plain = LogisticRegression().fit(means[train], y[train]).decision_function(means[test])
    assert found > 0.9 > roc_auc_score(y[test], plain)
    assert (probe.predict(tokens[test]) == y[test]).mean() > 0.75


def test_the_logit_is_that_of_a_plain_softmax_over_tokens():
    tokens, y = made(60)
    probe = AttentionProbe(heads=2, steps=20).fit(tokens, y)
    query, value, bias = (one[:, 0] if one.ndim == 3 else one for one in probe.weights_)
    for row, logit in enumerate(probe.decision_function(tokens)):
        own = tokens.values[tokens.starts[row] : tokens.starts[row] + tokens.lengths[row]]
        x = (own - probe.center_) / probe.scale_
        by_hand = ((x @ query).softmax(0) * (x @ value)).sum() + bias
        assert logit == pytest.approx(float(by_hand), abs=1e-4)


def test_a_seed_gives_the_same_fit_and_chunks_do_not_matter(monkeypatch):
    tokens, y = made(80)
    first = AttentionProbe(seed=3, steps=30).fit(tokens, y)
    again = clone(first).fit(tokens, y)
    np.testing.assert_array_equal(first.decision_function(tokens), again.decision_function(tokens))
    monkeypatch.setattr(attention, "_TOKENS_AT_ONCE", 100)
    apart = clone(first).fit(tokens, y)
    np.testing.assert_allclose(
        apart.decision_function(tokens), first.decision_function(tokens), atol=2e-2
    )
