"""The gate: an SAE shows that it is the right one, and works, before its numbers are stored.

An SAE can load without error and still be wrong: another hook, a missing normalisation, another
activation function. L0 and explained variance on tokens it was not trained on tell.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from probing_core.errors import UserError
from probing_core.profiles import GateBand
from probing_core.saes.encoding import reconstruct


@dataclass(frozen=True)
class GateReport:
    """What an SAE measured at the gate."""

    sae_id: str
    architecture: str
    width: int
    hook: str
    l0: float
    """Mean active latents a token."""
    explained_variance: float
    """1 - squared error / variance about the mean, over tokens."""
    n_tokens: int
    dead_latents: float | None = None
    """Share of latents that no token activates; unknown of SAEs that were measured before."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def pass_gate(
    sae: Any,
    tokens: np.ndarray,
    *,
    sae_id: str,
    hook: str,
    band: GateBand,
    expected_l0: float | None,
    expected_width: int | None = None,
    device: str = "cpu",
) -> GateReport:
    """Measure an SAE on (m, d_model) float32 tokens it was not trained on, and judge it.

    Raises:
        UserError: If hook, width, L0 or explained variance are not as expected.
    """
    trained_on = getattr(sae.cfg.metadata, "hook_name", None)
    if trained_on is not None and trained_on != hook:
        raise UserError(
            f"SAE '{sae_id}' reads {trained_on}, not {hook}. Set main_hook to {trained_on}."
        )
    if sae.cfg.d_in != tokens.shape[1]:
        raise UserError(
            f"SAE '{sae_id}' reads width {sae.cfg.d_in}, the model has {tokens.shape[1]}."
            " Choose an SAE of this model."
        )
    if expected_width is not None and sae.cfg.d_sae != expected_width:
        raise UserError(f"SAE '{sae_id}' has {sae.cfg.d_sae} latents, expected {expected_width}.")
    l0, explained, dead = measure(sae, tokens, device)
    report = GateReport(
        sae_id, sae.cfg.architecture(), int(sae.cfg.d_sae), hook, l0, explained, len(tokens), dead
    )
    check_band(report, band, expected_l0)
    return report


def measure(sae: Any, activations: np.ndarray, device: str = "cpu") -> tuple[float, float, float]:
    """L0, explained variance and share of dead latents on (m, d_model) float32 activations."""
    rebuilt, counts = reconstruct(sae, activations, device)
    error = float(((activations - rebuilt) ** 2).sum())
    spread = float(((activations - activations.mean(0)) ** 2).sum())
    l0 = float(counts.sum()) / len(activations)
    return l0, 1 - error / max(spread, 1e-12), float((counts == 0).mean())


def check_band(report: GateReport, band: GateBand, expected_l0: float | None) -> None:
    """Refuse, with `UserError`, an SAE whose measurements lie outside its band."""
    low = expected_l0 / band.l0_factor if expected_l0 else 0.5
    high = expected_l0 * band.l0_factor if expected_l0 else band.max_l0
    if not low <= report.l0 <= high:
        raise UserError(
            f"SAE '{report.sae_id}' has L0 {report.l0:.1f} on tokens, outside {low:.1f} to"
            f" {high:.1f}: wrong weights or activation function, or widen its gate in the profile."
        )
    if not report.explained_variance >= band.min_explained_variance:
        raise UserError(
            f"SAE '{report.sae_id}' explains {report.explained_variance:.2f} of the token variance,"
            f" less than {band.min_explained_variance}: train longer, check its hook, or lower its"
            " gate."
        )
