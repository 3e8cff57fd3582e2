"""A positive control for section 6: planted features, and dictionaries from the truth to noise.

Whoever finds that SAEs do not help probes must show that the method would notice help. Each task
asks whether one planted feature is on. Conditions and fits are those of every other section.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from probing_core.datasets import ProbingDataset
from probing_core.datasets.splits import protocol_key
from probing_core.experiments.executor import run_units
from probing_core.experiments.fitting import Fits, fit_baselines, fit_sae_probes
from probing_core.experiments.study import Study
from probing_core.experiments.units import conditions_of
from probing_core.probes.compile import compile_kernels
from probing_core.profiles import Grid, Profile
from probing_core.rows import to_frame, to_table
from probing_core.saes.gate import GateReport
from probing_core.store import Key, Store

SECTION, REGIME, HOOK = "planted", "scarcity", "planted"
_VERSION = 1


@dataclass(frozen=True)
class Dictionary:
    """What stands in for an SAE: the true coefficients, or what encoder directions read.

    An encoder direction has this `cosine` with its feature's; of a prompt's positive readings the
    largest `keep` stay. For a share `missing` of the features there is nothing, or a random
    direction.
    """

    name: str
    cosine: float | None = None
    missing: float = 0.0
    keep: int = 32

    def encode(self, world: "World", values: np.ndarray, activations: np.ndarray) -> csr_array:
        """Latents (n, n_features) float32 of what `World.prompts` gives."""
        rng, truth = np.random.default_rng([world.seed, 2]), world.directions
        order = rng.permutation(world.n_features)
        there = np.ones((world.n_features, 1), np.float32)
        there[order[: round(self.missing * world.n_features)]] = 0
        if self.cosine is None:
            return csr_array(values * there.T)
        other = rng.normal(size=truth.shape).astype(np.float32)
        other = _unit(other - truth * (other * truth).sum(1, keepdims=True))
        cosines = self.cosine * there
        read = activations @ (cosines * truth + np.sqrt(1 - cosines**2) * other).T
        least = np.partition(read, -self.keep, axis=1)[:, [-self.keep]]
        return csr_array(np.where(read >= np.maximum(least, 0), read, 0))


@dataclass(frozen=True)
class World:
    """Prompts whose activations are sums of unit directions and noise, and what is fitted on them.

    Features outnumber dimensions. Feature r (from 0) is on in a share ``most * (r + 1) ** -power``
    of prompts, independently, with magnitude ``|normal(1, spread)|``; `noise` is the standard
    deviation in each dimension.
    """

    n_features: int = 512
    d_model: int = 128
    most: float = 0.18
    power: float = 0.5
    spread: float = 0.25
    noise: float = 0.1
    n_prompts: int = 2048
    n_tasks: int = 10
    seed: int = 0
    dictionaries: Sequence[Dictionary] = (
        Dictionary("the truth"),
        Dictionary("half the truth", missing=0.5),
        *(Dictionary(f"cosine {cosine:g}", cosine) for cosine in (1.0, 0.9, 0.7, 0.0)),
    )
    grid: Grid = Grid(
        values=(4, 16, 64, 256, 1024), methods=("logreg",), k=(1, 16, 128), seeds=(42, 43)
    )

    @property
    def chances(self) -> np.ndarray:
        """How often each feature is on, (n_features,) float64."""
        return self.most * np.arange(1, self.n_features + 1) ** -self.power

    @property
    def directions(self) -> np.ndarray:
        """Unit directions of the features, (n_features, d_model) float32."""
        shape = (self.n_features, self.d_model)
        return _unit(np.random.default_rng(self.seed).normal(size=shape).astype(np.float32))

    @property
    def tasks(self) -> list[int]:
        """The features that are asked for, evenly from the most frequent to the rarest."""
        return np.linspace(0, self.n_features - 1, self.n_tasks).astype(int).tolist()

    def prompts(self, feature: int) -> tuple[ProbingDataset, np.ndarray, np.ndarray]:
        """A balanced task: coefficients (n_prompts, n_features), activations (n_prompts, d_model).

        Both are float32. The feature is on in every prompt with label 1 and in no other.
        """
        rng = np.random.default_rng([self.seed, 1, feature])
        labels = rng.permutation(np.arange(self.n_prompts, dtype=np.int8) % 2)
        on = rng.random((self.n_prompts, self.n_features)) < self.chances
        on[:, feature] = labels
        values = (on * np.abs(rng.normal(1, self.spread, on.shape))).astype(np.float32)
        noise = rng.normal(0, self.noise, (self.n_prompts, self.d_model)).astype(np.float32)
        texts = tuple(f"prompt {number}" for number in range(self.n_prompts))
        named = (f"feature-{feature:03d}", texts, labels, ("off", "on"), SECTION)
        return ProbingDataset(*named, self.n_prompts), values, values @ self.directions + noise


WORLD = World()


def keys(study: Study, world: World = WORLD) -> list[Key]:
    """A key for every task of a world; of the study its solver and protocol count."""
    how = asdict(world) | {"grid": world.grid.model_dump(mode="json"), "version": _VERSION}
    how |= {"solver": study.profile.solver, "protocol": protocol_key(study.profile.protocol)}
    return [Key.of("rows", f"planted-{one:03d}", feature=one, **how) for one in world.tasks]


def compute(study: Study, world: World = WORLD) -> None:
    """Fit what the store lacks of a world."""
    pairs = zip(keys(study, world), world.tasks, strict=True)
    lacking = [pair for pair in pairs if study.store.read_rows(pair[0]) is None]
    if lacking and study.profile.solver == "fast":
        compile_kernels()
    work = [(study.store.root, study.profile, *pair, world) for pair in lacking]
    label = f"probes of section {SECTION}"
    run_units(fit_task, work, label=label, workers=study.workers, executor=study.executor)


def read(study: Study, world: World = WORLD) -> pd.DataFrame:
    """Tidy rows of what the store has of a world; a dictionary is the SAE."""
    tables = [study.store.read_rows(key) for key in keys(study, world)]
    return to_frame([table for table in tables if table is not None])


def fit_task(root: Path, profile: Profile, key: Key, feature: int, world: World) -> None:
    """Fit logistic regression and the probes of every dictionary on one feature; store the rows."""
    task, values, activations = world.prompts(feature)
    columns = {name: getattr(profile, name) for name in ("protocol", "solver")}
    columns |= {"section": SECTION, "model": SECTION, "hook": HOOK, "regime": REGIME}
    columns |= {"dataset": task.tag, "unit_key": key.digest}
    conditions = conditions_of(profile, task, task, REGIME, world.grid)
    fits = Fits(world.grid, conditions, task.labels.astype(np.int64), profile.solver, columns)
    rows = fit_baselines(activations, activations, fits)
    for one in world.dictionaries:
        latents = one.encode(world, values, activations)
        sizes = (latents.shape[1], HOOK, latents.nnz / len(task), float("nan"), len(task))
        rows += fit_sae_probes(latents, latents, fits, GateReport(one.name, SECTION, *sizes))
    Store(root).write_rows(key, to_table(rows))


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
