"""What the run was: the page of its status, and the table of what each profile takes."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from probing_core.pages.text import bullet_list, directive, duration, md, table, write_page

PROFILES = ("quick", "minilm", "paper", "published")
_SHOWN_KEYS = 8
_NAMES = {"n_tasks": "tasks", "memory_gb": "memory, GB", "source_sha256": "sha256 of the source"}
_PAGE_FIELDS = {"page", "title", "seconds", "status", "finished", "parameters", "unit_keys"}


def write_status_page(folder: Path, manifest: Mapping[str, Any]) -> Path:
    """Write ``status.md`` from the manifest of a run.

    Args:
        folder: Where the generated pages of the book go.
        manifest: ``pages``, a list with ``page``, ``title``, ``seconds``, ``status``,
            ``finished``, ``parameters`` and ``unit_keys`` each, and ``provenance`` with the
            profile, versions, commit and machine. Further entries are listed as they are.

    Returns:
        The page.
    """
    pages = list(manifest.get("pages", ()))
    provenance = dict(manifest.get("provenance", {}))
    parts = ["# Status", "What made the pages of this book, and when.", _pages_table(pages)]
    parts += ["## The run", _facts(provenance)]
    if provenance.get("machine"):
        parts += ["## Machine", _facts(provenance["machine"])]
    if provenance.get("versions"):
        versions = [[md(name), md(v)] for name, v in sorted(provenance["versions"].items())]
        parts += ["## Versions", table(["package", "version"], versions)]
    parts += ["## Page by page", *(_page_details(page) for page in pages)]
    return write_page(folder / "status.md", "\n\n".join(parts))


def _pages_table(pages: Sequence[Mapping[str, Any]]) -> str:
    if not pages:
        return "This book holds no executed page."
    cells = [
        [
            md(page.get("title") or page.get("page", "")),
            duration(page.get("seconds")),
            md(page.get("status", "–")),
            md(page.get("finished", "–")),
            f"{len(page.get('unit_keys', ())):,}",
        ]
        for page in pages
    ]
    header = ["page", "duration", "status", "finished", "units read"]
    return directive(
        "table",
        table(header, cells, "lrllr"),
        argument="Executed pages",
        class_="sortable",
        name="tbl-status",
    )


def _facts(facts: Mapping[str, Any]) -> str:
    lines = []
    for key, value in facts.items():
        if key in {"machine", "versions"} or value is None:
            continue
        lines.append(f"{_name(key)}: {_value(key, value)}")
    return bullet_list(lines) if lines else "Not recorded."


def _name(key: str) -> str:
    return md(_NAMES.get(key, key.replace("_", " ")))


def _value(key: str, value: Any) -> str:
    if key in {"duration", "seconds"} and isinstance(value, int | float):
        return duration(float(value))
    if isinstance(value, float):
        return md(f"{value:,.4g}")
    if isinstance(value, str | int):
        return md(value)
    return md(json.dumps(value, sort_keys=True, default=str))


def _page_details(page: Mapping[str, Any]) -> str:
    lines = [f"{_name(key)}: {_value(key, page[key])}" for key in page if key not in _PAGE_FIELDS]
    parameters = page.get("parameters") or {}
    lines += [f"parameter {md(key)}: {_value(key, v)}" for key, v in sorted(parameters.items())]
    keys = sorted(str(key) for key in page.get("unit_keys", ()))
    if keys:
        digest = hashlib.sha256("\n".join(keys).encode()).hexdigest()
        lines.append(f"store keys: {len(keys):,}, sha256 of the sorted list {digest}")
        lines += [f"store key {md(key)}" for key in keys[:_SHOWN_KEYS]]
        if len(keys) > _SHOWN_KEYS:
            lines.append(
                f"and {len(keys) - _SHOWN_KEYS:,} more, in manifest\\.json beside the page"
            )
    body = bullet_list(lines) if lines else "Nothing recorded."
    title = md(page.get("title") or page.get("page", ""))
    return directive("dropdown", body, argument=title)


def write_profiles_table(folder: Path, measured: Iterable[Mapping[str, Any]]) -> Path:
    """Write ``_profiles.md``, the fragment with what each profile takes.

    Args:
        folder: Where the generated pages of the book go.
        measured: Measurements with ``profile``, ``seconds``, ``peak_memory_gb``,
            ``store_gb``, ``machine``, ``date`` and, if wanted, ``what`` (such as
            ``first build``). Anything missing shows as a dash.

    Returns:
        The fragment, a table that names every profile, measured or not.
    """
    entries = list(measured)
    seen = {entry.get("profile") for entry in entries}
    entries += [{"profile": name, "what": "not measured"} for name in PROFILES if name not in seen]
    order = {name: place for place, name in enumerate(PROFILES)}
    entries.sort(key=lambda e: order.get(str(e.get("profile")), len(order)))
    cells = [
        [
            md(entry.get("profile", "–")),
            md(entry.get("what", "–")),
            duration(entry.get("seconds")),
            _gigabytes(entry.get("peak_memory_gb")),
            _gigabytes(entry.get("store_gb")),
            md(entry.get("machine", "–")),
            md(entry.get("date", "–")),
        ]
        for entry in entries
    ]
    header = ["profile", "what", "time", "peak memory", "store", "machine", "date"]
    text = directive(
        "table",
        table(header, cells, "llrrrll"),
        argument="Time, memory and disk of each profile, as measured",
        name="tbl-profiles",
    )
    return write_page(folder / "_profiles.md", text)


def _gigabytes(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} GB"
