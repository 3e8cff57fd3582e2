"""What a GPU would hold at the paper's scale, counted without one: tensors with shapes, no data.

``python -m bench.shapes`` runs the project's own extraction and encoding in the true shapes on
torch's device ``meta``, adds up the bytes of all tensors that live, and prints JSON. It sees what
PyTorch holds for tensors, not CUDA's own two gigabytes or so, nor what an allocator leaves unused.
"""

import json
import logging
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sae_lens.saes import JumpReLUSAE, JumpReLUSAEConfig
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from transformer_lens.model_bridge import TransformerBridge
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from probing_core.models.adapter import LanguageModel, adapt
from probing_core.models.extraction import extract
from probing_core.profiles import load_profile
from probing_core.saes.encoding import encode, reconstruct
from tests.checkpoints import write_model

aten = torch.ops.aten
MILLION, L0 = 2**20, 193
BATCH_TOKENS = 8192
GB = 1e9
_GEMMA = {"head_dim": 256, "vocab_size": 256000, "max_position_embeddings": 8192}
_LLAMA = {"head_dim": 128, "vocab_size": 128256, "max_position_embeddings": 131072}
# width, of the MLP, heads, heads of keys and values, layers
_SIZES = {
    "google/gemma-2-9b": (_GEMMA, 3584, 14336, 16, 8, 42),
    "meta-llama/Llama-3.1-8B": (_LLAMA, 4096, 14336, 32, 8, 32),
    "google/gemma-2-2b": (_GEMMA, 2304, 9216, 8, 4, 26),
}
_FIELDS = ("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads")
SHAPES = {
    name: fixed | dict(zip((*_FIELDS, "num_hidden_layers"), sizes, strict=True))
    for name, (fixed, *sizes) in _SIZES.items()
}
"""The models' ``config.json``."""


class Counted(TorchDispatchMode):
    """Bytes that tensors on ``meta`` hold now, and the most they did, as if it were a GPU.

    Only what comes from the host or was made from it counts: what is on ``meta`` before is no more
    than a skeleton. What goes back to the host is zeros; a share of a tensor's entries is not zero.
    """

    def __init__(self, share: float = 0.0) -> None:
        super().__init__()
        self.share, self.now, self.most = share, 0, 0
        self._living: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation, and count what it makes."""
        kwargs, operation = kwargs or {}, func.overloadpacket
        given = [t for t in tree_iter((args, kwargs)) if isinstance(t, torch.Tensor)]
        if given and given[0].is_meta:
            if operation is aten._to_copy and str(kwargs.get("device")) == "cpu":
                return torch.zeros(given[0].shape, dtype=kwargs.get("dtype") or given[0].dtype)
            if operation is aten._local_scalar_dense:
                return 0
        if operation is aten.nonzero and given[0].is_meta:
            shape = (round(self.share * given[0].numel()), given[0].ndim)
            made = torch.empty(shape, dtype=torch.int64, device="meta")
        else:
            with self:  # what an operation is made of holds memory, too
                made = func.decompose(*args, **kwargs)
            made = func(*args, **kwargs) if made is NotImplemented else made
        if any(not t.is_meta or t.untyped_storage()._cdata in self._living for t in given):
            self.count(t for t in tree_iter(made) if isinstance(t, torch.Tensor) and t.is_meta)
        return made

    def count(self, tensors: Iterator[torch.Tensor]) -> None:
        """Count tensors until nothing refers to them."""
        for storage in (tensor.untyped_storage() for tensor in tensors):
            if storage._cdata not in self._living:
                self._living.add(storage._cdata)
                self.now += storage.nbytes()
                self.most = max(self.most, self.now)
                weakref.finalize(storage, self._gone, storage._cdata, storage.nbytes())

    def _gone(self, key: int, size: int) -> None:
        self._living.discard(key)
        self.now -= size


def shape_of(name: str, folder: Path, dtype: str) -> LanguageModel:
    """A model of the paper in its true shape without weights; a tokenizer goes to a folder."""
    kind = "gemma" if "gemma" in name else "llama"
    if not folder.exists():
        write_model(folder, kind, 1, ["a few words", "of any kind"])
    config = AutoConfig.from_pretrained(folder)
    config = type(config)(**config.to_dict() | {"layer_types": None} | SHAPES[name])
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
    bridge = TransformerBridge.boot_transformers(
        str(folder),
        device="meta",
        dtype=getattr(torch, dtype),
        hf_model=model,
        tokenizer=AutoTokenizer.from_pretrained(folder),
    )
    return adapt(name, bridge, dtype, "meta")


def count_extraction(model: LanguageModel, hooks: list[str]) -> dict[str, float]:
    """Weights, and what eight prompts of 1,024 tokens make of them, in GB."""
    prompts = ["a few words of any kind " * 1024] * (BATCH_TOKENS // 1024)
    with Counted() as counted:
        counted.count(model.bridge.parameters())
        weights = counted.now
        made = extract(model, prompts, hooks=hooks, batch_tokens=BATCH_TOKENS)
    assert made.truncated.all()
    return {"weights_gb": weights / GB, "most_gb": counted.most / GB, "after_gb": counted.now / GB}


def wide_sae(d_in: int, width: int = MILLION) -> JumpReLUSAE:
    """An SAE on the host whose weights take no memory: each is one number, repeated."""
    config = {"d_in": d_in, "d_sae": width, "apply_b_dec_to_input": False}
    sae = JumpReLUSAE(JumpReLUSAEConfig(**config, device="meta"))
    state = {name: torch.zeros(()).expand(t.shape) for name, t in sae.state_dict().items()}
    sae.load_state_dict(state, assign=True)
    return sae


def count_encoding(d_in: int, width: int = MILLION) -> dict[str, float]:
    """What encoding and reconstructing 2,000 prompts hold, in GB."""
    rows, found = np.zeros((2000, d_in), np.float32), {"weights_gb": 8 * d_in * width / GB}
    for work in (encode, reconstruct):
        with Counted(L0 / width) as counted:
            work(wide_sae(d_in, width), rows, "meta")
        found |= {f"{work.__name__}_gb": counted.most / GB}
    return found


def main() -> None:
    """Count everything, and print it line by line."""
    logging.basicConfig(level=logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        for spec in load_profile("paper").models:
            for dtype in ("float32", "bfloat16"):
                place = Path(folder) / spec.name.replace("/", "-")
                found = count_extraction(shape_of(spec.name, place, dtype), list(spec.hooks))
                print(json.dumps({"step": f"extract {spec.name} {dtype}"} | found), flush=True)
    print(json.dumps({"step": "an SAE of a million latents"} | count_encoding(3584)), flush=True)


if __name__ == "__main__":
    main()
