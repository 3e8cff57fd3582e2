"""Your own prompts, activations and SAE in a few calls, in memory: nothing goes to the store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
from scipy.sparse import csr_array

from probing_core.datasets.benchmark import load_task
from probing_core.errors import UserError, nearest
from probing_core.experiments.executor import held
from probing_core.experiments.study import open_store
from probing_core.models.adapter import LanguageModel, load_model, resolve_device
from probing_core.models.embedded import EMBEDDED
from probing_core.models.extraction import extract
from probing_core.probes.estimators import DENSE_METHODS, DenseProbe, SparseProbe
from probing_core.probes.methods import SAE_METHOD
from probing_core.profiles import Position
from probing_core.saes.encoding import encode
from probing_core.saes.sources import load_external, named_source


def activations(
    task: Any,
    *,
    model: str,
    hook: str,
    position: Position = "last",
    prepend_bos: bool = True,
    max_tokens: int = 1024,
    dtype: str = "float32",
    device: str = "auto",
) -> np.ndarray:
    """Activations of prompts at one hook of a model, which stays loaded until another is.

    Args:
        task: A list of prompts, or a task as `load_task` takes or gives it.
        model: ``minilm``, ``smollm2``, a TransformerLens name, or a local folder.
        hook: Such as ``blocks.3.hook_resid_post``.
        position: The ``last`` token, or the ``mean`` over all.
        prepend_bos: Whether a prompt begins with BOS (or CLS).
        max_tokens: Longer prompts lose their beginning.
        dtype: Of the model's weights; ``auto`` is bfloat16 where that is fast.
        device: A torch device; ``auto`` is a GPU if there is one.

    Returns:
        (n_prompts, d_model) float32, in the order of the prompts.

    Raises:
        UserError: Naming what is unknown, out of reach or no text.
    """
    if position not in (known := get_args(Position)):
        raise UserError(f"unknown position '{position}'. {nearest(position, known)}")
    prompts, loaded = _prompts(task), held(_load_model, model, dtype, device)
    given: dict[str, Any] = {"prepend_bos": prepend_bos, "max_tokens": max_tokens}
    found = extract(loaded, prompts, hooks=[hook], positions=[position], **given)
    return found.activations[hook, position]


def latents(source: Any, sae: Any, *, device: str = "auto", **where: Any) -> csr_array:
    """Latents under an SAE, of activations at hand or of prompts.

    Args:
        source: (n, d_model) activations, or prompts or a task as `activations` takes them.
        sae: ``RELEASE:ID`` of SAELens or a folder that it wrote, loaded at each call; or an
            object as `saes.encoding.encode` takes it.
        device: A torch device; ``auto`` is a GPU if there is one.
        **where: For prompts, the options of `activations`: `model`, and `hook` unless the SAE
            names it.

    Returns:
        (n, d_sae) float32, zeros not stored.

    Raises:
        UserError: If the SAE is not to be had, or does not fit the activations.
    """
    loaded = load_external(named_source(sae)) if isinstance(sae, (str, Path)) else sae
    if not hasattr(loaded, "encode"):
        raise UserError(f"{type(sae).__name__} has no encode: give RELEASE:ID, a folder or an SAE.")
    about = getattr(loaded, "cfg", None)
    if not isinstance(source, np.ndarray):
        named = getattr(getattr(about, "metadata", None), "hook_name", None)
        if (hook := where.setdefault("hook", named)) is None:
            raise UserError("The SAE names no hook: give hook=….")
        if named not in (None, hook):
            raise UserError(f"The SAE reads {named}, not {hook}: leave out hook=….")
        source = activations(source, device=device, **where)
    rows = np.ascontiguousarray(source, dtype=np.float32)
    width = getattr(about, "d_in", rows.shape[-1])
    if rows.ndim != 2 or rows.shape[1] != width:
        raise UserError(f"The SAE reads (n, {width}), not {rows.shape}: take its model and hook.")
    return encode(loaded, rows, resolve_device(device))


def fit_probe(X: Any, y: Any, method: str = "logreg", **options: Any) -> DenseProbe | SparseProbe:
    """Fit one of the book's linear probes to (n, d) rows in random order and (n,) labels.

    Args:
        X: Activations, or latents for ``sae_logreg``.
        y: Labels of two classes.
        method: ``logreg`` or ``diff_mean``, a `DenseProbe`; or ``sae_logreg``, a `SparseProbe`.
        **options: Those of the estimator, such as `k`.

    Raises:
        UserError: An unknown method, or data that cannot be fitted.
    """
    if method not in (known := (*DENSE_METHODS, SAE_METHOD)):
        raise UserError(f"unknown method '{method}'. {nearest(method, known)}")
    probe = SparseProbe(**options) if method == SAE_METHOD else DenseProbe(method, **options)
    try:
        return probe.fit(X, y)
    except (TypeError, ValueError) as error:  # scikit-learn's, advice in further lines
        raise UserError(str(error).splitlines()[0]) from None


def _prompts(task: Any) -> Sequence[str]:
    if not isinstance(task, (list, tuple)):
        return load_task(task).prompts
    wrong = [at for at, one in enumerate(task, 1) if not isinstance(one, str) or not one.strip()]
    if wrong or not task:
        raise UserError(f"Prompt {wrong[0] if task else 1} is empty or no text; give text.")
    return task


def _load_model(name: str, dtype: str, device: str) -> LanguageModel:
    unpacked = name in EMBEDDED and EMBEDDED[name].unpack
    return load_model(name, dtype=dtype, device=device, store=open_store() if unpacked else None)
