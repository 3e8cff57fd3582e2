"""Cards of single latents: where each fires, how that differs by class, and what drives it.

A card is one line of HTML without scripts. What it needs to be read stands in its own attributes,
so that JupyterLab shows what the book shows; prompts in it are escaped.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from probing_core.experiments.latents import (
    Context,
    Injection,
    injection,
    neighbours,
    task_latents,
    top_contexts,
)
from probing_core.experiments.regimes import first_sae
from probing_core.experiments.study import Study
from probing_core.pages.text import escaped, number

AROUND, LAST = 14, 10
"""Tokens shown on either side of the largest value, and before the end."""
BINS, WIDTH, HEIGHT = 24, 300, 46
INJECTED = 20
CLASS_FILLS = ("#9A8B2F", "#2C6E78")
"""Label 0 and label 1; both read on white and on black."""


def task_cards(study: Study, tag: str, table: pd.DataFrame, *, n: int = 4) -> list[str]:
    """Write a card for each row of `latents.of_task` that is given, with the `n` top prompts.

    There is none where no model is at hand.
    """
    if table.empty or (source := first_sae(study)) is None:
        return []
    dataset, wanted = study.dataset(tag), [int(latent) for latent in table["latent"]]
    contexts = top_contexts(study, tag, source, wanted, n=n)
    values = task_latents(study, tag, source)[:, wanted].toarray()
    return [
        latent_card(
            row,
            values[:, place],
            dataset.labels,
            dataset.class_names,
            contexts[latent],
            neighbours(study, source, latent),
            injection(study, tag, source, latent, contexts[latent], n=INJECTED),
        )
        for place, (latent, row) in enumerate(zip(wanted, table.to_dict("records"), strict=True))
    ]


def latent_card(
    row: dict[str, Any],
    values: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    contexts: Sequence[Context],
    near: Iterable[tuple[int, float]],
    injected: Injection,
) -> str:
    """Write the card of one latent of a task, as one line of HTML.

    `row` is one of `best_latents`; `values` are the latent's, (n_prompts,), and `labels` 0 or 1.
    The rest comes from the task, `top_contexts`, `neighbours` and `injection`: hostile text.
    """
    names = [f"label {n}" if str(n) == name else escaped(name) for n, name in enumerate(classes)]
    shifted = row["shifted_auc"]
    moved = "" if shifted != shifted else f", on shifted prompts {number(shifted)}"
    cosines = ", ".join(f"{latent} ({cosine:.2f})" for latent, cosine in near)
    largest = max((float(context.values.max()) for context in contexts), default=0.0)
    items = "".join(f"<li>{_context(one, largest, names)}</li>" for one in contexts)
    return (
        '<section class="latent-card" style="margin-bottom:1.5em">'
        f"<p><strong>Latent {int(row['latent'])}</strong> of {escaped(row['sae_id'])}: test AUC "
        f"{number(row['test_auc'])}{moved}. It speaks for {names[int(row['sign'] > 0)]}.</p>"
        f'<ul class="prompts" style="white-space:pre-wrap">{items}</ul>'
        f"{_histogram(values, labels, names)}"
        f"<p>{_injected(injected, names)} Nearest decoder directions (cosine): {cosines}.</p>"
        "</section>"
    )


def _context(context: Context, largest: float, names: Sequence[str]) -> str:
    """The tokens around the largest value and at the end, with the active ones marked."""
    peak, size = int(context.values.argmax()), len(context.tokens)
    shown = [at for at in range(size) if abs(at - peak) <= AROUND or size - at <= LAST]
    parts = []
    for before, at in zip([-1, *shown], shown, strict=False):
        gap = "" if at == before + 1 else " …"
        parts.append(gap + _token(context.tokens[at], float(context.values[at]), largest))
    return f'<bdi dir="auto">{"".join(parts)}</bdi> <small>({names[context.label]})</small>'


def _token(text: str, value: float, largest: float) -> str:
    if value <= 0:
        return escaped(text)
    word = text.lstrip(" ")
    blank, shade = (
        " " * (len(text) - len(word)),
        f"background:rgba(0,114,178,{0.1 + 0.55 * value / largest:.2f})",
    )
    mark = f'<span title="{value:.2f}" style="{shade};border-radius:3px">'
    return f"{blank}{mark}{escaped(word)}</span>"


def _histogram(values: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> str:
    """Bars of the values above 0, label 1 upwards and label 0 downwards, as shares of a class."""
    high = max(float(values.max(initial=0)), 1e-9)
    parts, fired = [], []
    counted = [np.histogram(own[own > 0], BINS, (0, high))[0] / max(1, len(own))
               for own in (values[labels == 0], values[labels == 1])]  # fmt: skip
    most = max(float(np.max(counted)), 1e-9)
    step = WIDTH / BINS
    for label, shares in enumerate(counted):
        fired.append(f"{shares.sum():.0%} of {names[label]}")
        for place, share in enumerate(shares):
            tall = HEIGHT * share / most
            top = HEIGHT - tall if label else HEIGHT
            parts.append(
                f'<rect x="{place * step:.1f}" y="{top:.1f}" width="{step - 1:.1f}" '
                f'height="{tall:.1f}" fill="{CLASS_FILLS[label]}"/>'
            )
    said = f"It fires on {fired[1]} (above the line) and {fired[0]} (below), up to {high:.2f}."
    return (
        f'<figure style="margin:0"><svg role="img" width="{WIDTH}" height="{2 * HEIGHT}" '
        f'viewBox="0 0 {WIDTH} {2 * HEIGHT}"><title>{said}</title>{"".join(parts)}'
        f'<line x1="0" x2="{WIDTH}" y1="{HEIGHT}" y2="{HEIGHT}" stroke="currentColor"/></svg>'
        f"<figcaption>{said} Bars: its values from 0 to the largest.</figcaption></figure>"
    )


def _injected(injected: Injection, names: Sequence[str]) -> str:
    tokens = ", ".join(f"<code>{escaped(token)}</code>" for token in injected.tokens)
    if not tokens:
        return "No token stands out that could be inserted elsewhere."
    (probed, probed_after), (anywhere, anywhere_after) = injected.probed, injected.anywhere
    return (
        f"Its top tokens {tokens}, inserted into {injected.n} prompts of {names[injected.label]}, "
        f"let it fire at the probed token in {probed_after:.0%} (before: {probed:.0%}), anywhere "
        f"in {anywhere_after:.0%} ({anywhere:.0%})."
    )
