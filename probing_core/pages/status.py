"""What the run was: the page of its status, and the table of what each profile takes."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from probing_core.pages.text import bullet_list, directive, duration, md, table, write_page
from probing_core.profiles import profile_names

_MADE_FROM = """\
Every page states what it was made from. *units* are the files of the store that it reads, by
section. *source* is the SHA-256 of the notebook's own text, *inputs* a digest of the keys of those
units, the profile and the parameters, and *code* a digest of the packages' code."""


def write_status_page(folder: Path, manifest: Mapping[str, Any]) -> Path:
    """Write ``status.md`` from the manifest of a run.

    It holds ``pages``, with the fields of `probing_core.runner.notebooks.PageRun` each, and
    ``provenance``, with the machine, the versions and more.
    """
    pages, run = manifest["pages"], dict(manifest["provenance"])
    machine, versions = run.pop("machine"), run.pop("versions")
    header = ["title", "seconds", "status", "finished", "units"]
    cells = [[_value(page[name]) for name in header] for page in pages]
    body = table(header, cells, "lrlll")
    executed = directive(
        "table", body, argument="Executed pages", class_="sortable", name="tbl-status"
    )
    parts = ["# Status", "What made the pages of this book, and when.", executed, _MADE_FROM]
    parts += ["## The run", _facts(run), "## Machine", _facts(machine), "## Versions"]
    parts += [table(["package", "version"], [[md(k), md(v)] for k, v in versions.items()])]
    parts += ["## Page by page", *map(_page_details, pages)]
    return write_page(folder / "status.md", "\n\n".join(parts))


def _page_details(page: Mapping[str, Any]) -> str:
    facts = {name: page[name] for name in ("page", "sections", "units", "source", "inputs", "code")}
    facts |= {f"parameter {name}": value for name, value in sorted(page["parameters"].items())}
    return directive("dropdown", _facts(facts), argument=md(page["title"]))


def _facts(facts: Mapping[str, Any]) -> str:
    return bullet_list(f"{md(name.replace('_', ' '))}: {_value(facts[name])}" for name in facts)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        value = [f"{name} {one}" for name, one in value.items()]
    return md(", ".join(map(str, value)) or "none" if isinstance(value, list) else value)


def write_profiles_table(folder: Path, measured: Iterable[Mapping[str, Any]]) -> Path:
    """Write ``_profiles.md``, a table that names every profile, measured or not.

    A measurement has ``profile``, ``what`` (such as ``first build``), ``seconds``,
    ``peak_memory_gb``, ``store_gb``, ``machine`` and ``date``; what is missing shows as a dash.
    """
    columns = {
        "profile": ("profile", md),
        "what": ("what", md),
        "seconds": ("time", duration),
        "peak_memory_gb": ("peak memory", "{:.1f} GB".format),
        "store_gb": ("store", "{:.1f} GB".format),
        "machine": ("machine", md),
        "date": ("date", md),
    }
    entries = list(measured)
    absent = set(profile_names()) - {entry["profile"] for entry in entries}
    entries += [{"profile": name, "what": "not measured"} for name in sorted(absent)]
    cells = [
        [say(entry[name]) if name in entry else "–" for name, (_, say) in columns.items()]
        for entry in entries
    ]
    header = [head for head, _ in columns.values()]
    title, body = "Time, memory and disk of each profile", table(header, cells, "llrrrll")
    text = directive("table", body, argument=f"{title}, as measured", name="tbl-profiles")
    return write_page(folder / "_profiles.md", text)
