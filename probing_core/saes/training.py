"""Training SAEs in place with SAELens, on token activations of the training prompts."""

import contextlib
import io
import math
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from probing_core.profiles import SAESource, TrainedSAE
from probing_core.saes import controls

_SAELENS = {"relu": "standard", "matryoshka": "matryoshka_batchtopk"}
"""What SAELens calls an architecture, where it is not what everybody does."""
_STARTS = {"relu": ("b_enc", -1), "gated": ("b_gate", -1), "jumprelu": ("threshold", 1)}
"""Where L0 follows from a penalty: the tensor, and its sign, that holds the first threshold."""
_TOGETHER = 5
"""SAEs trained on one stream at most: with what Adam keeps, each holds four times its weights."""
_PROPORTION, _SUM = 1.0, 0.1
"""How much of a wrong L0 its penalty follows at once, and from then on."""


def streams(missing: Iterable[SAESource], workers: int) -> list[list[SAESource]]:
    """SAEs by what is done at once, costly work first: those that share a stream train on it.

    It is split over the workers: sharing saves reading the tokens again, but a process takes its
    SAEs one after the other at each step.
    """
    groups: dict[Any, list[SAESource]] = {}
    for one in missing:
        shared = _stream(one) if isinstance(one, TrainedSAE) else one
        groups.setdefault(shared, []).append(one)
    units = []
    for group in groups.values():
        group.sort(key=_cost, reverse=True)
        parts = min(len(group), max(workers, math.ceil(len(group) / _TOGETHER)))
        units += [group[part::parts] for part in range(parts)]
    return sorted(units, key=lambda unit: -sum(map(_cost, unit)))


def _cost(source: SAESource) -> int:
    """How long an SAE takes to train, in units of nothing."""
    if not isinstance(source, TrainedSAE) or source.control in controls.MADE:
        return 0
    return source.width * source.steps * source.batch_tokens


def _stream(spec: TrainedSAE) -> tuple[Any, ...]:
    """What SAEs must have in common to be trained on one stream of batches."""
    untrained = spec.control == "reinitialised"  # which has other tokens
    return spec.steps, spec.batch_tokens, spec.learning_rate, spec.seed, untrained


def train_saes(
    specs: Sequence[TrainedSAE],
    tokens: np.ndarray,
    *,
    model: str,
    hook: str,
    device: str = "cpu",
) -> list[tuple[Any, float]]:
    """Train SAEs of one of `streams` on (m, d_model) float32 tokens; each, and the seconds it took.

    Every batch goes to all of them; what one becomes does not depend on the others. The decoder
    bias starts at the mean activation, inputs are scaled to an expected norm of sqrt(d_model)
    while training, and the scale is folded into the weights at the end, so the result reads raw
    activations. Controls that are not trained come back as they are made.

    Raises:
        UserError: If a control has more latents than there are directions.
    """
    from sae_lens.training.multi_sae_trainer import MultiSAETrainer

    data = torch.from_numpy(np.ascontiguousarray(tokens, dtype=np.float32))
    scale = float(data.shape[1] ** 0.5 / data.norm(dim=1).mean())
    batch, first = min(specs[0].batch_tokens, len(data)), specs[0]
    saes: dict[str, Any] = {}
    began = []
    # SAELens draws bars unconditionally; a run draws its own
    with torch.random.fork_rng(devices=[]), contextlib.redirect_stderr(io.StringIO()):
        for number, spec in enumerate(specs):
            start = time.perf_counter()
            saes[str(number)] = _new_sae(spec, data, scale, model=model, hook=hook, device=device)
            began.append(time.perf_counter() - start)
        trained = {n: sae for n, sae in saes.items() if specs[int(n)].control not in controls.MADE}
        batches = ({"": rows} for rows in _batches(data, batch, seed=first.seed))
        names = dict.fromkeys(trained, "")
        trainer = MultiSAETrainer(_schedule(first, batch, device), trained, names, batches)
        steps = {n: _Step(one, specs[int(n)]) for n, one in trainer.trainers.items()}
        if trained:
            trainer.fit()
    for sae, spec in zip(saes.values(), specs, strict=True):
        if spec.control in controls.MADE:
            sae.fold_activation_norm_scaling_factor(scale)
        elif spec.control == "shuffled":
            controls.shuffle(sae, spec.seed)
    seconds = [
        took + (steps[str(n)].seconds if str(n) in steps else 0) for n, took in enumerate(began)
    ]
    return list(zip(saes.values(), seconds, strict=True))


def _schedule(spec: TrainedSAE, batch: int, device: str) -> Any:
    from sae_lens.config import LoggingConfig, SAETrainerConfig

    return SAETrainerConfig(
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


class _Step:
    """A trainer's step, timed; where L0 follows from a penalty, it steers the penalty.

    A hundred steps leave no time to search for a coefficient. So the SAE starts at the L0 asked
    for, and the coefficient follows how far the L0 of each batch is from it: at once, in
    proportion, and for good, a little every time. Without the first L0 swings between none and
    hundreds, for latents answer the penalty late; without the second it settles elsewhere.
    """

    def __init__(self, trainer: Any, spec: TrainedSAE) -> None:
        self.step, self.seconds, self.level = trainer.step, 0.0, 1.0
        self.sae, self.l0 = trainer.sae, spec.l0
        self.tied = spec.architecture == "matching_pursuit"
        self.penalties = list(trainer.coefficient_schedulers.values())
        trainer.step = self

    def __call__(self, batch: torch.Tensor) -> Any:
        start = time.perf_counter()
        output = self.step(batch)
        if self.penalties:
            found = float((output.feature_acts.detach() != 0).sum()) / len(batch)
            wrong = min(4.0, max(0.25, found / self.l0))
            self.level *= wrong**_SUM
            for penalty in self.penalties:
                penalty.current_value = penalty.final_value = self.level * wrong**_PROPORTION
        if self.tied:  # matching pursuit takes away projections on directions of norm one
            with torch.no_grad():
                self.sae.W_dec /= self.sae.W_dec.norm(dim=1, keepdim=True)
        self.seconds += time.perf_counter() - start
        return output


def _new_sae(
    spec: TrainedSAE, data: torch.Tensor, scale: float, *, model: str, hook: str, device: str
) -> Any:
    """An SAE before its first step; a control as far as it is made beforehand."""
    import sae_lens  # noqa: F401  registers the architectures
    from sae_lens.registry import get_sae_training_class

    name = _SAELENS.get(spec.architecture, spec.architecture)
    sae_class, config_class = get_sae_training_class(name)
    torch.manual_seed(spec.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sae = sae_class(
            config_class(
                d_in=data.shape[1],
                d_sae=spec.width,
                normalize_activations="expected_average_only_in",
                device=device,
                **_settings(spec),
            )
        )
    sae.cfg.metadata.model_name, sae.cfg.metadata.hook_name = model, hook
    with torch.no_grad():
        sae.b_dec.copy_(data.mean(0) * scale)
        if spec.architecture in _STARTS:
            tensor, sign = _STARTS[spec.architecture]
            rows = (data[:2048] * scale).to(device)
            before = ((rows - sae.b_dec) @ sae.W_enc).flatten()
            getattr(sae, tensor).fill_(sign * before.topk(spec.l0 * len(rows)).values[-1])
    controls.prepare(sae, spec, data)
    return sae


def _settings(spec: TrainedSAE) -> dict[str, Any]:
    """What an architecture has of its own."""
    if spec.architecture in ("relu", "gated"):
        return {}
    if spec.architecture == "jumprelu":
        # the thresholds alone are too slow for a short schedule: the encoder answers, too
        return {"jumprelu_ste_to_input": True}
    if spec.architecture == "matching_pursuit":
        once = {"residual_threshold": 0.0, "stop_on_duplicate_support": False}
        return {"max_iterations": spec.l0, "decoder_init_norm": 1.0, **once}
    extra: dict[str, Any] = {"k": spec.l0}
    if spec.architecture in ("batchtopk", "matryoshka"):
        # the threshold is a running mean over steps, too slow for a short schedule by default
        extra["topk_threshold_lr"] = max(0.01, min(0.5, 10 / spec.steps))
    if spec.architecture == "matryoshka":
        extra["matryoshka_widths"] = sorted({max(1, spec.width // part) for part in (4, 2, 1)})
    return extra


def _batches(data: torch.Tensor, size: int, *, seed: int) -> Iterator[torch.Tensor]:
    """Endless shuffled batches, a new order each epoch."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(len(data), generator=generator)
        for start in range(0, len(order) - size + 1, size):
            yield data[order[start : start + size]]
