"""What a study takes is derived before it starts, and what cannot fit is refused."""

import pytest
import torch

from bench.shapes import BATCH_TOKENS, GB, SHAPES, count_extraction, shape_of
from probing_core.datasets.regimes import REGIMES
from probing_core.errors import UserError
from probing_core.experiments.saes import study_saes
from probing_core.experiments.study import open_study
from probing_core.profiles import load_profile
from probing_core.runner import book, plan
from probing_core.saes.sources import expected_l0
from tests.conftest import small_profile
from tests.test_cli import call


@pytest.fixture
def paper(tmp_path):
    return open_study("paper", tmp_path)


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_and_memory_are_those_of_the_architectures(name, tmp_path):
    model = shape_of(name, tmp_path / "model", "float32")
    network = model.bridge.original_model
    shape, config = plan.MODELS[name], network.config
    added = network.lm_head.bias  # the bridge's, all zeros
    assert shape.parameters == sum(p.numel() for p in network.parameters()) - added.numel()
    assert (shape.layers, shape.d_model) == (config.num_hidden_layers, config.hidden_size)
    matrices = 1 if config.tie_word_embeddings else 2
    assert shape.embedding == matrices * config.vocab_size * config.hidden_size

    study = open_study("paper", tmp_path / "store", model=name)
    planned = plan.make_plan(study, "cuda", 16)[0].gpu
    counted = count_extraction(model, list(study.model.hooks))
    assert study.profile.batch_tokens == BATCH_TOKENS
    assert planned - 4e9 < GB * counted["most_gb"] < planned - 2e9
    assert counted["after_gb"] == counted["weights_gb"]


def test_the_paper_is_planned_by_width_hooks_and_latents(paper):
    extraction, encoding, probes = plan.make_plan(paper, "cuda", 16)
    moved = [tag for tag in paper.tags if REGIMES["covariate_shift"].tested(paper.dataset(tag))]
    shifted = sum(len(paper.dataset(f"{tag}_shifted")) for tag in moved)
    assert len(moved) == 8 and shifted > 1000
    prompts = sum(map(len, paper.datasets.values())) + shifted
    assert extraction.downloads == {"google/gemma-2-9b": 4 * 9_241_705_984}
    kept = prompts * 5 + 113 * paper.profile.sae_tokens
    assert extraction.disk == 4 * 3584 * kept
    widths = 8 * 2**14 + 3 * (2**15 + 2**16 + 2**18 + 2**19) + 8 * 2**17 + 6 * 2**20
    assert encoding.downloads == {"google/gemma-scope-9b-pt-res": 8 * 3584 * widths}
    assert encoding.gpu < 24e9 < encoding.memory and probes.gpu == 0
    rebuilt = shifted + sum(len(paper.dataset(tag)) for tag in moved)
    l0 = sum(expected_l0(source) for source in study_saes(paper))
    assert encoding.disk == pytest.approx(8 * l0 * prompts + 34 * 4 * 3584 * rebuilt)
    assert 0 < extraction.hours < probes.hours


def test_embedded_models_download_nothing(small_study):
    steps = plan.make_plan(small_study)
    assert not any(step.downloads.total() or step.gpu for step in steps)
    plan.refuse(small_study)


@pytest.mark.parametrize(
    ("there", "message"),
    [
        ({"_free": 1e9}, r"The store needs 52.* GB of disk at .*give another with --store"),
        ({"_free": 1e13, "memory": 8e9}, r"Activations of google/gemma-2-9b needs .* GB of memory"),
        ({"_free": 1e13, "gpu": 24e9}, r"needs 42.3 GB of GPU memory, and there is 24.0 GB: set"),
    ],
)  # fmt: skip
def test_what_cannot_fit_is_refused_with_the_remedy(paper, monkeypatch, there, message):
    monkeypatch.setattr(plan, "_free", lambda path: there["_free"])
    memory = type("Memory", (), {"total": there.get("memory", 1e12)})
    monkeypatch.setattr(plan.psutil, "virtual_memory", lambda: memory)
    if "gpu" in there:
        properties = type("Properties", (), {"total_memory": there["gpu"]})
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
        paper.__dict__["device"] = "cuda"
    with pytest.raises(UserError, match=message) as error:
        book.compute(paper)
    assert "\n" not in str(error.value)
    monkeypatch.setenv(plan.ANYWAY, "1")
    plan.refuse(paper)


def test_a_model_that_is_not_in_the_table_is_neither_planned_nor_refused(tmp_path):
    model = small_profile().models[0].model_copy(update={"name": "owner/model", "saes": ()})
    study = open_study(small_profile(models=[model.model_dump()]), tmp_path)
    assert plan.make_plan(study) == []
    plan.refuse(study)


def test_the_command_prints_every_step_of_every_model_and_refuses_to_start(tmp_path):
    lines = call("plan", "--profile", "paper", "--store", str(tmp_path)).stdout.splitlines()
    assert len(lines) == 1 + 3 * len(load_profile("paper").models)
    assert lines[0].split()[:3] == ["model", "step", "download"]
    started = call("compute", "--profile", "paper", "--store", str(tmp_path))
    assert started.returncode == 2 and started.stderr.count("\n") == 1
    assert " GB of " in started.stderr and "Traceback" not in started.stderr
