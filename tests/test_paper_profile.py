"""The profile `paper` from end to end: its models and SAEs in small, from a hub on loopback."""

import numpy as np
import pytest
import yaml

from probing_core.datasets import load_dataset
from probing_core.profiles import load_profile
from probing_core.runner.notebooks import notebook_names
from probing_core.saes.sources import expand
from tests.checkpoints import token_activations, write_paper
from tests.hub import TOKEN, Hub, run

TAGS = ("66_living-room", "87_glue_cola")
GRID = {"xgboost_draws": 1, "k": [4, 16]}
SMALLER = {
    "solver": "fast",
    "tasks": list(TAGS),
    "max_prompts": 204,
    "max_tokens": 48,
    "sae_tokens": 512,
    "standard": GRID | {"k": [1, 16]},
    "sections": {
        "shift": {"methods": ["logreg"], "k": [4, 16], "max_train": 64, "seeds": [42, 43]},
        "improvements": {"k": [4], "max_train": 64},
        "leakage": {"methods": ["logreg"], "k": [4], "max_train": 64, "seeds": [42]},
    },
    "suite_regimes": {"scarcity": {"values": [20]}},
    "regimes": {
        "scarcity": GRID | {"values": [20]},
        "imbalance": GRID | {"values": [0.25]},
        "label_noise": GRID | {"values": [0.3], "methods": ["logreg"]},
    },
}


def sampled_prompts():
    return [p for tag in TAGS for p in load_dataset(tag, max_prompts=204).prompts[::2]]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    return write_paper(folder, load_profile("paper"), sampled_prompts())


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    """The profile as it is, with fewer tasks, prompts and settings."""
    given = load_profile("paper").model_dump(mode="json", exclude={"name"}) | SMALLER
    path = tmp_path_factory.mktemp("profile") / "paper-small.yaml"
    path.write_text(yaml.safe_dump(given))
    return path


WHOLE = """
    from pathlib import Path
    from probing_core.experiments import sections
    from probing_core.experiments.study import open_study
    from probing_core.runner import book, notebooks
    notebooks.SECTIONS = book.SECTIONS = Path({folder!r})
    study = open_study({profile!r}, {store!r}, model={model!r})
    given = {{"profile": {profile!r}, "parameters": {{"model": {model!r}}}}}
    if {names!r}:
        pages = book.run(study, notebooks={names!r}, **given)
    else:
        pages = book.compute(study, ["saes", "standard"]) and []
    print(*(f"{{page.page}}={{page.status}}" for page in pages))
    print(len(sections.stored(study, "saes")), len(sections.stored(study, "standard")))
"""


def test_the_whole_profile_runs_from_download_to_pages(checkpoints, profile, tmp_path):
    with Hub(checkpoints, gated={"google/gemma-2-9b", "meta-llama/Llama-3.1-8B"}) as hub:
        for model in load_profile(profile).models:
            names = {"folder": str(tmp_path / "pages"), "profile": str(profile)}
            names |= {"store": str(tmp_path / "store"), "model": model.name}
            names["names"] = notebook_names() if model.name.endswith("9b") else []
            script, home = WHOLE.format(**names), tmp_path / "home"
            *pages, saes, standard = run(script, hub.url, home, HF_TOKEN=TOKEN, PROBING_ANYWAY="1")
            assert pages == [f"{name}=completed" for name in names["names"]]
            kinds = len(expand(model.saes))
            fits = len(TAGS) * (5 * len(model.hooks) + 2 * 2 * kinds)
            assert (int(saes), int(standard)) == (kinds, fits)
    files = [file for file, _ in hub.asked]
    assert sorted(set(files)) == sorted(files)


def test_a_release_is_evaluated_by_its_name(checkpoints, profile, tmp_path):
    script = """
        from probing_core import activations, evaluate, latents, load_task
        sae, model = "gemma-scope-9b-pt-res:layer_20/width_16k/average_l0_68", "google/gemma-2-9b"
        found = evaluate(sae, model=model, tasks=["87_glue_cola"], profile={0!r}, store={1!r})
        given = load_task("87_glue_cola", max_prompts=104)
        read = activations(given, model=model, hook=found.hook, max_tokens=48)
        print(found.name, found.hook, *found.means, *latents(read, sae).shape)
    """
    with Hub(checkpoints) as hub:
        script = script.format(str(profile), str(tmp_path / "store"))
        name, hook, *regimes, n, width = run(script, hub.url, tmp_path, PROBING_ANYWAY="1")
    assert name.endswith("layer_20/width_16k/average_l0_68")
    assert (hook, n, width) == ("blocks.20.hook_resid_post", "104", "1024")
    assert regimes == ["standard", "scarcity", "covariate_shift"]


def test_llama_scope_is_gated_by_what_a_latent_adds(checkpoints, tmp_path):
    name = "meta-llama/Llama-3.1-8B"
    tokens = token_activations(checkpoints[name], 16, sampled_prompts()[:100])
    np.save(tmp_path / "tokens.npy", tokens.numpy())
    script = """
        import numpy as np, torch
        from probing_core.profiles import load_profile
        from probing_core.saes.gate import measure
        from probing_core.saes.sources import load_external
        (source,) = load_profile("paper").models[1].saes
        tokens, sae = np.load({0!r}), load_external(source)
        print(measure(sae, tokens)[0])
        with torch.no_grad():
            # as SAELens has it, without the decoders' norm, which is 1.5
            sae.threshold *= 1.5
            print(measure(sae, tokens)[0])
            sae.threshold.zero_()
            print(measure(sae, tokens)[0])
    """
    with Hub(checkpoints) as hub:
        words = run(script.format(str(tmp_path / "tokens.npy")), hub.url, tmp_path)
    ours, alone, none = map(float, words)
    assert 40 < ours < 75
    assert alone < ours / 1.3 and none > 4 * ours
