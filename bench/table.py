"""The rows of ``bench/latest.json`` and their page."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from probing_core.runner.provenance import commit, machine
from probing_core.store import write_atomically

LATEST = Path(__file__).with_name("latest.json")


@dataclass(frozen=True)
class Row:
    """One comparison on the same arrays in the same run.

    Attributes:
        name: What was done; ``width`` is d, or k for SAE probes, or tasks for whole work.
        n: Training rows, or units of work.
        width: See `name`.
        workers: Processes, one thread each; both sides have as many.
        ours_s: Seconds a case.
        theirs_s: Seconds a case of sae-probes (or of the other way that `note` names).
        ratio: theirs_s / ours_s.
        goal: The ratio aimed at; null where there is none.
        auc_difference: Mean test AUC of ours minus theirs over the cases; null where not scored.
        note: What bounds the ratio, or how it was measured.
    """

    name: str
    n: int
    width: int
    workers: int
    ours_s: float
    theirs_s: float | None
    ratio: float | None
    goal: float | None = None
    auc_difference: float | None = None
    note: str = ""


def identity(row: dict) -> tuple:
    """What tells one row from another."""
    return row["name"], row["n"], row["width"], row["workers"]


def keep(rows: list[Row], group: str) -> None:
    """Put a group's rows into the table in place of those it had, and write the page."""
    before = json.loads(LATEST.read_text()) if LATEST.exists() else []
    stamp = {"group": group, "commit": commit(), "cpu": machine()["cpu"]}
    now = [asdict(row) | stamp for row in rows]
    seen = {identity(row) for row in now}
    kept = [row for row in before if row["group"] != group and identity(row) not in seen]
    merged = sorted(kept + now, key=lambda row: row["group"])
    write_atomically(LATEST, (json.dumps(merged, indent=1) + "\n").encode())
    write_atomically(LATEST.with_suffix(".md"), as_page(merged).encode())


def as_page(rows: list[dict]) -> str:
    """The rows as Markdown, a table a group."""
    parts = [
        "# Latest measurements\n",
        "`make bench` writes this page. Ours is the fast solver; theirs is sae-probes 0.4.2 on the"
        " same arrays in the same run, one thread a process, unless the note says otherwise."
        " Seconds are a mean over cases; ratios are theirs over ours.\n",
    ]
    for group in dict.fromkeys(row["group"] for row in rows):
        mine = [row for row in rows if row["group"] == group]
        parts.append(f"## {group.capitalize()}\n\n{mine[0]['cpu']}, commit {mine[0]['commit']}.\n")
        parts.append(_head() + "\n".join(_line(row) for row in mine) + "\n")
    return "\n".join(parts)


def _head() -> str:
    names = ("what", "n", "width", "workers", "ours s", "theirs s", "ratio", "goal", "AUC", "note")
    return "| " + " | ".join(names) + " |\n|" + "---|" * len(names) + "\n"


def _line(row: dict) -> str:
    def number(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    cells = [
        row["name"], str(row["n"]), str(row["width"]), str(row["workers"]),
        number(row["ours_s"], ".4g"), number(row["theirs_s"], ".4g"), number(row["ratio"], ".1f"),
        number(row["goal"], "g"), number(row["auc_difference"], "+.4f"), row["note"],
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def as_text(rows: list[Row]) -> str:
    """The rows for a terminal."""
    lines = [
        f"{'what':<34}{'n':>6}{'width':>7}{'wk':>4}{'ours s':>10}{'theirs s':>10}"
        f"{'ratio':>8}{'goal':>6}{'AUC diff':>10}"
    ]
    for row in rows:
        theirs = f"{row.theirs_s:>10.3f}" if row.theirs_s is not None else " " * 10
        ratio = f"{row.ratio:>8.1f}" if row.ratio is not None else " " * 8
        goal = f"{row.goal:>6g}" if row.goal is not None else " " * 6
        gap = f"{row.auc_difference:>+10.4f}" if row.auc_difference is not None else ""
        lines.append(
            f"{row.name:<34}{row.n:>6}{row.width:>7}{row.workers:>4}"
            f"{row.ours_s:>10.4f}{theirs}{ratio}{goal}{gap}"
        )
    return "\n".join(lines)
