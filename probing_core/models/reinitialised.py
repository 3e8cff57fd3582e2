"""A language model with its architecture and tokenizer, and weights nobody trained: a control."""

import logging
from pathlib import Path
from typing import Any

import torch

from probing_core.errors import UserError
from probing_core.models.adapter import HUB_ERRORS, model_revision
from probing_core.models.embedded import EMBEDDED, embedded_folder, quiet_loading
from probing_core.store import Key, Store

log = logging.getLogger(__name__)
_VERSION = 1


def reinitialised_folder(name: str, store: Store, *, seed: int = 0) -> Path:
    """The folder of a model made anew from a configuration, written into the store once.

    Weights are those that Transformers begins a training with.

    Args:
        name: An embedded model, a local folder, or a model of the hub.
        store: Where it is kept.
        seed: Of the weights.

    Raises:
        UserError: If the model is not to be had.
    """
    revision = model_revision(name)
    key = Key.of("models", f"{Path(name).name}-reinitialised", version=_VERSION, seed=seed,
                 revision=revision)  # fmt: skip
    if found := store.read_folder(key):
        return found
    source = str(embedded_folder(name, store)) if name in EMBEDDED else name
    log.info("Re-initialising %s, once", name)
    with quiet_loading():
        return store.write_folder(key, lambda folder: _write(source, seed, folder))


def _write(source: str, seed: int, folder: Path) -> Any:
    import transformers

    repository, _, tag = source.partition("@")
    revision = {"revision": tag or None}
    try:
        config = transformers.AutoConfig.from_pretrained(repository, **revision)
        tokenizer = transformers.AutoTokenizer.from_pretrained(repository, **revision)
    except HUB_ERRORS as error:
        raise UserError(f"The configuration of '{source}' is not to be had: {error}.") from None
    made = getattr(transformers, config.architectures[0])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = made(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
