"""The paper's claims, checked twice: against its own tables, and against a run of this book."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from probing_core.figures.words import plural
from reproduction.claim_list import CLAIMS, NOTHING, Claim, Facts
from reproduction.findings import FINDINGS, Finding

NOT_BUILT = "section not built yet"
BORNE_OUT = {True: "bear it out", False: "do not bear it out", None: "cannot tell"}
NUMBER_AGREES = "give its number"
NOT_AT_HAND = "its tables are not at hand"


@dataclass(frozen=True)
class Checked:
    """All claims, checked twice.

    Attributes:
        verdicts: Text columns ``claim``, ``published tables`` and ``this run``.
        numbers: Text columns ``claim`` (its number), ``paper``, ``recomputed``, ``this run`` and
            ``to know``.
        said: One sentence on the tables and one on the run, with counts.
    """

    verdicts: pd.DataFrame
    numbers: pd.DataFrame
    said: list[str]


def check_claims(facts: Facts, rows: pd.DataFrame, **options: Any) -> Checked:
    """Put every claim beside the recomputed number, the run's number and the verdicts.

    Args:
        facts: From `load_facts`.
        rows: Tidy rows of a run, standard and regimes.
        **options: hook, ties, sae_ids, ks and ranking of the run, see `compare`.

    Returns:
        Tables and sentences for a page.
    """
    known = {name: fact for name, fact in facts.items() if fact is not None}
    verdicts, numbers, found = [], [], []
    for claim in CLAIMS:
        recomputed, holds = _from_facts(claim, known)
        run = FINDINGS[claim.finding](rows, **options) if claim.finding else None
        found.append((claim, holds, run))
        absent = _absent(recomputed)
        verdicts.append(
            {
                "claim": f"{claim.number}. {claim.words} ({claim.where})",
                "published tables": NUMBER_AGREES if claim.reading and holds else BORNE_OUT[holds],
                "this run": run.verdict if run else absent,
            }
        )
        numbers.append(
            {
                "claim": f"{claim.number}.",
                "paper": claim.stated,
                "recomputed": recomputed,
                "this run": run.text if run else absent,
                "to know": claim.caveat,
            }
        )
    return Checked(pd.DataFrame(verdicts), pd.DataFrame(numbers), _summary(found))


def _from_facts(claim: Claim, facts: Facts) -> tuple[str, bool | None]:
    try:
        return claim.recomputed(facts), claim.holds(facts)
    except KeyError:  # a fact that the tables do not give
        return NOT_AT_HAND, None


def _absent(recomputed: str) -> str:
    return NOTHING if recomputed == NOTHING else NOT_BUILT


def _summary(verdicts: list[tuple[Claim, bool | None, Finding | None]]) -> list[str]:
    borne = sum(holds is True and not claim.reading for claim, holds, _ in verdicts)
    numbers = sum(holds is True and claim.reading for claim, holds, _ in verdicts)
    against = sum(holds is False for _, holds, _ in verdicts)
    runs = [found for *_, found in verdicts if found]
    agree = sum(found.verdict == "agrees" for found in runs)
    return [
        f"Of {plural(len(verdicts), 'claim')} the published tables bear out {borne}, give the"
        f" number behind {numbers} whose point is a reading, and contradict {against}; the others"
        " need data that the tables do not hold.",
        f"This run speaks to {len(runs)} of them and agrees with {agree}; the sections behind the"
        " others are not built yet.",
    ]
