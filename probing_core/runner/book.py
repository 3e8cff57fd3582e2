"""From a profile to a book: compute, execute, generate, build."""

import json
import logging
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from probing_core.datasets import load_dataset
from probing_core.datasets.registry import TASKS, Task
from probing_core.errors import RunFailed
from probing_core.experiments import regimes, standard
from probing_core.experiments.activations import activation_key, compute_activations
from probing_core.published.source import import_key, import_report, published_rows
from probing_core.experiments.saes import compute_saes, study_saes
from probing_core.experiments.study import Study
from probing_core.experiments.throughput import throughput_table
from probing_core.models.adapter import resolve_device
from probing_core.pages import (
    write_profiles_table,
    write_solver_tables,
    write_status_page,
    write_task_pages,
)
from probing_core.runner.notebooks import (
    SECTIONS,
    PageRun,
    check_request,
    notebook_names,
    run_notebooks,
)
from probing_core.runner.provenance import ROOT, provenance
from probing_core.store import Key, write_atomically

log = logging.getLogger(__name__)
BENCH = ROOT / "bench"
HARD_PAGES = {"00-front", "03-regimes", "90-paper-and-run"}
"""Pages that read the hard regimes."""
HTML = ROOT / "_build" / "html"


def unit_keys(study: Study) -> list[Key]:
    """The keys of every section's shards."""
    return [*standard.unit_keys(study), *regimes.unit_keys(study)]


def page_inputs(study: Study) -> list[str]:
    """Digests of all that pages are made from: shards, and published tables where there are any."""
    keys = unit_keys(study)
    if import_report(study.store) is not None:
        keys.append(import_key(study))
    return [key.digest for key in keys]


def plan(study: Study) -> dict[str, int]:
    """How much there is to do before any of it starts: counts of what the store lacks."""
    if study.published:
        nothing = dict.fromkeys(("tasks", "prompts", "saes", "units"), 0)
        return nothing | {"units_in_all": len(unit_keys(study))}
    store = study.store
    lacking = [
        tag
        for tag in study.tags
        if not all(
            store.path(activation_key(study, tag, hook), ".safetensors").exists()
            for hook in study.hooks
        )
    ]
    units = unit_keys(study)
    return {
        "tasks": len(lacking),
        "prompts": sum(len(study.datasets[tag]) for tag in lacking),
        "saes": len(study_saes(study)),
        "units": sum(not store.path(key, ".parquet").exists() for key in units),
        "units_in_all": len(units),
    }


def compute(study: Study, *, hard: bool = True) -> dict[str, float]:
    """Compute whatever the notebooks read and the store lacks.

    Args:
        study: The study.
        hard: The hard regimes too, which only some pages read.

    Returns:
        Seconds of each stage.

    Raises:
        UserError: If published rows are asked for and were not imported.
    """
    if study.published:
        published_rows(study, "standard")
        return {"published": 0.0}
    todo = plan(study)
    if todo["tasks"] or todo["units"]:
        log.info(
            "%s with %s: %d tasks to extract (%d prompts), %d SAEs, %d of %d units to fit,"
            " %d workers",
            study.profile.name,
            study.model.name,
            todo["tasks"],
            todo["prompts"],
            todo["saes"],
            todo["units"],
            todo["units_in_all"],
            study.workers,
        )
    if todo["units"]:
        # Before the extraction, which may take long, rather than after it.
        resolve_device(study.profile.probe_device)
    seconds = {}
    for stage, work in (
        ("activations", compute_activations),
        ("saes", compute_saes),
        ("throughput", throughput_table),
        ("standard", standard.compute_standard),
        ("regimes", regimes.compute_regimes),
    ):
        if stage == "regimes" and not hard:
            continue
        start = time.perf_counter()
        work(study)
        seconds[stage] = round(time.perf_counter() - start, 1)
    return seconds


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
    check_request(names, parameters or {})
    stages = compute(study, hard=not HARD_PAGES.isdisjoint(names))
    inputs = page_inputs(study)
    pages = run_notebooks(
        study,
        names,
        profile=profile,
        parameters=parameters or {},
        inputs=inputs,
        force=force,
    )
    _write_manifest(study, pages, stages, inputs)
    return pages


def write_pages(study: Study) -> None:
    """Write the pages that are generated: tasks, status, profiles."""
    rows = standard.standard_rows(study)
    own = _own_tasks(study)
    write_task_pages(
        SECTIONS,
        [*TASKS.values(), *own],
        rows,
        set(study.tags),
        lambda tag: study.datasets[tag] if tag not in TASKS else load_dataset(tag),
        data_version=version("sae-probes"),
    )
    write_status_page(SECTIONS, json.loads(_manifest_path().read_text(encoding="utf-8")))
    write_profiles_table(SECTIONS, _measured("measured", []))
    write_solver_tables(SECTIONS, _measured("agreement", {}), _measured("latest", []))


def _measured(name: str, otherwise: Any) -> Any:
    """What ``bench/`` has measured, as far as this copy has it."""
    path = BENCH / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else otherwise


def _own_tasks(study: Study) -> list[Task]:
    """Cards for tasks of the user's own, numbered after the paper's."""
    return [
        Task(
            tag=tag,
            id=1000 + number,
            source=dataset.source,
            origin="a task of your own",
            asks=f"Is the target {dataset.class_names[1]!r}?",
            n_prompts=len(dataset),
            class_names=dataset.class_names,
            defects=(),
        )
        for number, (tag, dataset) in enumerate(study.datasets.items())
        if tag not in TASKS
    ]


def build_html() -> Path:
    """Build the book strictly; only what changed is rendered anew.

    Raises:
        RunFailed: If Sphinx warns or fails.
    """
    call = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", call, "build", ".", "-n", "-W", "--keep-going", "-q"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    page = HTML / "index.html"
    if done.returncode != 0 or not page.is_file():
        report = [x for x in (done.stdout + done.stderr).splitlines() if "WARN" in x or "ERR" in x]
        raise RunFailed("\n".join(report[:20]) or done.stderr[-2000:])
    return page


def _manifest_path() -> Path:
    return SECTIONS / "manifest.json"


def _write_manifest(
    study: Study, pages: list[PageRun], stages: dict[str, float], keys: list[str]
) -> None:
    """Keep how every page was made; pages of earlier runs that still stand stay listed."""
    path = _manifest_path()
    before: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    listed = {page["page"]: page for page in before.get("pages", [])}
    for page in pages:
        entry = asdict(page)
        entry["source_sha256"] = entry.pop("digest")
        entry["unit_keys"] = keys if page.page != "01-activations" else []
        listed[page.page] = entry
    kept_stages = before.get("stages", {})
    stages = {name: max(value, kept_stages.get(name, 0.0)) for name, value in stages.items()}
    known = set(notebook_names())
    manifest: dict[str, Any] = {
        "pages": [listed[name] for name in sorted(listed) if name in known],
        "stages": stages,
        "provenance": provenance(study),
    }
    if before.get("pages") == manifest["pages"] and before.get("provenance"):
        manifest["provenance"]["created"] = before["provenance"].get("created")
    write_atomically(path, json.dumps(manifest, indent=1).encode())
