"""What SAE probes change in the paper, regime by regime: the numbers that pages put beside a run.

``paper.json`` is computed from the published tables by `reproduction.facts`, with the statistics of
a run: tied probes averaged, each task counted once, an interval over task families.
"""

import functools
import json
from dataclasses import dataclass

from probing_core.published.source import SHIPPED


@dataclass(frozen=True)
class PaperDifference:
    """The mean change in test AUC that SAE probes bring in one regime (Gemma-2-9B).

    Where quivers compete it is between these, else one SAE probe minus logistic regression.
    `low` and `high` end a 95% bootstrap interval over task families; `source` names the paper's
    own figure of it (arXiv version 1) and the tables behind that.
    """

    mean: float
    low: float
    high: float
    n_tasks: int
    source: str


@functools.cache
def paper_differences() -> dict[str, PaperDifference]:
    """Every regime's difference, by the regime's key."""
    data = json.loads((SHIPPED / "paper.json").read_text(encoding="utf-8"))
    return {regime: PaperDifference(**numbers) for regime, numbers in data.items()}
