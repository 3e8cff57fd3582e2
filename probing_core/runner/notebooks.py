"""Executing the notebooks: parameters checked, papermill run, pages kept while nothing changed."""

import ast
import contextlib
import hashlib
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbformat import NotebookNode

import probing_core
from probing_core.analysis.parameters import check_parameters
from probing_core.errors import RunFailed, UserError, nearest
from probing_core.experiments import sections
from probing_core.experiments.executor import run_units
from probing_core.experiments.study import Study
from probing_core.runner.finishing import finish_notebook, without_folders
from probing_core.runner.provenance import ROOT, code_digest
from probing_core.store import write_atomically

log = logging.getLogger(__name__)
NOTEBOOKS = ROOT / "notebooks"
SECTIONS = ROOT / "book" / "sections"
TIMEOUT_SECONDS = 3600
KERNEL_STARTS = 3
# no bars and no notices of missing widgets: a page shows results only
_KERNEL_ENVIRONMENT = {
    "TQDM_DISABLE": "1",
    "PYTHONWARNINGS": "ignore:IProgress not found",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}


@dataclass(frozen=True)
class PageRun:
    """How one page was made; the status page shows it.

    ``source`` is the SHA-256 of the notebook's text, ``inputs`` a digest of the shards of its
    ``sections`` (``units`` counts them), the profile and the parameters, ``code`` one of the
    packages; ``finished`` is UTC, and ``parameters`` hold nobody's paths.
    """

    page: str
    title: str
    status: str
    seconds: float
    finished: str
    parameters: dict[str, Any]
    sections: list[str]
    units: dict[str, int]
    source: str
    inputs: str
    code: str


def notebook_names() -> list[str]:
    """Names of the notebooks, in order."""
    return sorted(path.stem for path in NOTEBOOKS.glob("[0-9][0-9]-*.md"))


def read_notebook(name: str) -> NotebookNode:
    """Read a notebook's text source; a `UserError` offers the nearest name."""
    path = NOTEBOOKS / f"{name}.md"
    if not path.is_file():
        raise UserError(f"Unknown notebook '{name}'. {nearest(name, notebook_names())}")
    return jupytext.read(path, fmt="md:myst")


def notebook_sections(name: str) -> list[str]:
    """The sections that a notebook's front matter names, in the registry's order."""
    named = {sections.find_section(one).name for one in read_notebook(name).metadata["sections"]}
    return [one for one in sections.SECTIONS if one in named]


def notebook_parameters(notebook: NotebookNode) -> dict[str, Any]:
    """Names and defaults in the cell tagged ``parameters``."""
    defaults: dict[str, Any] = {}
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            for node in ast.parse(cell.source).body:
                target = node.targets[0] if isinstance(node, ast.Assign) else None
                target = node.target if isinstance(node, ast.AnnAssign) else target
                if isinstance(target, ast.Name) and node.value is not None:
                    defaults[target.id] = ast.literal_eval(node.value)
    return defaults


def check_request(study: Study, names: list[str], parameters: Mapping[str, Any]) -> None:
    """Refuse notebooks, parameters, values and tasks that no page can have, before anything runs.

    Papermill would only warn about an unknown parameter, and turn some values into strings.

    Raises:
        UserError: Naming the culprit and what would be right.
    """
    known = {name: notebook_parameters(read_notebook(name)) for name in names}
    everything = {key for defaults in known.values() for key in defaults}
    for key, value in parameters.items():
        if key not in everything:
            where = f"Notebook '{names[0]}' has no" if len(names) == 1 else "No notebook has a"
            raise UserError(f"{where} parameter '{key}'. {nearest(key, everything)}")
        if not isinstance(value, str | bool | int | float | dict | list | None):
            raise UserError(f"Parameter '{key}' cannot be a {type(value).__name__}.")
    check_parameters(study, parameters)
    study.task_files()


def run_notebooks(
    study: Study,
    names: list[str],
    *,
    profile: str,
    parameters: Mapping[str, Any],
    force: bool = False,
) -> list[PageRun]:
    """Execute notebooks into ``book/sections``; a page whose inputs did not change is kept.

    Notebooks open the profile as given, a name or the path of a file; each takes the parameters
    that it knows.

    Raises:
        UserError: For an unknown notebook, or a parameter that a page cannot use.
        RunFailed: If a notebook raises.
    """
    shared = {
        "profile": profile,
        "store": str(study.store.root.resolve()),
        "model": study.model.name,
        "tasks": study.task_files(),
        "figures": str(SECTIONS / "figures"),
    }
    work, pages = [], {}
    for name in names:
        known = notebook_parameters(read_notebook(name))
        values = {key: value for key, value in {**shared, **parameters}.items() if key in known}
        made_from = _made_from(study, name, values)
        if (kept := None if force else _kept(name, made_from)) is not None:
            pages[name] = kept
        else:
            work.append((name, values, made_from))
    for run in run_units(execute_page, work, label="notebooks", workers=study.workers):
        pages[run.page] = run
    return [pages[name] for name in names]


def _made_from(study: Study, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """What a page is made from, in the fields of `PageRun`."""
    named = notebook_sections(name)
    keys = {one: [key.digest for key in sections.keys(study, one)] for one in named}
    profile = study.profile.model_dump(mode="json")
    published = sections.published_digest(study)  # which the pages on the paper read besides
    outside = [_outside(one) for key in ("judges", "translations") for one in _listed(values, key)]
    inputs = json.dumps([keys, profile, dict(values), published, outside], sort_keys=True)
    return {
        "sections": named,
        "units": {one: len(digests) for one, digests in keys.items()},
        "source": hashlib.sha256((NOTEBOOKS / f"{name}.md").read_bytes()).hexdigest(),
        "inputs": hashlib.sha256(inputs.encode()).hexdigest(),
        "code": code_digest(),
    }


def _listed(values: Mapping[str, Any], key: str) -> list[str]:
    value = values.get(key) or []
    return [value] if isinstance(value, str) else value


def _outside(name: str) -> str:
    """What a parameter stands for besides its text: a file's content, or who is asked."""
    if Path(name).is_file():
        return hashlib.sha256(Path(name).read_bytes()).hexdigest()
    asked = [os.environ.get(one) for one in ("PROBING_JUDGE_MODEL", "OPENAI_BASE_URL")]
    return f"{asked}, key: {bool(os.environ.get('OPENAI_API_KEY'))}" if name == "endpoint" else ""


def execute_page(name: str, parameters: dict[str, Any], made_from: dict[str, Any]) -> PageRun:
    """Run one notebook with papermill and put the result where the book finds it."""
    started = time.perf_counter()
    notebook = execute(name, parameters)
    run = PageRun(
        page=name,
        title=_title(notebook),
        status="completed",
        seconds=round(time.perf_counter() - started, 2),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        parameters=without_folders(parameters),
        **made_from,
    )
    finish_notebook(notebook, run.parameters, asdict(run))
    SECTIONS.mkdir(parents=True, exist_ok=True)
    write_atomically(SECTIONS / f"{name}.ipynb", nbformat.writes(notebook).encode())
    return run


def execute(name: str, parameters: Mapping[str, Any]) -> NotebookNode:
    """Run one notebook with papermill.

    Raises:
        UserError: As the notebook raises it.
        RunFailed: If it raises anything else.
    """
    import papermill

    with tempfile.TemporaryDirectory(prefix="notebook-") as folder:
        source, target = Path(folder) / "source.ipynb", Path(folder) / "done.ipynb"
        nbformat.write(read_notebook(name), source)
        said = Path(folder) / "warnings.log"
        try:
            with _stderr_to(Path(folder) / "kernel.log"), _kernel_environment(said):
                _execute(source, target, dict(parameters))
        except papermill.PapermillExecutionError as error:
            if error.ename == UserError.__name__:
                raise UserError(f"{name}: {error.evalue}") from None
            raise RunFailed(
                f"Notebook {name} failed in cell {error.exec_count}: {error.ename}: {error.evalue}"
            ) from None
        finally:
            for line in said.read_text("utf-8").splitlines() if said.exists() else ():
                log.warning("%s: %s", name, line)
        return nbformat.read(target, as_version=4)


def _execute(source: Path, target: Path, parameters: dict[str, Any]) -> None:
    """Run a notebook file; a kernel that dies at its start, as two on one port do, starts again."""
    import papermill

    for attempt in range(KERNEL_STARTS):
        try:
            papermill.execute_notebook(
                str(source),
                str(target),
                parameters=parameters,
                kernel_name="python3",
                progress_bar=False,
                log_output=False,
                execution_timeout=TIMEOUT_SECONDS,
            )
            return
        except RuntimeError as error:
            if "Kernel died before replying" not in str(error) or attempt + 1 == KERNEL_STARTS:
                raise


@contextlib.contextmanager
def _kernel_environment(log_file: Path) -> Iterator[None]:
    """What kernels started meanwhile inherit; their log goes to a file, never into a page."""
    os.environ |= _KERNEL_ENVIRONMENT | {probing_core.LOG_FILE: str(log_file)}
    try:
        yield
    finally:
        del os.environ[probing_core.LOG_FILE]


@contextlib.contextmanager
def _stderr_to(path: Path) -> Iterator[None]:
    """Send what kernels say while starting to a file: it belongs in no terminal."""
    sys.stderr.flush()
    kept = os.dup(2)
    with path.open("wb") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _kept(name: str, made_from: Mapping[str, Any]) -> PageRun | None:
    """How a page was made, if it still stands for the same inputs."""
    path = SECTIONS / f"{name}.ipynb"
    try:
        run = PageRun(**json.loads(path.read_text("utf-8"))["metadata"]["probing_core"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return run if {name: getattr(run, name) for name in made_from} == made_from else None


def _title(notebook: NotebookNode) -> str:
    headings = (
        line[2:].strip()
        for cell in notebook.cells
        if cell.cell_type == "markdown"
        for line in cell.source.splitlines()
        if line.startswith("# ")
    )
    return next(headings, "")
