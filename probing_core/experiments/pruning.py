"""Figure 20 for any task: the best latents, pruned to those that a judge calls relevant (§4.1)."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.sparse import csr_array

from probing_core.datasets import TASKS, Split
from probing_core.datasets.regimes import REGIMES
from probing_core.datasets.splits import kept_together, protocol_key
from probing_core.errors import UserError
from probing_core.experiments.latents import task_latents, top_rows
from probing_core.experiments.regimes import first_sae
from probing_core.experiments.saes import latents_key
from probing_core.experiments.study import Study
from probing_core.judges import Described, Judged, relevance
from probing_core.probes.sparse import evaluate_top_k
from probing_core.profiles import SAESource
from probing_core.published.source import published_rows
from probing_core.saes.selection import rank_latents
from probing_core.saes.sources import sae_id
from probing_core.store import Key

KEEP, CONTEXTS = 8, 5
"""Latents that are judged, and prompts by which each is described."""
CONTROL = "class difference"
"""Not a judge: the order in which a probe takes latents anyway."""
RANKING = "mean_difference"
COLUMNS = ["dataset", "judge", "kept", "seed", "within_auc", "shifted_auc"]
_VERSION = 1
_NAMES = {"offline": "MiniLM", "endpoint": "endpoint"}
_PUBLISHED = {"relevance_llm": "o1", "relevance_human": "people"}


def pruned(
    study: Study, tags: Sequence[str], judges: Sequence[str], *, seeds: Sequence[int] = ()
) -> tuple[pd.DataFrame, list[str]]:
    """Judge the latents of some tasks and prune them: `pruning_curve`, and the judges' notes.

    `judges` are those of `relevance`; a CSV is called by its name. Of a published study its rows.
    """
    if (source := first_sae(study)) is None:
        return published_curve(study), []
    frames, notes = [pd.DataFrame(columns=COLUMNS)], dict[str, None]()
    named = {_NAMES.get(judge, Path(judge).stem): judge for judge in judges}
    if len(named) < len(judges) or CONTROL in named:
        raise UserError(f"Two judges have one name among {', '.join(judges)}: rename a file.")
    for tag in [one for one in tags if one in study.datasets]:
        latents, (asks, shift) = describe(study, tag, source, seeds=seeds), question(study, tag)
        ask = functools.partial(relevance, shift=shift, dataset=tag)
        judged = {name: ask(one, asks, latents, study.store) for name, one in named.items()}
        notes |= dict.fromkeys(f"{name}: {one.note}" for name, one in judged.items())
        frames.append(pruning_curve(study, tag, source, judged, seeds=seeds))
    return pd.concat(frames[1:] or frames, ignore_index=True), list(notes)


def question(study: Study, tag: str) -> tuple[str, str]:
    """What a task asks, and how its shifted prompts differ (empty where it has none)."""
    if task := TASKS.get(tag):
        return task.asks, task.shift[1]
    return f"Is the target {study.dataset(tag).class_names[1]!r}?", ""


def describe(
    study: Study, tag: str, source: SAESource, *, keep: int = KEEP, seeds: Sequence[int] = ()
) -> list[Described]:
    """The best latents by class difference under any seed, with their top contexts.

    A context is a distinct prompt of the task, never a shifted one, with the largest values at the
    probed position; a latent that hardly fires has fewer than `CONTEXTS`.
    """
    latents, dataset = task_latents(study, tag, source), study.dataset(tag)
    splits = (split for _, split in _splits(study, tag, seeds))
    chosen = {latent for one in splits for latent in _best(latents, dataset.labels, one, keep)}
    described = []
    for latent in sorted(chosen):
        values = latents[:, [latent]].toarray()[:, 0]
        rows = top_rows(values, dataset.prompts, CONTEXTS)
        described.append(Described(latent, tuple(dataset.prompts[row] for row in rows)))
    return described


def pruning_curve(
    study: Study, tag: str, source: SAESource, judged: Mapping[str, Judged], *, keep: int = KEEP,
    seeds: Sequence[int] = (),
) -> pd.DataFrame:  # fmt: skip
    """Refit the SAE probe on the most relevant of its best latents, from one to all; kept by key.

    Each seed draws its training rows, takes its `keep` best latents by class difference and drops
    the least relevant first; of equally relevant ones, that of smaller class difference. Judges
    without scores are left out, and `CONTROL` is put beside them.

    Args:
        study: Its protocol, solver and standard training size hold.
        tag: The task.
        source: An SAE of the study.
        judged: Judge to scores of the latents that `describe` gives.
        keep: Latents before pruning.
        seeds: Of the splits, the profile's by default.

    Returns:
        Columns dataset, judge, kept, seed, within_auc (test rows of the task) and shifted_auc
        (shifted test set; NaN where there is none).
    """
    scores = {judge: one.scores for judge, one in judged.items() if one.scores is not None}
    other = REGIMES["covariate_shift"].tested(study.dataset(tag))
    tags, profile = [tag, other.tag] if other else [tag], study.profile
    how: dict[str, Any] = {
        "solver": profile.solver,
        "protocol": protocol_key(profile.protocol),
        "keep": keep,
    }
    how |= {"max_train": profile.standard.max_train, "seeds": list(seeds or profile.seeds)}
    how["scores"] = {judge: sorted(each.items()) for judge, each in scores.items()}
    how["latents"] = [latents_key(study, one, source).digest for one in tags]
    key = Key.of("pruning", f"{tag}-{sae_id(source)}", version=_VERSION, **how)
    if (kept := study.store.read_rows(key)) is None:
        rows = _refitted(study, tags, source, scores, keep, seeds)
        kept = pa.Table.from_pandas(pd.DataFrame(rows, columns=COLUMNS), preserve_index=False)
        study.store.write_rows(key, kept)
    return kept.to_pandas()


def _refitted(
    study: Study, tags: Sequence[str], source: SAESource,
    scores: Mapping[str, Mapping[int, float]], keep: int, seeds: Sequence[int],
) -> Iterator[tuple[Any, ...]]:  # fmt: skip
    """Rows of one task, whose shifted test set may stand behind it in `tags`."""
    known = [(task_latents(study, tag, source), study.dataset(tag).labels) for tag in tags]
    latents, labels = known[0]
    for seed, split in _splits(study, tags[0], seeds):
        train, own = latents[split.train], labels[split.train]
        tests = [(latents[split.test], labels[split.test]), *known[1:]]
        best = _best(latents, labels, split, keep)
        groups = kept_together(study.dataset(tags[0]), split, study.profile.protocol)
        control = {latent: -place for place, latent in enumerate(best)}
        for judge, by in {CONTROL: control, **scores}.items():
            order = sorted(best, key=by.__getitem__, reverse=True)
            for kept in range(1, len(order) + 1):
                columns = sorted(order[:kept])
                fit = functools.partial(evaluate_top_k, train[:, columns], own)
                how: dict[str, Any] = {"ranking": RANKING, "solver": study.profile.solver}
                how["groups"] = groups
                fits = [fit(x[:, columns], y, ks=[kept], **how)[0][1] for x, y in tests]
                aucs = [*(each.test_auc for each in fits), np.nan]
                yield tags[0], judge, kept, seed, *aucs[:2]


def published_curve(study: Study) -> pd.DataFrame:
    """The published rows of figure 20 in the columns of `pruning_curve`.

    They are of upstream's later runs; within_auc is the AUC of its validation rows.
    """
    rows = published_rows(study.store, "pruning", study.model.name)
    names = {"k": "kept", "val_auc": "within_auc", "test_auc": "shifted_auc"}
    rows = rows.assign(judge=rows["ranking"].map(_PUBLISHED)).rename(columns=names)
    return rows[COLUMNS]


def _splits(study: Study, tag: str, seeds: Sequence[int]) -> Iterator[tuple[int, Split]]:
    for seed in seeds or study.profile.seeds:
        yield seed, study.split(tag, seed)


def _best(latents: csr_array, labels: np.ndarray, split: Split, keep: int) -> list[int]:
    return rank_latents(latents[split.train], labels[split.train], RANKING)[:keep].tolist()
