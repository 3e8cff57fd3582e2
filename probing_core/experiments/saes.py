"""The SAEs of a study: trained or loaded once, gated, and each task encoded once."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from probing_core.errors import UserError
from probing_core.experiments.activations import (
    activation_key,
    compute_activations,
    read_activations,
    read_tokens,
    tokens_key,
)
from probing_core.experiments.executor import held, release, run_units
from probing_core.experiments.study import Study, once
from probing_core.experiments.untrained import untrained_tokens
from probing_core.profiles import SAESource, TrainedSAE
from probing_core.saes import controls, sources
from probing_core.saes.encoding import encode, latents_from_arrays, latents_to_arrays, reconstruct
from probing_core.saes.gate import GateReport, check_band, measure, pass_gate
from probing_core.saes.training import streams, train_saes
from probing_core.store import Key, Store

log = logging.getLogger(__name__)
_VERSION = 2
_HELD_OUT = 0.1
"""Share of the sampled tokens that no SAE trains on; the gate measures on them."""


@once
def study_saes(study: Study) -> list[SAESource]:
    """The SAEs of a study's model that every section probes, patterns expanded.

    Raises:
        UserError: If a release or an id is unknown, or two SAEs have one id.
    """
    return _both(study)[0]


def study_suite(study: Study) -> list[SAESource]:
    """The SAEs that only the section on better SAEs probes besides; raises the same."""
    return _both(study)[1]


@once
def _both(study: Study) -> tuple[list[SAESource], list[SAESource]]:
    saes, suite = sources.expand(study.model.saes), sources.expand(study.model.suite)
    sources.expand((*saes, *(one for one in suite if one not in saes)))  # refuses one id for two
    return saes, suite


@once
def sae_key(study: Study, source: SAESource) -> Key:
    """The key of a trained SAE, or of the gate report of one from outside: its content."""
    tokens = [tokens_key(study, tag).digest for tag in study.training_tags]
    identity = sources.identity(source)
    return Key.of("saes", sources.sae_id(source), version=_VERSION, source=identity, tokens=tokens)


@once
def latents_key(study: Study, tag: str, source: SAESource) -> Key:
    """The key of one task's latents under one SAE."""
    return Key.of(
        "latents",
        f"{tag}-{sources.sae_id(source)}",
        sae=sae_key(study, source).digest,
        activations=activation_key(study, tag, study.main_hook).digest,
    )


def sae_keys(study: Study, chosen: Sequence[SAESource] | None = None) -> list[Key]:
    """The keys of some SAEs, of `study_saes` if none are given."""
    return [sae_key(study, source) for source in _or_all(study, chosen)]


def _or_all(study: Study, chosen: Sequence[SAESource] | None) -> Sequence[SAESource]:
    return study_saes(study) if chosen is None else chosen


def compute_saes(study: Study, chosen: Sequence[SAESource] | None = None) -> None:
    """Train or load some SAEs, `study_saes` if none are given, and let each pass its gate.

    Raises:
        UserError: If an SAE is not to be had or does not pass.
    """
    compute_activations(study)
    missing = [one for one in _or_all(study, chosen) if _stored(study, one) is None]
    if not missing:
        return
    log.info("Training or loading %d SAEs", len(missing))
    context = _context(study)
    if any(getattr(one, "control", None) == "reinitialised" for one in missing):
        context["untrained"] = untrained_tokens(study)
    units = [
        (study.store.root, context, [(sae_key(study, source), source) for source in together])
        for together in streams(missing, study.device_workers)
    ]
    run_units(_sae_unit, units, label="SAEs", workers=study.device_workers, executor=study.executor)


def sae_table(study: Study, chosen: Sequence[SAESource] | None = None) -> pd.DataFrame:
    """One row an SAE: what it is, what it measured at the gate and at the probed position.

    `chosen` are some SAEs, `study_saes` if none are given.

    Returns:
        Columns sae_id, architecture (of a control, which), width, hook, l0, explained_variance,
        n_tokens, dead_latents (share of them on those tokens; missing if measured before that was),
        l0_probed, explained_variance_probed, train_seconds (missing unless trained here) and gate.
    """
    rows = []
    for source in _or_all(study, chosen):
        report, stored = _passed(study, source)
        probed = {name: stored[name] for name in stored if name != "gate"}
        rows.append(report.as_dict() | probed | {"gate": "pass"})
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class LatentsInput:
    """Everything a worker needs to read one task's latents, or to encode them once."""

    source: SAESource
    report: GateReport
    sae: Key
    latents: Key
    reconstruction: Key
    activations: Key
    device: str


def latents_input(study: Study, tag: str, source: SAESource) -> LatentsInput:
    """Where a task's latents are, for an SAE that has passed its gate.

    Raises:
        UserError: If the SAE is not to be had or does not pass.
    """
    report, _ = _passed(study, source)
    activations = activation_key(study, tag, study.main_hook)
    latents = latents_key(study, tag, source)
    made = Key.of("reconstructions", latents.label, latents=latents.digest)
    key, device = sae_key(study, source), study.device
    return LatentsInput(source, report, key, latents, made, activations, device)


def read_latents(store: Store, where: LatentsInput) -> csr_array | None:
    """Latents of a task, (n_prompts, d_sae) float32; ``None`` when its activations are lacking."""
    if (stored := store.read_arrays(where.latents)) is not None:
        return latents_from_arrays(stored[0])
    activations = store.read_arrays(where.activations)
    if activations is None:
        return None
    latents = encode(_sae_of(store, where), activations[0]["activations"], where.device)
    store.write_arrays(where.latents, latents_to_arrays(latents))
    return latents


def read_parts(store: Store, where: LatentsInput) -> tuple[np.ndarray, np.ndarray] | None:
    """What an SAE reconstructs of a task's activations and what it misses, (n, d_model) float32.

    ``None`` when the activations are lacking.
    """
    stored, kept = store.read_arrays(where.activations), store.read_arrays(where.reconstruction)
    if stored is None:
        return None
    activations = stored[0]["activations"]
    if kept is not None:
        made = kept[0]["reconstruction"]
    else:
        made, _ = reconstruct(_sae_of(store, where), activations, where.device)
        store.write_arrays(where.reconstruction, {"reconstruction": made})
    return made, activations - made


@once
def study_sae(study: Study, source: SAESource) -> Any:
    """An SAE that has passed its gate, kept between calls: for what the store does not keep."""
    _passed(study, source)
    key = sae_key(study, source)
    return load_sae(source, study.store.path(key))


def compute_latents(
    study: Study, wanted: Iterable[tuple[SAESource, str]], *, parts: bool = False
) -> None:
    """Encode tasks with SAEs where the store lacks it, so that one process holds one SAE.

    Or decode them, too: `parts` asks for what `read_parts` reads.
    """
    lacking: dict[Key, list[LatentsInput]] = {}
    for source, tag in dict.fromkeys(wanted):
        where = latents_input(study, tag, source)
        made = where.reconstruction if parts else where.latents
        if not study.store.path(made, ".safetensors").exists():
            lacking.setdefault(where.sae, []).append(where)
    read = read_parts if parts else read_latents
    units = [(study.store.root, inputs, read) for inputs in lacking.values()]
    workers, executor = study.device_workers, study.executor
    run_units(_encode_unit, units, label="latents", workers=workers, executor=executor)


def _encode_unit(root: Path, inputs: list[LatentsInput], read: Callable[..., Any]) -> None:
    store = Store(root)
    for where in inputs:
        read(store, where)


def _sae_of(store: Store, where: LatentsInput) -> Any:
    """The SAE behind some latents, one a process."""
    return held(_load, where.sae, where.source, store.path(where.sae))


def _load(key: Key, source: SAESource, folder: Path) -> Any:
    """The SAE; kept by its key, since a folder may hold other weights the next time."""
    return load_sae(source, folder)


def load_sae(source: SAESource, folder: Path) -> Any:
    """An SAE: from the folder in the store where it was trained here, or from outside."""
    if isinstance(source, TrainedSAE):
        return sources.load_folder(folder)
    return sources.load_external(source)


def _stored(study: Study, source: SAESource) -> tuple[GateReport, dict[str, Any]] | None:
    """The gate report of an SAE and what was measured beside it, or ``None`` before it passed.

    The gate is no part of the key: a narrower one stops an SAE that is stored already.
    """
    key = sae_key(study, source)
    if isinstance(source, TrainedSAE) and study.store.read_folder(key) is None:
        return None
    stored = study.store.read_json(key) or {}
    try:
        report = GateReport(**stored["gate"])
    except (TypeError, KeyError):  # missing, or not as this program writes it
        return None
    check_band(report, source.gate, sources.expected_l0(source))
    return report, stored


@once
def _passed(study: Study, source: SAESource) -> tuple[GateReport, dict[str, Any]]:
    """The same, after whatever is lacking has been trained or loaded."""
    if (found := _stored(study, source)) is None:
        saes, suite = _both(study)
        compute_saes(study, next((some for some in (saes, suite) if source in some), [source]))
        found = _stored(study, source)
    if found is None:
        raise UserError(f"SAE '{sources.sae_id(source)}' could not be stored; run again.")
    return found


def _context(study: Study) -> dict[str, Any]:
    """What every SAE of a study is trained and measured on."""
    probed = [read_activations(study, tag)[:64] for tag in study.training_tags]
    for tag in study.training_tags:
        read_tokens(study, tag)  # Extracts them anew where they are damaged.
    return {
        "model": study.model.name,
        "hook": study.main_hook,
        "device": study.device,
        "probed": np.concatenate(probed),
        "tokens": [tokens_key(study, tag) for tag in study.training_tags],
        "seed": study.profile.seeds[0],
    }


def _shuffled_tokens(store: Store, keys: list[Key], seed: int) -> np.ndarray:
    """Sampled tokens of all tasks, shuffled together; never more than two copies in memory."""
    parts = [stored[0]["tokens"] for key in keys if (stored := store.read_arrays(key)) is not None]
    place = np.random.default_rng(seed).permutation(sum(map(len, parts)))
    tokens = np.empty((len(place), parts[0].shape[1]), np.float32)
    start = 0
    while parts:
        part = parts.pop(0)
        tokens[place[start : start + len(part)]] = part
        start += len(part)
    return tokens


def _sae_unit(root: Path, context: dict[str, Any], work: list[tuple[Key, SAESource]]) -> None:
    """Train SAEs of one stream or load one, gate them, and store each with its report."""
    release()  # the language model, which this process may still hold
    store = Store(root)
    tokens = _shuffled_tokens(store, context["tokens"], context["seed"])
    held_out = tokens[: max(1, int(_HELD_OUT * len(tokens)))]
    specs = [source for _, source in work if isinstance(source, TrainedSAE)]
    made: list[tuple[Any, float | None]] = []
    if specs:
        where = {name: context[name] for name in ("model", "hook", "device")}
        rows = tokens[len(held_out) :]
        if specs[0].control == "reinitialised":
            untrained = _shuffled_tokens(store, context["untrained"], context["seed"])
            rows = controls.alike(untrained, rows)
        made += train_saes(specs, rows, **where)
    else:
        made += [(sources.load_external(source), None) for _, source in work]  # type: ignore[arg-type]
    failed: list[UserError] = []
    for (key, source), (sae, seconds) in zip(work, made, strict=True):
        try:
            _keep(store, context, key, source, sae, seconds, held_out)
        except UserError as error:
            failed.append(error)  # after the others, which are worth keeping
    if failed:
        raise failed[0]


def _keep(
    store: Store,
    context: dict[str, Any],
    key: Key,
    source: SAESource,
    sae: Any,
    seconds: float | None,
    held_out: np.ndarray,
) -> None:
    """Gate an SAE on (m, d_model) tokens, and store what it measured if it passes.

    What was trained here is measured as it is read again: where latents compete over a batch in
    training, what is saved has a threshold, and another L0.
    """
    if isinstance(source, TrainedSAE):
        store.write_folder(key, lambda folder: sae.save_inference_model(folder))
        sae = sources.load_folder(store.path(key))
    report = pass_gate(
        sae,
        held_out,
        sae_id=sources.sae_id(source),
        hook=context["hook"],
        band=source.gate,
        expected_l0=sources.expected_l0(source),
        expected_width=source.width if isinstance(source, TrainedSAE) else None,
        device=context["device"],
    )
    l0_probed, explained_probed, _ = measure(sae, context["probed"], context["device"])
    measured = {
        "train_seconds": seconds,
        "l0_probed": l0_probed,
        "explained_variance_probed": explained_probed,
    }
    told = sources.architecture(source) or report.architecture
    store.write_json(key, {"gate": report.as_dict() | {"architecture": told}, **measured})
