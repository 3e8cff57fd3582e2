"""The paper's claims, checked twice: against its own tables, and against a run of this book."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from probing_core.figures.words import plural
from reproduction.claim_list import CLAIMS, NOTHING, Claim, Facts
from reproduction.findings import AGREES, CANNOT_SPEAK, FINDINGS, Finding, Run

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
        said: Sentences on the tables and on the run, with counts, and what it cannot speak to.
    """

    verdicts: pd.DataFrame
    numbers: pd.DataFrame
    said: list[str]


def check_claims(facts: Facts, rows: pd.DataFrame, **options: Any) -> Checked:
    """Put every claim beside the recomputed number, the run's number and the verdicts.

    Args:
        facts: From `load_facts`.
        rows: Tidy rows of a run, all its sections.
        **options: The other fields of `Run`: hook, sae_ids, ks, ranking and ties.
    """
    known, run = {name: fact for name, fact in facts.items() if fact is not None}, Run(rows, **options)
    verdicts, numbers, found = [], [], []
    for claim in CLAIMS:
        recomputed, holds = _from_facts(claim, known)
        finding = FINDINGS[claim.finding](run) if claim.finding else None
        found.append((claim, holds, finding))
        absent = NOTHING if recomputed == NOTHING else NOT_BUILT
        verdicts.append(
            {
                "claim": f"{claim.number}. {claim.words} ({claim.where})",
                "published tables": NUMBER_AGREES if claim.reading and holds else BORNE_OUT[holds],
                "this run": finding.verdict if finding else absent,
            }
        )
        numbers.append(
            {
                "claim": f"{claim.number}.",
                "paper": claim.stated,
                "recomputed": recomputed,
                "this run": finding.text if finding else absent,
                "to know": claim.caveat,
            }
        )
    return Checked(pd.DataFrame(verdicts), pd.DataFrame(numbers), _summary(found))


def _from_facts(claim: Claim, facts: Facts) -> tuple[str, bool | None]:
    try:
        return claim.check(facts)
    except KeyError:  # a fact that the tables do not give
        return NOT_AT_HAND, None


def _summary(found: list[tuple[Claim, bool | None, Finding | None]]) -> list[str]:
    borne = sum(holds is True and not claim.reading for claim, holds, _ in found)
    numbers = sum(holds is True and claim.reading for claim, holds, _ in found)
    against = sum(holds is False for _, holds, _ in found)
    asked = {claim.number: finding for claim, _, finding in found if finding}
    silent = {number: one for number, one in asked.items() if one.verdict == CANNOT_SPEAK}
    agree = sum(one.verdict == AGREES for one in asked.values())
    return [
        f"Of {plural(len(found), 'claim')} the published tables bear out {borne}, give the"
        f" number behind {numbers} whose point is a reading, and contradict {against}; the others"
        " need data that the tables do not hold.",
        f"This run speaks to {len(asked) - len(silent)} of them and agrees with {agree}; the"
        f" sections behind {len(found) - len(asked)} are not built yet.",
        *(
            f"To claim {number} this run cannot speak: {one.reason}."
            for number, one in silent.items()
        ),
    ]
