"""Section 07: probes that read every token of a prompt (paper, section 5), without keeping them.

One pass of the model serves a task: pooled activations and sparse pooled latents accumulate, and
all tokens go, as bfloat16, into a file that attention and per-position PCA read, and that is gone
when the task is done. Nothing has the shape (prompts, tokens, d_sae).
"""

import json
import resource
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.sparse import csr_array, vstack
from sklearn.decomposition import PCA

from probing_core.datasets import ProbingDataset, Split, load_dataset, standard_split
from probing_core.datasets.splits import kept_together, protocol_key
from probing_core.experiments import published
from probing_core.experiments.activations import activation_key, load_held
from probing_core.experiments.executor import run_units
from probing_core.experiments.fitting import sae_columns
from probing_core.experiments.regimes import first_sae
from probing_core.experiments.saes import LatentsInput, latents_input, latents_key, load_sae
from probing_core.experiments.second import each_model
from probing_core.experiments.study import Study, once
from probing_core.models.adapter import LanguageModel
from probing_core.models.extraction import run_batches
from probing_core.probes.attention import AttentionProbe, Tokens
from probing_core.probes.evaluate import evaluate_label_sets
from probing_core.probes.inputs import Inputs
from probing_core.probes.methods import SAE_METHOD
from probing_core.probes.metrics import final_scores
from probing_core.probes.result import ProbeResult, fit_log
from probing_core.probes.sparse import evaluate_top_k
from probing_core.profiles import Grid, Profile
from probing_core.rows import make_row, to_frame, to_table
from probing_core.saes.encoding import encode
from probing_core.saes.gate import GateReport
from probing_core.saes.pooling import pool_activations, pool_latents
from probing_core.store import Key, Store

SECTION = "multi_token"
_VERSION = 2
_GRID = Grid(k=(128,))
_RANKING = "mean_difference"
COMPONENTS = 20
"""Of the PCA at each position (PAPER B.10)."""
BINARISED = ("last", "max")
"""Poolings whose latents are also reduced to whether they are on."""
ATTENTION: dict[str, dict[str, Any]] = {
    "attention": {"heads": 1},
    "attention_8": {"heads": 8, "restarts": 2},
    "softmax_pooling": {"heads": 1, "tied": True},
}
"""Probes that learn which tokens count; with one weight for both a softmax-weighted maximum."""


@once
def _dataset(study: Study, tag: str) -> ProbingDataset:
    most = min(study.profile.token_prompts, study.profile.max_prompts)
    return load_dataset(study.dataset(tag), max_prompts=most)


@once
def _key(study: Study, tag: str) -> Key:
    source, profile = first_sae(study), study.profile
    grid = profile.sections.get(SECTION, _GRID)
    return Key.of(
        "rows",
        f"tokens-{study.model.name}-{tag}",
        version=_VERSION,
        dataset=_dataset(study, tag).content_hash,
        activations=activation_key(study, tag, study.main_hook).digest,
        latents=latents_key(study, tag, source).digest if source else "",
        k=list(grid.k),
        max_train=grid.max_train or profile.standard.max_train,
        protocol=protocol_key(profile.protocol),
        solver=profile.solver,
        seed=profile.seeds[0],
    )


def keys(study: Study) -> list[Key]:
    """The keys of the section's rows, of every model of the study that it runs on."""
    return [_key(one, tag) for one in each_model(study) for tag in one.tags]


def compute(study: Study) -> None:
    """Run and fit what the store lacks, a task at a time in each process."""
    for one in each_model(study):
        source, work = first_sae(one), []
        for tag in one.tags:
            if one.store.read_rows(key := _key(one, tag)) is None:
                sae = latents_input(one, tag, source) if source else None
                how = (one.model, one.dtype, one.device, one.profile)
                work.append((one.store.root, key, how, _dataset(one, tag), sae))
        work.sort(key=lambda unit: -sum(map(len, unit[3].prompts)))
        label = f"tokens of {one.model.name}"
        workers = one.device_workers
        run_units(_token_unit, work, label=label, workers=workers, executor=one.executor)


def read(study: Study) -> pd.DataFrame:
    """The section's rows that are there."""
    tables = [study.store.read_rows(key) for key in keys(study)]
    return to_frame([table for table in tables if table is not None])


def sizes(study: Study) -> pd.DataFrame:
    """What each model's largest task takes, and would take naively, in bytes.

    Returns:
        Columns as `size_row`; no row of a model that was not run.
    """
    rows = []
    for one in study.either(lambda: list(each_model(study)), lambda: []):
        kept = [one.store.read_json(_measured(_key(one, tag))) for tag in one.tags]
        known = pd.DataFrame([each for each in kept if each])
        if len(known):
            source = first_sae(one)
            width = latents_input(one, one.tags[0], source).report.width if source else 0
            peak = known["peak_memory"].max()
            rows.append(size_row(one.model.name, known, int(known["d_model"].max()), width, peak))
    return pd.DataFrame(rows)


def size_row(
    model: str, tasks: pd.DataFrame, d_model: int, width: int, peak: float = np.nan
) -> dict[str, Any]:
    """What tasks of known ``prompts``, ``tokens`` and ``longest`` prompt take, a row a task.

    Returns:
        ``model``; ``tokens`` and ``file`` (bfloat16) of the largest task; what would be kept
        naively, in float32 and padded: ``activations`` of all tasks, dense ``latents`` of the
        largest; and ``peak_memory`` of a process. Bytes, but for the tokens.
    """
    padded, most = tasks["prompts"] * tasks["longest"], float(tasks["tokens"].max())
    naive = {"activations": 4.0 * d_model * padded.sum(), "latents": 4.0 * width * padded.max()}
    kept = {"model": model, "tokens": most, "file": 2 * d_model * most}
    return kept | naive | {"peak_memory": peak}


def _measured(rows: Key) -> Key:
    return Key.of("measured", rows.label, rows=rows.digest)


def published_rows(study: Study) -> pd.DataFrame:
    """Published rows of pooled probes, and those on last tokens of the same tasks and SAEs."""
    pooled, standard = (published.section_rows(study, name) for name in (SECTION, "standard"))
    return pooled if pooled.empty else with_last_tokens(pooled, standard, study.main_hook)


def with_last_tokens(
    pooled: pd.DataFrame, standard: pd.DataFrame, hook: str, ranking: str = _RANKING
) -> pd.DataFrame:
    """Published rows of pooled probes and, of the standard ones, those that they are beside.

    These are logistic regression and the same SAEs with the same k, on the same tasks.
    """
    told = pooled["hyperparameters"].map(json.loads)
    pooled = pooled.assign(position=[one.get("pooling") for one in told])
    same = standard["dataset"].isin(pooled["dataset"]) & (standard["hook"] == hook)
    sae = standard["sae_id"].isin(pooled["sae_id"].dropna()) & (standard["ranking"] == ranking)
    sae &= standard["k"].isin(pooled["k"].dropna())
    last = standard[same & (sae | (standard["method"] == "logreg"))].assign(position="last")
    return pd.concat([pooled, last], ignore_index=True)


def _token_unit(
    root: Path, key: Key, how: tuple, dataset: ProbingDataset, where: LatentsInput | None
) -> None:
    """Rows of one task: what the model gives is pooled and filed in one pass, then fitted."""
    model, dtype, device, profile = how
    store, grid = Store(root), profile.sections.get(SECTION, _GRID)
    split = standard_split(
        dataset,
        protocol=profile.protocol,
        seed=profile.seeds[0],
        max_train=grid.max_train or profile.standard.max_train,
    )
    loaded = load_held(model.source, dtype, profile.device, root)
    sae = load_sae(where.source, store.path(where.sae)) if where else None
    filed = store.path(key).parent  # where a draft that a killed run leaves is swept up
    filed.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=filed, prefix=".tmp-") as folder:
        read = read_tokens(
            loaded, dataset.prompts, model.main_hook, Path(folder) / "tokens",
            max_tokens=profile.max_tokens, batch_tokens=profile.batch_tokens,
            prepend_bos=model.prepend_bos, sae=sae, device=device,
        )  # fmt: skip
        columns = {
            "section": SECTION, "protocol": profile.protocol, "solver": profile.solver,
            "model": model.name, "hook": model.main_hook, "prepend_bos": model.prepend_bos,
            "dataset": dataset.tag, "regime": "standard", "seed": profile.seeds[0],
            "n_train": len(split.train), "n_test": len(split.test), "unit_key": key.digest,
        }  # fmt: skip
        labels, report = dataset.labels.astype(np.int64), where.report if where else None
        groups = kept_together(dataset, split, profile.protocol)
        rows = list(_fitted(read, split, labels, groups, grid, profile, report))
    lengths = read[0].lengths
    used = {"prompts": len(lengths), "tokens": int(lengths.sum()), "longest": int(lengths.max())}
    used |= {"d_model": loaded.d_model}
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    store.write_json(_measured(key), used | {"peak_memory": peak})
    store.write_rows(key, to_table([make_row(result, **columns, **own) for result, own in rows]))


def read_tokens(
    model: LanguageModel, prompts: Sequence[str], hook: str, path: Path, *, max_tokens: int,
    batch_tokens: int, prepend_bos: bool, drop_first: bool = True, sae: Any = None,
    device: str = "cpu",
) -> tuple[Tokens, dict[str, np.ndarray], dict[str, csr_array]]:  # fmt: skip
    """Run prompts once; their tokens in a file, and activations and latents pooled on the way.

    The first token, which is BOS where there is one, and where there is none takes its place as the
    token that all others attend to, is left out: no SAE here trains on it.

    Args:
        model: A language model, as `load_model` gives it.
        prompts: Texts.
        hook: What is read.
        path: The file, two bytes a number.
        max_tokens: Longer prompts are cut on the left.
        batch_tokens: Padded tokens of a forward pass.
        prepend_bos: Whether a prompt begins with BOS.
        drop_first: Whether the first token is left out, of prompts that have another.
        sae: Whose latents are pooled, if any.
        device: Where it encodes.
    """
    ids, _ = model.tokenize(prompts, max_tokens, prepend_bos=prepend_bos)
    lengths = np.array([len(row) for row in ids])
    kept = np.maximum(lengths - int(drop_first), 1)
    ends, size = np.cumsum(kept), int(kept.sum())
    filed = torch.from_file(str(path), shared=True, size=size * model.d_model, dtype=torch.bfloat16)
    values = filed.view(size, model.d_model)
    dense: list[dict[str, np.ndarray]] = []
    sparse: list[dict[str, csr_array]] = []
    order: list[int] = []
    with model.capture([hook]) as run:
        for rows, output, _ in run_batches(run, ids, lengths, batch_tokens, model):
            parts = [
                output[hook][place, lengths[row] - kept[row] : lengths[row]].float().cpu()
                for place, row in enumerate(rows)
            ]
            for row, part in zip(rows, parts, strict=True):
                values[ends[row] - kept[row] : ends[row]] = part
            whole = torch.cat(parts).numpy()
            dense.append(pool_activations(whole, kept[rows]))
            if sae is not None:
                sparse.append(pool_latents(encode(sae, whole, device), kept[rows]))
            order += rows.tolist()
    back = np.argsort(order)
    pooled = {name: np.concatenate([one[name] for one in dense])[back] for name in dense[0]}
    latents = {
        name: vstack([one[name] for one in sparse], format="csr")[back]
        for name in (sparse[0] if sparse else ())
    }
    return Tokens(values, ends - kept, kept), pooled, latents


def _fitted(
    read: tuple[Tokens, dict[str, np.ndarray], dict[str, csr_array]], split: Split,
    labels: np.ndarray, groups: np.ndarray | None, grid: Grid, profile: Profile,
    report: GateReport | None,
) -> Iterator[tuple[ProbeResult, dict[str, Any]]]:  # fmt: skip
    """Every probe of a task, with the columns that name it."""
    tokens, pooled, latents = read
    train, test = labels[split.train], labels[split.test]
    for position, rows in pooled.items():
        shared = Inputs(rows[split.train], rows[split.test])
        (result,) = evaluate_label_sets(
            "logreg", [train], test, shared=shared, solver=profile.solver, groups=groups
        )
        yield result, {"method": "logreg", "position": position, "penalty": "l2"}
    for method, options in ATTENTION.items():
        probe = AttentionProbe(**options, seed=profile.seeds[0])
        yield attend(probe, tokens, split, labels, groups), {"method": method}
    beside = csr_array(concatenated(tokens, split.train))
    top_k = partial(evaluate_top_k, ranking=_RANKING, solver=profile.solver, groups=groups)
    ((_, result),) = top_k(
        beside[split.train], train, beside[split.test], test, ks=[beside.shape[1]]
    )
    yield result, {"method": "concatenated_pca", "penalty": "l1"}
    for position, codes in latents.items():
        named = {"method": SAE_METHOD, "position": position, "penalty": "l1", "ranking": _RANKING}
        named |= sae_columns(report) if report else {}
        for binarize in (False, True)[: 1 + (position in BINARISED)]:
            own = (codes > 0).astype(np.float32) if binarize else codes
            for k, result in top_k(own[split.train], train, own[split.test], test, ks=grid.k):
                yield result, {**named, "k": k, "binarize": binarize}


def attend(
    probe: AttentionProbe, tokens: Tokens, split: Split, labels: np.ndarray,
    groups: np.ndarray | None = None,
) -> ProbeResult:  # fmt: skip
    """Fit an attention probe on the training prompts of a split, and score it on the others."""
    with fit_log() as log:
        probe.fit(tokens[split.train], labels[split.train], groups)
        logits = probe.decision_function(tokens[split.test])
        scores = final_scores(labels[split.test], logits, (logits > 0).astype(int), log)
    told = {"heads": probe.heads, "steps": probe.n_steps_}
    warning = "; ".join(log.notes) or None
    return ProbeResult(probe.val_auc_, *scores, told, True, warning, log.seconds)


def concatenated(tokens: Tokens, train: np.ndarray) -> np.ndarray:
    """Principal components at each position, side by side: (n_prompts, positions * components).

    They are fitted on the training prompts that reach a position; others are zero there, as are
    positions that hardly any prompt reaches.
    """
    parts, trains = [], np.isin(np.arange(len(tokens)), train)
    for position in range(int(tokens.lengths.max())):
        reach = tokens.lengths > position
        fitted = reach & trains
        if fitted.sum() <= COMPONENTS:
            break
        here = tokens.values[torch.from_numpy(tokens.starts[reach] + position)].float().numpy()
        with np.errstate(invalid="ignore"):  # at a causal model's BOS nothing varies
            pca = PCA(COMPONENTS, random_state=0).fit(here[fitted[reach]])
        part = np.zeros((len(tokens), COMPONENTS), np.float32)
        part[reach] = pca.transform(here)
        parts.append(part)
    return np.hstack(parts) if parts else np.zeros((len(tokens), 1), np.float32)
