"""What ``import probing_core`` offers, and the examples of the page that shows it."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

import probing_core
from probing_core import DenseProbe, SparseProbe, UserError, activations, fit_probe, latents
from probing_core.experiments.activations import read_activations
from probing_core.experiments.saes import latents_input, read_latents, sae_key, study_saes
from probing_core.saes.encoding import encode
from probing_core.saes.sources import load_folder
from tests.conftest import HOOK, TAGS

PAGE = Path(__file__).parents[1] / "book" / "api.md"


class Rectified:
    """The smallest SAE: a matrix and a threshold."""

    def __init__(self, weights, threshold=0.0):
        self.weights, self.threshold = torch.as_tensor(weights), threshold

    def encode(self, rows):
        return torch.relu(rows @ self.weights - self.threshold)


@pytest.fixture(scope="module")
def task():
    return probing_core.load_task(TAGS[0], max_prompts=700)


@pytest.fixture(scope="module")
def folder(small_study):
    (source,) = study_saes(small_study)
    return small_study.store.path(sae_key(small_study, source))


def python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_importing_the_package_loads_nothing_heavy():
    loaded = python("import sys, probing_core; print(*sys.modules)")
    assert not {"torch", "numpy", "sklearn", "pandas", "probing_core.api"} & set(loaded)


def test_probes_alone_need_no_torch():
    assert "torch" not in python(
        "import sys; from probing_core import SparseProbe as S; print(*sys.modules)"
    )


def test_every_public_name_is_there_and_others_are_not():
    assert set(probing_core.__all__) <= set(dir(probing_core))
    assert all(getattr(probing_core, name) for name in probing_core.__all__)
    with pytest.raises(AttributeError, match="no attribute 'activation'"):
        _ = probing_core.activation


def test_the_examples_of_the_page_run_in_order():
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), flags=re.DOTALL)
    names: dict = {}
    for block in blocks:
        exec(compile(block, PAGE.name, "exec"), names)
    assert len(blocks) == 3
    assert names["auc"] > 0.8 and names["dense_aucs"].min() > 0.8
    assert names["sparse_auc"] > 0.55 and names["search"].best_score_ > 0.55
    assert sparse.issparse(names["Z"]) and names["Z"].shape == (300, 1024)


def test_activations_are_those_of_a_study(small_study, task):
    found = activations(task, model="minilm", hook=HOOK, max_tokens=32)
    assert found.dtype == np.float32
    assert np.array_equal(found, read_activations(small_study, TAGS[0]))


def test_prompts_frames_and_files_give_the_same_activations(task, tmp_path):
    prompts = list(task.prompts[:120])
    frame = pd.DataFrame({"prompt": prompts, "target": task.labels[:120]})
    frame.to_csv(tmp_path / "mine.csv", index=False)
    first, *others = (
        activations(given, model="minilm", hook="hook_embed", position="mean")
        for given in (prompts, frame, tmp_path / "mine.csv", probing_core.load_task(frame))
    )
    assert first.shape == (120, 384)
    assert all(np.array_equal(first, other) for other in others)


def test_latents_of_a_folder_are_those_of_a_study(small_study, task, folder):
    (source,) = study_saes(small_study)
    stored = read_latents(small_study.store, latents_input(small_study, TAGS[0], source))
    given = read_activations(small_study, TAGS[0])
    for sae in (folder, str(folder), load_folder(folder)):
        assert (latents(given, sae) != stored).nnz == 0
    assert (latents(task, folder, model="minilm", max_tokens=32) != stored).nnz == 0  # its own hook


@settings(max_examples=30, deadline=None)
@given(
    rows=hnp.arrays(
        np.float32, st.tuples(st.integers(1, 1100), st.just(3)), elements=st.floats(-9, 9, width=16)
    ),
    threshold=st.floats(-1, 1),
    form=st.sampled_from([np.asarray, np.asfortranarray, lambda X: X.astype(np.float64)]),
)
def test_any_object_with_encode_codes_every_row(rows, threshold, form):
    weights = np.array([[1, -1, 0, 2], [0, 1, -2, 1], [1, 1, 1, -1]], np.float32)
    found = latents(form(rows), Rectified(weights, threshold))
    expected = np.maximum(rows @ weights - np.float32(threshold), 0)
    assert isinstance(found, sparse.csr_array) and found.dtype == np.float32
    assert np.allclose(found.toarray(), expected, atol=1e-4)
    assert (found.data != 0).all()


def test_an_sae_known_by_its_encode_alone_codes_as_it_does_with_all_its_parts(small_study, folder):
    given, sae = read_activations(small_study, TAGS[0]), load_folder(folder)
    found = latents(given, SimpleNamespace(encode=sae.encode))
    assert abs(found - encode(sae, given)).max() < 1e-5


def test_fit_probe_fits_the_estimator_of_that_name(minilm_activations):
    X, y = minilm_activations[TAGS[0]]
    for method, probe in {
        "logreg": DenseProbe(),
        "diff_mean": DenseProbe("diff_mean"),
        "sae_logreg": SparseProbe(8),
    }.items():
        found = fit_probe(X[:100], y[:100], method, **({"k": 8} if method == "sae_logreg" else {}))
        probe.fit(X[:100], y[:100])
        assert type(found) is type(probe) and np.array_equal(found.coef_, probe.coef_)


X, Y = np.eye(6, dtype=np.float32), np.array([0, 1, 0, 1, 0, 1])
OWN = Rectified(np.eye(6, dtype=np.float32))
WRONG = {
    "prompt that is none": (lambda: activations(["a", " "], model="minilm", hook=HOOK), "Prompt 2"),
    "no prompt": (lambda: activations([], model="minilm", hook=HOOK), "Prompt 1"),
    "position": (
        lambda: activations(["a"], model="minilm", hook=HOOK, position="lats"),
        "Did you mean 'last'",
    ),
    "hook": (lambda: activations(["a"], model="minilm", hook="blocks.3.resid_post"), f"'{HOOK}'"),
    "model": (lambda: activations(["a"], model="minilmm", hook=HOOK), "'minilm'"),
    "release": (lambda: latents(X, "gemma-scope-9b-ptres:a"), "'gemma-scope-9b-pt-res'"),
    "several": (lambda: latents(X, "gemma-scope-9b-pt-res:layer_20/width_16k/*"), "the id of one"),
    "folder": (lambda: latents(X, "nowhere"), "RELEASE:ID"),
    "no SAE": (lambda: latents(X, 3), "int has no encode"),
    "one row": (lambda: latents(X[0], OWN), r"\(6,\)"),
    "no hook": (lambda: latents(["a"], OWN, model="minilm"), "hook="),
    "shape": (lambda: latents(X, Rectified(np.ones(6, np.float32))), r"gave \(6,\)"),
    "method": (lambda: fit_probe(X, Y, "logrg"), "Did you mean 'logreg'"),
    "option": (lambda: fit_probe(X, Y, "sae_logreg", k=0), "k must be at least 1"),
    "no number": (lambda: fit_probe(X * np.nan, Y), "NaN"),
    "one class": (lambda: fit_probe(X, Y * 0), "one class"),
    "lengths": (lambda: fit_probe(X, Y[:3]), "inconsistent"),
    "latents for a dense probe": (lambda: fit_probe(sparse.csr_array(X), Y), "toarray"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_mistake_is_named_in_one_line(what):
    call, message = WRONG[what]
    with pytest.raises(UserError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_an_sae_of_another_hook_or_width_is_refused(folder):
    with pytest.raises(UserError, match=f"reads {HOOK}, not hook_embed"):
        latents(["a"], folder, model="minilm", hook="hook_embed")
    with pytest.raises(UserError, match=r"reads \(n, 384\), not \(6, 6\)"):
        latents(X, folder)
