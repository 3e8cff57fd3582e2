"""What one probe fit gives back, and the record of what went wrong while it was fitted."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sklearn.exceptions import ConvergenceWarning

UNFINISHED = "a solver stopped at its bound before it converged"

Fitted = TypeVar("Fitted")


@dataclass(frozen=True)
class ProbeResult:
    """Scores of one fitted probe.

    Attributes:
        val_auc: Best mean validation AUC, or the training AUC where n <= 3 (no search); NaN
            where no validation split holds both classes, and `warning` then says so.
        test_auc: AUC on the test rows; NaN where they hold one class.
        test_acc: Share of test rows predicted right.
        test_f1: F1 averaged over both classes, weighted by their size.
        hyperparameters: What the search chose; JSON-ready values.
        converged: Whether every fit behind the result converged: the last one, on all training
            rows, and the validation fits of the candidate that was chosen. Candidates that lost
            do not count. The same rule for every method and solver; nearest neighbours and trees
            have nothing to converge.
        warning: What was raised during the fits, each message once, or None.
        fit_seconds: Wall time of search, refit and scoring, in seconds.
    """

    val_auc: float
    test_auc: float
    test_acc: float
    test_f1: float
    hyperparameters: dict[str, Any]
    converged: bool
    warning: str | None
    fit_seconds: float


@dataclass
class FitLog:
    """What happened during one probe's fits: filled in by `fit_log` and by the probe itself."""

    notes: list[str] = field(default_factory=list)
    converged: bool = True
    seconds: float = 0.0

    def note(self, message: str) -> None:
        """Keep a message unless it is there already."""
        if message not in self.notes:
            self.notes.append(message)

    def require(self, converged: bool, message: str = UNFINISHED) -> None:
        """Mark the result as not converged, and say why, unless a fit it rests on converged."""
        if not converged:
            self.converged = False
            self.note(message)


@contextmanager
def fit_log() -> Iterator[FitLog]:
    """Catch every warning raised inside and time the block.

    Yields:
        The log; `seconds` and `notes` are complete once the block ends. The process-wide warning
        filters are put back as they were.
    """
    log = FitLog()
    started = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield log
    log.seconds = time.perf_counter() - started
    for raised in caught:
        if not issubclass(raised.category, DeprecationWarning | PendingDeprecationWarning):
            text = " ".join(str(raised.message).split())[:160]
            log.note(f"{raised.category.__name__}: {text}")


def converges(fit: Callable[[], Fitted]) -> tuple[Fitted, bool]:
    """Run a scikit-learn fit; also whether it did so without a `ConvergenceWarning`.

    The warning ends here: whether it concerns the result depends on which candidate is chosen.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted = fit()
    others = [one for one in caught if not issubclass(one.category, ConvergenceWarning)]
    for raised in others:
        warnings.warn_explicit(raised.message, raised.category, raised.filename, raised.lineno)
    return fitted, len(others) == len(caught)
