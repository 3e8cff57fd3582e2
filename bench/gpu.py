"""What the paper's scale takes on this machine's GPU: true shapes, random weights, no hub.

``python -m bench.gpu FOLDER`` writes a checkpoint of Gemma-2-9B's shape there (18 GB), runs the
project's own code over it and over an SAE of a million latents, and prints JSON. Speeds and memory
do not depend on what the weights are. Needs 45 GB of GPU memory and 60 GB of memory.
"""

import argparse
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from transformers import AutoModel

from bench import shapes
from bench.shapes import BATCH_TOKENS, GB, L0, MILLION, SHAPES
from probing_core.datasets import load_dataset
from probing_core.experiments.executor import held, release
from probing_core.models.adapter import LanguageModel, load_model
from probing_core.models.extraction import Extraction, extract, length_sorted_batches, pad
from probing_core.saes.encoding import encode
from tests.checkpoints import write_model

NINE_B = SHAPES["google/gemma-2-9b"]


def main() -> None:
    """Measure everything, and print it line by line as it comes."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--layers", type=int, default=42)
    parser.add_argument("--small", action="store_true", help="a trial of this script itself")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    prompts = [p for tag in ("36_sciq_tf", "87_glue_cola") for p in load_dataset(tag).prompts]
    prompts = prompts[:: 100 if asked.small else 4]
    if not (asked.folder / "model").exists():
        with torch.device(asked.device):
            torch.set_default_dtype(torch.bfloat16)
            shape = {} if asked.small else NINE_B
            write_model(asked.folder / "model", "gemma", asked.layers, prompts, **shape)
            torch.set_default_dtype(torch.float32)
        tell("checkpoint", asked.device)
    for found in models(str(asked.folder / "model"), prompts, asked.device, asked.layers):
        print(json.dumps(found), flush=True)
    size = (64, 4096) if asked.small else (3584, MILLION)
    print(json.dumps(wide_sae(asked.device, *size)), flush=True)


def models(folder: str, prompts: list[str], device: str, layers: int) -> Iterator[dict[str, Any]]:
    """Load, extract, run out of memory, let go: in float32 as the profile asks, and bfloat16."""
    hooks = [f"blocks.{layers // 2 - 1}.hook_resid_post", f"blocks.{layers - 1}.hook_resid_post"]
    given: dict[str, Any] = {"hooks": hooks, "max_tokens": 1024}
    for dtype in ("float32", "bfloat16"):
        restart(device)
        start = time.perf_counter()
        model = held(load, folder, dtype, device)
        weights = sum(p.numel() * p.element_size() for p in model.bridge.parameters())
        loaded = {"seconds": time.perf_counter() - start, "weights_gb": weights / GB}
        yield {"step": f"load {dtype}"} | loaded | memory(device)
        restart(device)
        extract(model, prompts[:50], batch_tokens=BATCH_TOKENS, **given)
        usual = extract(model, prompts, batch_tokens=BATCH_TOKENS, **given)
        yield {"step": f"extract {dtype}"} | speed(usual) | memory(device)
        if dtype == "float32":
            tight = starved(model, prompts, device, **given)
            yield {"step": "out of memory"} | speed(tight) | off(usual, tight, hooks)
        del model
        release()
        yield {"step": f"released {dtype}"} | memory(device)
        if dtype == "float32":
            yield plain(folder, prompts, device, usual, hooks)
            restart(device)


def load(folder: str, dtype: str, device: str) -> LanguageModel:
    """What a process holds."""
    return load_model(folder, dtype=dtype, device=device)


def starved(model: LanguageModel, prompts: list[str], device: str, **given: Any) -> Extraction:
    """The same with 1 GB beside the weights, and batches for which that is not enough."""
    if device == "cuda":
        torch.cuda.empty_cache()
        room = torch.cuda.memory_reserved() + GB
        share = room / torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(share)
    try:
        return extract(model, prompts, batch_tokens=50 * BATCH_TOKENS, **given)
    finally:
        if device == "cuda":
            torch.cuda.set_per_process_memory_fraction(1.0)


@torch.inference_mode()
def plain(
    folder: str, prompts: list[str], device: str, ours: Extraction, hooks: list[str]
) -> dict[str, Any]:
    """Plain Transformers on the same batches: its speed, and how far its activations are off."""
    from transformers import AutoTokenizer

    model = AutoModel.from_pretrained(folder, dtype=torch.float32).to(device).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = [tokenizer(p, truncation=True, max_length=1024)["input_ids"] for p in prompts]
    face: Any = argparse.Namespace(device=device, pad_id=0)
    far, start = 0.0, 0.0
    layer = int(hooks[0].split(".")[1])
    for round_ in range(2):
        synchronize(device)
        start = time.perf_counter()
        for rows in length_sorted_batches(ours.lengths, BATCH_TOKENS):
            tokens, mask = pad([ids[row] for row in rows], face)
            states = model(tokens, attention_mask=mask, output_hidden_states=not round_)
            if not round_:
                at = torch.arange(len(rows), device=device), mask.sum(1) - 1
                theirs = states.hidden_states[layer + 1][at].cpu().numpy()
                mine = ours.activations[hooks[0], "last"][rows]
                far = max(far, float(np.abs(mine - theirs).max() / np.abs(theirs).max()))
        synchronize(device)
    rate = int(ours.lengths.sum()) / (time.perf_counter() - start)
    del model
    return {"step": "plain Transformers float32", "tokens_per_s": rate, "largest_off": far}


def wide_sae(device: str, d_in: int, width: int) -> dict[str, Any]:
    """Encode a task's worth of activations with an SAE of a million latents, kept on the host."""
    release()
    sae = shapes.wide_sae(d_in, width)
    cut = float(torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor(1 - min(L0 / width, 0.1))))
    state = {name: torch.zeros(t.shape) for name, t in sae.state_dict().items()}
    for part in state["W_enc"].split(2**18, dim=1):
        part[:] = torch.randn(part.shape, device=device).cpu() * d_in**-0.5
    state["threshold"] += cut
    sae.load_state_dict(state, assign=True)
    rows = np.random.default_rng(0).standard_normal((2000, d_in), dtype=np.float32)
    restart(device)
    start = time.perf_counter()
    latents = encode(sae, rows, device)
    seconds, mine = time.perf_counter() - start, latents[:20].toarray()
    before = (torch.from_numpy(rows[:20]) @ state["W_enc"]).numpy()
    far = np.abs(mine - before * (before > cut))[np.abs(before - cut) > 1e-4].max()
    found = {"weights_gb": 2 * d_in * width * 4 / GB, "prompts": len(rows), "seconds": seconds}
    found |= {"l0": latents.nnz / len(rows), "largest_off": float(far)}
    return {"step": f"encode width {width}"} | found | memory(device)


def off(one: Extraction, other: Extraction, hooks: list[str]) -> dict[str, float]:
    """The largest difference of two extractions, over the largest value."""
    pairs = [(one.activations[h, "last"], other.activations[h, "last"]) for h in hooks]
    return {"largest_off": max(float(np.abs(a - b).max() / np.abs(a).max()) for a, b in pairs)}


def speed(made: Extraction) -> dict[str, Any]:
    """Tokens a second of an extraction."""
    return {"tokens": int(made.lengths.sum()), "tokens_per_s": made.lengths.sum() / made.seconds}


def tell(step: str, device: str) -> None:
    """A line without figures but memory."""
    print(json.dumps({"step": step} | memory(device)), flush=True)


def memory(device: str) -> dict[str, float]:
    """GPU memory in use, and the most since the last `restart`, in GB; else that of the process."""
    if device != "cuda":
        return {"process_gb": psutil.Process().memory_info().rss / GB}
    most = torch.cuda.max_memory_allocated() / GB
    return {"gpu_gb": torch.cuda.memory_allocated() / GB, "gpu_most_gb": most}


def restart(device: str) -> None:
    """Count the most GPU memory anew."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()


def synchronize(device: str) -> None:
    """Wait for the GPU."""
    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
