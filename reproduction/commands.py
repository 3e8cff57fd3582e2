"""The command line's part of this package; `probing_core.cli` finds it by its entry point."""

from pathlib import Path
from typing import Annotated

import typer


def published_check(
    folder: Annotated[
        Path | None,
        typer.Argument(help="A checkout of the authors' repository; without, the shipped rows."),
    ] = None,
    expected: Annotated[
        Path, typer.Option("--expected", "-e", help="JSON of expected numbers, by key.")
    ] = ...,  # type: ignore[assignment]
) -> None:
    """Recompute published numbers from the authors' tables; exit code 1 if any is off.

    FILE holds entries: key to value, recipe and suggested_abs_tol.
    Example: published-check ~/SAE-Probes --expected published_numbers.json
    """
    from tqdm import tqdm

    from probing_core.published.importer import import_results
    from probing_core.published.source import published_import
    from reproduction import check

    entries = check.read_expected(expected)
    found = import_results(folder) if folder else published_import()
    for remark in found.report["remarks"]:
        typer.echo(f"flaw: {remark}", err=True)
    checked = check.check(found, entries)
    # A bar on a terminal, nothing elsewhere.
    verdicts = list(tqdm(checked, total=len(entries), unit="entry", leave=False, disable=None))
    for line in check.table_lines(verdicts):
        typer.echo(line)
    if any(verdict.status == "FAIL" for verdict in verdicts):
        raise typer.Exit(1)
