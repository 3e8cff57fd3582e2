"""The paper's claims: its numbers, typed once with their place, and how to recompute them.

Places are those of arXiv 2502.16681, version 1. Recomputed numbers come from the facts of
`reproduction.facts`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from scipy import stats

from probing_core.analysis.paired import signless_zero
from probing_core.figures.words import signed
from reproduction.errata import PANELS
from reproduction.findings import SIGNIFICANT, validated
from probing_core.published.layout import SHIFTED_EXAMPLES
from probing_core.published.tidy import ARCHITECTURES

Facts = Mapping[str, Any]
NOTHING = "nothing to compute"


@dataclass(frozen=True)
class Claim:
    """One claim of the paper.

    Attributes:
        number: Place in the list.
        words: The claim in our words.
        where: Section, figure or table of the paper.
        stated: Its number in the paper.
        recomputed: Gives that number from the facts.
        holds: Tells from the facts whether the tables bear it out; ``None`` where they cannot.
        caveat: What to know beside the verdict.
        finding: Name in `FINDINGS` of what a run says to it; empty while no section does.
        reading: Whether the claim is a reading that a number alone cannot bear out.
    """

    number: int
    words: str
    where: str
    stated: str
    recomputed: Callable[[Facts], str]
    holds: Callable[[Facts], bool | None]
    caveat: str = ""
    finding: str = ""
    reading: bool = False


def _auc(value: float) -> str:
    return signless_zero(value)


def _five(facts: Facts) -> str:
    return ", ".join(
        f"{signed(one['mean'])} {name.replace('_', ' ')}"
        for name, one in facts["one_probe"].items()
    )


def _layers(facts: Facts) -> str:
    means, best = facts["layers"]["means"]["logreg"], facts["layers"]["best"]
    top = max(means, key=lambda layer: means[layer])
    counts = best[top]
    name = "logistic regression" if max(counts, key=counts.get) == "logreg" else "another method"
    return f"layer {top}, {name} best on {max(counts.values())} of {sum(counts.values())} tasks"


def _latents(facts: Facts) -> str:
    latents = facts["latents"]
    first, *_, last = latents["by_k"]
    return (
        f"{_auc(latents['by_k'][first])} with k = {first} to {_auc(latents['by_k'][last])} with "
        f"k = {last}; {signed(latents['per_doubling'], 4)} per doubling of the width"
    )


def _values(facts: Facts) -> str:
    return "; ".join(
        f"{name}: {len(one['gains'])} of {len(one['corrected'])} values gain, "
        f"{len(one['losses'])} lose"
        for name, one in facts["values"].items()
    )


def _noise(facts: Facts) -> str:
    delta = facts["noise"]["delta"]
    early = [change for x, change in delta.items() if float(x) < 0.5]
    return f"{signed(min(early))} to {signed(max(early))}, then {signed(delta['0.5'])} at 0.5"


def _shift(facts: Facts) -> str:
    average, worse = facts["shift"]["average"], 8 - facts["shift"]["n_sae_better"]
    return (
        f"{_auc(average['baseline']['mean'])} against {_auc(average['sae']['mean'])}, ahead on "
        f"{worse} of {average['sae']['n']}"
    )


def _pruning(facts: Facts) -> list[float]:
    return [facts["pruning"][task]["k1_minus_k8"] for task in SHIFTED_EXAMPLES]


def _accuracies(facts: Facts) -> list[float]:
    runs = facts["cola"]["runs"]
    return [runs[f"2|{kind}"]["test_acc"] for kind in ("sae_1", "sae_128", "baseline")]


def _wins(facts: Facts, name: str = "tokens") -> list[float]:
    return [facts[name][panel]["b_wins_pct"] for panel in PANELS]


def _medians(facts: Facts) -> str:
    medians = [one["median"] for one in facts["architectures"].values()]
    return f"medians {signed(min(medians))} to {signed(max(medians))}"


def _no_trend(facts: Facts) -> bool:
    """Whether medians in the order of release rise no more than chance would let them."""
    order = [
        name for name in dict.fromkeys(ARCHITECTURES.values()) if name in facts["architectures"]
    ]
    medians = [facts["architectures"][name]["median"] for name in order]
    return bool(stats.spearmanr(range(len(order)), medians).pvalue > SIGNIFICANT)


def _llama(facts: Facts) -> str:
    return "; ".join(
        f"{name.replace('_', ' ')} {signed(one['mean'])} [{signed(one['low'])}, "
        f"{signed(one['high'])}]"
        for name, one in facts["llama"].items()
    )


CLAIMS: tuple[Claim, ...] = (
    Claim(
        1, "One SAE probe trails logistic regression on average in every regime",
        "abstract, figure 1", "bars without numbers", _five,
        lambda f: all(one["mean"] < 0 for one in f["one_probe"].values()),
        finding="one_probe",
    ),
    Claim(
        2, "Adding SAE probes to the toolbox does not help under standard conditions",
        "section 3.1, figure 4", "\u22120.003 \u00b1 0.002, picked on 14 of 113",
        lambda f: (
            f"{signed(f['standard']['mean_delta'], 4)} \u00b1 {f['standard']['se']:.4f}, picked on "
            f"{f['standard']['n_sae_chosen']}"
        ),
        lambda f: (
            round(f["standard"]["mean_delta"], 3) == -0.003 and f["standard"]["n_sae_chosen"] == 14
        ),
        finding="quiver",
    ),
    Claim(
        3, "Baselines are best at layer 20, and logistic regression is most often the best",
        "section 3.1, appendix D.1", "no number", _layers,
        lambda f: (
            max(f["layers"]["means"]["logreg"], key=f["layers"]["means"]["logreg"].get) == "20"
            and max(f["layers"]["best"]["20"], key=f["layers"]["best"]["20"].get) == "logreg"
        ),
        finding="layers",
    ),
    Claim(
        4, "Higher L0 and more latents help, width hardly matters",
        "section 3.1, appendix D.2", "about \u22120.003 per doubling, R\u00b2 0.966", _latents,
        lambda f: (
            f["latents"]["by_k"]["512"] > f["latents"]["by_k"]["1"]
            and abs(f["latents"]["per_doubling"]) < 0.005
        ),
        "k and width, for the seven SAEs of largest L0; the other 27 are in no table", "latents",
    ),
    Claim(
        5, "SAE probes bring no gain at any training size or share of positives",
        "section 3.2, figure 6", "a figure", _values,
        lambda f: not any(validated(name, one["gains"]) for name, one in f["values"].items()),
        "but for two prompts, where there is nothing to validate on and ties decide", "values",
    ),
    Claim(
        6, "One SAE probe stays below logistic regression under label noise",
        "section 3.2, figure 6", "a figure", _noise,
        lambda f: all(x == "0.5" or change < 0 for x, change in f["noise"]["delta"].items()),
        "at 0.5 the labels say nothing", "noise",
    ),
    Claim(
        7, "Logistic regression generalises better under covariate shift",
        "section 3.3, figure 7", "a figure", _shift,
        lambda f: f["shift"]["average"]["sae"]["mean"] < f["shift"]["average"]["baseline"]["mean"],
        "eight tasks, one of which is no fair test; the two probes do not share a training set",
    ),
    Claim(
        8, "Pruning spurious latents helps a little on two of three shifted tasks",
        "section 4.1, figure 20", "+0.024, +0.052, +0.077",
        lambda f: ", ".join(signed(change) for change in _pruning(f)),
        lambda f: sum(change > 0 for change in _pruning(f)) == 2,
        "the text gives the third number the wrong sign, see the errata",
    ),
    Claim(
        9, "A latent can fail under the shift itself: living rooms, in English and in French",
        "section 4.1, table 5", "0.99 and 0.64",
        lambda f: (
            f"{_auc(f['single_latents']['66_living-room'])} and "
            f"{_auc(f['pruning']['66_living-room']['ood_auc_llm']['1'])}"
        ),
        lambda f: round(f["pruning"]["66_living-room"]["ood_auc_llm"]["1"], 2) == 0.64,
        "one latent of one task", reading=True,
    ),
    Claim(
        10, "Some of the best single latents are apt, others mislabelled or spurious",
        "section 4.2, table 6", "0.782 for 22_headline_isobama",
        lambda f: (
            f"{_auc(f['single_latents']['22_headline_isobama'])}; mean "
            f"{_auc(f['single_latents']['mean'])}"
        ),
        lambda f: round(f["single_latents"]["22_headline_isobama"], 3) == 0.782,
        "what a latent means is the authors' reading", reading=True,
    ),
    Claim(
        11, "CoLA is partly mislabelled, which an SAE latent and logistic regression both show",
        "section 4.3.1, table 7", "about 25%",
        lambda f: f"{f['cola']['n_disagree'] / f['cola']['n']:.1%}",
        lambda f: 0.2 < f["cola"]["n_disagree"] / f["cola"]["n"] < 0.3,
        "a little less than stated; that both probes show it needs activations", reading=True,
    ),
    Claim(
        12, "On mislabelled rows one latent beats the SAE probe, which beats logistic regression",
        "section 4.3.1, figure 9", "accuracies printed on bars",
        lambda f: " / ".join(_auc(value) for value in _accuracies(f)),
        lambda f: _accuracies(f) == sorted(_accuracies(f), reverse=True),
        "220 rows, one run",
    ),
    Claim(
        13, "Human or GPT-3 has a punctuation shortcut, visible with a latent and with a baseline",
        "section 4.3.2, tables 6 and 8", "0.82",
        lambda f: _auc(f["single_latents"]["110_aimade_humangpt3"]),
        lambda f: round(f["single_latents"]["110_aimade_humangpt3"], 2) == 0.82,
        "its tokens are in a pickled file, which is not opened", reading=True,
    ),
    Claim(
        14, "Pooled SAE probes look good only beside baselines that read the last token",
        "section 5, figure 11", "2.2%, 19.6%, 8.7% of tasks",
        lambda f: ", ".join(f"{share:.1f}%" for share in _wins(f)),
        lambda f: [round(share, 1) for share in _wins(f)] == [2.2, 19.6, 8.7],
    ),
    Claim(
        15, "Newer architectures show a slight upward trend that is not significant",
        "section 6, figures 12 and 21", "medians \u22120.032 to \u22120.017, read off figure 12",
        _medians, _no_trend, "four of the five tables of Gemma-2-2B's SAEs could not be had",
    ),
    Claim(
        16, "Binarised latents do not help",
        "appendix J, figure 22", "a figure",
        lambda f: (
            f"{_wins(f, 'tokens_binarized')[2]:.1f}% of tasks instead of {_wins(f)[2]:.1f}%"
        ),
        lambda f: _wins(f, "tokens_binarized")[2] < _wins(f)[2],
    ),
    Claim(
        17, "Llama-3.1-8B agrees",
        "appendix F, figures 18 and 19", "figures", _llama,
        lambda f: all(one["low"] <= 0 for one in f["llama"].values()),
        "in the regimes whose tables are at hand; figure 18b mixes layers, see the errata",
    ),
    Claim(
        18, "The claim is limited: one proxy task, and a better recipe for SAEs may exist",
        "section 7", "no number", lambda f: NOTHING, lambda f: None,
        "a caution, which this book shares",
    ),
)  # fmt: skip
