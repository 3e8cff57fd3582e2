"""Does your SAE help a probe? The work of section 08 for one SAE, and its place among others."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from probing_core.analysis.architectures import effects_by_sae, reseed_floor, sae_label
from probing_core.analysis.paired import MeanInterval, mean_interval, signless_zero
from probing_core.datasets.regimes import REGIMES
from probing_core.errors import UserError
from probing_core.exchange import as_saebench, save_as_sae_probes
from probing_core.experiments import improvements
from probing_core.experiments.activations import compute_activations, read_activations, read_tokens
from probing_core.experiments.study import Study, open_study
from probing_core.experiments.units import compute_units, stored_rows, unit_rows
from probing_core.figures.evaluation import plot_evaluation
from probing_core.figures.style import Drawing
from probing_core.models.adapter import model_revision
from probing_core.profiles import (
    FolderSAE,
    GateBand,
    ModelProfile,
    Profile,
    ReleasedSAE,
    SAESource,
    load_profile,
)
from probing_core.rows import to_frame, to_table
from probing_core.saes.encoding import encode
from probing_core.saes.gate import GateReport, check_band, measure
from probing_core.saes.sources import named_source, sae_id, stated_hook
from probing_core.store import Key, sha256_of, write_atomically

_GATE_ROWS = 200
"""Token activations of each task that an object in memory is measured on."""


@dataclass(frozen=True)
class Evaluation:
    """What one SAE's probes do, beside baselines, controls and the other SAEs of the store.

    Attributes:
        name: The SAE's id in rows.
        rows: Tidy rows of its probes and of the baselines, on the same splits.
        others: Those of the profile's suite that the store holds at the same hook; maybe none.
        suite: What is known of these, as `experiments.improvements.suite_table`; maybe empty.
        hook: The hook of all of them.
        model: The model.
    """

    name: str
    rows: pd.DataFrame
    others: pd.DataFrame
    suite: pd.DataFrame
    hook: str
    model: str

    @property
    def k(self) -> int:
        """Latents that the probes keep: the most that were fitted."""
        return int(self.rows["k"].max())

    @cached_property
    def effects(self) -> pd.DataFrame:
        """Test AUC minus logistic regression's, a row a regime, SAE and task, at this k."""
        probes = self.others[self.others["sae_id"].notna() & (self.others["sae_id"] != self.name)]
        both = pd.concat([part for part in (self.rows, probes) if len(part)])
        return effects_by_sae(both, hook=self.hook, k=self.k)

    @cached_property
    def means(self) -> dict[str, MeanInterval]:
        """The mean effect of this SAE over tasks by regime, with its interval over families."""
        own = self.effects[self.effects["sae_id"] == self.name].set_index("dataset")
        held = [name for name in REGIMES if name in set(own["regime"])]
        return {name: mean_interval(own.loc[own["regime"] == name, "difference"]) for name in held}

    @property
    def verdict(self) -> str:
        """Two sentences: whether it helps in any regime, and its place among the others."""
        helps = [REGIMES[name].label for name, one in self.means.items() if one.low > 0]
        harms = [REGIMES[name].label for name, one in self.means.items() if one.high < 0]
        said = ", ".join(f"{REGIMES[n].label} {one.text()}" for n, one in self.means.items())
        ahead = f"ahead under {' and '.join(helps)}" if helps else "surely ahead in no regime"
        behind = f", behind under {' and '.join(harms)}" if harms else ""
        return (
            f"Beside logistic regression on activations of {self.model} at {self.hook}, probes on"
            f" {self.name} with k = {self.k} are {ahead}{behind} (difference in test AUC, 95%"
            f" intervals over task families: {said}). {self._place()}"
        )

    def _place(self) -> str:
        """Its rank among stored SAEs under standard conditions, and the reseed floor."""
        table = self.places()
        trained = table[~table["control"]]
        if len(trained) < 2:
            return "The store holds no other SAE at this hook to compare it with."
        place = list(trained["SAE"]).index(self.name) + 1
        controls = table[table["control"]]
        own = float(trained["difference"].iloc[place - 1])
        behind = int((controls["difference"] < own).sum())
        here = self.effects[self.effects["regime"] == "standard"]
        floor = reseed_floor(here, self.suite).get("standard", np.nan)
        seeds = f"; seeds of one architecture differ by up to {signless_zero(floor)}"
        return (
            f"Under standard conditions it is number {place} of {len(trained)} SAEs and ahead of"
            f" {behind} of {len(controls)} controls{seeds if np.isfinite(floor) else ''}."
        )

    def places(self) -> pd.DataFrame:
        """SAEs and controls by mean effect under standard conditions, the best first.

        Returns:
            Columns ``SAE``, ``what`` (architecture or control), ``control`` (bool) and
            ``difference``.
        """
        here = self.effects[self.effects["regime"] == "standard"]
        means = here.groupby("sae_id")["difference"].mean().sort_values(ascending=False)
        kinds = {one.Index: sae_label(one) for one in self.suite.itertuples()}
        controls = self.suite.get("control", pd.Series(dtype=object)).dropna().index
        table = pd.DataFrame({"SAE": means.index, "what": [kinds.get(n, "") for n in means.index]})
        return table.assign(control=table["SAE"].isin(controls), difference=means.to_numpy())

    def by_regime(self) -> pd.DataFrame:
        """Mean test AUC of both sides and the difference with its interval, a row a regime."""
        own = self.effects[self.effects["sae_id"] == self.name]
        means = own.groupby("regime")[["sae", "baseline"]].mean()
        return pd.DataFrame(
            {
                "regime": [REGIMES[name].label for name in self.means],
                "SAE probe": [signless_zero(means.loc[name, "sae"]) for name in self.means],
                "logistic regression": [
                    signless_zero(means.loc[name, "baseline"]) for name in self.means
                ],
                "difference": [one.text() for one in self.means.values()],
                "tasks": [one.n for one in self.means.values()],
            }
        )

    def by_task(self) -> pd.DataFrame:
        """Columns ``regime``, ``dataset``, ``sae``, ``baseline`` (test AUC) and ``difference``."""
        own = self.effects[self.effects["sae_id"] == self.name].drop(columns="sae_id")
        labels = own["regime"].map(lambda name: REGIMES[name].label)
        return own.assign(regime=labels).round(3).reset_index(drop=True)

    def not_run(self) -> pd.DataFrame:
        """Regimes without a row of this SAE, and settings that a task cannot supply, with why."""
        own = self.rows[(self.rows["sae_id"] == self.name) & self.rows["test_auc"].isna()]
        own = own.drop_duplicates(["dataset", "regime", "regime_value"])
        cells = [("all", REGIMES[n].label, "", "no rows") for n in REGIMES if n not in self.means]
        cells += [
            (tag, REGIMES[regime].label, "" if np.isnan(value) else f"{value:g}", str(why))
            for tag, regime, value, why in own[
                ["dataset", "regime", "regime_value", "warning"]
            ].itertuples(index=False)
        ]
        return pd.DataFrame(cells, columns=["dataset", "regime", "value", "why"])

    def export(self, folder: Path) -> list[Path]:
        """Write its rows as `sae-probes` and as SAEBench write theirs; the paths."""
        text = json.dumps(as_saebench(self.rows, sae_id=self.name), indent=1)
        paths = save_as_sae_probes(self.rows, folder, sae_id=self.name)
        write_atomically(folder / "saebench.json", text.encode())
        return [*paths, folder / "saebench.json"]

    def plot(self) -> Drawing:
        """Its effects by regime, among the other SAEs and controls."""
        return plot_evaluation(self.effects, self.suite, self.name)

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.verdict)}</p>"

    def __str__(self) -> str:
        return self.verdict


def evaluate(
    sae: Any,
    *,
    model: str = "minilm",
    hook: str = "",
    tasks: Sequence[str] = (),
    own_tasks: Sequence[Any] = (),
    profile: str | Path | Profile = "quick",
    store: Any = None,
) -> Evaluation:
    """Probe one SAE in every regime, beside baselines, on a profile's tasks.

    Args:
        sae: ``RELEASE:ID`` of SAELens, a folder that it wrote, a SAELens SAE, or any object with
            ``encode`` and ``decode``. Of the last kind the store keeps nothing.
        model: A model of the profile, or any that a profile can name.
        hook: The hook that the SAE reads; by default the one it states, or the profile's main one.
        tasks: Built-in tasks in place of the profile's, by tag.
        own_tasks: CSV paths or frames (prompt, target), besides.
        profile: Gives tasks, sizes and grids, and the suite that it is compared with.
        store: As `experiments.study.open_study` takes it.

    Raises:
        UserError: If the SAE is not to be had or does not pass its gate, with the reason.
    """
    given = named_source(sae) if isinstance(sae, (str, Path)) else sae
    if hook and (stated := stated_hook(given)) not in (None, hook):
        raise UserError(
            f"The SAE reads {stated}, not {hook}: leave the hook out, or name that one."
        )
    base = profile if isinstance(profile, Profile) else load_profile(profile)
    if tasks:
        base = base.model_copy(update={"tasks": tuple(tasks)})
    known = next((one for one in base.models if one.name == model), None)
    placed = _at(known, model, hook or stated_hook(given) or "")
    beside = open_study(base.model_copy(update={"models": (placed,)}), store, tasks=own_tasks)
    if (source := _source(given, beside)) is None:
        name, rows = _in_memory(sae, beside)
    else:
        study = beside.on(placed.model_copy(update={"suite": (source,)}))
        units = improvements.plan(study)
        compute_units(study, units)
        name, rows = sae_id(source), stored_rows(study, units)
    same = known is not None and bool(placed.suite) and placed.main_hook == known.main_hook
    others = stored_rows(beside, improvements.plan(beside)) if same else to_frame([])
    if others["sae_id"].isna().all():
        return Evaluation(name, rows, others, pd.DataFrame(), placed.main_hook, model)
    suite = improvements.suite_table(beside, others)
    return Evaluation(name, rows, others, suite, placed.main_hook, model)


def _at(known: ModelProfile | None, name: str, hook: str) -> ModelProfile:
    """A model with one hook and no SAEs but its suite."""
    main = hook or (known.main_hook if known else "")
    if not main:
        model_revision(name)  # where there is no such model, that is what to say
        raise UserError(
            f"Which hook of {name} does the SAE read? Such as blocks.3.hook_resid_post."
        )
    placed = known or ModelProfile(name=name, hooks=(main,), main_hook=main)
    changes = {"hooks": (main,), "main_hook": main, "saes": (), "quiver_saes": ()}
    return placed.model_copy(update=changes | {"other_positions": ()})


def _source(sae: Any, study: Study) -> SAESource | None:
    """What a profile would call it; ``None`` for an object that only encodes and decodes.

    A SAELens SAE in memory is saved into the store first.
    """
    if isinstance(sae, (FolderSAE, ReleasedSAE)):
        return sae
    save = getattr(sae, "save_inference_model", None) or getattr(sae, "save_model", None)
    if save is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        save(folder)
        parts = {path.name: sha256_of(path) for path in sorted(Path(folder).iterdir())}
    key = Key.of("given", type(sae).__name__, **parts)
    if study.store.read_folder(key) is None:
        study.store.write_folder(key, lambda target: save(target))
    return FolderSAE(folder=study.store.path(key), name=f"given-{key.digest[:8]}")


def _in_memory(sae: Any, study: Study) -> tuple[str, pd.DataFrame]:
    """The name and rows of an object with ``encode`` and ``decode``, fitted in this process."""
    units = [unit for unit in improvements.plan(study) if unit.source is None]
    compute_units(study, units)
    compute_activations(study)
    tokens = np.concatenate([read_tokens(study, tag)[:_GATE_ROWS] for tag in study.tags])
    l0, explained, dead = measure(sae, tokens, study.device)
    tags = sorted({tag for unit in units for tag in (unit.tag, unit.tested)})
    latents = {tag: encode(sae, read_activations(study, tag), study.device) for tag in tags}
    name, width = type(sae).__name__, latents[tags[0]].shape[1]
    report = GateReport(name, name, width, study.main_hook, l0, explained, len(tokens), dead)
    check_band(report, GateBand(), None)
    rows: list[dict[str, Any]] = []
    for unit in units:
        tasks = study.dataset(unit.tag), study.dataset(unit.tested)
        features = latents[unit.tag], latents[unit.tested]
        rows += unit_rows(study.profile, study.model, unit, tasks, features, report)
    return name, pd.concat([stored_rows(study, units), to_frame([to_table(rows)])])
