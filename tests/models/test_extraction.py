import weakref
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from probing_core.datasets import load_dataset
from probing_core.errors import UserError
from probing_core.models import extraction
from probing_core.models.adapter import load_model
from probing_core.models.extraction import TokenSample, extract, length_sorted_batches

HOOKS = ("hook_embed", "blocks.1.hook_resid_post")


@pytest.fixture(scope="module")
def model():
    return load_model("minilm", dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def prompts():
    return load_dataset("113_movie_sent", max_prompts=120).prompts


@given(
    lengths=st.lists(st.integers(1, 200), min_size=1, max_size=80),
    budget=st.integers(1, 2000),
)
def test_batches_hold_every_row_once_within_the_budget(lengths, budget):
    lengths = np.array(lengths)
    batches = list(length_sorted_batches(lengths, budget))
    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    for rows in batches:
        assert len(rows) == 1 or len(rows) * lengths[rows].max() <= budget


def test_result_does_not_depend_on_the_batches(model, prompts):
    small, large = (
        extract(model, prompts, hooks=HOOKS, batch_tokens=budget) for budget in (40, 4000)
    )
    for hook in HOOKS:
        mine, other = small.activations[hook, "last"], large.activations[hook, "last"]
        np.testing.assert_allclose(mine, other, atol=2e-5)


def test_last_is_the_last_real_token_and_mean_is_over_real_tokens(model, prompts):
    both = extract(model, prompts[:8], hooks=HOOKS, positions=("last", "mean"))
    last, mean = (both.activations[HOOKS[1], position] for position in ("last", "mean"))
    for row, prompt in enumerate(prompts[:8]):
        alone = extract(model, [prompt], hooks=HOOKS).activations[HOOKS[1], "last"]
        np.testing.assert_allclose(last[row], alone[0], atol=2e-5)
    everything = TokenSample(HOOKS[1], np.array([0]), 10_000, 0)
    tokens = extract(model, prompts[:1], hooks=HOOKS, sample=everything).tokens
    np.testing.assert_allclose(tokens[-1], last[0], atol=2e-5)
    n = both.lengths[0]
    assert len(tokens) == n - 1
    first = mean[0] * n - tokens.sum(0)
    assert np.linalg.norm(first) > 1


def test_sampled_tokens_come_from_the_given_rows_only(model, prompts):
    rows = np.arange(0, 40)
    pool = TokenSample(HOOKS[1], rows, 10**9, 0)
    whole = extract(model, prompts, hooks=HOOKS, sample=pool)
    assert len(whole.tokens) == (whole.lengths[rows] - 1).sum()
    few = extract(model, prompts, hooks=HOOKS, sample=TokenSample(HOOKS[1], rows, 50, 0))
    assert few.tokens.shape == (50, 384)
    distance = np.abs(few.tokens[:, None] - whole.tokens[None]).max(-1).min(1)
    assert distance.max() < 1e-4


def test_sample_is_drawn_by_its_seed(model, prompts):
    def draw(seed):
        sample = TokenSample(HOOKS[1], np.arange(100), 30, seed)
        return extract(model, prompts, hooks=HOOKS, sample=sample).tokens

    np.testing.assert_array_equal(draw(1), draw(1))
    assert np.abs(draw(1) - draw(2)).max() > 0.1


def test_truncated_prompts_are_marked(model):
    result = extract(model, ["short one", "long " * 100], hooks=HOOKS, max_tokens=16)
    assert result.truncated.tolist() == [False, True]
    assert result.lengths.tolist() == [4, 16]


def test_hostile_prompts_are_just_text(model):
    prompts = ["<script>alert(1)</script>", "a\x00b\x1b[31m", "\u202e", "🙂" * 500, "[SEP] [CLS]"]
    result = extract(model, prompts, hooks=HOOKS, max_tokens=32)
    assert np.isfinite(result.activations[HOOKS[1], "last"]).all()


class Small:
    """A real model on a device that has no memory for more than so many tokens at once."""

    def __init__(self, model, most):
        self.model, self.most, self.tried, self.made = model, most, [], lambda: None

    def __getattr__(self, name):
        return getattr(self.model, name)

    @contextmanager
    def capture(self, hooks):
        with self.model.capture(hooks) as run:

            def limited(tokens, mask):
                self.tried.append(tokens.numel())
                if tokens.numel() > self.most:
                    made = torch.zeros(tokens.numel())
                    self.made = weakref.ref(made)
                    raise torch.OutOfMemoryError("no memory")
                return run(tokens, mask)

            yield limited


def test_batches_are_halved_where_memory_runs_out(model, prompts, monkeypatch):
    small, freed, pad = Small(model, 300), [], extraction.pad

    def no_room(rows, model):
        if len(rows) * len(rows[0]) > 1500:
            raise torch.OutOfMemoryError("not even for the tokens")
        return pad(rows, model)

    monkeypatch.setattr(extraction, "pad", no_room)
    # the cache can be emptied of a failed pass only when its error holds nothing any more
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: freed.append(small.made() is None))
    found = extract(small, prompts, hooks=HOOKS, batch_tokens=2000)
    assert max(small.tried) > 500 and sum(n > 300 for n in small.tried) <= 3
    assert len(freed) > 2 and all(freed)
    whole = extract(model, prompts, hooks=HOOKS, batch_tokens=2000)
    for place, there in whole.activations.items():
        np.testing.assert_allclose(found.activations[place], there, atol=2e-5)


def test_no_memory_for_one_prompt_is_told_in_a_line(model, prompts):
    with pytest.raises(UserError, match="no memory for one prompt of .* lower max_tokens"):
        extract(Small(model, 3), prompts, hooks=HOOKS)
