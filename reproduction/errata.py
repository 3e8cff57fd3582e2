"""Corrections to the paper's text: what it says, and what its data say.

Those that need a picture are drawn in `reproduction.figures`; those that need no number stand in
``errata.csv``. Places are those of arXiv version 1.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from probing_core.analysis.paired import signless_zero
from probing_core.datasets.regimes import REGIMES
from probing_core.figures.words import plural, signed, tasks
from probing_core.probes.mlp import DECAYS, LAYERS, RATES, drawn_settings

STATED_PRUNING = {"66_living-room": 0.024, "90_glue_qnli": 0.052, "7_hist_fig_ispolitician": 0.077}
"""Change in AUC by pruning to one latent, as section 4.1 states it."""
STATED_TASKS, PRINTED_WIN_RATES = 60, (2.2, 19.6, 8.7)
"""Tasks of section 5, and percentages of them that SAE probes win, as printed."""
PANELS = ("both_last", "baseline_last_vs_sae_max", "quiver_vs_quiver")
LLAMA_OUTLIERS = (0.027, 0.010)
"""Largest gain of a task in figure 18b as drawn, and with the layer that the SAE reads (D.6.3)."""

Facts = Mapping[str, Any]


def sentences(facts: Facts) -> dict[str, str]:
    """The errata that a sentence or two settle, by name."""
    return {
        "layers": _outliers(facts["llama_layers"]),
        "not_ood": _not_ood(facts["not_ood"]),
        "public": _public(facts["not_ood"], facts["shift_small"]),
        "pruning": _pruning(facts["pruning"]),
        "count": _count(facts["tokens"]),
        "mlp": _mlp(),
        "gap": _gaps(facts["one_probe"]),
    }


def _outliers(layers: Facts | None) -> str:
    drawn, own = (layers[n]["max_delta"] for n in ("8", "16")) if layers else LLAMA_OUTLIERS
    noted = " Both numbers were noted when the table was at hand; it is not imported here."
    return (
        f"The appendix remarks on tasks that gain from SAE probes, up to {signless_zero(drawn)}. "
        f"With baselines of layer 16 no task gains more than {signless_zero(own)}."
    ) + ("" if layers else noted)


def _not_ood(found: Facts) -> str:
    table = pd.DataFrame(found["by_task"]).T
    lower = int((table["shifted"] < table["standard"]).sum())
    return (
        f"All {found['rows']} rows of the table named OOD equal the standard runs, up to "
        f"{found['largest_difference']:.1e}: mean AUC {signless_zero(table['standard'].mean())}. "
        f"On shifted prompts it is {signless_zero(table['shifted'].mean())}, lower on {lower} of "
        f"{tasks(len(table))}."
    )


def _public(found: Facts, small: Facts) -> str:
    """What comes of the table when it is read as shifted data, and what at equal conditions."""
    table = pd.DataFrame(found["by_task"]).T
    taken, real = (table[side] - table["logreg"] for side in ("best", "shifted"))
    n = tasks(len(table))
    return (
        "Beside logistic regression on shifted prompts, this table's SAE probe with the best test "
        f"AUC of a task is ahead on {int((taken > 0).sum())} of {n} (mean difference "
        f"{signed(taken.mean())}). With both sides on shifted prompts, figure 7's SAE probe is "
        f"ahead on {int((real > 0).sum())} of {n} ({signed(real.mean())}). In the real table of "
        f"Gemma-2-2B, {small['probes']} SAE probes are ahead in {small['ahead']:.0%} of "
        f"comparisons ({signed(small['mean'])}); picked by validation AUC, on "
        f"{small['picked_ahead']} of {tasks(small['n'])} ({signed(small['picked'])})."
    )


def _pruning(found: Facts) -> str:
    each, wrong = [], 0
    for task, stated in STATED_PRUNING.items():
        measured = found[task]["k1_minus_k8"]
        wrong += np.sign(stated) != np.sign(measured)
        each.append(f"{task} {signed(stated)} stated, {signed(measured)} in the table")
    return f"The sign differs on {wrong} of {tasks(len(each))}: {'; '.join(each)}."


def _count(tokens: Facts) -> str:
    n, rates = tokens[PANELS[0]]["n"], len(PRINTED_WIN_RATES)
    wins = ", ".join(str(tokens[panel]["b_wins_n"]) for panel in PANELS)
    only = [number for number in range(40, 66) if fits(number) == rates]
    return (
        f"Of the {rates} printed rates {fits(STATED_TASKS)} fit {tasks(STATED_TASKS)} and {fits(n)}"
        f" fit {n} ({wins} wins). From 40 to 65 tasks all fit {' and '.join(map(str, only))} only."
    )


def fits(n: int) -> int:
    """How many of the printed percentages are those of some count out of ``n``."""
    return sum(round(100 * round(one * n / 100) / n, 1) == one for one in PRINTED_WIN_RATES)


def _mlp() -> str:
    drawn, space = drawn_settings(42), len(LAYERS) * len(RATES) * len(DECAYS)
    return (
        f"Of {plural(space, 'configuration')} the text says 10 are tried per task; the code uses "
        f"one: hidden layers {' × '.join(map(str, drawn['hidden_layer_sizes']))}, learning rate "
        f"{signless_zero(drawn['learning_rate_init'], 4)}, weight decay {drawn['alpha']:g}."
    )


def _gaps(found: Facts) -> str:
    said = [f"{signed(one['mean'])} under {REGIMES[name].under}" for name, one in found.items()]
    return f"One SAE probe trails logistic regression in every regime: {', '.join(said)}."


def errata_table(facts: Facts) -> pd.DataFrame:
    """The small corrections, in text columns ``where``, ``says`` and ``data``."""
    spans = []
    for name, one in facts["values"].items():
        counts = [int(count) for count in one["picked"].values()]
        spans.append(f"{min(counts)} to {max(counts)} under {name}")
    wrong = facts["cola"]["n_disagree"] / facts["cola"]["n"]
    found = {"picked": " and ".join(spans), "mislabelled": f"{wrong:.1%}"}
    table = pd.read_csv(Path(__file__).with_name("errata.csv"))
    return table.assign(data=[text.format(**found) for text in table["data"]])
