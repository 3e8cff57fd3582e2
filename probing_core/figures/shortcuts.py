"""Section 06: what tells classes without a model (figure 10 and table 8 of the paper, and more)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from adjustText import adjust_text

from probing_core.analysis.effects import Effect
from probing_core.analysis.shortcuts import NEAR
from probing_core.figures import marks, style
from probing_core.figures.style import FAINT, INK, MUTED, OTHER_COLOURS, Drawing, needed, styled
from probing_core.figures.words import short_tag, starting, tasks

SHOWN, NAMED = 4, 6
_CLASSES = (OTHER_COLOURS[2], OTHER_COLOURS[1])
"""Label 0 and label 1."""


@styled
def plot_classes(
    latents: pd.DataFrame, ends: pd.DataFrame, classes: Sequence[str], tag: str
) -> Drawing:
    """Draw the latents that differ most by class, and how prompts end, by class (figure 10).

    Args:
        latents: From `experiments.shortcuts.class_latents`; may be empty.
        ends: From `experiments.shortcuts.last_tokens`.
        classes: Names of label 0 and label 1.
        tag: The task.
    """
    figure, grid = style.new_panels(1, 1 + bool(len(latents)), height=3.2, squeeze=False)
    top = ends.head(SHOWN)
    named = [f"latent {row.latent}\n({row.surface} {row.surface_auc:.2f})" if row.surface else
             f"latent {row.latent}" for row in latents.itertuples()]  # fmt: skip
    words = [_quoted(token) for token in top["token"]]
    sides = [(latents, named, "mean value"), (top, words, "prompts")]
    panels = list(grid[0])
    for axes, (frame, names, what) in zip(panels, sides[-len(panels) :], strict=True):
        for label, step in ((0, -0.2), (1, 0.2)):
            places = np.arange(len(frame)) + step
            name = f"label {label}" if str(label) == classes[label] else classes[label]
            axes.barh(places, frame[f"label_{label}"], height=0.38, color=_CLASSES[label],
                      label=name if name.isprintable() else repr(name))  # fmt: skip
        marks.listed_rows(axes, names)
        axes.set_xlabel(what)
    figure.legend(*panels[-1].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    known = (
        " Left: mean value of the latents that differ most on training prompts; in brackets what "
        "on the surface of a prompt best tells where they fire, with AUC. Right: the commonest last"
        " tokens."
    )
    caption = f"{tag}, by class.{known if len(latents) else ' The commonest last tokens.'}"
    return Drawing(figure, caption, ends_sentence(ends, tag))


def ends_sentence(ends: pd.DataFrame, tag: str) -> str:
    """State how many prompts of each class end in a space, and in the token that differs most."""
    totals = ends[["label_0", "label_1"]].sum()
    shares = ends.set_index("token")[["label_0", "label_1"]] / totals
    blank = shares[shares.index.str.isspace()].sum()
    most = (shares["label_1"] - shares["label_0"]).abs().idxmax()
    told = shares.loc[most]
    return (
        f"In {tag} {blank['label_0']:.1%} of prompts with label 0 and {blank['label_1']:.1%} with "
        f"label 1 end in a space; {_quoted(most)} ends {told['label_0']:.1%} and "
        f"{told['label_1']:.1%}."
    )


def _quoted(token: str) -> str:
    if token == " ":
        return "space"
    return f"“{token}”" if token.isprintable() and token.strip() else repr(token)


@styled
def plot_shortcuts(table: pd.DataFrame) -> Drawing:
    """Draw the AUC of the best probe over that of the best shortcut, a dot a task.

    Args:
        table: From `analysis.shortcuts.shortcut_table`.
    """
    told = needed(table.dropna(subset=["probe_auc"]), "probes beside shortcuts")
    reached = told[["feature_auc", "bag_auc"]].max(axis=1)
    figure, axes = style.new_panels(width=5.6, height=5.0)
    marks.against(axes, pd.DataFrame({"x": reached, "y": told["probe_auc"]}))
    low = axes.get_xlim()[0]
    axes.fill_between([low, 1.02], low - 1, [low + NEAR, 1.02 + NEAR], color=FAINT, lw=0)
    colours = np.where(told["solved"], OTHER_COLOURS[0], OTHER_COLOURS[3])
    axes.scatter(reached, told["probe_auc"], c=list(colours), s=34, ec=INK, lw=0.6, zorder=3)
    gain = (told["probe_auc"] - reached).sort_values()
    worth = [*gain.index[: NAMED // 2], *gain.index[-NAMED // 2 :]]
    spots = [(reached[name], told["probe_auc"][name]) for name in dict.fromkeys(worth)]
    texts = [axes.text(*spot, short_tag(name, 22), fontsize=8)
             for spot, name in zip(spots, dict.fromkeys(worth), strict=True)]  # fmt: skip
    look = {"arrowstyle": "-", "color": MUTED, "lw": 0.7}
    x, y = reached.to_numpy(), told["probe_auc"].to_numpy()
    adjust_text(texts, x=x, y=y, ax=axes, arrowprops=look, expand=(1.2, 1.9))
    axes.set(xlabel="test AUC of the best shortcut, without a model",
             ylabel="test AUC of the probe picked by validation")  # fmt: skip
    caption = (
        f"Each task: the probe picked by validation AUC over the better of one surface feature and "
        f"a bag of words. Shaded, dark: the shortcut comes within {NEAR:g} AUC or is ahead."
    )
    return Drawing(figure, caption, solved_sentence(table))


def solved_sentence(table: pd.DataFrame) -> str:
    """Count the tasks that a shortcut solves as well as a probe."""
    known = table.dropna(subset=["probe_auc"])
    own = (known["feature_auc"] >= known["probe_auc"] - NEAR).sum()
    return (
        f"On {known['solved'].sum()} of {tasks(len(known))} a shortcut comes within {NEAR:g} AUC "
        f"of the probe or is ahead; on {own} of these a single feature does."
    )


def without_sentence(effects: Sequence[Effect]) -> str:
    """Set the headline difference beside that on tasks which no shortcut solves."""
    if len(effects) < 2:
        return "No SAE probe stands beside a baseline on tasks that no shortcut solves."
    every, left = (one.difference for one in effects)
    return (
        f"Under standard conditions SAE probes change the quiver's test AUC by {every.text()} on "
        f"{tasks(every.n)}, and by {left.text()} on the {left.n} that no shortcut solves."
    )


def shortcut_cells(table: pd.DataFrame) -> pd.DataFrame:
    """Lay out every task's best shortcuts beside its probe."""
    aucs = {"one feature": "feature_auc", "bag of words": "bag_auc", "probe": "probe_auc"}
    cells = {head: table[name].map("{:.3f}".format) for head, name in aucs.items()}
    solved = table["solved"].map({True: "yes", False: "no"})
    shown = pd.DataFrame({"task": table.index, "feature": table["feature"].map(starting)})
    return shown.assign(**{k: v.replace("nan", None).to_numpy() for k, v in cells.items()},
                        **{"needs no model": solved.to_numpy()})  # fmt: skip


def token_cells(found: pd.DataFrame, n: int = 10) -> pd.DataFrame:
    """Lay out table 8: the tokens on which a direction is largest; text is hostile."""
    top = found.head(n)
    return pd.DataFrame(
        {
            "token": [_quoted(token) for token in top["token"]],
            "mean": top["mean"].map("{:.2f}".format),
            "occurrences": top["count"].map("{:,}".format),
        }
    )
