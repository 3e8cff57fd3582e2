"""Compare numbers that someone expects with those that the published tables give."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probing_core.errors import UserError
from probing_core.published.source import Import
from reproduction.recipes import NotComputable, Tables, compute

TOLERANCE, LITERAL_TOLERANCE = 1e-6, 2e-3
"""For entries that name none; the second where an unstable sort decides (PAPER C.14)."""


@dataclass(frozen=True)
class Verdict:
    """How one entry compares: ``ok``, ``FAIL``, or ``skip`` for a reason.

    ``ours``, ``expected`` and ``largest`` (their distance) are those of the number that is furthest
    off, at its ``place``; ``left`` names what the tables at hand cannot give.
    """

    key: str
    status: str
    ours: Any = None
    expected: Any = None
    place: str = ""
    largest: float = math.nan
    tolerance: float = TOLERANCE
    compared: int = 0
    left: tuple[str, ...] = ()
    reason: str = ""


def read_expected(path: Path) -> dict[str, dict[str, Any]]:
    """Read JSON with ``entries``: key to ``value``, ``recipe`` and ``suggested_abs_tol``.

    Raises:
        UserError: If it is missing, no JSON, or has another form.
    """
    if not path.is_file():
        raise UserError(f"There is no file {path}.")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is no readable JSON: {error}.") from None
    entries = data.get("entries") if isinstance(data, dict) else None
    if not isinstance(entries, dict) or not entries:
        raise UserError(f"{path} has no 'entries': key to value, recipe and suggested_abs_tol.")
    for key, entry in entries.items():
        if not isinstance(entry, dict) or "value" not in entry:
            raise UserError(f"{path}: entry '{key}' has no 'value'.")
        if not isinstance(entry.get("suggested_abs_tol"), (int, float, type(None))):
            raise UserError(f"{path}: the tolerance of '{key}' is no number.")
    return entries


def check(found: Import, entries: dict[str, dict[str, Any]]) -> Iterator[Verdict]:
    """Recompute every entry of `read_expected` that can be; one verdict an entry, in order."""
    tables = Tables(found)
    for key, entry in entries.items():
        try:
            ours = compute(tables, key, entry)
        except NotComputable as reason:
            yield Verdict(key, "skip", reason=str(reason))
        except (KeyError, ValueError) as gap:
            said = f"the tables at hand hold only part of it ({' '.join(str(gap).split())[:80]})"
            yield Verdict(key, "skip", reason=said)
        else:
            yield judge(key, ours, entry)


def judge(key: str, ours: Any, entry: dict[str, Any]) -> Verdict:
    """Compare a nest of numbers, place by place; more than was asked for does no harm."""
    tolerance = entry.get("suggested_abs_tol")
    if tolerance is None:
        printed = "literal" in key or key.startswith("plot_combined")
        tolerance = LITERAL_TOLERANCE if printed else TOLERANCE
    mine, wanted = dict(leaves(ours)), dict(leaves(entry["value"]))
    left = tuple(place for place in wanted if place not in mine)
    apart = {place: _distance(mine[place], wanted[place]) for place in wanted if place in mine}
    if not apart:
        said = f"none of its numbers is known: {', '.join(left[:3])}"
        return Verdict(key, "skip", left=left, reason=said)
    worst = max(apart, key=lambda place: apart[place])
    status = "ok" if apart[worst] <= tolerance else "FAIL"
    return Verdict(
        key, status, mine[worst], wanted[worst], worst, apart[worst], tolerance, len(apart), left
    )


def table_lines(verdicts: list[Verdict]) -> list[str]:
    """The report: a line an entry, then the counts, then what could not be computed and why."""
    width = max(len(verdict.key) for verdict in verdicts)
    head = f"{'key':{width}} {'ours':>13} {'expected':>13} {'largest':>9} {'allowed':>9}"
    lines = [f"{head}  numbers  ok"]
    done = [one for one in verdicts if one.status != "skip"]
    for one in done:
        numbers = f"{one.compared}" + (f" of {one.compared + len(one.left)}" if one.left else "")
        lines.append(
            f"{one.key:{width}} {_short(one.ours):>13} {_short(one.expected):>13}"
            f" {one.largest:9.1e} {one.tolerance:9.1e}  {numbers:>7}  {one.status}"
            + (f" at {one.place}" if one.status == "FAIL" else "")
        )
    good, skipped = sum(one.status == "ok" for one in done), len(verdicts) - len(done)
    lines += ["", f"{good} ok, {len(done) - good} failed, {skipped} not computed"]
    lines += [f"not computed: {one.key}: {one.reason}" for one in verdicts if one.reason]
    part = "in part: {}: {} numbers are in no table, such as {}"
    return lines + [part.format(one.key, len(one.left), one.left[0]) for one in done if one.left]


def leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every number or word of a nest with its place; 0.50 and 0.5 name the same place."""
    if isinstance(value, (list, tuple)):
        value = dict(enumerate(value))
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, f"{place}/{_name(name)}".lstrip("/"))
    else:
        yield place, value.item() if hasattr(value, "item") else value


def _name(name: Any) -> str:
    try:
        return f"{float(name):g}"
    except (TypeError, ValueError):
        return str(name)


def _distance(ours: Any, expected: Any) -> float:
    """Absolute difference of numbers; of anything else 0 when equal, infinity otherwise."""
    if isinstance(ours, (int, float)) and isinstance(expected, (int, float)):
        apart = abs(float(ours) - float(expected))
        return math.inf if math.isnan(apart) else apart
    return 0.0 if str(ours) == str(expected) else math.inf


def _short(value: Any) -> str:
    return f"{value:.7g}" if isinstance(value, float) else str(value)[:13]
