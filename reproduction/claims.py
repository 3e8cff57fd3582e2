"""The paper's claims, checked twice: against its own tables, and against a run of this book.

The claims stand in ``claims.yaml``. A check recomputes a claim's number from the facts and returns
it as text, and whether the tables bear the claim out (``None`` where they cannot tell).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from scipy import stats

from probing_core.analysis.effects import SIGNIFICANT
from probing_core.analysis.paired import signless_zero as auc
from probing_core.figures.words import plural, signed
from probing_core.probes.methods import METHODS
from reproduction.errata import PANELS, PRINTED_WIN_RATES
from reproduction.findings import AGREES, FINDINGS, Finding, Run, validated
from reproduction.upstream.layout import SHIFTED_EXAMPLES
from reproduction.upstream.reading import ARCHITECTURES

Facts = Mapping[str, Any]
Recomputed = tuple[str, bool | None]
NOTHING, NOT_BUILT = "nothing to compute", "section not built yet"
NOT_AT_HAND = "its tables are not at hand"
BORNE_OUT = {True: "bear it out", False: "do not bear it out", None: "cannot tell"}
NUMBER_AGREES = "give its number"
"""What the tables say to a claim whose point is a reading, which no number can bear out."""
CLAIMS: list[dict[str, Any]] = yaml.safe_load(
    Path(__file__).with_name("claims.yaml").read_text(encoding="utf-8")
)


@dataclass(frozen=True)
class Checked:
    """All claims, checked twice: text columns for two tables, and sentences with counts."""

    verdicts: pd.DataFrame
    numbers: pd.DataFrame
    tables: str
    run: str
    silent: str


def check_claims(facts: Facts, rows: pd.DataFrame, **options: Any) -> Checked:
    """Put every claim beside its recomputed number, and that of a run with the fields of `Run`."""
    known = {name: fact for name, fact in facts.items() if fact is not None}
    run = Run(rows, **options)
    verdicts, numbers = [], []
    found: dict[int, Finding] = {}
    for number, claim in enumerate(CLAIMS, start=1):
        recomputed, holds = _from_facts(claim["check"], known)
        borne = NUMBER_AGREES if claim.get("reading") and holds else BORNE_OUT[holds]
        verdict = text = NOTHING if recomputed == NOTHING else claim.get("shown", NOT_BUILT)
        if claim["check"] in FINDINGS:
            found[number] = FINDINGS[claim["check"]](run)
            verdict, text = found[number].verdict, found[number].text
        verdicts.append((f"{number}. {claim['words']} ({claim['where']})", borne, verdict))
        numbers.append((f"{number}.", claim["stated"], recomputed, text, claim.get("caveat", "")))
    return Checked(
        pd.DataFrame(verdicts, columns=["claim", "published tables", "this run"]),
        pd.DataFrame(numbers, columns=["claim", "paper", "recomputed", "this run", "to know"]),
        *_summary([row[1] for row in verdicts], [row[2] for row in verdicts], found),
    )


def _summary(tables: list[str], runs: list[str], found: dict[int, Finding]) -> tuple[str, str, str]:
    silent = {number: one.reason for number, one in found.items() if one.reason}
    reasons = (f"To claim {number} it cannot speak: {why}." for number, why in silent.items())
    return (
        f"Of {plural(len(tables), 'claim')} the published tables bear out"
        f" {tables.count(BORNE_OUT[True])}, give the number behind {tables.count(NUMBER_AGREES)}"
        f" whose point is a reading, and contradict {tables.count(BORNE_OUT[False])}; the others"
        " need data that the tables do not hold.",
        f"This run speaks to {len(found) - len(silent)} of them and agrees with"
        f" {runs.count(AGREES)}; the sections behind {runs.count(NOT_BUILT)} are not built yet.",
        " ".join(reasons) or "No claim asks for a deeper model or wider SAEs than it has.",
    )


def _from_facts(check: str, facts: Facts) -> Recomputed:
    try:
        return CHECKS[check](facts)
    except KeyError:  # a fact that the tables do not give
        return NOT_AT_HAND, None


def _one_probe(facts: Facts) -> Recomputed:
    means = {name.replace("_", " "): one["mean"] for name, one in facts["one_probe"].items()}
    text = ", ".join(f"{signed(mean)} {name}" for name, mean in means.items())
    return text, all(mean < 0 for mean in means.values())


def _quiver(facts: Facts) -> Recomputed:
    mean, se, picked = (facts["standard"][name] for name in ("mean_delta", "se", "n_sae_chosen"))
    text = f"{signed(mean, 4)} \u00b1 {se:.4f}, picked on {picked}"
    return text, round(mean, 3) == -0.003 and picked == 14


def _layers(facts: Facts) -> Recomputed:
    means = facts["layers"]["means"]["logreg"]
    top = max(means, key=means.get)
    counts = facts["layers"]["best"][top]
    best = max(counts, key=counts.get)
    label, wins = METHODS[best].label, counts[best]
    text = f"layer {top}, {label} best on {wins} of {sum(counts.values())} tasks"
    return text, top == "20" and best == "logreg"


def _latents(facts: Facts) -> Recomputed:
    by_k, slope = facts["latents"]["by_k"], facts["latents"]["per_doubling"]
    ends = [f"{auc(by_k[k])} with k = {k}" for k in sorted(by_k, key=int)]
    text = f"{ends[0]} to {ends[-1]}; {signed(slope, 4)} per doubling of the width"
    return text, by_k["512"] > by_k["1"] and abs(slope) < 0.005


def _values(facts: Facts) -> Recomputed:
    counts = {
        name: [len(one[key]) for key in ("gains", "corrected", "losses")]
        for name, one in facts["values"].items()
    }
    said = [
        f"{name}: {up} of {n} values gain, {down} lose" for name, (up, n, down) in counts.items()
    ]
    gains = [validated(name, one["gains"]) for name, one in facts["values"].items()]
    return "; ".join(said), not any(gains)


def _noise(facts: Facts) -> Recomputed:
    delta = facts["noise"]["delta"]
    early = [change for x, change in delta.items() if x != "0.5"]
    text = f"{signed(min(early))} to {signed(max(early))}, then {signed(delta['0.5'])} at 0.5"
    return text, max(early) < 0


def _shift(facts: Facts) -> Recomputed:
    base, sae = (facts["shift"]["average"][side] for side in ("baseline", "sae"))
    ahead = sae["n"] - facts["shift"]["n_sae_better"]
    text = f"{auc(base['mean'])} against {auc(sae['mean'])}, ahead on {ahead} of {sae['n']}"
    return text, sae["mean"] < base["mean"]


def _pruning(facts: Facts) -> Recomputed:
    changes = [facts["pruning"][task]["k1_minus_k8"] for task in SHIFTED_EXAMPLES]
    return ", ".join(map(signed, changes)), sum(change > 0 for change in changes) == 2


def _accuracies(facts: Facts) -> Recomputed:
    kinds = ("sae_1", "sae_128", "baseline")
    found = [facts["cola"]["runs"][f"2|{kind}"]["test_acc"] for kind in kinds]
    return " / ".join(map(auc, found)), found == sorted(found, reverse=True)


def _wins(facts: Facts) -> Recomputed:
    shares = [round(facts["tokens"][panel]["b_wins_pct"], 1) for panel in PANELS]
    return ", ".join(f"{share}%" for share in shares), shares == list(PRINTED_WIN_RATES)


def _architectures(facts: Facts) -> Recomputed:
    """Medians in the order of release rise no more than chance would let them."""
    known = facts["architectures"]
    medians = [known[n]["median"] for n in dict.fromkeys(ARCHITECTURES.values()) if n in known]
    p = stats.spearmanr(range(len(medians)), medians).pvalue
    return f"medians {signed(min(medians))} to {signed(max(medians))}", bool(p > SIGNIFICANT)


def _binarised(facts: Facts) -> Recomputed:
    binary, plain = (facts[key][PANELS[2]]["b_wins_pct"] for key in ("tokens_binarized", "tokens"))
    return f"{binary:.1f}% of tasks instead of {plain:.1f}%", binary < plain


def _llama(facts: Facts) -> Recomputed:
    said = []
    for name, one in facts["llama"].items():
        mean, low, high = (signed(one[end]) for end in ("mean", "low", "high"))
        said.append(f"{name.replace('_', ' ')} {mean} [{low}, {high}]")
    return "; ".join(said), all(one["low"] <= 0 for one in facts["llama"].values())


def _living_rooms(facts: Facts) -> Recomputed:
    english = facts["single_latents"]["66_living-room"]
    french = facts["pruning"]["66_living-room"]["ood_auc_llm"]["1"]
    return f"{auc(english)} and {auc(french)}", round(french, 2) == 0.64


def _single_latents(facts: Facts) -> Recomputed:
    obama, mean = (facts["single_latents"][name] for name in ("22_headline_isobama", "mean"))
    return f"{auc(obama)}; mean {auc(mean)}", round(obama, 3) == 0.782


def _mislabelled(facts: Facts) -> Recomputed:
    share = facts["cola"]["n_disagree"] / facts["cola"]["n"]
    return f"{share:.1%}", 0.2 < share < 0.3


def _punctuation(facts: Facts) -> Recomputed:
    found = facts["single_latents"]["110_aimade_humangpt3"]
    return auc(found), round(found, 2) == 0.82


CHECKS: dict[str, Callable[[Facts], Recomputed]] = {
    "one_probe": _one_probe, "quiver": _quiver, "layers": _layers, "latents": _latents,
    "values": _values, "noise": _noise, "shift": _shift, "pruning": _pruning,
    "french": _living_rooms, "single_latents": _single_latents, "mislabelled": _mislabelled,
    "accuracies": _accuracies, "punctuation": _punctuation, "wins": _wins,
    "architectures": _architectures, "binarised": _binarised, "llama": _llama,
    "caution": lambda facts: (NOTHING, None),
}  # fmt: skip
