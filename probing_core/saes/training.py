"""Training an SAE in place with SAELens, on token activations of the training prompts."""

import contextlib
import io
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from probing_core.profiles import TrainedSAE


def train_sae(
    spec: TrainedSAE, tokens: np.ndarray, *, model: str, hook: str, device: str = "cpu"
) -> tuple[Any, float]:
    """Train one SAE on (m, d_model) float32 tokens in any order; it and the seconds it took.

    The decoder bias starts at the mean activation, inputs are scaled to an expected norm of
    sqrt(d_model) while training, and the scale is folded into the weights at the end, so the
    result reads raw activations.
    """
    from sae_lens.config import LoggingConfig, SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer

    data = torch.from_numpy(np.ascontiguousarray(tokens, dtype=np.float32))
    batch = min(spec.batch_tokens, len(data))
    config = SAETrainerConfig(
        total_training_samples=spec.steps * batch,
        train_batch_size_samples=batch,
        lr=spec.learning_rate,
        lr_end=spec.learning_rate / 10,
        lr_warm_up_steps=max(1, spec.steps // 15),
        lr_decay_steps=spec.steps // 5,
        n_batches_for_norm_estimate=10,
        dead_feature_window=max(1, spec.steps // 3),
        device=device,
        logger=LoggingConfig(log_to_wandb=False),
    )
    start = time.perf_counter()
    # SAELens draws a bar unconditionally; a run draws its own
    with torch.random.fork_rng(devices=[]), contextlib.redirect_stderr(io.StringIO()):
        torch.manual_seed(spec.seed)
        sae = _new_sae(spec, data.shape[1], model=model, hook=hook, device=device)
        scale = data.shape[1] ** 0.5 / data.norm(dim=1).mean()
        with torch.no_grad():
            sae.b_dec.copy_(data.mean(0) * scale)
        SAETrainer(config, sae, _batches(data, batch, seed=spec.seed)).fit()
    return sae, time.perf_counter() - start


def _new_sae(spec: TrainedSAE, d_in: int, *, model: str, hook: str, device: str) -> Any:
    import sae_lens  # noqa: F401  registers the architectures
    from sae_lens.registry import get_sae_training_class

    sae_class, config_class = get_sae_training_class(spec.architecture)
    extra = {}
    if spec.architecture == "batchtopk":
        # the threshold is a running mean over steps, too slow for a short schedule by default
        extra["topk_threshold_lr"] = max(0.01, min(0.5, 10 / spec.steps))
    sae = sae_class(
        config_class(
            d_in=d_in,
            d_sae=spec.width,
            k=spec.l0,
            normalize_activations="expected_average_only_in",
            device=device,
            **extra,
        )
    )
    sae.cfg.metadata.model_name, sae.cfg.metadata.hook_name = model, hook
    return sae


def _batches(data: torch.Tensor, size: int, *, seed: int) -> Iterator[torch.Tensor]:
    """Endless shuffled batches, a new order each epoch."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(len(data), generator=generator)
        for start in range(0, len(order) - size + 1, size):
            yield data[order[start : start + size]]
