"""How well probes agree with given and clean labels, and how well they find where these differ."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.metrics import average_precision_score, precision_recall_curve
from statsmodels.stats.proportion import proportion_confint

from probing_core.analysis.paired import LEVEL, SEED
from probing_core.experiments.mislabelled import SUBSETS

ORIGINAL = "original"
"""The given labels themselves, beside the probes."""
BY = ["model", "labels", "method"]
_RESAMPLES = 199


def accuracies(scores: pd.DataFrame) -> pd.DataFrame:
    """Share of test rows whose label a probe gives, against three sets of labels (figure 9).

    Returns:
        Columns of `BY`, subset (one of `SUBSETS`), accuracy, n.
    """
    rows = []
    for names, part in scores.groupby(BY, sort=False):
        said = (part["chance"] > 0.5).astype(int)
        differ = part["given"].ne(part["clean"])
        right = (said.eq(part["given"]), said.eq(part["clean"]), said.eq(part["clean"])[differ])
        for subset, hits in zip(SUBSETS, right, strict=True):
            rows.append((*names, subset, hits.mean(), len(hits)))
    return pd.DataFrame(rows, columns=[*BY, "subset", "accuracy", "n"])


def with_originals(bars: pd.DataFrame) -> pd.DataFrame:
    """Put the given labels beside the probes, and Wilson's 95 % intervals (`low`, `high`).

    Given labels agree with themselves, with clean ones where the two do not differ, and nowhere
    else.
    """
    sizes = bars.pivot_table(index=["model", "labels"], columns="subset", values="n")
    known = []
    for (model, labels), n in sizes.iterrows():
        clean = 1 - n[SUBSETS[2]] / n[SUBSETS[1]]
        each = zip(SUBSETS, (1.0, clean, 0.0), strict=True)
        known += [(model, labels, ORIGINAL, subset, share, n[subset]) for subset, share in each]
    whole = pd.concat([pd.DataFrame(known, columns=bars.columns), bars], ignore_index=True)
    share, hits = whole["accuracy"], (whole["accuracy"] * whole["n"]).round()
    low, high = proportion_confint(hits, whole["n"], method="wilson")
    # at 0 and 1 the interval's end is the share but for rounding
    return whole.assign(low=np.minimum(low, share), high=np.maximum(high, share))


Names = tuple[str, str, str]
"""Model, source of labels, method."""


def suspicions(scores: pd.DataFrame) -> Iterator[tuple[Names, np.ndarray, np.ndarray]]:
    """How much each method suspects the given label of every row, and which are wrong.

    A probe suspects a label by the chance it gives the other one.

    Yields:
        Names, suspicion (m,), wrong (m,) bool.
    """
    for (model, labels, method), part in scores.groupby(BY, sort=False):
        given, chance = part["given"].to_numpy(int), part["chance"].to_numpy(float)
        wrong = given != part["clean"].to_numpy(int)
        other = np.where(given == 1, 1 - chance, chance)
        yield (model, labels, method), other, wrong


def finding(scores: pd.DataFrame) -> pd.DataFrame:
    """Average precision of finding wrong labels, with a 95 % bootstrap interval over rows.

    Wrong and right rows are drawn apart, so that their shares stay.

    Returns:
        Columns of `BY`, precision (average), low, high, base (share of wrong labels), n.
    """
    rows = []
    for names, suspicion, wrong in suspicions(scores):
        if min(wrong.sum(), (~wrong).sum()) < 2:
            continue
        ends = stats.bootstrap(
            (suspicion[wrong], suspicion[~wrong]), _average_precision, vectorized=False,
            n_resamples=_RESAMPLES, confidence_level=LEVEL, method="percentile",
            rng=np.random.default_rng(SEED),
        ).confidence_interval  # fmt: skip
        mean = average_precision_score(wrong, suspicion)
        rows.append((*names, mean, ends.low, ends.high, wrong.mean(), len(wrong)))
    return pd.DataFrame(rows, columns=[*BY, "precision", "low", "high", "base", "n"])


def _average_precision(wrong: np.ndarray, right: np.ndarray) -> float:
    labels = np.r_[np.ones(len(wrong)), np.zeros(len(right))]
    return float(average_precision_score(labels, np.r_[wrong, right]))


def confident(scores: pd.DataFrame, method: str = "logreg") -> pd.DataFrame:
    """The labels that confident learning calls wrong by the chances of a probe (arXiv 1911.00068).

    A label is wrong where the other one is likelier than it, and at least as likely as it is on
    average where it is given.

    Returns:
        Columns model, labels, flagged (rows), precision with Wilson's 95 % interval (low, high),
        recall.
    """
    rows = []
    here = scores[scores["method"] == method]
    for names, part in here.groupby(BY[:2], sort=False):
        given, chance = part["given"].to_numpy(int), part["chance"].to_numpy(float)
        wrong, other = given != part["clean"].to_numpy(int), np.where(given, 1 - chance, chance)
        usual = [np.mean((1 - chance)[given == 0]), np.mean(chance[given == 1])]
        told = (other > 0.5) & (other >= np.where(given == 1, *usual))
        hits, flagged = int((told & wrong).sum()), int(told.sum())
        low, high = proportion_confint(hits, max(flagged, 1), method="wilson")
        rows.append(
            (*names, flagged, hits / max(flagged, 1), low, high, hits / max(wrong.sum(), 1))
        )
    columns = ["model", "labels", "flagged", "precision", "low", "high", "recall"]
    return pd.DataFrame(rows, columns=columns)


def curves(scores: pd.DataFrame) -> Iterator[tuple[Names, np.ndarray, np.ndarray]]:
    """Precision and recall of the rows suspected most, for every method."""
    for names, suspicion, wrong in suspicions(scores):
        if wrong.any():
            precision, recall, _ = precision_recall_curve(wrong, suspicion)
            yield names, precision, recall


def accused(scores: pd.DataFrame, *, given: int = 1, n: int = 5) -> pd.DataFrame:
    """The distinct prompts with a given label that each probe believes least (table 7).

    Returns:
        Columns of `BY`, latent, prompt (hostile text), chance (of the given label), clean.
    """
    here = scores[scores["given"].eq(given)]
    here = here.assign(chance=here["chance"] if given else 1 - here["chance"])
    here = here.sort_values("chance", kind="stable")
    first = here.drop_duplicates([*BY, "prompt"])
    told = first.groupby(BY, sort=False).head(n).sort_values(BY, kind="stable")
    return told[[*BY, "latent", "prompt", "chance", "clean"]].reset_index(drop=True)
