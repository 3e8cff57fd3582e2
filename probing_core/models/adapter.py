"""TransformerLens behind one small face: load a model, name its hooks, run it to a hook.

Everything that knows ``TransformerBridge`` is here. Weights are used as they come (no folding,
no centring): SAEs read the raw residual stream. ``TransformerBridge`` forces eager attention.
"""

import contextlib
import functools
import hashlib
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub.errors import RevisionResolutionError

from probing_core.errors import UserError, nearest
from probing_core.models import minilm

log = logging.getLogger(__name__)
_TOKENIZED_AT_ONCE = 128
HUB_ERRORS = (OSError, ValueError, RevisionResolutionError)
"""What loading from the hub raises when a repository is unknown or out of reach."""
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class _LastHookReached(Exception):
    """Raised inside a forward pass to skip the layers and the head that nobody asked for."""


@dataclass(frozen=True)
class LanguageModel:
    """A loaded model with its tokenizer.

    Attributes:
        name: Name in profiles and rows.
        bridge: The ``TransformerBridge``.
        dtype: Name of the weights' dtype.
        device: Torch device string.
        d_model: Width of the residual stream.
        max_positions: Longest input in tokens.
        revision: Digest or commit of the weights, part of every store key.
    """

    name: str
    bridge: Any
    dtype: str
    device: str
    d_model: int
    max_positions: int
    revision: str

    def tokenize(
        self, prompts: Sequence[str], max_tokens: int
    ) -> tuple[list[list[int]], np.ndarray]:
        """Token ids with special tokens, truncated on the left (PAPER B.1).

        Args:
            prompts: The texts.
            max_tokens: Longest result; the model's own limit holds besides.

        Returns:
            Ids of each prompt, and (n_prompts,) bool telling which were too long.
        """
        tokenizer = self.bridge.tokenizer
        tokenizer.truncation_side, tokenizer.padding_side = "left", "right"
        limit = min(max_tokens, self.max_positions)
        ids: list[list[int]] = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # in portions: the tokenizer holds what it cuts off, a gigabyte for long documents
            for start in range(0, len(prompts), _TOKENIZED_AT_ONCE):
                portion = list(prompts[start : start + _TOKENIZED_AT_ONCE])
                # one more than allowed, to tell a prompt that just fits from one that is cut
                ids += tokenizer(portion, truncation=True, max_length=limit + 1)["input_ids"]
        cut = np.array([len(row) > limit for row in ids], dtype=bool)
        special = set(tokenizer.all_special_ids)
        for number in np.flatnonzero(cut):
            del ids[number][1 if ids[number][0] in special else 0]
        return ids, cut

    @property
    def pad_id(self) -> int:
        """Token id that fills the right of shorter prompts."""
        tokenizer = self.bridge.tokenizer
        return tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0

    def check_hooks(self, hooks: Sequence[str]) -> None:
        """Refuse hook names the model lacks.

        Raises:
            UserError: Naming the hook and the nearest right ones.
        """
        known = self.bridge.hook_dict
        for hook in hooks:
            if hook not in known:
                raise UserError(f"{self.name} has no hook '{hook}'. {nearest(hook, known)}")

    @contextlib.contextmanager
    def capture(self, hooks: Sequence[str]) -> Iterator["Capture"]:
        """Hook the model; each run of the result stops once every hook has fired."""
        self.check_hooks(hooks)
        capture = Capture(self, len(hooks))
        with (
            _native_norms(self.bridge, hooks),
            self.bridge.hooks(fwd_hooks=[(hook, capture.keep(hook)) for hook in hooks]),
        ):
            yield capture


class Capture:
    """Forward passes of a hooked model that keep the hooked activations only."""

    def __init__(self, model: LanguageModel, count: int):
        self._model, self._count = model, count
        self._kept: dict[str, torch.Tensor] = {}

    def keep(self, name: str) -> Any:
        """The hook function for one hook name."""

        def hook_function(activation: torch.Tensor, hook: Any) -> None:
            self._kept[name] = activation
            if len(self._kept) == self._count:
                raise _LastHookReached

        return hook_function

    @torch.inference_mode()
    def run(self, tokens: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        """Run one padded batch.

        Args:
            tokens: (batch, length) int64.
            mask: (batch, length) int64, 1 on real tokens.

        Returns:
            Hook name to (batch, length, d_model) activations in the model's dtype.
        """
        self._kept = {}
        with contextlib.suppress(_LastHookReached):
            self._model.bridge.forward(tokens, attention_mask=mask, return_type=None)
        return self._kept


@contextlib.contextmanager
def _native_norms(bridge: Any, hooks: Sequence[str]) -> Iterator[None]:
    """Let layer norms run as one kernel while nobody hooks their inside.

    TransformerBridge computes every norm from scratch so that ``hook_scale`` and
    ``hook_normalized`` can fire, which costs a tenth of a small model's forward pass.
    """
    from transformer_lens.model_bridge.generalized_components.normalization import (
        NormalizationBridge,
    )

    inside = ("hook_scale", "hook_normalized")
    norms = [m for m in bridge.modules() if isinstance(m, NormalizationBridge)]
    if any(hook.endswith(inside) for hook in hooks):
        norms = []
    # past __setattr__, which hands attributes on to the wrapped module
    for norm in norms:
        vars(norm)["forward"] = functools.partial(_run_native_norm, norm)
    try:
        yield
    finally:
        for norm in norms:
            vars(norm).pop("forward", None)


def _run_native_norm(norm: Any, hidden_states: torch.Tensor, **_: Any) -> torch.Tensor:
    return norm.hook_out(norm.original_component(norm.hook_in(hidden_states)))


def load_model(name: str, *, dtype: str = "float32", device: str = "auto") -> LanguageModel:
    """Load a model by name.

    Args:
        name: ``minilm``, any model TransformerLens knows, or a local folder.
        dtype: ``float32``, ``bfloat16``, ``float16``, or ``auto`` (bfloat16 where it is fast).
        device: ``auto``, ``cpu``, ``cuda`` ….

    Raises:
        UserError: If the model is unknown, out of reach, or a checkpoint is not what it should be.
    """
    _refuse_unknown(name)
    from transformer_lens.model_bridge import TransformerBridge

    device, dtype = resolve_device(device), resolve_dtype(dtype, device)
    source = str(minilm.minilm_folder()) if name == minilm.NAME else name
    try:
        with _quiet_loading():
            bridge = TransformerBridge.boot_transformers(
                source, device=device, dtype=_DTYPES[dtype]
            )
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(_why_not(name, error)) from None
    return LanguageModel(
        name=name,
        bridge=bridge,
        dtype=dtype,
        device=device,
        d_model=int(bridge.cfg.d_model),
        max_positions=int(getattr(bridge.cfg, "n_ctx", 0) or 1 << 20),
        revision=model_revision(name),
    )


def model_revision(name: str) -> str:
    """What identifies the weights: a hash for local files, a commit for hub models.

    Raises:
        UserError: If a hub model is neither cached nor reachable.
    """
    if name == minilm.NAME:
        minilm.minilm_folder()
        return minilm.SHA256[:16]
    folder = Path(name)
    if folder.is_dir():
        digest = hashlib.sha256()
        for path in sorted(folder.glob("*.safetensors")) + [folder / "config.json"]:
            digest.update(path.read_bytes())
        return digest.hexdigest()[:16]
    _refuse_unknown(name)
    try:
        return hub_commit(name)
    except HUB_ERRORS as error:
        raise UserError(_why_not(name, error)) from None


def hub_commit(repository: str) -> str:
    """The newest commit of a hub repository; the cached one where the hub is out of reach.

    Raises:
        One of `HUB_ERRORS`: If it is neither cached nor reachable.
    """
    from huggingface_hub import resolve_revision

    return str(resolve_revision(repository))


def resolve_device(device: str) -> str:
    """``auto`` is a GPU when there is one, else the CPU.

    Raises:
        UserError: If CUDA is asked for and not to be had.
    """
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError("This machine has no CUDA device; set device in the profile to cpu.")
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


def resolve_dtype(dtype: str, device: str) -> str:
    """``auto`` is bfloat16 on a GPU or a CPU with bfloat16 instructions, else float32."""
    if dtype != "auto":
        return dtype
    capability = torch.backends.cpu.get_cpu_capability()
    fast = device != "cpu" or capability == "AMX" or torch.cpu._is_avx512_bf16_supported()
    return "bfloat16" if fast else "float32"


def known_models() -> list[str]:
    """Names that can be tried: the embedded model and those TransformerLens lists."""
    from transformer_lens.supported_models import OFFICIAL_MODEL_NAMES

    return [minilm.NAME, *OFFICIAL_MODEL_NAMES]


def _refuse_unknown(name: str) -> None:
    """A name without an owner is either in TransformerLens's list, a folder, or a mistake."""
    if "/" in name or name == minilm.NAME or Path(name).is_dir():
        return
    if name not in (known := known_models()):
        raise UserError(f"Unknown model '{name}'. {nearest(name, known)}")


def _why_not(name: str, error: Exception) -> str:
    reason = " ".join(str(error).split())[:140]
    hub = "is set offline" if os.environ.get("HF_HUB_OFFLINE") == "1" else "did not serve it"
    hint = "" if name in (known := known_models()) else f" {nearest(name, known)}"
    return (
        f"Model '{name}' is not on this machine and the hub {hub}.{hint} Give a local folder, log"
        f" in to the hub, or use 'minilm', which needs no network. ({reason})"
    )


@contextlib.contextmanager
def _quiet_loading() -> Iterator[None]:
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
