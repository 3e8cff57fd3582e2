"""``make bench``: extraction, probes and whole work beside others, and ``bench/latest.json``."""

import argparse
import warnings

import torch

from bench import extraction, probes, whole
from bench.arrays import open_bench
from bench.table import as_text, keep

GROUPS = ("probes", "whole work", "growth", "extraction")


def main() -> None:
    """Measure, print, and keep the rows."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"some of {', '.join(GROUPS)}")
    parser.add_argument("--profile", default="quick", help="whose tasks and SAEs")
    parser.add_argument("--quick", action="store_true", help="a minute: small sizes, no boosting")
    chosen = parser.parse_args()
    if unknown := set(chosen.groups) - set(GROUPS):
        parser.error(f"no group {sorted(unknown)}; choose from {', '.join(GROUPS)}")
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    groups = chosen.groups or GROUPS[: 1 if chosen.quick else None]
    for group in groups:
        if group == "extraction":
            rows = extraction.measure()
        else:
            study = open_bench(chosen.profile)
            rows = (
                probes.measure(study, quick=chosen.quick)
                if group == "probes"
                else whole.measure(study)
                if group == "whole work"
                else whole.growth(study)
            )
        print(as_text(rows), flush=True)
        if not chosen.quick:
            keep(rows, group)


if __name__ == "__main__":
    main()
