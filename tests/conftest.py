"""Real data, a real model, a real SAE, all small: shared by every test that needs them."""

import os
import signal

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import pytest

from probing_core.experiments.activations import compute_activations, read_activations
from probing_core.experiments.saes import compute_saes
from probing_core.experiments.study import Study, open_study
from probing_core.profiles import Profile
from probing_core.published.source import published_import
from tests.endpoint import server  # noqa: F401
from tests.upstream import LAYER, NOISE, write_baselines, write_shift

# A shell that starts tests in the background has them ignore Ctrl-C, and so all they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
TAGS = ("66_living-room", "113_movie_sent", "5_hist_fig_ismale")
HOOK = "blocks.3.hook_resid_post"


def small_profile(**changes) -> Profile:
    """Three tasks of 700 prompts, two hooks, one small SAE."""
    model = {
        "name": "minilm",
        "dtype": "float32",
        "hooks": ["hook_embed", HOOK],
        "main_hook": HOOK,
        "saes": [{"width": 512, "l0": 16, "steps": 60, "batch_tokens": 512}],
    }
    settings = {
        "name": "small",
        "models": [model],
        "tasks": TAGS,
        "max_prompts": 700,
        "max_tokens": 32,
        "sae_tokens": 2500,
        "workers": 1,
        "standard": {"methods": ["logreg", "knn"], "k": [1, 4, 16]},
        "regimes": {
            "scarcity": {"values": [2, 40, 650], "methods": ["logreg", "knn"], "k": [4, 16]},
            "imbalance": {"values": [0.25, 0.5], "methods": ["logreg", "knn"], "k": [4, 16]},
            "label_noise": {"values": [0, 0.3], "methods": ["logreg"], "k": [4, 16]},
        },
    }
    return Profile.model_validate(settings | changes)


@pytest.fixture(scope="session")
def small_study(tmp_path_factory) -> Study:
    """A study whose activations and SAE are in its store."""
    study = open_study(small_profile(), tmp_path_factory.mktemp("store"))
    compute_saes(study)
    return study


@pytest.fixture(scope="session")
def minilm_activations(small_study) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Tag to (700, 384) float32 activations of the main hook and (700,) labels."""
    compute_activations(small_study)
    return {
        tag: (
            read_activations(small_study, tag),
            small_study.datasets[tag].labels.astype(np.int64),
        )
        for tag in TAGS
    }


@pytest.fixture(scope="session")
def shipped():
    """The published rows that ship."""
    return published_import().rows


@pytest.fixture
def folder(shipped, tmp_path):
    """A small checkout: three of upstream's tables, written from the rows that ship."""
    write_baselines(shipped, LAYER, tmp_path)
    write_baselines(shipped, NOISE, tmp_path)
    write_shift(shipped, tmp_path)
    return tmp_path


@pytest.fixture
def path(folder):
    """One table of that checkout."""
    return folder / LAYER
