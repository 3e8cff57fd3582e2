"""Section 04: probes under covariate shift, and what an SAE loses of activations (section 3.3)."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from probing_core.analysis.comparison import NOT_COMPARED, first_held, head_to_head
from probing_core.analysis.paired import MeanInterval, mean_interval, over_repeats, signless_zero
from probing_core.analysis.selection import DEFAULT_RANKING, sae_rows, task_number
from probing_core.datasets import TASKS
from probing_core.figures import marks, style
from probing_core.figures.style import BASELINE, FAINT, INK, MUTED, SAE, Drawing, needed, styled
from probing_core.figures.words import interval_name, short_name, short_tag, signed, tasks
from probing_core.probes.methods import METHODS, PARTS, SAE_METHOD

BROKEN = "90_glue_qnli"
"""Its shifted prompts lack the question, and some stand with both labels: no mean includes it."""
_BESIDE = ("diff_mean",)
_MEAN = "mean of the above"


@styled
def plot_shift(
    rows: pd.DataFrame, *, hook: str, sae_ids: Sequence[str] | None = None, k: int = 128,
    ranking: str = DEFAULT_RANKING,
) -> Drawing:  # fmt: skip
    """Draw each probe on each shifted set, and the SAE probe minus logistic regression (figure 7).

    Args:
        rows: fits tested on the shifted sets; those of other regimes are left out.
        hook: hook of the baselines.
        sae_ids: the first that the rows hold goes head to head.
        k: latents that it keeps.
        ranking: how they were ranked.
    """
    part = rows[rows["regime"] == "covariate_shift"]
    sae = first_held(part, sae_ids)
    pair = needed(
        head_to_head(part, hook=hook, sae_id=sae, k=k, ranking=ranking),
        f"an SAE probe with k = {k} beside logistic regression on shifted prompts", NOT_COMPARED,
    )  # fmt: skip
    sound = sorted(set(pair["dataset"]) - {BROKEN}, key=task_number)
    order = [*sound, _MEAN, *({BROKEN} & set(pair["dataset"]))]
    places = {tag: place for place, tag in enumerate(order)}
    figure, (left, right) = style.new_panels(
        1, 2, height=1.3 + 0.36 * len(order), sharey=True, width_ratios=[1.1, 1]
    )
    beside = part[(part["hook"] == hook) & part["method"].isin(_BESIDE)]
    sides = {"logreg": pair.set_index("dataset")["baseline"]}
    sides |= {m: one.set_index("dataset")["test_auc"] for m, one in beside.groupby("method")}
    sides |= {SAE_METHOD: pair.set_index("dataset")["sae"]}
    for name, aucs in sides.items():
        means, look = aucs.groupby(level=0).mean(), METHODS[name]
        means[_MEAN] = means.reindex(sound).mean()
        left.plot(means, [places[tag] for tag in means.index], look.marker, color=look.colour,
                  mec=INK, mew=0.5, ms=7, label=look.label)  # fmt: skip
    left.axvline(0.5, color=MUTED, lw=0.8, ls=(0, (2, 2)))
    left.set(xlabel="test AUC, shifted prompts", xlim=(min(0.4, left.get_xlim()[0]), 1.02))
    mean = _differences(right, pair, places)
    names = [f"{short_tag(t, 20)}: {TASKS[t].shift[0]}" if t in TASKS else t for t in order]
    marks.listed_rows(left, names)
    for axes in (left, right):
        axes.axhspan(places[_MEAN] - 0.45, places[_MEAN] + 0.45, color=FAINT, alpha=0.5, lw=0)
        axes.tick_params(axis="y", length=0)
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper right", ncols=len(sides))
    seeds = pair["seed"].nunique()
    repeats = f"t intervals over {seeds} seeds" if seeds > 1 else "one seed, no interval"
    caption = (
        f"Probes on {_model(part)}, trained on a task, tested on shifted prompts. Right: the SAE "
        f"probe minus logistic regression, {repeats}; mean with {interval_name(mean)}, without "
        f"{short_tag(BROKEN, 20)}, whose shifted prompts are broken."
    )
    return Drawing(figure, caption, _finding(pair, mean))


def _model(rows: pd.DataFrame) -> str:
    return " and ".join(sorted(map(short_name, rows["model"].unique())))


def _differences(axes: Axes, pair: pd.DataFrame, places: Mapping[str, int]) -> MeanInterval:
    """Draw the difference of every task over its seeds, and their mean."""
    axes.axvline(0, color=INK, lw=0.9)
    for tag, one in pair.groupby("dataset")["difference"]:
        found = over_repeats(one.to_numpy())
        colour = MUTED if tag == BROKEN else SAE if found.mean > 0 else BASELINE
        marks.dots(axes, [places[tag]], [found], colour)
    sound = pair[pair["dataset"] != BROKEN]
    mean = mean_interval(sound.groupby("dataset")["difference"].mean())
    marks.dots(axes, [places[_MEAN]], [mean], INK, marker="D")
    axes.set_xlabel("difference in test AUC")
    return mean


def _finding(pair: pd.DataFrame, mean: MeanInterval) -> str:
    """State the mean difference, how many tasks lean which way, and the broken one apart."""
    by_task = pair.groupby("dataset")["difference"].mean()
    sound = by_task.drop(BROKEN, errors="ignore")
    apart = f"; {BROKEN}, broken, {signed(by_task[BROKEN])}" if BROKEN in by_task else ""
    return (
        f"On shifted prompts the SAE probe minus logistic regression is {mean.text()} in test AUC "
        f"over {tasks(mean.n)}, ahead on {int((sound > 0).sum())}{apart}."
    )


@styled
def plot_parts(
    shifted: pd.DataFrame, unshifted: pd.DataFrame, *, hook: str, k: int = 128,
    ranking: str = DEFAULT_RANKING,
) -> Drawing:  # fmt: skip
    """Draw what probes lose that read latents, a reconstruction or an error, not the activation.

    Args:
        shifted: fits tested on the shifted sets.
        unshifted: the same, tested on the tasks themselves.
        hook: hook of the activations.
        k: latents that the SAE probe keeps.
        ranking: how they were ranked.
    """
    rows = {"same": unshifted, "shifted": shifted}
    sides = {name: _losses(part, hook, k, ranking) for name, part in rows.items()}
    found = needed(sides["shifted"], "probes on reconstructions and errors of an SAE")
    names = list(dict.fromkeys((sae, method) for sae, method in found))
    figure, axes = style.new_panels(height=1.3 + 0.34 * len(names))
    axes.axvline(0, color=INK, lw=0.9)
    for step, (side, marker, label) in zip(
        (-0.16, 0.16),
        (("same", "o", "prompts of the task"), ("shifted", "D", "shifted prompts")),
        strict=True,
    ):
        here = [one for one in names if one in sides[side]]
        places = [names.index(one) + step for one in here]
        colour = style.OTHER_COLOURS[1] if side == "same" else style.OTHER_COLOURS[2]
        marks.dots(axes, places, [sides[side][o] for o in here], colour, marker=marker, label=label)
    axes.set_yticks(range(len(names)), [f"{sae}: {_PART_NAMES[part]}" for sae, part in names])
    axes.invert_yaxis()
    axes.set_xlabel("test AUC minus that of logistic regression on activations")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    caption = (
        f"What a probe on {_model(shifted)} loses that reads the SAE's latents, or logistic "
        "regression that reads its "
        "reconstruction or error in place of the activation; means over tasks without "
        f"{short_tag(BROKEN, 20)}, {interval_name(*found.values())}; one split."
    )
    return Drawing(figure, caption, _parts_finding(sides))


_PART_NAMES = {SAE_METHOD: "latents", "reconstruction": "reconstruction", "error": "error"}


def _losses(rows: pd.DataFrame, hook: str, k: int, ranking: str) -> dict[tuple, MeanInterval]:
    """Mean difference from logistic regression by SAE and part, on the splits that have parts."""
    sound = rows[(rows["dataset"] != BROKEN) & rows["test_auc"].notna()]
    dense = sound[(sound["method"] == "logreg") & (sound["hook"] == hook)]
    halves, latents = sound[sound["method"].isin(PARTS)], sae_rows(sound, ranking=ranking, ks=[k])
    parts = pd.concat([latents[latents["seed"].isin(halves["seed"])], halves])
    parts = parts.sort_values("sae_id", kind="stable")
    base = dense.groupby(["dataset", "seed"])["test_auc"].mean()
    found = {}
    for sae in parts["sae_id"].unique():
        for part in _PART_NAMES:
            one = parts[(parts["sae_id"] == sae) & (parts["method"] == part)]
            change = (one.groupby(["dataset", "seed"])["test_auc"].mean() - base).dropna()
            if len(change):
                found[sae, part] = mean_interval(change.groupby("dataset").mean())
    return found


def _parts_finding(sides: Mapping[str, Mapping[tuple, MeanInterval]]) -> str:
    """Give the first SAE's losses on both kinds of prompts."""
    sae = next(iter(sides["shifted"]))[0]
    said = []
    for side, words in (("same", "On prompts of the task"), ("shifted", "on shifted prompts")):
        losses = [
            f"{_PART_NAMES[part]} {one.text()}"
            for (name, part), one in sides[side].items()
            if name == sae
        ]
        if losses:
            said.append(f"{words}: {', '.join(losses)}")
    return f"Against logistic regression on activations, SAE {sae}. {'; '.join(said)}."


def training_sentence(
    fair: pd.DataFrame, shown: pd.DataFrame, *, sae_ids: Sequence[str], **options: Any
) -> str:
    """Say which rows trained the two probes; `shown` may be `fair`, or `shift.as_published`."""
    means = []
    for rows in (fair, shown):
        pair = head_to_head(rows, sae_id=first_held(rows, sae_ids), **options)
        by_task = pair[pair["dataset"] != BROKEN].groupby("dataset")["difference"].mean()
        if by_task.empty:
            return ""
        means.append(signless_zero(by_task.mean()))
    if fair["n_train"].isna().all():
        return "The two probes of these published rows were trained on different prompts."
    if fair is shown:
        return "Both probes are trained on the same prompts; those of the paper's figure are not."
    return (
        f"Trained on the same prompts the mean difference is {means[0]}; each trained on prompts "
        f"of its own, as published and drawn here, {means[1]}."
    )
