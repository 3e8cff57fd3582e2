"""Section 04: single latents, in and out of distribution and in many languages (figure 8)."""

from typing import Any

import numpy as np
import pandas as pd
from adjustText import adjust_text

from probing_core.analysis.paired import signless_zero
from probing_core.figures import marks, style
from probing_core.figures.style import FAINT, INK, MUTED, SAE, Drawing, needed, styled
from probing_core.figures.words import plural, short_tag

LABELLED = 3
_COLUMNS: dict[str, tuple[str, str]] = {
    "dataset": ("task", "{}"),
    "latent": ("latent", "{}"),
    "llm_rank": ("rank by o1", "{:.0f}"),
    "human_rank": ("rank by a human", "{:.0f}"),
    "train_auc": ("training AUC", "{:.3f}"),
    "test_auc": ("test AUC", "{:.3f}"),
    "shifted_auc": ("shifted AUC", "{:.3f}"),
    "surface": ("surface feature", "{}"),
    "surface_auc": ("its AUC", "{:.3f}"),
    "fires_here": ("fires here", "{:.0%}"),
    "fires_elsewhere": ("fires elsewhere", "{:.0%}"),
    "flag": ("is", "{}"),
    "description": ("described as", "{}"),
}
"""Column to its head for readers and the format of a cell."""


def latent_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Lay out single latents for a reader (tables 5 and 6): text under heads, no empty column."""
    told = frame.replace("", None)
    return pd.DataFrame(
        {
            head: told[name].map(form.format, na_action="ignore")
            for name, (head, form) in _COLUMNS.items()
            if name in told and told[name].notna().any()
        }
    )


def flags_sentence(table: pd.DataFrame) -> str:
    """Count what the best latents of the tasks are, by the rule of `experiments.latents.judged`."""
    if "flag" not in table or table.empty:
        return "What the best latents mean was not judged here."
    counts = table["flag"].value_counts()
    said = ", ".join(f"{counts.get(flag, 0)} {flag}" for flag in ("apt", "spurious", "unclear"))
    return f"Of the best single latents of {plural(len(table), 'task')}: {said}."


@styled
def plot_single_latents(frame: pd.DataFrame) -> Drawing:
    """Draw each latent's AUC in distribution against its AUC on shifted prompts.

    Takes rows of `best_latents`, or those of table 5; others are left out.
    """
    told = frame.dropna(subset=["test_auc", "shifted_auc"])
    needed(told, "single latents of a task with a shifted test set")
    figure, axes = style.new_panels(width=5.6, height=4.8)
    marks.against(axes, told[["test_auc", "shifted_auc"]])
    axes.axhline(0.5, color=FAINT, lw=1, zorder=0)
    axes.scatter("test_auc", "shifted_auc", data=told, s=26, color=SAE, ec=INK, lw=0.5, alpha=0.8)
    axes.set(xlabel="test AUC of one latent", ylabel="AUC on shifted prompts")
    top = told.head(LABELLED)
    texts = [
        axes.text(row.test_auc, row.shifted_auc, f"{row.latent}", fontsize=8.5)
        for row in top.itertuples()
    ]
    x, y = told[["test_auc", "shifted_auc"]].to_numpy().T
    look = {"arrowstyle": "-", "color": MUTED, "lw": 0.8}
    adjust_text(texts, x=x, y=y, ax=axes, arrowprops=look, expand=(1.2, 1.9))
    best, below = top.iloc[0], int((told["shifted_auc"] < told["test_auc"]).sum())
    finding = (
        f"The first latent of {short_tag(best['dataset'], 26)}, {best['latent']}, has AUC "
        f"{best['test_auc']:.2f} on test prompts and {best['shifted_auc']:.2f} on shifted ones; "
        f"{below} of {plural(len(told), 'latent')} lose AUC."
    )
    caption = (
        "AUC of single latents, each alone, on test prompts and on shifted ones; the direction is "
        "that of the training rows, so below 0.5 it has turned. The first ones have their "
        f"numbers. {finding}"
    )
    return Drawing(figure, caption, finding)


@styled
def plot_languages(frame: pd.DataFrame) -> Drawing:
    """Draw figure 8: a latent's value on one phrase in many languages, the largest on top.

    Takes what `language_probe` gives.
    """
    told = needed(frame, "a latent on translations").sort_values(
        ["value", "highest", "language"], ascending=[False, False, True], ignore_index=True
    )
    english = told["language"].str.casefold().eq("english").to_numpy()
    figure, axes = style.new_panels(width=5.6, height=0.9 + 0.25 * len(told))
    rows = np.arange(len(told))
    look: dict[str, Any] = {"color": np.where(english, SAE, MUTED), "height": 0.66}
    axes.barh(rows, told["value"], **look, label="at the probed token")
    heard = told["highest"].where(told["highest"] > 0)
    axes.plot(heard, rows, "|", color=INK, ms=11, mew=1.6, label="highest of all tokens")
    marks.listed_rows(axes, [short_tag(name, 22) for name in told["language"]])
    axes.set(xlabel="value of the latent", xlim=(0, None))
    for place, label in zip(rows, axes.get_yticklabels(), strict=True):
        label.set_fontweight("bold" if english[place] else "normal")
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside upper right", ncols=2)
    caption = (
        f"A latent's value on one phrase in {plural(len(told), 'language')}, at the probed token "
        f"(bars; English in blue) and the highest of all its tokens (marks). {_heard(told)}"
    )
    return Drawing(figure, caption, _heard(told))


def _heard(told: pd.DataFrame) -> str:
    fires = told["language"][told["value"] > 0].tolist()
    if not fires:
        return "It is silent in every language."
    largest = f"{fires[0]} ({signless_zero(told['value'].iloc[0], 2)})"
    return f"It fires in {len(fires)} of {plural(len(told), 'language')}, most in {largest}."
