"""The paper's claims: its numbers, typed once with their place, and how to recompute them.

Places are those of arXiv 2502.16681, version 1. Recomputed numbers come from the facts of
`reproduction.facts`: every check returns them as text, and whether the tables bear the claim out
(``None`` where they cannot tell).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from scipy import stats

from probing_core.analysis.effects import SIGNIFICANT
from probing_core.analysis.paired import signless_zero as auc
from probing_core.figures.words import signed
from probing_core.published.layout import SHIFTED_EXAMPLES
from probing_core.published.reading import ARCHITECTURES
from reproduction.errata import PANELS, PRINTED_WIN_RATES
from reproduction.findings import validated

Facts = Mapping[str, Any]
Recomputed = tuple[str, bool | None]
NOTHING = "nothing to compute"


@dataclass(frozen=True)
class Claim:
    """One claim of the paper.

    Attributes:
        number: Place in the list.
        words: The claim in our words.
        where: Section, figure or table of the paper.
        stated: Its number in the paper.
        check: Recomputes that number from the facts, and tells whether they bear the claim out.
        caveat: What to know beside the verdict.
        finding: Name in `FINDINGS` of what a run says to it; empty while no section does.
        reading: Whether the claim is a reading that a number alone cannot bear out.
    """

    number: int
    words: str
    where: str
    stated: str
    check: Callable[[Facts], Recomputed]
    caveat: str = ""
    finding: str = ""
    reading: bool = False


def _one_probe(facts: Facts) -> Recomputed:
    means = {name.replace("_", " "): one["mean"] for name, one in facts["one_probe"].items()}
    text = ", ".join(f"{signed(mean)} {name}" for name, mean in means.items())
    return text, all(mean < 0 for mean in means.values())


def _quiver(facts: Facts) -> Recomputed:
    mean, se, picked = (facts["standard"][name] for name in ("mean_delta", "se", "n_sae_chosen"))
    text = f"{signed(mean, 4)} \u00b1 {se:.4f}, picked on {picked}"
    return text, round(mean, 3) == -0.003 and picked == 14


def _layers(facts: Facts) -> Recomputed:
    means, best = facts["layers"]["means"]["logreg"], facts["layers"]["best"]
    top = max(means, key=means.get)
    counts = best[top]
    first = max(counts, key=counts.get) == "logreg"
    name = "logistic regression" if first else "another method"
    text = f"layer {top}, {name} best on {max(counts.values())} of {sum(counts.values())} tasks"
    return text, top == "20" and first


def _latents(facts: Facts) -> Recomputed:
    by_k, slope = facts["latents"]["by_k"], facts["latents"]["per_doubling"]
    ends = [f"{auc(by_k[k])} with k = {k}" for k in (next(iter(by_k)), next(reversed(by_k)))]
    text = f"{' to '.join(ends)}; {signed(slope, 4)} per doubling of the width"
    return text, by_k["512"] > by_k["1"] and abs(slope) < 0.005


def _values(facts: Facts) -> Recomputed:
    text = "; ".join(
        f"{name}: {len(one['gains'])} of {len(one['corrected'])} values gain, "
        f"{len(one['losses'])} lose"
        for name, one in facts["values"].items()
    )
    return text, not any(validated(name, one["gains"]) for name, one in facts["values"].items())


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


def _french(facts: Facts) -> Recomputed:
    english = facts["single_latents"]["66_living-room"]
    french = facts["pruning"]["66_living-room"]["ood_auc_llm"]["1"]
    return f"{auc(english)} and {auc(french)}", round(french, 2) == 0.64


def _single_latents(facts: Facts) -> Recomputed:
    obama, mean = (facts["single_latents"][name] for name in ("22_headline_isobama", "mean"))
    return f"{auc(obama)}; mean {auc(mean)}", round(obama, 3) == 0.782


def _mislabelled(facts: Facts) -> Recomputed:
    share = facts["cola"]["n_disagree"] / facts["cola"]["n"]
    return f"{share:.1%}", 0.2 < share < 0.3


def _accuracies(facts: Facts) -> Recomputed:
    runs = facts["cola"]["runs"]
    found = [runs[f"2|{kind}"]["test_acc"] for kind in ("sae_1", "sae_128", "baseline")]
    return " / ".join(map(auc, found)), found == sorted(found, reverse=True)


def _punctuation(facts: Facts) -> Recomputed:
    found = facts["single_latents"]["110_aimade_humangpt3"]
    return auc(found), round(found, 2) == 0.82


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
    binary, plain = (facts[name][PANELS[2]]["b_wins_pct"] for name in ("tokens_binarized", "tokens"))
    return f"{binary:.1f}% of tasks instead of {plain:.1f}%", binary < plain


def _llama(facts: Facts) -> Recomputed:
    text = "; ".join(
        f"{name.replace('_', ' ')} {signed(one['mean'])} [{signed(one['low'])}, "
        f"{signed(one['high'])}]"
        for name, one in facts["llama"].items()
    )
    return text, all(one["low"] <= 0 for one in facts["llama"].values())


CLAIMS: tuple[Claim, ...] = (
    Claim(
        1, "One SAE probe trails logistic regression on average in every regime",
        "abstract, figure 1", "bars without numbers", _one_probe, finding="one_probe",
    ),
    Claim(
        2, "Adding SAE probes to the toolbox does not help under standard conditions",
        "section 3.1, figure 4", "\u22120.003 \u00b1 0.002, picked on 14 of 113", _quiver,
        finding="quiver",
    ),
    Claim(
        3, "Baselines are best at layer 20, and logistic regression is most often the best",
        "section 3.1, appendix D.1", "no number", _layers, finding="layers",
    ),
    Claim(
        4, "Higher L0 and more latents help, width hardly matters",
        "section 3.1, appendix D.2", "about \u22120.003 per doubling, R\u00b2 0.966", _latents,
        "k and width, for the seven SAEs of largest L0; the other 27 are in no table", "latents",
    ),
    Claim(
        5, "SAE probes bring no gain at any training size or share of positives",
        "section 3.2, figure 6", "a figure", _values,
        "but for two prompts, where there is nothing to validate on and ties decide", "values",
    ),
    Claim(
        6, "One SAE probe stays below logistic regression under label noise",
        "section 3.2, figure 6", "a figure", _noise, "at 0.5 the labels say nothing", "noise",
    ),
    Claim(
        7, "Logistic regression generalises better under covariate shift",
        "section 3.3, figure 7", "a figure", _shift,
        "eight tasks, one of which is no fair test; the two probes do not share a training set",
    ),
    Claim(
        8, "Pruning spurious latents helps a little on two of three shifted tasks",
        "section 4.1, figure 20", "+0.024, +0.052, +0.077", _pruning,
        "the text gives the third number the wrong sign, see the errata",
    ),
    Claim(
        9, "A latent can fail under the shift itself: living rooms, in English and in French",
        "section 4.1, table 5", "0.99 and 0.64", _french, "one latent of one task", reading=True,
    ),
    Claim(
        10, "Some of the best single latents are apt, others mislabelled or spurious",
        "section 4.2, table 6", "0.782 for 22_headline_isobama", _single_latents,
        "what a latent means is the authors' reading", reading=True,
    ),
    Claim(
        11, "CoLA is partly mislabelled, which an SAE latent and logistic regression both show",
        "section 4.3.1, table 7", "about 25%", _mislabelled,
        "a little less than stated; that both probes show it needs activations", reading=True,
    ),
    Claim(
        12, "On mislabelled rows one latent beats the SAE probe, which beats logistic regression",
        "section 4.3.1, figure 9", "accuracies printed on bars", _accuracies, "220 rows, one run",
    ),
    Claim(
        13, "Human or GPT-3 has a punctuation shortcut, visible with a latent and with a baseline",
        "section 4.3.2, tables 6 and 8", "0.82", _punctuation,
        "its tokens are in a pickled file, which is not opened", reading=True,
    ),
    Claim(
        14, "Pooled SAE probes look good only beside baselines that read the last token",
        "section 5, figure 11", "2.2%, 19.6%, 8.7% of tasks", _wins,
    ),
    Claim(
        15, "Newer architectures show a slight upward trend that is not significant",
        "section 6, figures 12 and 21", "medians \u22120.032 to \u22120.017, read off figure 12",
        _architectures, "four of the five tables of Gemma-2-2B's SAEs could not be had",
    ),
    Claim(16, "Binarised latents do not help", "appendix J, figure 22", "a figure", _binarised),
    Claim(
        17, "Llama-3.1-8B agrees", "appendix F, figures 18 and 19", "figures", _llama,
        "in the regimes whose tables are at hand; figure 18b mixes layers, see the errata",
    ),
    Claim(
        18, "The claim is limited: one proxy task, and a better recipe for SAEs may exist",
        "section 7", "no number", lambda facts: (NOTHING, None),
        "a caution, which this book shares",
    ),
)  # fmt: skip
