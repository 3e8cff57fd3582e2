"""From a profile to a book: compute, execute, generate, build."""

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from probing_core.errors import RunFailed, UserError
from probing_core.experiments import sections
from probing_core.experiments.executor import AT_INTERRUPT
from probing_core.experiments.study import Study
from probing_core.pages import write_profiles_table, write_status_page, write_task_pages
from probing_core.runner.notebooks import (
    SECTIONS,
    PageRun,
    check_request,
    notebook_names,
    notebook_sections,
    run_notebooks,
)
from probing_core.runner.plan import refuse, write_scale_table
from probing_core.runner.provenance import ROOT, provenance
from probing_core.store import write_atomically

log = logging.getLogger(__name__)
HTML = ROOT / "_build" / "html"
MEASURED = ROOT / "bench" / "measured.json"


def book_sections(names: Iterable[str] = ()) -> list[str]:
    """The sections whose rows some notebooks read, all of them by default, in order."""
    read = {one for name in names or notebook_names() for one in notebook_sections(name)}
    return [name for name in sections.SECTIONS if name in read]


def compute(study: Study, wanted: Iterable[str] = ()) -> dict[str, float]:
    """Compute what the store lacks of some sections, all that the notebooks read by default.

    Returns:
        Seconds of each section.

    Raises:
        UserError: If the profile names what does not exist, or something is not to be had.
    """
    names = list(wanted) or book_sections()
    sections.check(study, names)
    try:
        todo = {name: len(sections.lacking(study, name)) for name in names}
    except UserError:
        refuse(study)  # what cannot fit is said before what is out of reach
        raise
    if any(todo.values()):
        refuse(study)
        log.info(
            "%s with %s, %d tasks, %d workers; to compute: %s",
            study.profile.name,
            study.model.name,
            len(study.tags),
            study.workers,
            ", ".join(f"{count} files of {name}" for name, count in todo.items() if count),
        )
    AT_INTERRUPT[:] = [lambda: _finished(study, names)]
    seconds = {}
    for name in names:
        start = time.perf_counter()
        sections.compute(study, name)
        seconds[name] = round(time.perf_counter() - start, 1)
    return seconds


@contextmanager
def alone() -> Iterator[None]:
    """Keep others off this checkout's pages; the system lets go of them when this process dies.

    Raises:
        UserError: If another process is at them; it is named.
    """
    SECTIONS.mkdir(parents=True, exist_ok=True)
    note, call = SECTIONS / "run.txt", " ".join(["python -m probing_core", *sys.argv[1:]])
    try:
        with FileLock(SECTIONS / "run.lock", blocking=False):
            about = f"process {os.getpid()} ('{call}'), since {time.strftime('%Y-%m-%d %H:%M')}"
            write_atomically(note, about.encode())
            yield
    except Timeout:
        time.sleep(1)  # The other one may be about to sign.
        raise UserError(
            f"Another run writes these pages: {note.read_text('utf-8')}. Wait for it, or stop it."
        ) from None


def run(
    study: Study,
    *,
    profile: str,
    notebooks: list[str] | None = None,
    parameters: Mapping[str, Any] | None = None,
    force: bool = False,
) -> list[PageRun]:
    """Compute, then execute the notebooks in order.

    Raises:
        UserError: For bad input, before anything long starts where possible.
        RunFailed: If a notebook raises.
    """
    names = notebooks or notebook_names()
    check_request(study, names, parameters or {})
    stages = compute(study, book_sections(names))
    pages = run_notebooks(study, names, profile=profile, parameters=parameters or {}, force=force)
    _write_manifest(study, pages, stages)
    return pages


def write_pages(study: Study) -> None:
    """Write the pages that are generated: tasks, status, profiles."""
    write_task_pages(
        SECTIONS, study, sections.rows(study, "standard"), sections.rows(study, "shortcuts")
    )
    write_status_page(SECTIONS, json.loads(_manifest_path().read_text(encoding="utf-8")))
    measured = json.loads(MEASURED.read_text(encoding="utf-8")) if MEASURED.exists() else []
    write_profiles_table(SECTIONS, measured)
    write_scale_table(SECTIONS)


def build_html() -> Path:
    """Build the book strictly; only what changed is rendered anew.

    Raises:
        RunFailed: If Sphinx warns or fails.
    """
    call = (
        "from probing_core.experiments.executor import leave_with_parent as leave;"
        f"leave({os.getpid()}); from jupyter_book.cli.main import main; main()"
    )
    command = [sys.executable, "-c", call, "build", ".", "-n", "-W", "--keep-going", "-q"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    page = HTML / "index.html"
    if done.returncode != 0 or not page.is_file():
        report = [x for x in (done.stdout + done.stderr).splitlines() if "WARN" in x or "ERR" in x]
        raise RunFailed("\n".join(report[:20]) or done.stderr[-2000:])
    return page


def _finished(study: Study, names: list[str]) -> str:
    """How many files of each section are there, in one sentence; of published rows nothing."""
    told = []
    for name in study.either(lambda: names, lambda: []):
        every, absent = sections.keys(study, name), sections.lacking(study, name)
        told += [f"{name} {len(every) - len(absent)} of {len(every)}"] if every else []
    return f"Finished files: {', '.join(told)}." if told else ""


def _manifest_path() -> Path:
    return SECTIONS / "manifest.json"


def _write_manifest(study: Study, pages: list[PageRun], stages: dict[str, float]) -> None:
    """Keep how every page was made; pages of earlier runs that still stand stay listed."""
    path = _manifest_path()
    before: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    listed = {page["page"]: page for page in before.get("pages", [])}
    listed |= {page.page: asdict(page) for page in pages}
    known = set(notebook_names())
    longest = before.get("stages", {})
    manifest: dict[str, Any] = {
        "pages": [listed[name] for name in sorted(listed) if name in known],
        "stages": longest | {k: max(s, longest.get(k, 0.0)) for k, s in stages.items()},
        "provenance": provenance(study),
    }
    if before.get("pages") == manifest["pages"] and before.get("provenance"):
        manifest["provenance"]["created"] = before["provenance"].get("created")
    write_atomically(path, json.dumps(manifest, indent=1).encode())
