"""Section 06: do probes find wrong labels? Labels of three sources, one comparison (section 4.3.1).

Probes are trained on the labels given and tested on given ones, on clean ones, and where the two
disagree. What is clean says a council of judges: the paper's, which ships, a file of yours, or
models asked now. Or labels are flipped here, so that the truth is known.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.special import expit

from probing_core.datasets import TASKS, ProbingDataset, load_dataset
from probing_core.datasets.prompts import from_frame
from probing_core.datasets.regimes import REGIMES, Draw
from probing_core.errors import UserError
from probing_core.experiments.activations import (
    activation_key,
    compute_activations,
    read_activations,
)
from probing_core.experiments.latents import AMONG, task_latents
from probing_core.experiments.pruning import question
from probing_core.experiments.regimes import first_sae
from probing_core.experiments.saes import latents_key
from probing_core.experiments.second import each_model
from probing_core.experiments.shift import first_of_each
from probing_core.experiments.study import Study, once
from probing_core.judges import council
from probing_core.probes.estimators import DenseProbe, SparseProbe
from probing_core.probes.metrics import auc
from probing_core.profiles import SAESource
from probing_core.published import source as published
from probing_core.saes.selection import RANKINGS, rank_latents
from probing_core.store import Key

SECTION = "mislabelled"
TASK, PLANTED_TASK, K, SHARE = "87_glue_cola", "66_living-room", 128, 0.2
COUNCIL, PLANTED, LIVE = "council", "planted", "live"
SUBSETS = ("given labels", "clean labels", "where they disagree")
COLUMNS = ["model", "labels", "method", "latent", "prompt", "given", "clean", "chance"]
_BY_DEFAULT = ((COUNCIL, TASK), (PLANTED, PLANTED_TASK))
_VERSION = 2


@dataclass(frozen=True)
class Relabelled:
    """A test set with two sets of labels, and what trains.

    Attributes:
        name: Where the clean labels are from.
        tested: Prompts with the labels given.
        rows: Rows of `tested` that test, (m,) int64.
        clean: (m,) int64 0/1.
        train_rows: Rows of the task that trains, (n,) int64.
        train_labels: Theirs as given, (n,) int64.
    """

    name: str
    tested: ProbingDataset
    rows: np.ndarray
    clean: np.ndarray
    train_rows: np.ndarray
    train_labels: np.ndarray


@dataclass(frozen=True)
class _Work:
    """One comparison, on a study that has both tasks."""

    study: Study
    one: Relabelled
    tag: str
    source: SAESource
    key: Key


def relabelled(
    study: Study, labels: str, tag: str = TASK, *, share: float = SHARE,
    judges: Sequence[str] = (), asked: int = 200, seed: int = 42,
) -> Relabelled:  # fmt: skip
    """Two sets of labels for some prompts of a task.

    Args:
        study: Has the task.
        labels: ``council`` (the paper's judges on the last prompts of CoLA), ``planted`` (a share
            of labels flipped here, in training and test), ``live`` (models asked now), or the path
            of a CSV: columns prompt and original_target, and ensemble or one column a judge.
        tag: The task that trains.
        share: Of labels flipped.
        judges: Models that are asked.
        asked: How many of the task's last prompts they are asked about.
        seed: Draws training rows and flips.

    Raises:
        UserError: If the labels are not to be had, or are none.
    """
    data = study.dataset(tag)
    if labels == PLANTED:
        how = Draw(study.profile.protocol, seed, study.profile.standard.max_train)
        noisy = REGIMES["label_noise"].draw(data, share, how)
        split, given = noisy.split, data.labels.copy()
        given[split.test] ^= np.random.default_rng(seed).random(len(split.test)) < share
        clean = data.labels[split.test].astype(np.int64)
        tested = replace(data, labels=given)
        return Relabelled(PLANTED, tested, split.test, clean, split.train, noisy.train_labels)
    frame = _judged(study, labels, tag, judges, asked)
    told = frame.dropna(subset="clean").head(study.profile.max_prompts).reset_index(drop=True)
    known = told[["prompt", "given"]].rename(columns={"given": "target"})
    tested = from_frame(known, tag=f"{tag}-judged", source="judged", min_prompts=2)
    train = first_of_each(data, seed)
    clean = told["clean"].to_numpy().astype(np.int64)
    name = labels if labels in (COUNCIL, LIVE) else Path(labels).stem
    return Relabelled(name, tested, np.arange(len(told)), clean, train,
                      data.labels[train].astype(np.int64))  # fmt: skip


def _judged(study: Study, labels: str, tag: str, judges: Sequence[str], asked: int) -> pd.DataFrame:
    """Columns prompt, given (0/1) and clean (0/1, NaN where judges are split)."""
    data = load_dataset(tag) if tag in TASKS else study.dataset(tag)
    if labels == COUNCIL:
        if tag != TASK:
            raise UserError(f"The paper's council judged {TASK} alone: give a CSV, or 'planted'.")
        sheet = published.published_import().sides["judgements"]
        sheet = sheet.assign(prompt=list(data.prompts[-len(sheet) :]))
    elif labels == LIVE:
        last = list(data.prompts[-asked:])
        sheet = council(judges, question(study, tag)[0], last, study.store)
        sheet = sheet.assign(prompt=last, original_target=data.labels[-asked:])
    else:
        sheet = _read(Path(labels))
    mean = sheet["ensemble"] if "ensemble" in sheet else _votes(sheet).mean(axis=1)
    clean = (mean > 0.5).astype(float).where(mean.notna() & mean.ne(0.5))
    return pd.DataFrame(
        {"prompt": sheet["prompt"], "given": sheet["original_target"].astype(int), "clean": clean}
    )


def _read(path: Path) -> pd.DataFrame:
    """A council's CSV, checked."""
    try:
        sheet = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as a CSV ({type(error).__name__}).") from None
    for name in ("prompt", "original_target"):
        if name not in sheet:
            raise UserError(f"{path.name}: there is no column '{name}'.")
    wrong = ~sheet["original_target"].isin([0, 1]) | sheet["prompt"].isna()
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0]) + 1
        raise UserError(f"{path.name}, row {row}: a prompt and a target of 0 or 1 are needed.")
    if "ensemble" in sheet and not sheet["ensemble"].dropna().isin([0, 1]).all():
        raise UserError(f"{path.name}: the column 'ensemble' holds 0, 1 or nothing.")
    if "ensemble" not in sheet and _votes(sheet).empty:
        raise UserError(f"{path.name}: there is neither a column 'ensemble' nor one of a judge.")
    return sheet


def _votes(sheet: pd.DataFrame) -> pd.DataFrame:
    """The columns of judges: those that hold 0, 1 or nothing, which numbers of rows do not."""
    others = sheet.drop(columns="original_target").select_dtypes("number")
    return others.loc[:, [bool(others[name].dropna().isin([0, 1]).all()) for name in others]]


def keys(study: Study) -> list[Key]:
    """The keys of what the section scores by default: the paper's council, and planted labels."""
    return [work.key for work in _by_default(study)]


def compute(study: Study) -> None:
    """Score what the store lacks by default."""
    for work in _by_default(study):
        _rows(work)


def read(study: Study) -> pd.DataFrame:
    """The section's rows that are there."""
    held = [table for key in keys(study) if (table := study.store.read_rows(key)) is not None]
    return pa.concat_tables(held).to_pandas() if held else pd.DataFrame(columns=COLUMNS)


@once
def _by_default(study: Study) -> list[_Work]:
    return [work for labels, tag in _BY_DEFAULT for work in _planned(study, labels, tag)]


def scores(study: Study, labels: str, tag: str = TASK, **how: Any) -> pd.DataFrame:
    """Each probe's chance of label 1 for every test row, for each model of the study; kept by key.

    The probes are logistic regression on activations (``logreg``), the SAE probe with 128 latents
    (``sae_128``), and the one latent that best tells the given labels of the training rows, of the
    128 that differ most between them (``sae_1``).

    Args:
        study: Of its models those that have the task and an SAE are scored.
        labels: Where labels are from, as `relabelled` takes it.
        tag: The task that trains.
        how: More for `relabelled`.

    Returns:
        Columns of `COLUMNS`; ``latent`` is -1 but for ``sae_1``.
    """
    found = [_rows(work) for work in _planned(study, labels, tag, **how)]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=COLUMNS)


def _planned(study: Study, labels: str, tag: str, **how: Any) -> list[_Work]:
    """What is scored, a model of the study each."""
    planned = []
    for own in each_model(study):
        if (source := first_sae(own)) is None or tag not in own.datasets:
            continue
        one = relabelled(own, labels, tag, **how)
        wider = own if one.tested.tag == tag else own.beside(one.tested)
        pair = (tag, one.tested.tag)
        fields = {n: getattr(one, n).tolist() for n in ("rows", "clean", "train_labels")}
        fields |= {"train_rows": one.train_rows.tolist(), "given": one.tested.content_hash}
        fields |= {"seed": [own.profile.seeds[0]], "k": [K, AMONG]}
        fields |= {"activations": [activation_key(wider, n, own.main_hook).digest for n in pair]}
        fields |= {"latents": [latents_key(wider, name, source).digest for name in pair]}
        key = Key.of("rows", f"mislabelled-{one.name}-{tag}", version=_VERSION, **fields)
        planned.append(_Work(wider, one, tag, source, key))
    return planned


def _rows(work: _Work) -> pd.DataFrame:
    """The scores of one model, from the store or else fitted now."""
    study, pair = work.study, (work.tag, work.one.tested.tag)
    if (kept := study.store.read_rows(work.key)) is None:
        compute_activations(study, list(dict.fromkeys(pair)))
        dense = [read_activations(study, name) for name in pair]
        sparse = [task_latents(study, name, work.source) for name in pair]
        frame = _fitted(work.one, dense, sparse, study.profile.seeds[0], study.model.name)
        kept = pa.Table.from_pandas(frame, preserve_index=False)
        study.store.write_rows(work.key, kept)
    return kept.to_pandas()


def _fitted(one: Relabelled, dense: Any, sparse: Any, seed: int, model: str) -> pd.DataFrame:
    """Fit every probe on the training rows of the first features, and score the second's."""
    y, train = one.train_labels, sparse[0][one.train_rows]
    best = rank_latents(train, y, RANKINGS[0])[:AMONG]
    told = np.array([auc(y, column) for column in train[:, best].toarray().T])
    single = [int(best[np.abs(told - 0.5).argmax()])]
    test = sparse[1][one.rows]
    fits = {
        "logreg": (DenseProbe(seed=seed), dense[0][one.train_rows], dense[1][one.rows]),
        "sae_128": (SparseProbe(K, seed=seed), train, test),
        "sae_1": (SparseProbe(1, seed=seed), train[:, single], test[:, single]),
    }
    known = {
        "model": model,
        "labels": one.name,
        "prompt": [one.tested.prompts[row] for row in one.rows],
        "given": one.tested.labels[one.rows].astype(np.int64),
        "clean": one.clean,
    }
    frames = []
    for method, (probe, x, queries) in fits.items():
        chance = expit(probe.fit(x, y).decision_function(queries).astype(np.float64))
        latent = single[0] if method == "sae_1" else -1
        frames.append(pd.DataFrame(known | {"method": method, "latent": latent, "chance": chance}))
    return pd.concat(frames)[COLUMNS]


def bars(study: Study, computed: pd.DataFrame) -> pd.DataFrame:
    """Accuracies as they were computed, or for published rows those of figure 9."""
    return study.either(lambda: computed, lambda: published_bars(study))


def published_bars(study: Study) -> pd.DataFrame:
    """The published accuracies of figure 9, as `analysis.mislabelled.accuracies` has them."""
    rows = published.published_rows(study.store, "cola", "google/gemma-2-9b")
    sheet = published.published_import().sides["judgements"]
    differ = int(sheet["original_target"].ne(sheet["ensemble"]).sum())
    sizes = [len(sheet), len(sheet), differ]
    runs = rows["regime_value"].astype(int)
    return pd.DataFrame(
        {
            "model": rows["model"],
            "labels": COUNCIL,
            "method": np.where(rows["method"].eq("logreg"), "logreg",
                               "sae_" + rows["k"].astype(str)),
            "subset": runs.map(dict(enumerate(SUBSETS))),
            "accuracy": rows["test_acc"],
            "n": runs.map(dict(enumerate(sizes))),
        }
    )  # fmt: skip
