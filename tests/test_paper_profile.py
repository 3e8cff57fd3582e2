"""The profile `paper` from end to end: its models and SAEs in small, from a hub on loopback."""

import json
import time

import pytest
import yaml

from probing_core.datasets import load_dataset
from probing_core.experiments.study import open_study
from probing_core.profiles import load_profile
from probing_core.saes.sources import expand
from tests.checkpoints import write_paper
from tests.hub import TOKEN, Hub, run

TAGS = ("66_living-room", "87_glue_cola", "26_headline_isfrontpage")
GRID = {"xgboost_draws": 1, "k": [4, 16]}
SMALLER = {
    "solver": "fast",
    "tasks": list(TAGS),
    "max_prompts": 204,
    "max_tokens": 48,
    "sae_tokens": 512,
    "standard": GRID | {"k": [1, 16]},
    "regimes": {
        "scarcity": GRID | {"values": [10, 60]},
        "imbalance": GRID | {"values": [0.25, 0.5]},
        "label_noise": GRID | {"values": [0, 0.3], "methods": ["logreg"]},
    },
}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    prompts = [p for tag in TAGS for p in load_dataset(tag, max_prompts=204).prompts[::2]]
    return write_paper(tmp_path_factory.mktemp("hub"), load_profile("paper"), prompts)


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    """The profile as it is, with fewer tasks, prompts and settings."""
    given = load_profile("paper").model_dump(mode="json", exclude={"name"}) | SMALLER
    path = tmp_path_factory.mktemp("profile") / "paper-small.yaml"
    path.write_text(yaml.safe_dump(given))
    return path


EVERY_NOTEBOOK = """
    from pathlib import Path
    from probing_core.experiments import sections
    from probing_core.experiments.study import open_study
    from probing_core.runner import book, notebooks
    notebooks.SECTIONS = book.SECTIONS = Path({folder!r})
    study = open_study({profile!r}, {store!r}, model={model!r})
    pages = book.run(study, profile={profile!r}, parameters={{"model": {model!r}}})
    print(*(f"{{page.page}}={{page.status}}={{page.seconds:.0f}}" for page in pages))
    print(len(sections.stored(study, "saes")), len(sections.stored(study, "standard")))
"""


def test_the_whole_profile_runs_from_download_to_pages(checkpoints, profile, tmp_path):
    start = time.monotonic()
    with Hub(checkpoints, gated={"google/gemma-2-9b"}) as hub:
        for model in load_profile(profile).models:
            names = {"folder": str(tmp_path / "pages"), "profile": str(profile)}
            names |= {"store": str(tmp_path / "store"), "model": model.name}
            script = EVERY_NOTEBOOK.format(**names)
            print(run(script, hub.url, tmp_path / "home", HF_TOKEN=TOKEN, PROBING_ANYWAY="1"), time.monotonic() - start)
    assert 0
