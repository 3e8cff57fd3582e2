"""What one probe fit gives back, and the record of what went wrong while it was fitted."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sklearn.exceptions import ConvergenceWarning


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
        converged: False where a solver stopped at its iteration bound, either in the refit or in a
            validation fit of the candidate that was chosen.
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

    def not_converged(self, message: str) -> None:
        """Record that a solver stopped at its bound."""
        self.converged = False
        self.note(message)

    @property
    def warning(self) -> str | None:
        """All messages in one line, or None."""
        return "; ".join(self.notes) or None


@contextmanager
def fit_log() -> Iterator[FitLog]:
    """Catch every warning raised inside and time the block.

    Yields:
        The log; `seconds`, `converged` and `notes` are complete once the block ends. The
        process-wide warning filters are put back as they were.
    """
    log = FitLog()
    started = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield log
    log.seconds = time.perf_counter() - started
    for raised in caught:
        if issubclass(raised.category, DeprecationWarning | PendingDeprecationWarning):
            continue
        message = f"{raised.category.__name__}: {' '.join(str(raised.message).split())[:160]}"
        if issubclass(raised.category, ConvergenceWarning):
            log.not_converged(message)
        else:
            log.note(message)


def finish(
    log: FitLog, val_auc: float, scores: tuple[float, float, float], hyperparameters: dict[str, Any]
) -> ProbeResult:
    """Put scores and log together.

    Args:
        log: A finished `fit_log`.
        val_auc: Best mean validation AUC.
        scores: (test AUC, accuracy, weighted F1), as `metrics.test_scores` gives them.
        hyperparameters: What the search chose.

    Returns:
        The result of the fit.
    """
    return ProbeResult(
        val_auc=float(val_auc),
        test_auc=scores[0],
        test_acc=scores[1],
        test_f1=scores[2],
        hyperparameters=hyperparameters,
        converged=log.converged,
        warning=log.warning,
        fit_seconds=log.seconds,
    )
