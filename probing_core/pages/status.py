"""What the run was: the page of its status, and the table of what each profile takes."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from probing_core.pages.text import (
    bullet_list,
    directive,
    duration,
    frame_table,
    md,
    table,
    write_page,
)
from probing_core.profiles import profile_names

_NAMES = {
    "n_tasks": "tasks",
    "n_prompts": "prompts",
    "main_hook": "main hook",
    "max_tokens": "max tokens",
    "memory_gb": "memory, GB",
}
_DIGESTS = {
    "source": "SHA-256 of the notebook's text",
    "inputs": "digest of the shards read, the profile and the parameters",
    "code": "digest of the packages' code",
}


def write_status_page(folder: Path, manifest: Mapping[str, Any]) -> Path:
    """Write ``status.md`` from ``pages``, with the fields of `PageRun`, and ``provenance``."""
    pages, provenance = manifest["pages"], dict(manifest["provenance"])
    machine, versions = provenance.pop("machine"), provenance.pop("versions")
    header = ["page", "duration", "status", "finished", "shards read"]
    cells = [
        [md(p["title"]), duration(p["seconds"]), md(p["status"]), md(p["finished"]), _read(p)]
        for p in pages
    ]
    text = table(header, cells, "lrllr")
    listing = directive("table", "Executed pages", text, class_="sortable", name="tbl-status")
    parts = ["# Status", "What made the pages of this book, and when.", listing]
    parts += ["## The run", _facts(provenance), "## Machine", _facts(machine)]
    packages = pd.DataFrame(sorted(versions.items()), columns=["package", "version"])
    parts += ["## Versions", frame_table(packages)]
    parts += ["## Page by page", *map(_page_details, pages)]
    return write_page(folder / "status.md", "\n\n".join(parts))


def _read(page: Mapping[str, Any]) -> str:
    return f"{sum(page['units'].values()):,}"


def _page_details(page: Mapping[str, Any]) -> str:
    facts = {words: page[name] for name, words in _DIGESTS.items()}
    facts |= {f"shards read of {name}": page["units"][name] for name in page["sections"]}
    facts |= {f"parameter {name}": value for name, value in page["parameters"].items()}
    return directive("dropdown", md(page["title"]), _facts(facts))


def _facts(facts: Mapping[str, Any]) -> str:
    said = {
        k: v if isinstance(v, str) else json.dumps(v) for k, v in facts.items() if v is not None
    }
    return bullet_list(f"{md(_NAMES.get(name, name))}: {md(text)}" for name, text in said.items())


def write_profiles_table(folder: Path, measured: Iterable[Mapping[str, Any]]) -> Path:
    """Write ``_profiles.md``, a table that names every profile, measured or not."""
    entries = list(measured)
    seen = {entry["profile"] for entry in entries}
    entries += [{"profile": x, "what": "not measured"} for x in profile_names() if x not in seen]
    columns: dict[str, tuple[str, Callable[[Any], str]]] = {
        "profile": ("profile", md),
        "what": ("what", md),
        "seconds": ("time", duration),
        "peak_memory_gb": ("peak memory (GB)", "{:.1f}".format),
        "store_gb": ("store (GB)", "{:.1f}".format),
        "machine": ("machine", md),
        "date": ("date", md),
    }
    cells = [
        ["–" if entry.get(key) is None else form(entry[key]) for key, (_, form) in columns.items()]
        for entry in entries
    ]
    text = table([head for head, _ in columns.values()], cells, "llrrrll")
    caption = "Time, memory and disk of each profile, as measured"
    text = directive("table", caption, text, name="tbl-profiles")
    return write_page(folder / "_profiles.md", text)
