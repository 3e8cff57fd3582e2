"""What a study downloads, holds, stores and takes, derived before any of it happens.

It follows from the shapes of models and SAEs, from the length of the prompts, and from
``facts.yaml``: what only the hub knows, and what was measured once.
"""

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import psutil
import torch
import yaml
from huggingface_hub import constants
from huggingface_hub.file_download import repo_folder_name

from probing_core.datasets import TASKS, ProbingDataset, load_dataset
from probing_core.datasets.regimes import MOST_SKEWED, REGIMES
from probing_core.datasets.splits import MIN_TEST
from probing_core.errors import UserError
from probing_core.experiments import improvements, leakage, multi_token, shift
from probing_core.experiments.regimes import quiver_saes
from probing_core.experiments.saes import study_saes
from probing_core.experiments.study import Study, open_study
from probing_core.models.adapter import resolve_dtype
from probing_core.pages.text import directive, duration, md, table, write_page
from probing_core.probes.validation import SIX_FOLD
from probing_core.profiles import ReleasedSAE, SAESource, TrainedSAE, load_profile
from probing_core.runner.provenance import code_digest
from probing_core.saes.encoding import LATENTS_AT_ONCE, WEIGHTS_AT_ONCE
from probing_core.saes.sources import expected_l0, repository

GB = 1e9
HEADER = ("model", "step", "download", "disk", "memory", "GPU memory", "time")


@dataclass(frozen=True)
class Shape:
    """A language model: its ``config.json``, and how many bytes a parameter has on the hub."""

    parameters: int
    embedding: int
    layers: int
    d_model: int
    stored: int = 0


FACTS = yaml.safe_load(Path(__file__).with_name("facts.yaml").read_text(encoding="utf-8"))
MODELS = {name: Shape(**fields) for name, fields in FACTS["models"].items()}
CONTEXT = 2 * GB
"""Libraries and buffers of a process, on the host as on a GPU."""
ANYWAY = "PROBING_ANYWAY"


@dataclass(frozen=True)
class Step:
    """What a step downloads by repository, adds to the disk, holds at most (bytes), and takes."""

    name: str
    downloads: Counter[str]
    disk: float
    memory: float
    gpu: float
    hours: float


def sae_shape(source: SAESource, d_model: int) -> tuple[int, float, int]:
    """Width of an SAE, mean active latents, and bytes of a weight on the hub."""
    l0 = expected_l0(source) or 64.0
    if isinstance(source, TrainedSAE):
        return source.width, l0, 0
    if not isinstance(source, ReleasedSAE):
        return 2**14, l0, 0
    if source.release.startswith("llama_scope"):
        return 32 * d_model, l0, 2
    power = next((p for word, p in FACTS["widths"].items() if f"width_{word}/" in source.id), 14)
    return 2**power, l0, 4


def read_datasets(study: Study) -> list[ProbingDataset]:
    """The tasks, and the shifted test sets of those that have one."""
    shifted = [study.dataset(f"{tag}_shifted") for tag in shift.shifted_tags(study)]
    return [*study.datasets.values(), *shifted]


def _suite(study: Study) -> list[SAESource]:
    """The SAEs that section 08 compares, where it compares those of this model."""
    own = improvements.suite_study(study)
    return improvements.suite_saes(study) if own.model == study.model else []


def n_tokens(study: Study) -> float:
    """Tokens of all prompts, after truncation, BOS included."""
    limit = study.profile.max_tokens
    return sum(_task_tokens(dataset, limit) for dataset in read_datasets(study))


def _task_tokens(dataset: ProbingDataset, limit: int) -> float:
    each = FACTS["characters_a_token"]
    return sum(min(len(prompt) / each + 1, limit) for prompt in dataset.prompts)


def projected_tokens(name: str = "google/gemma-2-9b", limit: int = 256) -> pd.DataFrame:
    """What section 07 would take with a model of the paper, its limit of tokens and a 1M-wide SAE.

    Returns:
        One row with the columns of `multi_token.sizes`.
    """
    most = load_profile("paper").token_prompts
    rows = [
        {"prompts": len(one), "tokens": _task_tokens(one, limit), "longest": limit}
        for one in (load_dataset(tag, max_prompts=most) for tag in TASKS)
    ]
    width, d_model = 2 ** FACTS["widths"]["1m"], MODELS[name].d_model
    told = f"{name}, {limit} tokens"
    return pd.DataFrame([multi_token.size_row(told, pd.DataFrame(rows), d_model, width)])


def make_plan(study: Study, device: str = "", workers: int = 0) -> list[Step]:
    """The steps of a study on a device with some cores, this machine's by default.

    Empty for a model whose shape is not known here.
    """
    shape, device = MODELS.get(study.model.name), device or study.device
    if shape is None:
        return []
    workers = workers or study.workers
    return [
        _extraction(study, shape, device, workers),
        _encoding(study, shape, device, workers),
        _probing(study, shape, workers),
    ]


def _extraction(study: Study, shape: Shape, device: str, workers: int) -> Step:
    model, dtype = study.model, resolve_dtype(study.model.dtype, device)
    layers = [int(hook.split(".")[1]) + 1 for hook in model.hooks if hook.startswith("blocks.")]
    share = max(layers, default=0) / shape.layers
    # section 07 reads some prompts of each task once more, every token of them
    most, sizes = study.profile.token_prompts, list(map(len, read_datasets(study)))
    again = sum(min(most, size) for size in sizes) / sum(sizes)
    work = 2 * (shape.parameters - shape.embedding) * share * n_tokens(study) * (1 + again)
    places = len(model.hooks) + len(model.other_positions)
    kept = sum(map(len, read_datasets(study))) * places
    kept += len(study.tags) * study.profile.sae_tokens
    batch = 4 * FACTS["numbers_a_token"] * shape.d_model * study.profile.batch_tokens
    held = shape.parameters * getattr(torch, dtype).itemsize + batch + CONTEXT
    downloads = Counter({model.name: shape.parameters * shape.stored})
    disk = 4.0 * kept * shape.d_model
    return _on_device(("activations", downloads, disk), (held, held), work, device, workers, dtype)


def _encoding(study: Study, shape: Shape, device: str, workers: int) -> Step:
    prompts = sum(map(len, read_datasets(study)))
    moved = shift.shifted_tags(study)
    both = sum(len(study.dataset(name)) for tag in moved for name in (tag, f"{tag}_shifted"))
    downloads: Counter[str] = Counter()
    disk = work = widest = 0.0
    for source in dict.fromkeys((*study_saes(study), *_suite(study))):
        width, l0, stored = sae_shape(source, shape.d_model)
        weights = 2 * width * shape.d_model
        # latents of all prompts, and in section 04 what the SAE reconstructs
        disk += 8 * l0 * prompts + 4 * shape.d_model * both
        work, widest = work + weights * (prompts + 2 * both), max(widest, weights)
        if isinstance(source, TrainedSAE):
            work += 6.0 * weights * source.steps * source.batch_tokens
        elif isinstance(source, ReleasedSAE):
            downloads[repository(source)[0]] += weights * stored
    # while an SAE is read, a copy of half of its weights is held besides
    held = 1.5 * 4 * widest + CONTEXT
    gpu = min(4 * widest, WEIGHTS_AT_ONCE) + 5 * LATENTS_AT_ONCE + CONTEXT
    what = ("SAEs and latents", downloads, disk)
    return _on_device(what, (held, gpu), work, device, workers, "float32")


def _on_device(
    what: tuple[str, Counter[str], float],
    held: tuple[float, float],
    work: float,
    device: str,
    workers: int,
    dtype: str,
) -> Step:
    """A step on a GPU in one process, else in one process of each core."""
    if device == "cpu":
        return Step(
            *what, held[0] * workers, 0.0, work / FACTS["core_rate"][dtype] / workers / 3600
        )
    return Step(*what, *held, work / FACTS["gpu_rate"][dtype] / 3600)


def _probing(study: Study, shape: Shape, workers: int) -> Step:
    profile, moved = study.profile, shift.shifted_tags(study)
    every, quiver, suite = map(len, (study_saes(study), quiver_saes(study), _suite(study)))
    more = [(n, grid, suite) for n, grid in improvements.suite_grids(study).items() if suite]
    more += [(n, grid, quiver) for n, grid in leakage.grids(study).items()] * 2  # two protocols
    one = FACTS["seconds"][profile.solver]
    rows = 4 * len(moved) * every  # logistic regression on the parts, on both kinds of prompts
    wide, full = shape.d_model / FACTS["measured"]["d_model"], FACTS["measured"]["n_train"]
    seconds = rows * one["logreg"] * wide
    for name, grid, tags, hooks, saes in (
        ("standard", profile.standard, study.tags, len(study.model.hooks), every),
        *((name, grid, study.tags, 1, quiver) for name, grid in profile.regimes.items()),
        (shift.REGIME, shift.grid_of(study), moved, 1, quiver),
        ("standard", shift.first_seed(shift.grid_of(study)), moved, 1, quiver),
        *((n, grid, moved if n == shift.REGIME else study.tags, 1, saes) for n, grid, saes in more),
    ):
        values = grid.values or REGIMES[name].values or (None,)
        tasks = len(tags) * len(grid.seeds or profile.seeds)
        most = grid.max_train or profile.standard.max_train
        sizes = [_trained(study.dataset(tag), name, v, most) for tag in tags for v in values]
        settings = len(grid.seeds or profile.seeds) * sum(sizes) / full
        draws = {"xgboost": grid.xgboost_draws}
        fits = wide * sum(one[method] * draws.get(method, 1) for method in grid.methods)
        ways = saes * len(grid.rankings) * len(grid.penalties)
        sparse = ways * one["sae"] * sum(k ** FACTS["measured"]["power_of_k"] for k in grid.k)
        seconds += settings * (hooks * fits + sparse)
        rows += tasks * len(values) * (hooks * len(grid.methods) + ways * len(grid.k))
    held = workers * (CONTEXT / 2 + 8 * profile.max_prompts * shape.d_model)
    return Step("probes", Counter(), 200 * rows, held, 0.0, seconds / workers / 3600)


def _trained(dataset: ProbingDataset, regime: str, value: float | None, most: int) -> float:
    """About how many prompts of a task are fitted in a regime, those in six folds six times."""
    skewed = MOST_SKEWED if regime == "imbalance" else 0.5
    supply = max(0.0, min(dataset.n_smaller / skewed - MIN_TEST, most))
    if regime == "scarcity" and value is not None:
        supply = value if value <= supply else 0.0
    return supply * (6 if supply <= SIX_FOLD else 1)


def plan_cells(study: Study, device: str = "", workers: int = 0) -> Iterator[list[str]]:
    """A study's plan in text, one row a step, in the columns of `HEADER`."""
    for step in make_plan(study, device, workers):
        sizes = (step.downloads.total(), step.disk, step.memory, step.gpu)
        told = [f"{size / GB:.1f} GB" if size > GB / 20 else "–" for size in sizes]
        yield [study.model.name, step.name, *told, duration(3600 * step.hours)]


def machine_for(study: Study) -> tuple[str, int]:
    """The device and cores to plan for: this machine's, or for a model of the hub an H100's."""
    return ("cuda", 16) if study.model.name in MODELS and "/" in study.model.name else ("", 0)


def write_scale_table(folder: Path) -> Path:
    """Write ``_scale.md``, the plan of the profile `paper`, anew when the code has changed."""
    path, note = folder / "_scale.md", f"% {code_digest()}"
    if path.is_file() and path.read_text(encoding="utf-8").startswith(note):
        return path
    rows, tokens = [], 0.0
    for model in load_profile("paper").models:
        study = open_study("paper", model=model.name)
        rows += list(plan_cells(study, *machine_for(study)))
        tokens = n_tokens(study)
    cells = [list(map(md, row)) for row in rows]
    caption = (
        f"The profile paper on one H100 and 16 cores, {tokens / 1e6:.1f} million tokens a model"
    )
    text = directive("table", caption, table(HEADER, cells, "llrrrrr"), name="tbl-scale")
    return write_page(path, f"{note}\n\n{text}")


def refuse(study: Study) -> None:
    """Refuse to start what this machine cannot hold, unless ``PROBING_ANYWAY`` is set.

    Raises:
        UserError: Naming the step, what it needs, what there is, and the remedy.
    """
    steps = [] if study.executor or os.environ.get(ANYWAY) else make_plan(study)
    root, cache = study.store.root, Path(constants.HF_HUB_CACHE)
    store = max(0.0, sum(step.disk for step in steps) - study.store.size_bytes())
    wanted = sum((step.downloads for step in steps), Counter())
    hub = sum(max(0.0, size - _cached(name)) for name, size in wanted.items())
    on_gpu = study.device.startswith("cuda")
    gpu = torch.cuda.get_device_properties(study.device).total_memory if on_gpu else 0
    memory = psutil.virtual_memory().total
    smaller = "set dtype: bfloat16 or fewer workers in the profile, or use a machine with a GPU"
    needs = [
        ("The store", store, _free(root), f"disk at {root}", "give another with --store"),
        ("Downloading", hub, _free(cache), f"disk at {cache}", "set HF_HOME to another"),
    ]
    for step in steps:
        what = f"{step.name[0].upper()}{step.name[1:]} of {study.model.name}"
        needs.append((what, step.memory, memory, "memory", smaller))
        if on_gpu:
            needs.append((what, step.gpu, gpu, "GPU memory", "set dtype: bfloat16"))
    for what, need, there, kind, remedy in needs:
        if need > there:
            raise UserError(
                f"{what} needs {need / GB:.1f} GB of {kind}, and there is {there / GB:.1f} GB:"
                f" {remedy}, or take a smaller profile. 'plan' shows all; {ANYWAY}=1 starts anyway."
            )


def _free(path: Path) -> float:
    return shutil.disk_usage(next(p for p in (path, *path.absolute().parents) if p.exists())).free


def _cached(repo: str) -> int:
    """Bytes of a repository that the cache holds."""
    folder = repo_folder_name(repo_id=repo, repo_type="model")
    files = (Path(constants.HF_HUB_CACHE) / folder / "blobs").glob("*")
    return sum(file.stat().st_size for file in files)
