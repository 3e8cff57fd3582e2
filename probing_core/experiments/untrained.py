"""Tokens of the study's model re-initialised, on which one control of section 08 is trained."""

from dataclasses import replace

from probing_core.experiments.activations import compute_activations, read_tokens, tokens_key
from probing_core.experiments.study import Study, once
from probing_core.models.reinitialised import reinitialised_folder
from probing_core.store import Key

_PROMPTS = 104
"""Prompts of each task: the fewest that a profile can have, enough for a short training."""


@once
def untrained_study(study: Study) -> Study:
    """The study in small, on its model with the weights that a training begins with."""
    folder = reinitialised_folder(study.model.source, study.store)
    name = f"{study.model.name}-reinitialised"
    changes = {"name": name, "folder": folder, "revision": None, "hooks": (study.main_hook,)}
    alone = {"other_positions": (), "saes": (), "suite": (), "quiver_saes": ()}
    model = study.model.model_copy(update=changes | alone)
    profile = study.profile.model_copy(update={"max_prompts": _PROMPTS})
    return replace(study, profile=profile, model=model)


def untrained_tokens(study: Study) -> list[Key]:
    """The keys of its sampled tokens, which the store has afterwards."""
    own = untrained_study(study)
    compute_activations(own)
    for tag in own.training_tags:
        read_tokens(own, tag)  # extracts them anew where they are damaged
    return [tokens_key(own, tag) for tag in own.training_tags]
