"""A study: one profile, one of its models, one store. Sections compute and read through it."""

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from probing_core.datasets import (
    ProbingDataset,
    Split,
    load_dataset,
    load_shifted,
    standard_split,
)
from probing_core.datasets.prompts import task_name
from probing_core.datasets.registry import TASKS
from probing_core.errors import UserError, nearest
from probing_core.experiments.executor import count_workers
from probing_core.models.adapter import model_revision, resolve_device, resolve_dtype
from probing_core.profiles import ModelProfile, Profile, load_profile
from probing_core.store import Store

DEFAULT_STORE = Path(__file__).resolve().parents[2] / "store"
T = TypeVar("T")
P = ParamSpec("P")


@dataclass(frozen=True, eq=False)
class Study:
    """What to compute, for which model of the profile, and where results live.

    `profile` is the `whole` one at the model's scale. `extra_tasks` are the user's own, besides the
    profile's: paths, or datasets. `executor` runs the units of work, loky workers on this machine
    when ``None``; `kept` holds what `once` computed.
    """

    whole: Profile
    model: ModelProfile
    store: Store
    profile: Profile
    extra_tasks: tuple[Any, ...] = field(default=(), repr=False)
    executor: Executor | None = field(default=None, repr=False)
    kept: dict[Any, Any] = field(default_factory=dict, repr=False, init=False)

    def either(self, computed: Callable[[], T], published: Callable[[], T]) -> T:
        """What a computed study gives, or what published rows give: asked here alone."""
        return published() if self.profile.source == "published" else computed()

    @cached_property
    def datasets(self) -> dict[str, ProbingDataset]:
        """Tag to dataset, in order, capped at the profile's ``max_prompts``."""
        named = list(TASKS) if self.profile.tasks == "all" else list(self.profile.tasks)
        loaded: dict[str, ProbingDataset] = {}
        places: dict[str, str] = {}
        for task in [*named, *self.extra_tasks]:
            dataset = load_dataset(task, max_prompts=self.profile.max_prompts)
            tag, place = dataset.tag, getattr(task, "source", str(task))
            if tag in loaded:
                raise UserError(
                    f"Two tasks are called '{tag}': {places[tag]} and {place}. Rename one of the"
                    " files, or drop one."
                )
            theirs = TASKS.get(tag.removesuffix("_shifted"))
            if theirs and dataset.source != theirs.source:
                raise UserError(f"'{tag}' is a task of the paper: call {place} something else.")
            loaded[tag], places[tag] = dataset, place
        if not loaded:
            raise UserError(f"Profile '{self.profile.name}' has no tasks: add one with --task.")
        return loaded

    def on(self, model: ModelProfile) -> "Study":
        """The same study on another model of the profile."""
        return replace(self, profile=self.whole.scaled(model), model=model)

    def beside(self, dataset: ProbingDataset) -> "Study":
        """The same study with one more task, which trains no SAE; the others are not read again."""
        wider = replace(self, extra_tasks=(*self.extra_tasks, dataset))
        vars(wider)["datasets"] = {**self.datasets, dataset.tag: dataset}
        return wider

    def task_files(self) -> list[str]:
        """The user's own tasks for another process; `UserError` where one is in memory only."""
        for task in self.extra_tasks:
            if isinstance(task, ProbingDataset):
                raise UserError(f"Notebooks read tasks from files: save '{task.tag}' as a CSV.")
        return [str(task) for task in self.extra_tasks]

    def dataset(self, tag: str) -> ProbingDataset:
        """A task of the study, or the shifted test set of one, by tag."""
        known = tag in self.datasets or not tag.endswith("_shifted")
        return self.datasets[tag] if known else _shifted(self, tag)

    def split(self, tag: str, seed: int | None = None) -> Split:
        """The standard split of a task: the profile's protocol, first seed and training size."""
        profile = self.profile
        first = profile.seeds[0] if seed is None else seed
        how = {"seed": first, "max_train": profile.standard.max_train}
        return standard_split(self.dataset(tag), protocol=profile.protocol, **how)

    @property
    def tags(self) -> list[str]:
        """Tags of the tasks."""
        return list(self.datasets)

    @property
    def training_tags(self) -> list[str]:
        """Tags whose tokens train the SAEs: the profile's own, or else the user's.

        Adding a task of yours leaves the SAEs, and all that was computed with them, as it is.
        """
        return self.tags[: len(self.tags) - len(self.extra_tasks)] or self.tags

    @property
    def main_hook(self) -> str:
        """The hook the SAEs read."""
        return self.model.main_hook

    @cached_property
    def device(self) -> str:
        """Torch device of forward passes, SAE training and encoding."""
        return resolve_device(self.profile.device)

    @cached_property
    def dtype(self) -> str:
        """Dtype of the model's weights."""
        return resolve_dtype(self.model.dtype, self.device)

    @cached_property
    def revision(self) -> str:
        """Identity of the model's weights."""
        return model_revision(self.model.source)

    @property
    def workers(self) -> int:
        """Processes that fit probes."""
        return count_workers(self.profile.workers)

    @property
    def device_workers(self) -> int:
        """Processes that use the device: one on a GPU."""
        return self.workers if self.device == "cpu" else 1


def once(
    function: Callable[Concatenate[Study, P], T],
) -> Callable[Concatenate[Study, P], T]:
    """Decorate a function of a study and hashable arguments: computed once for each."""

    @functools.wraps(function)
    def kept(study: Study, *args: P.args, **kwargs: P.kwargs) -> T:
        place = (function, args, tuple(sorted(kwargs.items())))
        if place not in study.kept:
            study.kept[place] = function(study, *args, **kwargs)
        return study.kept[place]

    return kept


@once
def _shifted(study: Study, tag: str) -> ProbingDataset:
    loaded = load_shifted(tag.removesuffix("_shifted"))
    return load_dataset(loaded, max_prompts=study.profile.max_prompts)


def open_study(
    profile: str | Path | Profile = "quick",
    store: str | Path | Store | None = None,
    *,
    model: str | None = None,
    tasks: Sequence[Any] | Mapping[str, Any] = (),
    executor: Executor | None = None,
) -> Study:
    """Open a study by profile.

    Args:
        profile: A profile's name, the path of a YAML file, or a profile.
        store: See `open_store`.
        model: One of the profile's models; the first by default.
        tasks: Your own tasks, besides the profile's: CSV paths, frames, Hugging Face datasets, in
            a list or by name.
        executor: Any ``concurrent.futures.Executor``, such as a Dask client's
            ``get_executor()``, whose workers see the store.

    Raises:
        UserError: If the profile, the model or the store is not what it should be.
    """
    loaded = profile if isinstance(profile, Profile) else load_profile(profile)
    names = [candidate.name for candidate in loaded.models]
    if twice := [one for one in loaded.models if names.count(one.name) > 1]:
        places = " and ".join(one.source for one in twice[:2])
        raise UserError(
            f"Profile '{loaded.name}' has two models called '{twice[0].name}': {places}. Give one a"
            " 'name' of its own, and its place as 'folder'."
        )
    if model and model not in names:
        raise UserError(f"Profile '{loaded.name}' has no model '{model}'. {nearest(model, names)}")
    chosen = loaded.models[names.index(model) if model else 0]
    if tasks and loaded.source == "published":
        raise UserError("Published rows know the paper's tasks only: leave out --task.")
    scaled = loaded.scaled(chosen)
    return Study(loaded, chosen, open_store(store), scaled, _own(tasks), executor)


def _own(tasks: Sequence[Any] | Mapping[str, Any]) -> tuple[Any, ...]:
    """Tasks that a name finds as they are, others as datasets with a name of their own."""
    if isinstance(tasks, Mapping):
        return tuple(load_dataset(task, name=str(name)) for name, task in tasks.items())
    own: list[Any] = []
    names: list[str] = []
    for task in tasks:
        if not isinstance(task, (str, Path, ProbingDataset)):
            names.append(name := task_name(task))
            number = f"-{names.count(name)}" if names.count(name) > 1 else ""
            task = load_dataset(task, name=name + number)
        own.append(task)
    return tuple(own)


def open_store(store: str | Path | Store | None = None) -> Store:
    """The store: a folder, by default ``PROBING_STORE``, else ``store`` beside the package.

    Raises:
        UserError: If the folder cannot be written, or was written in another format.
    """
    root = store or os.environ.get("PROBING_STORE") or DEFAULT_STORE
    if isinstance(root, Store):
        return root
    opened = Store(root)
    opened.sweep()  # here, not in every unit of work, which opens the store, too
    return opened
