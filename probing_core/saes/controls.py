"""Negative controls: SAEs that have learnt nothing, or less. All are TopK, so their L0 is exact.

- ``random``: latents are random unit directions, the decoder reads them back: no training.
- ``directions``: a random rotation of the basis, each direction both ways.
- ``pca``: principal components of the tokens, each both ways, so that a rectified latent tells
  either sign; beside ``directions`` it shows what the choice of a basis does.
- ``shuffled``: a trained SAE whose weights are dealt out anew among the latents, input dimension
  by input dimension. How much each dimension counts stays, what a latent stands for is gone.
  (Shuffling latents over prompts would only say that chance is chance.)
- ``frozen_decoder``, ``frozen_encoder``: ``random``, trained but for the one matrix of weights
  (arXiv 2602.14111).
- ``reinitialised``: trained on tokens of the same model with weights that nobody trained, brought
  `alike` to the real ones.
"""

from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA

from probing_core.errors import UserError
from probing_core.profiles import TrainedSAE

MADE = ("random", "directions", "pca")
"""Controls that are not trained."""
_FROZEN = {"frozen_decoder": "W_dec", "frozen_encoder": "W_enc"}


def prepare(sae: Any, spec: TrainedSAE, data: torch.Tensor) -> None:
    """Make of a new TopK SAE what a control is, given (m, d_model) tokens; draws from torch.

    Raises:
        UserError: If a basis has fewer directions than the control has latents.
    """
    if spec.control in (None, "shuffled", "reinitialised"):
        return
    with torch.no_grad():
        sae.W_dec.copy_(_directions(spec, data))
        sae.W_enc.copy_(sae.W_dec.T)
    if spec.control in _FROZEN:
        getattr(sae, _FROZEN[spec.control]).requires_grad_(False)


def alike(tokens: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Tokens (m, d_model) moved to the centre of others, and as far from it in the mean."""
    away, there = tokens - tokens.mean(0), real.mean(0)
    factor = np.linalg.norm(real - there, axis=1).mean() / np.linalg.norm(away, axis=1).mean()
    return (away * factor + there).astype(np.float32)


def shuffle(sae: Any, seed: int) -> None:
    """Deal out each input dimension's weights anew among the latents, both matrices alike."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.rand(sae.W_enc.shape, generator=generator).argsort(1).to(sae.W_enc.device)
    with torch.no_grad():
        sae.W_enc.copy_(sae.W_enc.gather(1, order))
        sae.W_dec.copy_(sae.W_dec.gather(0, order.T))


def _directions(spec: TrainedSAE, data: torch.Tensor) -> torch.Tensor:
    """(width, d_model) unit directions that a control starts from."""
    d_model = data.shape[1]
    if spec.control not in ("pca", "directions"):
        drawn = torch.randn(spec.width, d_model)
        return drawn / drawn.norm(dim=1, keepdim=True)
    if spec.width > 2 * d_model or spec.width % 2:
        raise UserError(
            f"The control '{spec.control}' has its directions both ways, and the model"
            f" {d_model} of them: give it an even width of at most {2 * d_model}."
        )
    if spec.control == "pca":
        fitted = PCA(spec.width // 2, svd_solver="covariance_eigh").fit(data.numpy())
        basis = torch.from_numpy(fitted.components_)
    else:
        basis = torch.linalg.qr(torch.randn(d_model, d_model))[0][: spec.width // 2]
    return torch.cat([basis, -basis])
