"""Small corrections to the paper's text: what it says, and what its data say.

The larger ones are figures, see `reproduction.figures.errata`. Places are those of arXiv version 1.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from probing_core.analysis.paired import signless_zero

STATED_PRUNING = {"66_living-room": 0.024, "90_glue_qnli": 0.052, "7_hist_fig_ispolitician": 0.077}
"""Change in AUC by pruning to one latent, as section 4.1 states it."""
PRINTED_WIN_RATES = (2.2, 19.6, 8.7)
"""Percentages of tasks that SAE probes win, as section 5 prints them."""
PANELS = ("both_last", "baseline_last_vs_sae_max", "quiver_vs_quiver")
STATED_TASKS = 60
"""Tasks of section 5, as stated."""

LLAMA_OUTLIERS = (0.027, 0.010)
"""Largest gain of a task in figure 18b as drawn, and with the layer that the SAE reads (D.6.3)."""


def outlier_sentence(facts: Mapping[str, Any]) -> str:
    """Say how large the gains of figure 18b are with either layer.

    Args:
        facts: From `reproduction.facts.load_facts`.

    Returns:
        One or two sentences; without Llama's tables, from numbers noted when they were at hand.
    """
    layers, (drawn, own) = facts["llama_layers"], LLAMA_OUTLIERS
    source = " These two numbers were noted when the table was at hand; it is not imported here."
    if layers:
        drawn, own = (layers[layer]["max_delta"] for layer in ("8", "16"))
        source = ""
    return (
        f"The appendix remarks on tasks that gain from SAE probes, up to {signless_zero(drawn)}. "
        f"With baselines of layer 16 no task gains more than {signless_zero(own)}.{source}"
    )


def errata_table(facts: Mapping[str, Any]) -> pd.DataFrame:
    """List the small corrections.

    Args:
        facts: From `reproduction.facts.load_facts`.

    Returns:
        Text columns ``where``, ``says`` and ``data``.
    """
    rows = [
        ("section 3.2", "SAE probes are picked on up to 40 tasks", _picked(facts)),
        ("section 4.1", "the latent is 12274", "122774, as in table 5 and figure 8"),
        ("section 4.2", "refers to table 5", "the latents meant are in table 6"),
        ("section 4.3.1", "about 25% of CoLA labels are wrong", _mislabelled(facts)),
        ("appendix C", "the classifier on principal components is not regularised",
         "scikit-learn's default of the time, an L2 penalty with C = 1"),
        ("appendix C", "ten hyperparameter settings for every method",
         "at most ten for PCA and neighbours, fewer on few prompts, and one for the MLP"),
        ("appendix D.1, figure 13a", "bars around the mean of all methods",
         "they show how far the means of five methods differ, not how far tasks do"),
        ("appendix D.2", "refers to figure 22", "figure 14 is meant"),
        ("appendix D.2, figure 15", "the caption names width 131k with L0 193",
         "that L0 belongs to the SAE of width 1m, which is drawn"),
        ("section 3.3, 90_glue_qnli", "the shifted test set is one of eight",
         "its prompts lack the question, and some occur with both labels"),
        ("table 9", "pooled columns of activations",
         "the pooled columns are SAE probes; no probe on pooled activations is shown"),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["where", "says", "data"])


def _picked(facts: Mapping[str, Any]) -> str:
    """On how many tasks figure 17 has an SAE probe picked."""
    spans = []
    for name, one in facts["values"].items():
        counts = [int(count) for count in one["picked"].values()]
        spans.append(f"{min(counts)} to {max(counts)} under {name}")
    return f"figure 17 shows {' and '.join(spans)}"


def _mislabelled(facts: Mapping[str, Any]) -> str:
    cola = facts["cola"]
    return f"{cola['n_disagree'] / cola['n']:.1%} differ from the judges' majority"
