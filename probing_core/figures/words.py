"""Phrases that captions, alt texts and fine print share, built from statistics and rows."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from probing_core.analysis.comparison import NOT_COMPARED
from probing_core.analysis.effects import SIGNIFICANT, effects, overall
from probing_core.analysis.paired import MARGIN, Effect, MeanInterval, signless_zero
from probing_core.analysis.quiver import arrows
from probing_core.analysis.replication import RankAgreement
from probing_core.datasets.regimes import REGIMES
from probing_core.published.paper import PaperDifference, paper_differences


def interval_name(*estimates: MeanInterval) -> str:
    """Name the interval that a figure draws."""
    kinds = {estimate.interval for estimate in estimates} - {"none"}
    if not kinds:
        return "no interval: one task"
    kind = "BCa, percentile where undefined" if len(kinds) > 1 else next(iter(kinds))
    return f"95% bootstrap ({kind}) intervals over task families"


def plural(count: int, noun: str) -> str:
    """Write a count and its noun: ``1 SAE``, ``4 SAEs``."""
    return f"{count} {noun}" if count == 1 else f"{count:,} {noun}s"


def tasks(count: int) -> str:
    """Write a number of tasks: ``1 task``, ``24 tasks``."""
    return plural(count, "task")


def span(low: float, high: float) -> str:
    """Write a range of whole numbers, or one number when both ends agree."""
    return f"{int(low):,}" if int(low) == int(high) else f"{int(low):,} to {int(high):,}"


def starting(text: str) -> str:
    """Upper-case the first letter only: ``MLP`` stays as it is."""
    return text[:1].upper() + text[1:]


def signed(value: float, digits: int = 3) -> str:
    """Write a difference with its sign: ``+0.012``, ``\u22120.003``, ``0.000``."""
    text = signless_zero(value, digits)
    return f"+{text}" if value > 0 and float(text) != 0 else text


def above_below(estimate: MeanInterval, first: str, second: str) -> str:
    """State which of two means is larger, and whether the interval of first minus second says so.

    One clause, e.g. ``the SAE probe trails logistic regression by 0.020 on average``.
    """
    size = signless_zero(abs(estimate.mean))
    if estimate.low == estimate.high == 0:
        return f"{first} and {second} do not differ"
    if estimate.low > 0:
        return f"{first} beats {second} by {size} on average"
    if estimate.high < 0:
        return f"{first} trails {second} by {size} on average"
    return f"{first} and {second} differ by {signless_zero(estimate.mean)}, which may be chance"


def rank_text(one: RankAgreement) -> str:
    """Write a rank correlation, its interval and the number it rests on."""
    if not np.isfinite(one.rho):
        return f"\u03c1 undefined, n = {one.n}"
    ends = f" [{signless_zero(one.low, 2)}, {signless_zero(one.high, 2)}]"
    return f"\u03c1 = {signless_zero(one.rho, 2)}{'' if np.isnan(one.low) else ends}, n = {one.n}"


def better_worse(change: Effect) -> str:
    """Count tasks, e.g. ``better on 2, worse on 64, equal within 0.005 on 47 of 113 tasks``."""
    return (
        f"better on {change.better}, worse on {change.worse}, equal within {MARGIN} on "
        f"{change.equal} of {tasks(change.difference.n)}"
    )


def of_the_paper(regime: str) -> PaperDifference | None:
    """The paper's difference in a regime, recomputed as this run's is, if it has that regime."""
    return paper_differences().get(regime)


def paper_sentence(name: str) -> str:
    """Say what the paper's tables give in a regime; empty where they have none."""
    if not (paper := of_the_paper(name)):
        return ""
    return (
        f"Under {REGIMES[name].under}, {' minus '.join(REGIMES[name].sides)}: "
        f"{signless_zero(paper.mean)} [{signless_zero(paper.low)}, {signless_zero(paper.high)}] "
        f"over {tasks(paper.n_tasks)}."
    )


def regime_sentence(name: str, frame: pd.DataFrame | None) -> str:
    """State a regime's finding: mean difference, interval, counts, picks, tests."""
    regime = REGIMES[name]
    if frame is None or frame.empty:
        return f"{starting(regime.label)} is {NOT_COMPARED}: no SAE probe stands beside a baseline."
    total = overall(frame)
    mean = total.difference
    ends = f" (95% interval {signless_zero(mean.low)} to {signless_zero(mean.high)})"
    picked = "of picks are SAE probes" if regime.quiver else "of settings have the SAE probe ahead"
    said = (
        f"Under {regime.under} {above_below(mean, *regime.sides)}"
        f"{ends if mean.interval != 'none' else ''}: {better_worse(total)}; "
        f"{total.picked_sae:.0%} {picked}."
    )
    if not regime.axis:
        return said
    values = effects(frame)
    apart = [one.difference.mean > 0 for one in values if one.p_holm < SIGNIFICANT]
    favour = f", {sum(apart)} in favour of SAE probes" if apart else ""
    return (
        f"{said} After Holm's correction {len(apart) or 'none'} of {plural(len(values), 'value')} "
        f"differ from zero{favour}."
    )


def seed_sentence(frames: Mapping[str, pd.DataFrame]) -> str:
    """Set how far the mean moves with the split beside how far tasks differ."""
    totals = {REGIMES[name].label: overall(frame) for name, frame in frames.items()}
    seeds = max((one.n_seeds for one in totals.values()), default=1)
    if seeds == 1:
        return "One split seed was run, so how far another split would move it is not known."
    said = "; ".join(
        f"{label} {signless_zero(one.seed_spread, 4)} over seeds and "
        f"{signless_zero(one.task_spread, 4)} over tasks"
        for label, one in totals.items()
    )
    return (
        f"Over {seeds} split seeds the thin lines show how far it moves with the split. Standard "
        f"deviations: {said}."
    )


def short_name(model: str) -> str:
    """A model's name without its owner."""
    return model.rsplit("/", 1)[-1]


def short_tag(dataset: str, letters: int) -> str:
    """Write a dataset tag with spaces, cut to a number of letters."""
    title = dataset.replace("_", " ")
    return title if len(title) <= letters else f"{title[: letters - 1].rstrip()}\u2026"


def model_limits(model: str) -> str:
    """Say what a model cannot show, for the fine print of a page."""
    if "minilm" in model.lower():
        return (
            "MiniLM is a bidirectional sentence encoder, not a causal language model. Its last "
            "token is [SEP], the same in every prompt, so at the embedding the last position "
            "knows the prompt's length and nothing else. Results say little about large models."
        )
    if "smollm2" in model.lower():
        return (
            "SmolLM2 is a causal language model, as the paper's are, but a small one: 135 million "
            "parameters, instruction-tuned, its weights rounded to four bits when it was packed. "
            "Results say little about large models."
        )
    return "One model is one case: another model may differ."


def protocol_sentence(rows: pd.DataFrame) -> str:
    """Name what rows come from: ``Protocol paper, solver fast, seed 42, model minilm.``."""
    said = []
    for column in ("protocol", "solver", "seed", "model"):
        values = sorted(rows[column].dropna().unique())
        said.append(f"{column} {' and '.join(map(str, values)) or 'unknown'}")
    return starting(", ".join(said)) + "."


def arrows_sentence(rows: pd.DataFrame, **options: Any) -> str:
    """Name the SAE probes that compete in the quiver, with its options."""
    found = arrows(rows, **options)
    found = found[found["is_sae"]]
    if found.empty:
        return "No SAE probe competes in the quiver."
    ks = " and ".join(f"{k}" for k in sorted(found["k"].unique()))
    return (
        f"In the quiver compete SAE probes with k = {ks} of {', '.join(found['sae_id'].unique())}."
    )


def split_sentence(rows: pd.DataFrame) -> str:
    """Say how many prompts train and test a probe."""
    if rows["n_train"].isna().all() or rows["n_test"].isna().all():
        return "How many prompts train and test a probe is not in these tables."
    train, test = (span(rows[name].min(), rows[name].max()) for name in ("n_train", "n_test"))
    return f"Per task, {train} training prompts and {test} test prompts."
