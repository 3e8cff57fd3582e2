"""Section 06: shortcuts that a probe may have learnt, for any task (paper, section 4.3.2).

Probes that never see a model, on the rows of section 02; the latents and tokens that tell the
classes of a task; how the classes end. Published rows need no model for the first of these.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from probing_core.datasets import ProbingDataset, Split, load_dataset
from probing_core.datasets.splits import protocol_key
from probing_core.experiments.activations import activation_key, read_activations, study_model
from probing_core.experiments.executor import run_units
from probing_core.experiments.latents import task_latents, token_ids
from probing_core.experiments.regimes import first_sae
from probing_core.experiments.study import Study
from probing_core.models.extraction import run_batches
from probing_core.probes.estimators import DenseProbe
from probing_core.probes.metrics import auc
from probing_core.probes.surface import last_tokens as ends_of
from probing_core.probes.surface import shortcut_aucs, surface
from probing_core.saes.selection import RANKINGS, rank_latents
from probing_core.store import Key, Store

SECTION = "shortcuts"
COLUMNS = ["dataset", "feature", "val_auc", "test_auc"]
LEAST = 10
"""Occurrences of a token below which nothing is said of it, as in table 8."""
_VERSION = 1


def keys(study: Study) -> list[Key]:
    """A key a task."""
    return [_key(study, tag) for tag in study.tags]


def _key(study: Study, tag: str) -> Key:
    profile, dataset = study.profile, study.dataset(tag)
    how: dict[str, Any] = {"protocol": protocol_key(profile.protocol), "seed": profile.seeds[0]}
    how |= {"max_train": profile.standard.max_train, "dataset": dataset.content_hash}
    return Key.of("rows", f"shortcuts-{tag}", version=_VERSION, **how)


def compute(study: Study) -> None:
    """Fit what the store lacks, a task at a time in each process, the longest first."""
    tags = [t for t in study.tags if study.store.read_rows(_key(study, t)) is None]
    tags.sort(key=lambda tag: -sum(map(len, study.dataset(tag).prompts)))
    work = [(study.store.root, _key(study, t), study.dataset(t), study.split(t)) for t in tags]
    workers, executor = study.workers, study.executor
    run_units(_unit, work, label="shortcuts", workers=workers, executor=executor)


def _unit(root: Path, key: Key, dataset: ProbingDataset, split: Split) -> None:
    Store(root).write_rows(key, _table(shortcut_rows(dataset, split)))


def shortcut_rows(dataset: ProbingDataset, split: Split) -> pd.DataFrame:
    """`surface.shortcut_aucs` of one task, in the columns of `COLUMNS`."""
    prompts, labels = np.array(dataset.prompts, dtype=object), dataset.labels
    sides = [part for rows in (split.train, split.test) for part in (prompts[rows], labels[rows])]
    found = [(dataset.tag, name, *aucs) for name, aucs in shortcut_aucs(*sides).items()]
    return pd.DataFrame(found, columns=COLUMNS)


def read(study: Study) -> pd.DataFrame:
    """The section's rows that are there."""
    tables = [table for key in keys(study) if (table := study.store.read_rows(key)) is not None]
    return pa.concat_tables(tables).to_pandas() if tables else pd.DataFrame(columns=COLUMNS)


def published_rows(study: Study) -> pd.DataFrame:
    """The same for the published rows: prompts and splits are known, and no model is needed."""
    compute(study)
    return read(study)


def audited(study: Study, tag: str) -> pd.DataFrame:
    """Every shortcut of a task beside logistic regression on the study's main hook, best first.

    Returns:
        Columns feature (in words), test_auc; logistic regression comes first.
    """
    split, labels = study.split(tag), study.dataset(tag).labels
    x = read_activations(study, tag)
    probe = DenseProbe(seed=study.profile.seeds[0]).fit(x[split.train], labels[split.train])
    reached = auc(labels[split.test], probe.decision_function(x[split.test]))
    named = f"logistic regression on {study.model.name}, {study.main_hook}"
    found = shortcut_rows(study.dataset(tag), split).sort_values("test_auc", ascending=False)
    first = pd.DataFrame({"feature": [named], "test_auc": [reached]})
    return pd.concat([first, found[first.columns]], ignore_index=True)


def look_up(study: Study, tag: str) -> ProbingDataset:
    """A task of the study, or one of the paper's that it leaves out."""
    return study.datasets[tag] if tag in study.datasets else load_dataset(tag)


def last_tokens(study: Study, tag: str) -> pd.DataFrame:
    """How often the prompts of each class end in a word or mark (figure 10, right).

    Returns:
        Columns token, label_0, label_1 (prompts), the commonest first.
    """
    dataset = look_up(study, tag)
    counts = pd.crosstab(ends_of(pd.Series(list(dataset.prompts))), dataset.labels).reindex(
        columns=[0, 1], fill_value=0
    )
    counts = counts.loc[counts.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    return counts.set_axis(["label_0", "label_1"], axis=1).rename_axis("token").reset_index()


def class_latents(study: Study, tag: str, *, n: int = 3) -> pd.DataFrame:
    """The latents that differ most between the classes of the training prompts (figure 10, left).

    Returns:
        Columns latent, label_0, label_1 (mean values on test prompts), surface, surface_auc: what
        of a prompt best tells where it fires. Empty where the study has no SAE, or not the task.
    """
    columns = ["latent", "label_0", "label_1", "surface", "surface_auc"]
    if (source := first_sae(study)) is None or tag not in study.datasets:
        return pd.DataFrame(columns=columns)
    dataset, split, latents = study.dataset(tag), study.split(tag), task_latents(study, tag, source)
    order = rank_latents(latents[split.train], dataset.labels[split.train], RANKINGS[0])[:n]
    values, labels = latents[:, order].toarray(), dataset.labels[split.test]
    rows = []
    for latent, column in zip(order.tolist(), values.T, strict=True):
        means = [float(column[split.test][labels == label].mean()) for label in (0, 1)]
        rows.append((latent, *means, *surface(dataset.prompts, column > 0)))
    return pd.DataFrame(rows, columns=columns)


def direction_tokens(study: Study, tag: str, *, prompts: int = 40) -> pd.DataFrame:
    """Tokens on which the direction of a task's logistic regression is largest (table 8).

    The direction is that of the standard split's training prompts, without the intercept; the text
    is the first prompts of every task of the study, where the paper has texts of the Pile.

    Args:
        study: Its model reads the text.
        tag: The task.
        prompts: How many of each task are read.

    Returns:
        Columns token, mean (activation times direction), count; the largest mean first, and
        nothing that occurs fewer than `LEAST` times. Empty where no model, or not the task, is at
        hand.
    """
    if study.profile.source == "published" or tag not in study.datasets:
        return pd.DataFrame(columns=["token", "mean", "count"])
    dataset, split = study.dataset(tag), study.split(tag)
    x = read_activations(study, tag)[split.train]
    text = [one for each in study.datasets.values() for one in each.prompts[:prompts]]
    read = [activation_key(study, one, study.main_hook).digest for one in study.tags]
    how: dict[str, Any] = {"prompts": prompts, "read": read, "rows": _key(study, tag).digest}
    key = Key.of("rows", f"direction-{tag}", version=_VERSION, **how)
    if (kept := study.store.read_rows(key)) is None:
        direction = DenseProbe(seed=study.profile.seeds[0]).fit(x, dataset.labels[split.train])
        found = _along(study, text, direction.coef_[0].astype(np.float32))
        study.store.write_rows(key, kept := _table(found))
    return kept.to_pandas()


def _along(study: Study, text: list[str], direction: np.ndarray) -> pd.DataFrame:
    """Mean of every token of some text along a direction, (d_model,)."""
    model, ids = study_model(study), token_ids(study, text)
    lengths = np.array([len(row) for row in ids], dtype=np.int64)
    told: list[tuple[int, float]] = []
    with model.capture([study.main_hook]) as run:
        batches = run_batches(run, ids, lengths, study.profile.batch_tokens, model)
        for rows, output, _ in batches:
            along = output[study.main_hook].float().cpu().numpy() @ direction
            for row, values in zip(rows, along, strict=True):
                told += zip(ids[row], values.tolist(), strict=False)  # padding stands behind
    frame = pd.DataFrame(told, columns=["id", "value"]).groupby("id")["value"].agg(["mean", "size"])
    frame = frame[frame["size"] >= LEAST].sort_values("mean", ascending=False, kind="stable")
    tokens = [model.bridge.tokenizer.decode([one]) for one in frame.index]
    return pd.DataFrame({"token": tokens, "mean": frame["mean"].to_numpy(),
                         "count": frame["size"].to_numpy()})  # fmt: skip


def _table(frame: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(frame, preserve_index=False)
