"""The command line's part of this package; `probing_core.cli` finds it by its entry point."""

from pathlib import Path
from typing import Annotated

import typer

FolderArgument = Annotated[
    Path, typer.Argument(help="A checkout of github.com/JoshEngels/SAE-Probes, or its 'results'.")
]


def import_published(
    folder: FolderArgument,
    store: Annotated[
        str, typer.Option("--store", "-s", help="Where to keep them, as of the other commands.")
    ] = "",
) -> None:
    """Read the authors' result tables into the store, for --profile published.

    Names every table that is missing or flawed and keeps the rest. Opens nothing pickled.
    Example: import-published ~/SAE-Probes
    """
    from probing_core.experiments.study import open_store
    from reproduction.upstream import importer

    kept = open_store(store or None)
    found = importer.import_results(folder)
    importer.store_import(kept, found)
    for line in importer.report_lines(found):
        typer.echo(line)
    typer.echo("Draw them with: python -m probing_core book --profile published")


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

    from probing_core.published.source import published_import
    from reproduction import check
    from reproduction.upstream.importer import import_results

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
