"""The page about the solvers: how close the fast one is to the reference, and how fast."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from probing_core.figures.solvers import (
    MEAN_WITHIN,
    MOST_OFF,
    plot_agreement,
    plot_speed,
    probe_name,
)
from probing_core.figures.style import METHODS, Drawing, save
from probing_core.pages.text import directive, md, table, write_page

Entry = Mapping[str, Any]
_REGIMES = {
    "standard": "standard",
    "scarcity": "scarcity",
    "imbalance": "imbalance",
    "label_noise": "label noise",
    "covariate_shift": "shifted test",
}


def write_solver_tables(
    folder: Path, agreement: Mapping[str, Any], speed: Sequence[Entry]
) -> list[Path]:
    """Write the figures and tables that the page *Solvers* includes.

    Args:
        folder: Where the generated pages of the book go.
        agreement: ``bench/agreement.json``: ``fast`` and ``again``, or empty.
        speed: The rows of ``bench/latest.json``, or empty.

    Returns:
        The two included files.
    """
    fast, again = agreement.get("fast", []), agreement.get("again", [])
    parts = ["The agreement has not been measured yet."]
    if fast:
        drawing = plot_agreement(fast, again)
        parts = [
            _figure(folder, drawing, "solvers-agreement"),
            _verdict(fast),
            _agreement_table(fast),
        ]
    close = write_page(folder / "_solvers_agreement.md", "\n\n".join(parts))
    fits = [row for row in speed if row["group"] == "probes"]
    alone = [row for row in fits if row["workers"] == 1]
    parts = ["The speed has not been measured yet."]
    if alone:
        parts = [
            _figure(folder, plot_speed(alone), "solvers-speed"),
            f"Measured on: {md(speed[0]['cpu'])}.",
            _speed_table(fits, "Probes: seconds a fit"),
        ]
    for group, title in (("whole work", "Whole work"), ("growth", "Growth")):
        rows = [row for row in speed if row["group"] == group]
        parts += [_speed_table(rows, title)] if rows else []
    return [close, write_page(folder / "_solvers_speed.md", "\n\n".join(parts))]


def _figure(folder: Path, drawing: Drawing, name: str) -> str:
    save(drawing, folder, name)
    # The fragments are included by a page one folder up.
    lines = [f"sections/{name}.png", f":alt: {drawing.alt}", f":name: fig-{name}", ":width: 100%"]
    return "```{figure} " + "\n".join([*lines, "", drawing.caption, "```"])


def _verdict(fast: Sequence[Entry]) -> str:
    """What the measurement says, beside what was aimed at."""
    beyond = [entry for entry in fast if abs(entry["mean"]) > MEAN_WITHIN]
    off = sum(entry["off_converged"] for entry in fast)
    fits = sum(entry["n_tasks"] for entry in fast)
    with_c = [entry for entry in fast if entry["method"] in ("logreg", "sae_logreg")]
    count = sum(entry["n_tasks"] for entry in with_c)
    near = sum(entry["adjacent_setting"] * entry["n_tasks"] for entry in with_c) / max(count, 1)
    named = "; ".join(
        f"{probe_name(entry['method'], entry['k'])} under {_where(entry)} "
        f"({entry['mean']:+.4f}, 95% interval {entry['interval'][0]:+.4f} to "
        f"{entry['interval'][1]:+.4f})"
        for entry in beyond
    )
    means = (
        f"The mean difference stays within {MEAN_WITHIN:g} for every method and regime."
        if not beyond
        else f"The mean difference stays within {MEAN_WITHIN:g} in {len(fast) - len(beyond)} of "
        f"{len(fast)} cells; beyond it: {named}."
    )
    return (
        f"{means} {off} of {fits:,} fits differ by more than {MOST_OFF:g} although the reference "
        f"converged. The chosen $C$ is the same or the next one in {near:.1%} of fits."
    )


def _where(entry: Entry) -> str:
    value = entry["regime_value"]
    name = _REGIMES.get(entry["regime"], entry["regime"])
    plain = entry["regime"] in ("standard", "covariate_shift")
    return str(name) if plain else f"{name} {value:g}"


def _what(row: Entry) -> str:
    """What a row of the speed table measures, probes in the words of the figures."""
    return probe_name(row["name"], None) if row["name"] in METHODS else md(row["name"])


def _agreement_table(fast: Sequence[Entry]) -> str:
    header = [
        "probe", "regime", "tasks", "mean difference", "largest", "off", "same setting",
        "same or next", "reference converged",
    ]  # fmt: skip
    cells = [
        [
            probe_name(entry["method"], entry["k"]),
            _where(entry),
            str(entry["n_tasks"]),
            f"{entry['mean']:+.4f}",
            f"{entry['largest']:.3f}",
            f"{entry['off']} ({entry['off_converged']})",
            f"{entry['same_setting']:.0%}",
            f"{entry['adjacent_setting']:.0%}",
            f"{entry['reference_converged']:.0%}",
        ]
        for entry in fast
    ]
    return directive(
        "table",
        table(header, cells, "llrrrrrrr"),
        argument="Fast minus reference, test AUC. In brackets: off with a converged reference.",
        class_="sortable",
    )


def _speed_table(rows: Sequence[Entry], title: str) -> str:
    header = ["what", "n", "width or k", "workers", "ours, s", "theirs, s", "ratio", "goal", "note"]

    def shown(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    cells = [
        [
            _what(row),
            f"{row['n']:,}",
            f"{row['width']:,}",
            str(row["workers"]),
            f"{row['ours_s']:.3g}",
            shown(row["theirs_s"], ".3g"),
            shown(row["ratio"], ".1f"),
            shown(row["goal"], "g"),
            md(row["note"]),
        ]
        for row in rows
    ]
    return directive("table", table(header, cells, "lrrrrrrrl"), argument=title, class_="sortable")
