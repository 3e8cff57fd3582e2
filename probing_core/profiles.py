"""Profiles: one YAML file is one scale of the same study; a misspelled key stops a run at once."""

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from probing_core.errors import UserError, nearest

PROFILE_FOLDER = Path(__file__).resolve().parent.parent / "profiles"
TASK_FILE = re.compile(r"\.[ct]sv(\.zst|\.gz)?$", re.IGNORECASE)
"""How the name of a task's file ends."""

Protocol = Literal["paper", "leak_free", "size_matched", "leak_free_exact", "leak_free_normalised"]
Solver = Literal["fast", "reference"]
Ranking = Literal["mean_difference", "normalized_mean_difference"]
Architecture = Literal[
    "topk", "batchtopk", "matryoshka", "abstopk", "matching_pursuit", "relu", "gated", "jumprelu"
]
Control = Literal[
    "random", "directions", "pca", "shuffled", "frozen_decoder", "frozen_encoder", "reinitialised"
]
Position = Literal["last", "mean"]
Tasks = Literal["all"] | tuple[str, ...]
T = TypeVar("T")


def _each_once(values: tuple[T, ...]) -> tuple[T, ...]:
    if twice := [one for one in values if values.count(one) > 1]:
        raise ValueError(f"{twice[0]!r} stands there twice")
    return values


Unique = AfterValidator(_each_once)
Count = Annotated[int, Field(ge=1)]
Value = Annotated[float, Field(allow_inf_nan=False)]
Seeds = Annotated[tuple[Annotated[int, Field(ge=0, lt=2**32)], ...], Unique]
Penalties = Annotated[tuple[Literal["l1", "l2"], ...], Unique]
Rankings = Annotated[tuple[Ranking, ...], Unique]
Counts = Annotated[tuple[Count, ...], Unique]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class GateBand(_Frozen):
    """What an SAE must show on token activations before any of its numbers is stored."""

    l0_factor: float = Field(4.0, gt=1, description="L0 within expected / factor … * factor")
    min_explained_variance: float = Field(0.3, lt=1, description="fraction of token variance")
    max_l0: float = Field(2000, gt=0, description="upper bound when no L0 is expected")


class _Source(_Frozen):
    """What every SAE has, wherever it comes from."""

    name: str | None = Field(None, min_length=1, description="its id in rows and on pages")
    gate: GateBand = GateBand()


class TrainedSAE(_Source):
    """An SAE trained in place with SAELens on tokens of the training prompts."""

    architecture: Architecture = "topk"
    width: int = Field(gt=0, description="d_sae, number of latents")
    l0: int = Field(gt=0, description="active latents a token aimed at, such as k of TopK")
    control: Control | None = Field(None, description="a negative control; see saes/controls.py")
    steps: int = Field(120, gt=0)
    batch_tokens: int = Field(1024, gt=0)
    learning_rate: float = Field(3e-3, gt=0)
    seed: int = 0

    @model_validator(mode="before")
    @classmethod
    def _controls_need_not_explain_anything(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("control") and "gate" not in data:
            return data | {"gate": {"min_explained_variance": -1e9}}
        return data

    @model_validator(mode="after")
    def _can_be_trained(self) -> Self:
        if self.l0 > self.width:
            raise ValueError(f"l0 {self.l0} is more than the width {self.width}: lower it")
        if self.control and self.architecture != "topk":
            raise ValueError(f"the control {self.control!r} has the architecture 'topk'")
        return self


class ReleasedSAE(_Source):
    """SAEs of a SAELens release; ``id`` may be a pattern such as ``layer_20/*``.

    The release may be a repository that SAELens does not list, and the id a folder in it.
    """

    release: str
    id: str
    loader: str | None = Field(None, description="SAELens's loader for an unlisted repository")
    l0: float | None = Field(None, gt=0, description="what its authors state; SAELens's if none")
    architecture: str | None = Field(None, description="on pages, if the loader's says too little")


class FolderSAE(_Source):
    """An SAE saved by SAELens in a local folder (``cfg.json`` and ``sae_weights.safetensors``)."""

    folder: Path


def _sae_kind(value: Any) -> str:
    keys = set(value) if isinstance(value, dict) else set(type(value).model_fields)
    return "released" if "release" in keys else "folder" if "folder" in keys else "trained"


SAESource = Annotated[
    Annotated[TrainedSAE, Tag("trained")]
    | Annotated[ReleasedSAE, Tag("released")]
    | Annotated[FolderSAE, Tag("folder")],
    Discriminator(_sae_kind),
]


class Grid(_Frozen):
    """What is fitted in one regime."""

    values: Annotated[tuple[Value, ...], Unique] = Field((), description="published ones if empty")
    methods: Annotated[tuple[str, ...], Unique] = ("logreg", "pca", "knn", "xgboost", "mlp")
    k: Counts = (16, 128)
    rankings: Rankings = ("mean_difference",)
    penalties: Penalties = Field(("l1",), description="of SAE probes; the paper's is l1")
    xgboost_draws: int = Field(10, ge=1, description="random configurations tried")
    seeds: Seeds = Field((), description="split seeds; the profile's if empty")
    max_train: int | None = Field(None, ge=4, description="the standard regime's if none")


class StandardGrid(Grid):
    """What section 02 fits: baselines at every hook, SAE probes at the main hook."""

    k: Counts = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
    rankings: Rankings = ("mean_difference", "normalized_mean_difference")
    max_train: int = Field(1024, ge=4, description="training prompts (PAPER B.3)")


class Scale(_Frozen):
    """What a model of a profile has its own of; what is not given is the profile's."""

    tasks: Tasks | None = None
    max_prompts: int | None = Field(None, ge=104)
    max_tokens: int | None = Field(None, ge=4)
    sae_tokens: int | None = Field(None, ge=64)
    standard: StandardGrid | None = None
    regimes: dict[str, Grid] | None = None


class ModelProfile(_Frozen):
    """A language model, the hooks probed in it, and the SAEs that read its main hook."""

    name: str = Field(description="'minilm', 'smollm2', a TransformerLens name, or a local folder")
    folder: Path | None = Field(None, description="where it is, if a name says not enough")
    revision: str | None = Field(None, description="commit or tag on the hub; the newest if none")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "float32"
    prepend_bos: bool = Field(True, description="whether a prompt begins with BOS (or CLS)")
    position: Position = Field("last", description="the real token, or the mean of all, probed")
    other_positions: Annotated[tuple[Position, ...], Unique] = Field(
        (), description="extracted, too, and compared in the section on a second model"
    )
    hooks: Annotated[tuple[str, ...], Unique] = Field(min_length=1)
    main_hook: str
    saes: tuple[SAESource, ...] = ()
    suite: tuple[SAESource, ...] = Field(
        (), description="SAEs that only the section on better SAEs probes, besides those"
    )
    quiver_saes: tuple[str, ...] = Field((), description="ids or patterns; one a width if empty")
    scale: Scale = Scale()

    @property
    def source(self) -> str:
        """What it is loaded from; rows and pages show its name only."""
        return str(self.folder or (f"{self.name}@{self.revision}" if self.revision else self.name))

    @model_validator(mode="after")
    def _main_hook_is_probed(self) -> Self:
        if self.main_hook not in self.hooks:
            raise ValueError(f"main_hook {self.main_hook!r} must be one of hooks")
        if self.position in self.other_positions:
            raise ValueError(f"position {self.position!r} is among other_positions")
        return self


class Profile(_Frozen):
    """One scale of the study. See ``profiles/*.yaml`` for those that come with it."""

    name: str
    description: str = ""
    source: Literal["computed", "published"] = Field(
        "computed", description="fit the probes, or read rows that were imported"
    )
    models: tuple[ModelProfile, ...] = Field(min_length=1)
    tasks: Tasks = "all"
    max_prompts: int = Field(5000, ge=104, description="rows used of each task, both classes alike")
    max_tokens: int = Field(1024, ge=4, description="left truncation, in tokens")
    sae_tokens: int = Field(2048, ge=64, description="token activations kept per task for SAEs")
    batch_tokens: int = Field(2048, ge=16, description="padded tokens a forward pass")
    device: str = "auto"
    workers: int | Literal["auto"] = "auto"
    protocol: Protocol = "paper"
    solver: Solver = "fast"
    seeds: Seeds = Field((42,), min_length=1)
    standard: StandardGrid = StandardGrid()
    regimes: dict[str, Grid] = Field({}, description="the hard regimes by name")
    sections: dict[str, Grid] = Field({}, description="grids of further sections by name")
    token_prompts: int = Field(3000, ge=104, description="prompts of each task in section 07")
    suite_regimes: dict[str, Grid] = Field(
        {}, description="regimes of sections 08 and 09; all if empty"
    )

    def scaled(self, model: ModelProfile) -> Self:
        """This profile at the scale of one of its models."""
        own = {name: value for name, value in model.scale if value is not None}
        return self.model_copy(update=own)


_PARTS = (ModelProfile, Scale, Grid, TrainedSAE, ReleasedSAE, FolderSAE, GateBand)


def _explain(error: ValidationError, source: str) -> str:
    """Turn pydantic's complaints into one line: a misspelled key first, with the nearest."""
    errors = error.errors()
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        key = str(first["loc"][-1])
        owners: dict[str, type[_Frozen]] = {"the profile": Profile, "a model": ModelProfile}
        if owner := next((name for name in owners if key in owners[name].model_fields), None):
            return f"{source}: key '{place}' stands in the wrong place: it is one of {owner}."
        known = {name for kind in (Profile, *_PARTS) for name in kind.model_fields}
        return f"{source}: unknown key '{place}'. {nearest(key, sorted(known))}"
    if first["type"] == "value_error":
        return f"{source}: {place or 'profile'}: {first['ctx']['error']}."
    return f"{source}: {place}: {first['msg']} (got {str(first['input'])[:80]!r})."


def changed_grid(grid: Grid, name: str, **changes: Any) -> Grid:
    """A grid with other values, checked like those of a file; `name` is what the error says.

    Raises:
        UserError: If a value is not one that a profile could have.
    """
    try:
        return Grid.model_validate(grid.model_dump() | changes)
    except ValidationError as error:
        raise UserError(_explain(error, name)) from None


def is_task_file(task: str, folder: Path = Path()) -> bool:
    """Whether a task's name is that of a file in a folder, and no built-in tag."""
    return bool(TASK_FILE.search(task)) or "/" in task or os.path.isfile(folder / task)


def profile_names() -> list[str]:
    """Names of the profiles that come with the study, sorted."""
    return sorted(path.stem for path in PROFILE_FOLDER.glob("*.yaml"))


def load_profile(name: str | Path) -> Profile:
    """Read a profile by a name such as ``quick``, or by the path of a YAML file of your own.

    Files and folders that it names are where they are beside that file.

    Raises:
        UserError: If the file is missing, is no YAML mapping, or has a wrong key or value.
    """
    path = Path(name) if str(name).endswith((".yaml", ".yml")) else PROFILE_FOLDER / f"{name}.yaml"
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        hint = nearest(Path(name).stem, profile_names())
        raise UserError(f"Unknown profile '{name}'. {hint}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path.name} is not readable YAML: {reason[:200]}.") from None
    if not isinstance(data, dict):
        raise UserError(f"{path.name} must hold a mapping of options, not {type(data).__name__}.")
    try:
        profile = Profile.model_validate({"name": path.stem} | data)
    except ValidationError as error:
        raise UserError(_explain(error, path.name)) from None
    here = path.resolve().parent
    models = tuple(_placed(model, here) for model in profile.models)
    return profile.model_copy(update={"tasks": _at(here, profile.tasks), "models": models})


def _at(here: Path, tasks: Tasks) -> Tasks:
    """Tasks with the full paths of files."""
    if tasks == "all":
        return tasks
    return tuple(str((here / t).resolve()) if is_task_file(t, here) else t for t in tasks)


def _placed(model: ModelProfile, here: Path) -> ModelProfile:
    """A model with full paths of its own and its SAEs' folders; its name is the last part."""
    name, folder = model.name, model.folder and here / model.folder
    if folder is None and name not in ("minilm", "smollm2"):
        places = (here / name, Path(name))
        folder = next((place.resolve() for place in places if os.path.isdir(place)), None)
        name = folder.name if folder else name
    changes: dict[str, Any] = {"name": name, "folder": folder}
    for kind in ("saes", "suite"):
        changes[kind] = tuple(
            sae.model_copy(update={"folder": here / sae.folder})
            if isinstance(sae, FolderSAE)
            else sae
            for sae in getattr(model, kind)
        )
    if model.scale.tasks:
        tasks = _at(here, model.scale.tasks)
        changes["scale"] = model.scale.model_copy(update={"tasks": tasks})
    return model.model_copy(update=changes)
