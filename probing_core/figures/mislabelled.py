"""Section 06: probes and wrong labels (figure 9 and table 7 of the paper)."""

import pandas as pd

from probing_core.analysis.mislabelled import (
    ORIGINAL,
    accused,
    confident,
    curves,
    finding,
    with_originals,
)
from probing_core.experiments.mislabelled import SUBSETS
from probing_core.figures import marks, style
from probing_core.figures.style import (
    BASELINE,
    INK,
    L0_COLOURS,
    MUTED,
    SAE,
    Drawing,
    needed,
    styled,
)
from probing_core.figures.words import short_name

LOOKS = {
    ORIGINAL: ("the given labels", "white"),
    "logreg": ("logistic regression", BASELINE),
    "sae_128": ("SAE probe, k = 128", SAE),
    "sae_1": ("one latent", L0_COLOURS(0.0)),
}
"""Words and colour of every method here."""


@styled
def plot_accuracies(bars: pd.DataFrame) -> Drawing:
    """Draw how often probes give each set of labels, a panel a model (figure 9).

    Args:
        bars: From `analysis.mislabelled.accuracies`, of one source of labels.
    """
    whole = with_originals(needed(bars, "probes tested on given and clean labels"))
    models = list(dict.fromkeys(whole["model"]))
    methods = [name for name in LOOKS if name in set(whole["method"])]
    figure, grid = style.new_panels(len(models), 1, height=2.5 * len(models) + 0.5, squeeze=False)
    for axes, model in zip(grid[:, 0], models, strict=True):
        here = whole[whole["model"] == model].set_index(["method", "subset"])
        for step, method in enumerate(methods):
            part = here.loc[method].reindex(SUBSETS)
            places = [group + 0.2 * (step - (len(methods) - 1) / 2) for group in range(3)]
            ends = [part["accuracy"] - part["low"], part["high"] - part["accuracy"]]
            label, colour = LOOKS[method]
            axes.bar(places, part["accuracy"], width=0.19, color=colour, ec=INK, lw=0.6,
                     hatch="///" if method == ORIGINAL else None, label=label)  # fmt: skip
            axes.errorbar(places, part["accuracy"], ends, color=INK, ls="none", lw=1, capsize=2)
            for x, top, value in zip(places, part["high"], part["accuracy"], strict=True):
                axes.annotate(f"{value:.2f}", (x, top), (0, 2), textcoords="offset points",
                              ha="center", fontsize=8)  # fmt: skip
        axes.axhline(0.5, color=MUTED, lw=0.8, ls=marks.DASHED)
        sizes = here.loc[methods[0]].reindex(SUBSETS)["n"]
        named = [f"{name}\n({n:g} prompts)" for name, n in zip(SUBSETS, sizes, strict=True)]
        axes.set_xticks(range(3), named)
        axes.set(ylim=(0, 1.12), ylabel="accuracy")
        axes.set_title(short_name(model), loc="left")
    handles = grid[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper right", ncols=len(methods))
    caption = (
        "Accuracy of probes trained on the given labels, tested against these, against clean ones, "
        "and against clean ones where the two disagree; Wilson's 95% intervals over prompts. "
        "Dashed: chance."
    )
    return Drawing(figure, caption, accuracy_sentence(bars))


def accuracy_sentence(bars: pd.DataFrame) -> str:
    """State the accuracies where labels disagree, for every model."""
    said = []
    for model, part in bars[bars["subset"] == SUBSETS[2]].groupby("model", sort=False):
        each = ", ".join(f"{LOOKS[m][0]} {a:.2f}" for m, a in zip(part["method"], part["accuracy"],
                                                                 strict=True))  # fmt: skip
        clean = bars[(bars["model"] == model) & (bars["subset"] == SUBSETS[1])]["accuracy"]
        known = f"at best {clean.max():.2f} against all clean labels"
        said.append(f"{short_name(str(model))}: {each} ({known})")
    text = "; ".join(said) or "nothing was tested"
    return f"Accuracy against clean labels where the given ones differ, by model. {text}."


@styled
def plot_finding(*scores: pd.DataFrame) -> Drawing:
    """Draw precision over recall of finding wrong labels, a panel a model and source of labels.

    Args:
        *scores: From `experiments.mislabelled.scores`.
    """
    held = [part for part in scores if len(part)]
    whole = pd.concat(needed(held, "probes on mislabelled prompts"), ignore_index=True)
    found = needed(finding(whole), "wrong labels")
    pairs = list(dict.fromkeys(zip(found["model"], found["labels"], strict=True)))
    lines = -(-len(pairs) // 2)
    figure, grid = style.new_panels(
        lines, min(2, len(pairs)), height=3.4 * lines, sharey=True, squeeze=False
    )
    for axes in grid.flat[len(pairs) :]:
        axes.set_axis_off()
    panels = dict(zip(pairs, grid.flat, strict=False))
    known = found.set_index(["model", "labels", "method"])
    for names, precision, recall in curves(whole):
        one, (label, colour) = known.loc[names], LOOKS[names[2]]
        text = f"{label} {one['precision']:.2f} [{one['low']:.2f}, {one['high']:.2f}]"
        panels[names[:2]].plot(recall, precision, color=colour, lw=1.6, label=text)
    for one in confident(whole).itertuples():
        ends = f"{one.precision:.2f} [{one.low:.2f}, {one.high:.2f}]"
        panels[one.model, one.labels].plot(
            one.recall, one.precision, "X", color=INK, mec="white", ms=9, zorder=4,
            label=f"confident learning, {one.flagged} flagged: {ends}",
        )  # fmt: skip
    for (model, labels), axes in panels.items():
        base = found[(found["model"] == model) & (found["labels"] == labels)]["base"].iloc[0]
        axes.axhline(base, color=MUTED, lw=1, ls=(0, (1, 1.5)), label=f"by chance {base:.2f}")
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall of wrong labels")
        axes.set_title(f"{short_name(model)}, {labels}", loc="left")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), fontsize=8.5)
    for axes in grid[:, 0]:
        axes.set_ylabel("precision")
    caption = (
        "Precision over recall when the prompts whose given label a probe believes least are "
        "called wrong. Below: average precision with 95% bootstrap intervals over prompts; of what "
        "confident learning flags, precision with Wilson's."
    )
    return Drawing(figure, caption, finding_sentence(found))


def finding_sentence(found: pd.DataFrame) -> str:
    """State the best method and chance, for every model and source of labels."""
    said = []
    for (model, labels), part in found.groupby(["model", "labels"], sort=False):
        best = part.loc[part["precision"].idxmax()]
        said.append(
            f"{short_name(str(model))}, {labels}: {LOOKS[best['method']][0]} with "
            f"{best['precision']:.2f} [{best['low']:.2f}, {best['high']:.2f}], by chance "
            f"{best['base']:.2f}"
        )
    return f"Average precision of the best method. {'; '.join(said)}."


def accused_cells(scores: pd.DataFrame) -> pd.DataFrame:
    """Lay out table 7: prompts labelled 1 that each probe believes least; text is hostile."""
    told = accused(scores)
    return pd.DataFrame(
        {
            "model": told["model"].map(short_name),
            "probe": [
                f"latent {latent}" if latent >= 0 else LOOKS[name][0]
                for name, latent in zip(told["method"], told["latent"], strict=True)
            ],
            "prompt": told["prompt"],
            "chance of its label": told["chance"].map("{:.2f}".format),
            "clean label": told["clean"],
        }
    )
