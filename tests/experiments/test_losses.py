"""What an SAE costs a language model is measured as plain Transformers measures it."""

import math

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from probing_core.datasets import load_dataset
from probing_core.experiments.losses import compute_losses, loss_recovered, mean_loss
from probing_core.experiments.saes import compute_saes
from probing_core.experiments.study import open_study
from probing_core.models.adapter import load_model
from tests.checkpoints import write_model
from tests.conftest import TAGS, small_profile

HOOK, LAYER = "blocks.1.hook_resid_post", 1
PROMPTS = load_dataset(TAGS[0], max_prompts=204).prompts[:12]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "tiny", "llama", 3, PROMPTS)


def plainly(folder, change):
    """Next-token loss of the prompts one by one, with a layer's output changed after BOS."""
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def replaced(module, given, output):
        hidden = output[0] if isinstance(output, tuple) else output
        hidden[:, 1:] = change(hidden[:, 1:])

    model.model.layers[LAYER].register_forward_hook(replaced)
    total, count = 0.0, 0
    for prompt in PROMPTS:
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            total += float(model(ids, labels=ids).loss) * (ids.shape[1] - 1)
        count += ids.shape[1] - 1
    return total / count


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (None, lambda x: x),
        (np.zeros_like, torch.zeros_like),
        (lambda x: 3 * x + 1, lambda x: 3 * x + 1),
    ],
    ids=["unchanged", "zeros", "changed"],
)
def test_losses_equal_plain_transformers(folder, ours, theirs):
    model = load_model(str(folder), device="cpu")
    found = mean_loss(model, PROMPTS, HOOK, True, 512, ours)
    assert found == pytest.approx(plainly(folder, theirs), rel=1e-5)


def test_a_trained_sae_recovers_more_of_the_loss_than_random_directions(folder, tmp_path):
    sae = {"width": 128, "l0": 16, "steps": 60, "batch_tokens": 256}
    control = {"width": 128, "l0": 2, "control": "random"}
    model = {"name": str(folder), "hooks": [HOOK], "main_hook": HOOK, "saes": [sae, control]}
    profile = small_profile(models=[model], max_prompts=204, sae_tokens=1000)
    study = open_study(profile, tmp_path)
    trained, random = study.model.saes
    compute_saes(study)
    assert math.isnan(loss_recovered(study, trained))
    compute_losses(study, [trained, random])
    assert loss_recovered(study, trained) > loss_recovered(study, random)


def test_a_model_without_a_head_has_no_loss(small_study):
    (sae,) = small_study.model.saes
    compute_losses(small_study, [sae])
    assert math.isnan(loss_recovered(small_study, sae))
