"""Probes: baselines on activations and the sparse probe on SAE latents."""

from probing_core.probes.registry import METHODS, evaluate
from probing_core.probes.result import ProbeResult
from probing_core.probes.sparse import evaluate_top_k

__all__ = ["METHODS", "ProbeResult", "evaluate", "evaluate_top_k"]
