"""Phrases that captions, alt texts and fine print share, built from statistics and rows."""

import pandas as pd

from probing_core.analysis.paired import MeanInterval, signless_zero

NO_INTERVAL = "no interval: one task"


def interval_name(*estimates: MeanInterval) -> str:
    """Name the interval that a figure draws; the weakest kind wins when kinds are mixed."""
    kinds = {estimate.interval for estimate in estimates}
    over = "task families" if all(one.families for one in estimates) else "tasks"
    if kinds == {"none"}:
        return NO_INTERVAL
    if "percentile" in kinds and "BCa" in kinds:
        return f"95% bootstrap intervals over {over} (BCa, percentile where undefined)"
    return (
        f"95% bootstrap ({'percentile' if 'percentile' in kinds else 'BCa'}) intervals over {over}"
    )


def tasks(count: int) -> str:
    """Write a number of tasks: ``1 task``, ``24 tasks``."""
    return plural(count, "task")


def plural(count: int, noun: str) -> str:
    """Write a count and its noun: ``1 SAE``, ``4 SAEs``."""
    return f"{count} {noun}" if count == 1 else f"{count:,} {noun}s"


def span(low: float, high: float) -> str:
    """Write a range of whole numbers, or one number when both ends agree."""
    return f"{int(low):,}" if int(low) == int(high) else f"{int(low):,} to {int(high):,}"


def above_below(estimate: MeanInterval, first: str, second: str) -> str:
    """State which of two means is larger, and whether the interval of the difference says so.

    Args:
        estimate: the mean of first minus second.
        first: name of the first.
        second: name of the second.

    Returns:
        One clause, e.g. ``SAE probes trail logistic regression by 0.020``.
    """
    size = signless_zero(abs(estimate.mean))
    if estimate.low == estimate.high == 0:
        return f"{first} and {second} do not differ"
    if estimate.low > 0:
        return f"{first} beats {second} by {size} on average"
    if estimate.high < 0:
        return f"{first} trails {second} by {size} on average"
    return f"{first} and {second} differ by {signless_zero(estimate.mean)}, which may be chance"


def signed(value: float, digits: int = 3) -> str:
    """Write a difference with its sign: ``+0.012``, ``\u22120.003``, ``0.000``."""
    text = signless_zero(value, digits)
    return f"+{text}" if value > 0 and float(text) != 0 else text


def model_limits(model: str) -> str:
    """Say what a model cannot show, for the fine print of a page.

    Args:
        model: model name of the profile.

    Returns:
        One to three sentences.
    """
    if "minilm" in model.lower():
        return (
            "MiniLM is a bidirectional sentence encoder, not a causal language model. Its last "
            "token is [SEP], the same in every prompt, so at the embedding the last position "
            "knows the prompt's length and nothing else. Results say little about large models."
        )
    return (
        f"The last token of {model} is the only position probed. One model is one case: another "
        "model may differ."
    )


def protocol_sentence(rows: pd.DataFrame) -> str:
    """Name the protocol, solver and seeds behind a set of rows.

    Args:
        rows: tidy result rows.

    Returns:
        One sentence, e.g. ``Protocol paper, solver fast, seed 42, model minilm.``
    """
    parts = [_listed(rows, column) for column in ("protocol", "solver", "seed", "model")]
    names = ("Protocol", "solver", "seed", "model")
    return ", ".join(f"{name} {part}" for name, part in zip(names, parts, strict=True)) + "."


def split_sentence(rows: pd.DataFrame) -> str:
    """Say how many prompts train and test a probe.

    Args:
        rows: tidy result rows with ``n_train`` and ``n_test``.

    Returns:
        One sentence.
    """
    if rows["n_train"].isna().all() or rows["n_test"].isna().all():
        return "How many prompts train and test a probe is not in these tables."
    ranges = []
    for column, noun in (("n_train", "training"), ("n_test", "test")):
        ranges.append(f"{span(rows[column].min(), rows[column].max())} {noun} prompts")
    return f"Per task, {ranges[0]} and {ranges[1]}."


def _listed(rows: pd.DataFrame, column: str) -> str:
    """List the distinct values of a column."""
    return " and ".join(str(value) for value in sorted(rows[column].dropna().unique())) or "unknown"
