"""TransformerLens behind one small face: load a model, name its hooks, run it to a hook.

Weights are used as they come (no folding, no centring): SAEs read the raw residual stream.
"""

import contextlib
import functools
import hashlib
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub import constants, get_session
from huggingface_hub.errors import RevisionResolutionError
from torch.nn.functional import cross_entropy

from probing_core.errors import UserError, nearest
from probing_core.models.embedded import EMBEDDED, embedded_folder, quiet_loading
from probing_core.models.hub import refuse_damaged, why_refused
from probing_core.store import Store, sha256_of

Run = Callable[[torch.Tensor, torch.Tensor], dict[str, torch.Tensor]]
_TOKENIZED_AT_ONCE = 128
HUB_ERRORS = (OSError, ValueError, RevisionResolutionError)
"""What loading from the hub raises when a repository is unknown or out of reach."""
_HUB_SECONDS = float(os.environ.get("HF_HUB_ETAG_TIMEOUT", 2.5))
_FOLDER = {
    "config.json": "config.json",
    "weights (.safetensors or .bin)": "*.safetensors *.bin",
    "tokenizer.json or vocabulary": "tokenizer.json tekken.json vocab.* *.model *.tiktoken",
}
"""What a model folder must hold, and the files that are it."""
_DECIDING = {".safetensors", ".bin", ".json", ".txt", ".model", ".tiktoken"}
"""Suffixes of weights, configuration and tokenizer."""


class _LastHookReached(Exception):
    """Raised inside a forward pass to skip the layers and the head that nobody asked for."""


@dataclass(frozen=True)
class LanguageModel:
    """A loaded model with its tokenizer."""

    name: str
    bridge: Any
    """The ``TransformerBridge``."""
    dtype: str
    device: str
    d_model: int
    max_positions: int
    """Longest input in tokens."""

    def tokenize(
        self, prompts: Sequence[str], max_tokens: int, *, prepend_bos: bool = True
    ) -> tuple[list[list[int]], np.ndarray]:
        """Token ids with special tokens, truncated on the left (PAPER B.1), and what was cut.

        The model's own limit holds besides ``max_tokens``; the second is (n_prompts,) bool.
        ``prepend_bos`` decides on BOS (CLS) in front, whatever the tokenizer does by itself.

        Raises:
            UserError: If the tokenizer has no such token.
        """
        tokenizer = self.bridge.tokenizer
        token = tokenizer.cls_token or tokenizer.bos_token
        start = [tokenizer.convert_tokens_to_ids(token)] if token else []
        if prepend_bos and not start:
            raise UserError(f"{self.name} has no BOS token: set prepend_bos to false.")
        tokenizer.truncation_side, tokenizer.padding_side = "left", "right"
        limit = min(max_tokens, self.max_positions)
        ids: list[list[int]] = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # in portions: the tokenizer holds what it cuts off, a gigabyte for long documents
            for first in range(0, len(prompts), _TOKENIZED_AT_ONCE):
                portion = list(prompts[first : first + _TOKENIZED_AT_ONCE])
                # more than allowed, to tell a prompt that just fits from one that is cut
                ids += tokenizer(portion, truncation=True, max_length=limit + 2)["input_ids"]
        for row in ids:
            if start and (row[:1] == start) != prepend_bos:
                row[: 0 if prepend_bos else 1] = start if prepend_bos else []
        cut = np.array([len(row) > limit for row in ids], dtype=bool)
        for number in np.flatnonzero(cut):
            row = ids[number]
            del row[int(prepend_bos) : len(row) - limit + int(prepend_bos)]
        return ids, cut

    def pieces(self, ids: Sequence[int]) -> tuple[str, ...]:
        """The text that each token adds to what stands before it; joined, they are the prompt.

        The bytes of a character that several tokens share come with the last of them.
        """
        parts: list[str] = []
        told = ""
        for end in range(1, len(ids) + 1):
            text = self.bridge.tokenizer.decode(ids[:end], clean_up_tokenization_spaces=False)
            whole = text.rstrip("\N{REPLACEMENT CHARACTER}") if end < len(ids) else text
            parts.append(whole[len(told) :])
            told = whole if len(whole) > len(told) else told
        return tuple(parts)

    @property
    def pad_id(self) -> int:
        """Token id that fills the right of shorter prompts."""
        return self.bridge.tokenizer.pad_token_id or 0

    @contextlib.contextmanager
    def capture(self, hooks: Sequence[str]) -> Iterator[Run]:
        """Hook the model, and yield a function that runs one padded batch to the last hook.

        The function takes token ids and a mask that is 1 on real tokens, both (batch, length)
        int64, and returns hook name to (batch, length, d_model) in the model's dtype.

        Raises:
            UserError: Naming a hook the model lacks and the nearest right ones.
        """
        known = self.bridge.hook_dict
        for hook in hooks:
            if hook not in known:
                raise UserError(f"{self.name} has no hook '{hook}'. {nearest(hook, known)}")
        kept: dict[str, torch.Tensor] = {}

        def keep(activation: torch.Tensor, hook: Any, name: str) -> None:
            kept[name] = activation
            if len(kept) == len(hooks):
                raise _LastHookReached

        @torch.inference_mode()
        def run(tokens: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
            kept.clear()
            with contextlib.suppress(_LastHookReached):
                self.bridge.forward(tokens, attention_mask=mask, return_type=None)
            return dict(kept)

        with self.bridge.hooks([(hook, functools.partial(keep, name=hook)) for hook in hooks]):
            yield run

    @property
    def causal(self) -> bool:
        """Whether it predicts the next token."""
        return str(self.bridge.cfg.architecture).endswith("ForCausalLM")

    @torch.inference_mode()
    def losses(
        self,
        tokens: torch.Tensor,
        mask: torch.Tensor,
        changes: dict[str, Callable[[torch.Tensor], torch.Tensor]],
    ) -> torch.Tensor:
        """Next-token loss in nats, (batch, length - 1), 0 on padding, of a batch as in `capture`.

        `changes` give hooks another activation (batch, length, d_model).
        """
        hooks = [
            (name, lambda activation, hook, change=change: change(activation))
            for name, change in changes.items()
        ]
        with self.bridge.hooks(hooks):
            logits = self.bridge.forward(tokens, attention_mask=mask, return_type="logits")
        each = cross_entropy(logits[:, :-1].float().mT, tokens[:, 1:], reduction="none")
        return each * mask[:, 1:]


def _run_norms_natively(bridge: Any) -> None:
    """Let layer norms run as one kernel while nobody hooks their inside.

    TransformerBridge computes every norm from scratch so that ``hook_scale`` and
    ``hook_normalized`` can fire, which costs a tenth of a small model's forward pass.
    """
    from transformer_lens.model_bridge.generalized_components.normalization import (
        NormalizationBridge,
    )

    def forward(norm: Any, hidden_states: torch.Tensor, **options: Any) -> torch.Tensor:
        if norm.hook_scale.fwd_hooks or norm.hook_normalized.fwd_hooks:
            return type(norm).forward(norm, hidden_states, **options)
        return norm.hook_out(norm.original_component(norm.hook_in(hidden_states)))

    for module in bridge.modules():
        if isinstance(module, NormalizationBridge):
            # past __setattr__, which hands attributes on to the wrapped module
            vars(module)["forward"] = functools.partial(forward, module)


def load_model(
    name: str, *, dtype: str = "float32", device: str = "auto", store: Store | None = None
) -> LanguageModel:
    """Load an embedded model, any model TransformerLens knows, or a local folder.

    ``smollm2`` is unpacked into the store, once.

    Raises:
        UserError: If the model is unknown, out of reach, or a checkpoint is not what it should be.
    """
    _refuse_unknown(name)
    from transformer_lens.model_bridge import TransformerBridge

    device, dtype = resolve_device(device), resolve_dtype(dtype, device)
    source = str(embedded_folder(name, store)) if name in EMBEDDED else name
    repository, revision = source, None
    if not Path(source).is_dir():
        reach_hub()
        repository, _, tag = source.partition("@")
        revision = tag or None
    try:
        with quiet_loading():
            bridge = TransformerBridge.boot_transformers(
                repository, device=device, dtype=getattr(torch, dtype), revision=revision
            )
    except Exception as error:  # whatever a foreign file makes of those that read it
        raise UserError(_why_not(name, error)) from None
    if not Path(source).is_dir():
        refuse_damaged(repository)
    return adapt(name, bridge, dtype, device)


def adapt(name: str, bridge: Any, dtype: str, device: str) -> LanguageModel:
    """A ``TransformerBridge`` that runs each prompt once, on a device in a dtype."""
    _run_norms_natively(bridge)
    bridge.original_model.config.use_cache = False  # keys and values of Gemma-2-9B take 6 GB
    return LanguageModel(
        name=name,
        bridge=bridge,
        dtype=dtype,
        device=device,
        d_model=int(bridge.cfg.d_model),
        max_positions=int(getattr(bridge.cfg, "n_ctx", 0) or 1 << 20),
    )


def model_revision(name: str) -> str:
    """What identifies weights, configuration and tokenizer: a hash of files, or a hub commit.

    Raises:
        UserError: If a folder is no model, or a hub model neither cached nor reachable.
    """
    if name in EMBEDDED:
        return EMBEDDED[name].revision
    _refuse_unknown(name)
    try:
        return _folder_revision(folder) if (folder := Path(name)).is_dir() else hub_commit(name)
    except HUB_ERRORS as error:
        raise UserError(_why_not(name, error)) from None


def _folder_revision(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in _DECIDING and path.is_file():
            digest.update(f"{path.name} {sha256_of(path)}\n".encode())
    return digest.hexdigest()[:16]


@functools.cache
def hub_commit(repository: str) -> str:
    """The newest commit of a hub repository, or the cached one; else one of `HUB_ERRORS`.

    Asked for once a process. A repository may be followed by ``@`` and a commit or tag.
    """
    from huggingface_hub import resolve_revision

    reach_hub()
    name, _, revision = repository.partition("@")
    return resolve_revision(name, revision=revision or None).resolved


@functools.cache
def reach_hub() -> None:
    """Go offline for this process if the hub is silent: its client would wait and retry."""
    answers: list[Any] = []

    def ask() -> None:
        with contextlib.suppress(Exception):
            answers.append(get_session().head(constants.ENDPOINT, timeout=_HUB_SECONDS))

    # in a thread, because no timeout of a client covers the look-up of a name
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(_HUB_SECONDS)
    constants.HF_HUB_OFFLINE |= not answers


def resolve_device(device: str) -> str:
    """``auto`` is CUDA, MPS or the CPU, the first there is; `UserError` for one that is not."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    kind = device.partition(":")[0]
    if not there.get(kind, True):
        raise UserError(f"This machine has no {kind.upper()} device; set device in the profile.")
    found = next((name for name, is_there in there.items() if is_there), "cpu")
    return found if device == "auto" else device


def resolve_dtype(dtype: str, device: str) -> str:
    """``auto`` is bfloat16 on a GPU or a CPU with bfloat16 instructions, else float32."""
    if dtype != "auto":
        return dtype
    capability = torch.backends.cpu.get_cpu_capability()
    fast = device != "cpu" or capability == "AMX" or torch.cpu._is_avx512_bf16_supported()
    return "bfloat16" if fast else "float32"


def known_models() -> list[str]:
    """Names that can be tried: the embedded models and those TransformerLens lists."""
    from transformer_lens.supported_models import OFFICIAL_MODEL_NAMES

    return [*EMBEDDED, *OFFICIAL_MODEL_NAMES]


def _refuse_unknown(name: str) -> None:
    """A name without an owner is either in TransformerLens's list, a folder, or a mistake.

    Transformers makes up a tokenizer where a folder has none, so a folder must be complete.
    """
    if name in EMBEDDED:
        return
    if (folder := Path(name)).is_dir():
        for part, patterns in _FOLDER.items():
            if not any(any(folder.glob(pattern)) for pattern in patterns.split()):
                needed = ", ".join(_FOLDER)
                raise UserError(f"Model folder '{name}' has no {part}; it must hold {needed}.")
    elif "/" not in name and name not in (known := known_models()):
        raise UserError(f"Unknown model '{name}'. {nearest(name, known)}")


def _why_not(name: str, error: Exception) -> str:
    reason = " ".join(str(error).split())[:140]
    if Path(name).is_dir() or not isinstance(error, HUB_ERRORS):
        why = f"{type(error).__name__}: {reason}"
        return f"Model '{name}' cannot be loaded; if a file is damaged, replace it. ({why})"
    if refused := why_refused(f"Model '{name}'", name.partition("@")[0], error):
        return refused
    hub = "is set offline" if os.environ.get("HF_HUB_OFFLINE") == "1" else "did not serve it"
    hint = "" if name in (known := known_models()) else f" {nearest(name, known)}"
    return (
        f"Model '{name}' is not on this machine and the hub {hub}.{hint} Give a local folder, log"
        f" in to the hub, or use 'minilm', which needs no network. ({reason})"
    )
