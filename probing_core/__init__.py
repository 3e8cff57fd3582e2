"""A small core for sparse probing: activations, latents, probes, verdicts.

Data flows down this list of rooms and imports point up it only:
errors, profiles, store, datasets, models, judges, saes, probes, rows, published, experiments,
analysis, figures, exchange, evaluation, pages, notebook, runner, api, cli.

What is meant for your own code is here, and each is imported when it is first asked for.
"""

import logging
import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from probing_core.api import activations, fit_probe, latents, load_task
    from probing_core.errors import UserError
    from probing_core.evaluation import Evaluation, evaluate
    from probing_core.probes.estimators import DenseProbe, SparseProbe

__all__ = [
    "DenseProbe",
    "Evaluation",
    "SparseProbe",
    "UserError",
    "activations",
    "evaluate",
    "fit_probe",
    "latents",
    "load_task",
]
__version__ = "0.1.0"
LOG_FILE = "PROBING_LOG_FILE"
"""Names the file that a page's kernel and its workers log to: what is on stderr is on the page."""
_ELSEWHERE = {
    "DenseProbe": "probes.estimators",
    "Evaluation": "evaluation",
    "SparseProbe": "probes.estimators",
    "UserError": "errors",
    "evaluate": "evaluation",
}
"""Modules of the public names that are not in `api`."""

if os.environ.get(LOG_FILE):
    logging.getLogger(__name__).addHandler(logging.FileHandler(os.environ[LOG_FILE], delay=True))
    logging.getLogger(__name__).propagate = False


def __getattr__(name: str) -> Any:
    """One of the public names, its module imported now: the package itself stays light."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_ELSEWHERE.get(name, 'api')}")
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
