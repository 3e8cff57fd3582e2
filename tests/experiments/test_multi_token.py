"""Section 07: what streams past is what a naive computation of every token would give."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from probing_core.analysis.tokens import COMPARISONS, FAIR, by_probe, compare
from probing_core.experiments import multi_token, sections
from probing_core.experiments.activations import read_activations, study_model
from probing_core.experiments.saes import study_sae
from probing_core.experiments.study import open_study
from probing_core.probes.attention import Tokens
from probing_core.runner.plan import projected_tokens
from tests.conftest import HOOK, TAGS

PROMPTS = 40


@pytest.fixture(scope="module")
def read(small_study, tmp_path_factory):
    (source,) = small_study.model.saes
    return multi_token.read_tokens(
        study_model(small_study), small_study.dataset(TAGS[0]).prompts[:PROMPTS], HOOK,
        tmp_path_factory.mktemp("tokens") / "file", max_tokens=32, batch_tokens=256,
        prepend_bos=True, sae=study_sae(small_study, source),
    )  # fmt: skip


@pytest.fixture(scope="module")
def naive(small_study):
    """Activations of every token, prompt by prompt, BOS left out."""
    model = study_model(small_study)
    ids, _ = model.tokenize(small_study.dataset(TAGS[0]).prompts[:PROMPTS], 32)
    with model.capture([HOOK]) as run:
        return [
            run(torch.tensor([row]), torch.ones(1, len(row)).long())[HOOK][0, 1:] for row in ids
        ]


def test_tokens_in_the_file_are_those_of_the_model(read, naive):
    tokens = read[0]
    assert tokens.lengths.tolist() == [len(one) for one in naive]
    for row, one in enumerate(naive):
        span = slice(tokens.starts[row], tokens.starts[row] + tokens.lengths[row])
        torch.testing.assert_close(tokens.values[span], one.bfloat16(), rtol=2e-2, atol=1e-2)


def test_streamed_pooling_equals_the_dense_computation(small_study, read, naive):
    _, pooled, latents = read
    (source,) = small_study.model.saes
    codes = [study_sae(small_study, source).encode(one).detach() for one in naive]
    np.testing.assert_allclose(pooled["mean"], [one.mean(0) for one in naive], atol=1e-4)
    np.testing.assert_allclose(pooled["max"], [one.amax(0) for one in naive], atol=1e-4)
    last = read_activations(small_study, TAGS[0])[:PROMPTS]
    np.testing.assert_allclose(pooled["last"], last, atol=1e-4)
    np.testing.assert_allclose(latents["max"].toarray(), [c.amax(0) for c in codes], atol=1e-3)
    np.testing.assert_allclose(latents["mean"].toarray(), [c.mean(0) for c in codes], atol=1e-3)


def test_components_of_a_position_are_those_of_its_training_prompts():
    rng = np.random.default_rng(0)
    lengths = np.array([2] * 30 + [1] * 30)
    values = torch.from_numpy(rng.normal(size=(90, 40)).astype(np.float32))
    tokens = Tokens(values, np.cumsum(lengths) - lengths, lengths)
    train = np.arange(0, 60, 2)
    found = multi_token.concatenated(tokens, train)
    first = values[torch.from_numpy(tokens.starts)].numpy()
    pca = PCA(multi_token.COMPONENTS, random_state=0).fit(first[train])
    np.testing.assert_allclose(found[:, : multi_token.COMPONENTS], pca.transform(first), atol=1e-4)
    assert found.shape[1] == multi_token.COMPONENTS  # 15 prompts do not carry 20 components


def test_a_task_gives_a_row_a_probe_and_leaves_no_file(small_study):
    rows = sections.rows(small_study, multi_token.SECTION)
    probes = 3 + len(multi_token.ATTENTION) + 1 + 4 + len(multi_token.BINARISED)
    assert len(rows) == probes * len(TAGS) and rows["test_auc"].between(0, 1).all()
    assert not list(small_study.store.root.rglob(".tmp-*"))
    known = multi_token.sizes(small_study)
    assert known["file"].iloc[0] == 2 * 384 * known["tokens"].iloc[0]
    derived = projected_tokens()
    assert list(derived) == list(known) and derived["file"].item() < 8e9
    assert derived["activations"].item() > 1e12


def test_published_win_rates_are_those_of_figure_11(tmp_path):
    rows = sections.rows(open_study("published", tmp_path), multi_token.SECTION)
    found = {one.name: one for one in compare(rows)}
    assert list(found) == [name for name in COMPARISONS if name != FAIR]
    wins = [tuple(round(46 * share) for share in one.wins) for one in found.values()]
    assert wins == [(26, 1), (18, 9), (16, 4)]
    assert by_probe(rows)["attention"].mean() == pytest.approx(0.9396, abs=1e-4)
