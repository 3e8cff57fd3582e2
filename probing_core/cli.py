"""The command line: ``python -m probing_core run|book|compute|status|list|show|…``.

Bad input ends with one line and exit code 2; a failed notebook or build with exit code 1.
"""

import ast
import logging
import os
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from probing_core.errors import RunFailed, UserError, nearest

app = typer.Typer(
    name="python -m probing_core",
    help=(
        "Does a sparse autoencoder help a probe? Compute the study, execute its notebooks and"
        " build the book. Start with 'book --profile quick'."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
ProfileOption = Annotated[
    str,
    typer.Option(
        "--profile", "-P", help="quick, minilm, smollm2, paper, or the path of a YAML file."
    ),
]
StoreOption = Annotated[
    str, typer.Option("--store", "-s", help="Folder of results; default PROBING_STORE or ./store.")
]
TaskOption = Annotated[
    list[str], typer.Option("--task", "-t", help="A CSV of yours (prompt,target), added. Repeat.")
]
ModelOption = Annotated[str, typer.Option("--model", "-m", help="One of the profile's models.")]
ParameterOption = Annotated[
    list[str], typer.Option("--parameter", "-p", help="name=value for notebooks. Repeatable.")
]
OnlyOption = Annotated[list[str], typer.Option("--only", "-o", help="Run this notebook only.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Execute even unchanged notebooks.")]


def _study(profile: str, store: str, model: str = "", tasks: list[str] | None = None) -> Any:
    from probing_core.experiments.study import open_study
    from probing_core.profiles import is_task_file

    own = [str(Path(task).resolve()) if is_task_file(task) else task for task in tasks or []]
    return open_study(profile, store or None, model=model or None, tasks=own)


def _absolute(profile: str) -> str:
    """A profile's name, or the full path of its file, which a kernel needs."""
    return str(Path(profile).resolve()) if profile.endswith((".yaml", ".yml")) else profile


@app.command()
def compute(
    profile: ProfileOption = "quick",
    store: StoreOption = "",
    model: ModelOption = "",
    task: TaskOption = [],  # noqa: B006
) -> None:
    """Fill the store without notebooks, for a cluster; they then only draw.

    Resumes where it was stopped. Example: compute --profile minilm --store /scratch/probing
    """
    from probing_core.runner import book

    study = _study(profile, store, model, task)
    stages = book.compute(study)
    typer.echo(", ".join(f"{stage} {seconds:.0f} s" for stage, seconds in stages.items()))


@app.command()
def run(
    profile: ProfileOption = "quick",
    store: StoreOption = "",
    model: ModelOption = "",
    task: TaskOption = [],  # noqa: B006
    only: OnlyOption = [],  # noqa: B006
    parameter: ParameterOption = [],  # noqa: B006
    force: ForceOption = False,
) -> None:
    """Compute, then execute the notebooks in order into book/sections.

    Example: run --only 02-probes -p ranking=normalized_mean_difference
    """
    from probing_core.runner import book

    study = _study(profile, store, model, task)
    values = _parameters(parameter)
    with book.alone():
        pages = book.run(
            study, profile=_absolute(profile), notebooks=only, parameters=values, force=force
        )
    for page in pages:
        typer.echo(f"{page.page}: {page.status} in {page.seconds:.0f} s")


@app.command("book")
def make_book(
    profile: ProfileOption = "quick",
    store: StoreOption = "",
    model: ModelOption = "",
    task: TaskOption = [],  # noqa: B006
    parameter: ParameterOption = [],  # noqa: B006
    force: ForceOption = False,
) -> None:
    """Compute, execute, write the generated pages, and build _build/html/index.html."""
    from probing_core.runner import book

    study = _study(profile, store, model, task)
    values = _parameters(parameter)
    with book.alone():
        book.run(study, profile=_absolute(profile), parameters=values, force=force)
        book.write_pages(study)
        typer.echo(f"Open {book.build_html().relative_to(book.ROOT)}")


@app.command()
def evaluate(
    sae: Annotated[str, typer.Option(help="A folder that SAELens wrote, or RELEASE:ID.")],
    model: Annotated[str, typer.Option("--model", "-m", help="A model.")] = "minilm",
    hook: Annotated[str, typer.Option(help="What the SAE reads, if it does not say so.")] = "",
    tasks: Annotated[str, typer.Option(help="Tags by commas, in place of the profile's.")] = "",
    csv: Annotated[list[str], typer.Option(help="A CSV of yours, added. Repeat.")] = [],  # noqa: B006
    profile: ProfileOption = "quick",
    store: StoreOption = "",
    out: Annotated[Path, typer.Option(help="Where the report goes.")] = Path("evaluation"),
    export: Annotated[bool, typer.Option(help="Rows for sae-probes and SAEBench, too.")] = False,
) -> None:
    """Probe one SAE in every regime: the verdict, an executed notebook, and one HTML file.

    Example: evaluate --sae path/to/my-sae
    """
    from probing_core.evaluation import evaluate as judge
    from probing_core.runner.report import write_report

    named = [one for one in tasks.split(",") if one]
    where = {"model": model, "hook": hook, "profile": _absolute(profile)}
    found = judge(sae, tasks=named, own_tasks=csv, store=store or None, **where)
    typer.echo(found.verdict)
    for path in write_report(sae, found, out, tasks=named, own_tasks=csv, store=store, **where):
        typer.echo(path)
    if export:
        typer.echo(f"{len(found.export(out))} files for sae-probes and SAEBench in {out}")


@app.command()
def audit(
    task: Annotated[str, typer.Argument(help="Your CSV (prompt,target), or a tag.")],
    profile: ProfileOption = "quick",
    store: StoreOption = "",
    model: ModelOption = "",
) -> None:
    """What is odd about a task, and does it need a model? What tells its classes without one.

    Example: audit my.csv
    """
    from probing_core.analysis.shortcuts import verdict
    from probing_core.datasets.audit import audit as look_at
    from probing_core.experiments.shortcuts import audited
    from probing_core.pages.text import visible

    study = _study(profile, store, model)
    if task not in study.tags:
        study = _study(profile, store, model, [task])
    tag = task if task in study.tags else study.tags[-1]
    for name, value in look_at(study.dataset(tag)).lines():
        typer.echo(f"{name:36} {visible(value)}")
    found = audited(study, tag)
    for name, test_auc in found.itertuples(index=False):
        typer.echo(f"{test_auc:9.3f}  {name}")
    typer.echo(verdict(found))


@app.command()
def plan(
    profile: ProfileOption = "quick",
    store: StoreOption = "",
    model: ModelOption = "",
    workers: Annotated[int, typer.Option(help="Cores to plan for; this machine's, or 16.")] = 0,
) -> None:
    """What a profile downloads, holds, stores and takes; nothing is downloaded.

    Models from the hub are planned for one H100 and 16 cores, others for this machine.
    """
    from probing_core.profiles import load_profile
    from probing_core.runner import plan as planning

    rows = [list(planning.HEADER)]
    for name in [model] if model else [one.name for one in load_profile(profile).models]:
        study = _study(profile, store, name)
        device, cores = planning.machine_for(study)
        rows += planning.plan_cells(study, device, workers or cores)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = zip(row, widths, strict=True)
        typer.echo("  ".join(cell.ljust(width) for cell, width in cells).rstrip())


@app.command()
def status(
    profile: ProfileOption = "quick", store: StoreOption = "", model: ModelOption = ""
) -> None:
    """What the store holds of a profile, and what is left to do."""
    from probing_core.experiments import sections
    from probing_core.runner import book

    study = _study(profile, store, model)
    typer.echo(f"profile  {study.profile.name} ({study.model.name}, {len(study.tags)} tasks)")
    typer.echo(f"store    {study.store.root} ({study.store.size_bytes() / 2**20:.0f} MB)")
    for name in book.book_sections():
        every, absent = sections.keys(study, name), sections.lacking(study, name)
        typer.echo(f"section  {name}: {len(every) - len(absent)} of {len(every)} files are there")


@app.command("list")
def list_things(
    what: Annotated[
        str, typer.Argument(help="profiles, tasks, models, saes, methods, sections or notebooks")
    ] = "tasks",
    profile: ProfileOption = "quick",
) -> None:
    """List what can be named: profiles, tasks, models, saes, methods, sections, notebooks."""
    from probing_core.datasets import TASKS
    from probing_core.experiments.sections import SECTIONS
    from probing_core.models.adapter import known_models
    from probing_core.probes.methods import METHODS
    from probing_core.profiles import load_profile, profile_names
    from probing_core.runner import notebooks
    from probing_core.saes.sources import expand, sae_id

    listings: dict[str, Callable[[], Iterable[str]]] = {
        "profiles": lambda: (f"{n:10} {load_profile(n).description}" for n in profile_names()),
        "tasks": lambda: (
            f"{t.tag:46} {t.n_prompts:5}  {t.source:22} {t.asks}" for t in TASKS.values()
        ),
        "models": known_models,
        "saes": lambda: (
            f"{model.name}  {sae_id(sae)}"
            for model in load_profile(profile).models
            for sae in expand((*model.saes, *model.suite))
        ),
        "methods": lambda: METHODS,
        "sections": lambda: SECTIONS,
        "notebooks": lambda: (
            f"{n:16} {', '.join(notebooks.notebook_parameters(notebooks.read_notebook(n)))}"
            for n in notebooks.notebook_names()
        ),
    }
    if what not in listings:
        raise UserError(f"Cannot list '{what}'. {nearest(what, listings)}")
    for line in listings[what]():
        typer.echo(line)


@app.command()
def show(
    task: Annotated[str, typer.Argument(help="A tag such as 66_living-room, or your CSV.")],
    profile: ProfileOption = "quick",
    store: StoreOption = "",
) -> None:
    """Show one task, and this profile's best results on it when they are in the store."""
    from probing_core.datasets import TASKS, load_dataset
    from probing_core.experiments.sections import stored
    from probing_core.profiles import is_task_file

    study, found = _study(profile, store), TASKS.get(task)
    own = is_task_file(task) and str(Path(task).resolve()) not in study.profile.tasks
    if own or not study.profile.tasks:
        study = _study(profile, store, tasks=[task])
    dataset = study.datasets[task] if not found and task in study.tags else load_dataset(task)
    typer.echo(f"{dataset.tag}: {found.asks if found else 'a task of your own'}")
    typer.echo(f"source    {dataset.source}" + (f" ({found.origin})" if found else ""))
    typer.echo(f"prompts   {len(dataset)}, label 1 is {dataset.class_names[1]!r}")
    for defect in found.defects if found else ():
        typer.echo(f"defect    {defect}")
    for label in (0, 1):
        row = int((dataset.labels == label).argmax())
        typer.echo(f"label {label}   {dataset.prompts[row][:100]!r}")
    rows = stored(study, "standard")
    best = rows[rows["dataset"] == dataset.tag].sort_values("val_auc", ascending=False)
    for row in best.drop_duplicates(["method", "hook"]).head(8).itertuples():
        name = f"{row.method} {row.sae_id or ''}".strip()
        typer.echo(f"{row.test_auc:9.3f} {name} at {row.hook} (validation {row.val_auc:.3f})")


def _parameters(given: list[str]) -> dict[str, Any]:
    """``name=value`` pairs; values are Python literals, or text when they are none."""
    values: dict[str, Any] = {}
    for item in given:
        name, equals, text = item.partition("=")
        if not equals or not name.isidentifier():
            raise UserError(f"'{item}' is no parameter: write name=value.")
        try:
            values[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            values[name] = text
    return values


def main() -> None:
    """Run the command line and turn errors a user can mend into one line."""
    from probing_core.experiments.executor import stop_at_interrupt

    stop_at_interrupt()
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("probing_core").setLevel(os.environ.get("PROBING_LOG", "INFO").upper())
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    for command in entry_points(group="probing_core.commands"):
        app.command(command.name)(command.load())
    try:
        app(standalone_mode=True)
    except UserError as error:
        _stop(f"error: {error}", 2)
    except RunFailed as error:
        _stop(f"failed: {error}", 1)


def _stop(message: str, code: int) -> NoReturn:
    typer.echo(message, err=True)
    raise SystemExit(code)
