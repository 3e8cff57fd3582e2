"""What was measured: ``bench/solvers.json``, and the fragment of the book that shows it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probing_core.runner.provenance import commit, machine
from probing_core.store import write_atomically

KEPT = Path(__file__).with_name("solvers.json")
PAGE = KEPT.with_suffix(".md")


@dataclass(frozen=True)
class Row:
    """One comparison of speed on the same arrays in the same run, one thread each side.

    Attributes:
        group: ``whole work``, ``fits``, ``extraction`` or ``attention``.
        what: What was done; a method by its short name.
        ours_s: Seconds, of a case or of the whole.
        theirs_s: Seconds of the other side.
        other: Who the other side is.
        goal: The ratio aimed at; only whole work has one.
    """

    group: str
    what: str
    ours_s: float
    theirs_s: float
    other: str = "sae-probes 0.4.2"
    goal: float | None = None

    @property
    def ratio(self) -> float:
        """How many times faster ours is."""
        return self.theirs_s / self.ours_s


def keep(group: str, rows: list[dict[str, Any]]) -> None:
    """Put a group's rows into the file in place of those it had, and write the fragment."""
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    kept[group] = {"commit": commit(), "cpu": machine()["cpu"], "rows": rows}
    write_atomically(KEPT, (json.dumps(kept, indent=1, sort_keys=True) + "\n").encode())
    write_atomically(PAGE, as_page(kept).encode())


def as_page(kept: dict[str, Any]) -> str:
    """The tables as Markdown: agreement, ties, and what was timed."""
    parts = []
    if "agreement" in kept:
        parts.append(
            "Test AUC, fast minus reference, on the same rows. *Same setting*: both chose the same "
            "hyperparameters.\n\n" + _agreement(kept["agreement"]["rows"])
        )
    if "ties" in kept:
        parts.append(
            "What saturation costs: test AUC by logits minus test AUC by published probabilities. "
            "*Tied*: test rows whose probability is exactly 0 or 1.\n\n"
            + _ties(kept["ties"]["rows"])
        )
    titles = {
        "whole work": "Whole work, compilation counted.",
        "fits": "One fit.",
        "extraction": "Extraction of 10,000 tokens.",
        "attention": "The attention probe and the published recipe; mean test AUC of each.",
    }
    for group, title in titles.items():
        if group in kept:
            parts.append(
                f"{title} Seconds, one thread, {kept[group]['cpu']}.\n\n"
                + _speed([Row(**row) for row in kept[group]["rows"]])
            )
    return "\n\n".join(parts) + "\n"


def pipe_table(header: list[str], cells: list[list[str]]) -> str:
    """A plain Markdown table: the first column left, the others right."""
    lines = [header, [":--", *["--:"] * (len(header) - 1)], *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _agreement(rows: list[dict[str, Any]]) -> str:
    header = ["probe", "regime", "tasks", "mean", "largest", "same setting", "converged"]
    forms = (
        ("probe", ""), ("regime", ""), ("n_tasks", ""), ("mean", "+.4f"), ("largest", ".4f"),
        ("same_setting", ".0%"), ("converged", ".0%"),
    )  # fmt: skip
    return pipe_table(header, [[format(row[key], form) for key, form in forms] for row in rows])


def _ties(rows: list[dict[str, Any]]) -> str:
    forms = (
        ("probe", ""), ("n_fits", ""), ("mean", "+.4f"), ("largest", ".4f"), ("tied", ".0%"),
    )  # fmt: skip
    cells = [[format(row[key], form) for key, form in forms] for row in rows]
    return pipe_table(["probe", "fits", "mean", "largest", "tied"], cells)


def _speed(rows: list[Row]) -> str:
    with_goal = any(row.goal is not None for row in rows)
    header = ["what", "fast", rows[0].other, "ratio", *(["goal"] if with_goal else [])]
    cells = [
        [row.what, f"{row.ours_s:.3g}", f"{row.theirs_s:.3g}", f"{row.ratio:.1f}"]
        + (["" if row.goal is None else f"{row.goal:g}"] if with_goal else [])
        for row in rows
    ]
    return pipe_table(header, cells)
