"""``make bench``: agreement, ties, whole work, single fits and extraction, kept as tables.

Writes ``bench/solvers.json`` and ``bench/solvers.md``, which the page *Method* includes. The
reference and sae-probes take most of the time, half an hour on two cores.
"""

import argparse
import warnings
from collections.abc import Callable
from dataclasses import asdict

import torch

from bench import agreement, attention, extraction, speed
from bench.arrays import open_bench
from bench.table import Row, keep

GROUPS: dict[str, Callable] = {
    "ties": agreement.ties,
    "agreement": agreement.agreement,
    "whole work": speed.whole_work,
    "fits": speed.fits,
    "extraction": extraction.measure,
    "attention": attention.measure,
}


def main() -> None:
    """Measure, print, and keep the rows."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"some of {', '.join(GROUPS)}")
    parser.add_argument("--profile", default="quick", help="whose tasks and SAEs")
    parser.add_argument("--tasks", type=int, help="the first few tasks only")
    chosen = parser.parse_args()
    if unknown := set(chosen.groups) - set(GROUPS):
        parser.error(f"no group {sorted(unknown)}; choose from {', '.join(GROUPS)}")
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    study = open_bench(chosen.profile)
    for group in chosen.groups or GROUPS:
        measure = GROUPS[group]
        rows = measure(study, chosen.tasks) if group != "extraction" else measure()
        keep(group, [asdict(row) if isinstance(row, Row) else row for row in rows])
        print(group, *rows, sep="\n", flush=True)


if __name__ == "__main__":
    main()
