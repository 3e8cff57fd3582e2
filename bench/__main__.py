"""``make bench``: extraction and probes beside others, a table and ``bench/latest.json``."""

import argparse
import json
import os
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from bench import extraction, probes
from probing_core.runner.provenance import commit, machine
from probing_core.store import write_atomically

LATEST = Path(__file__).with_name("latest.json")


def as_markdown(measured: dict[str, Any]) -> str:
    """The measurements as a page, beside the JSON."""
    where = measured["machine"]
    return (
        "# Latest measurements\n\n"
        f"{where['cpu']}, {where['cores']} cores, commit {measured['commit']}. Both sides of a"
        " ratio ran in turns in one process with one thread.\n\n"
        "## Extraction: tokens per second, MiniLM, the same batches\n\n"
        f"```text\n{extraction.as_text(measured['extraction'])}```\n\n"
        "## Probes: ours (fast solver) beside sae-probes 0.4.2, the same arrays\n\n"
        "Mean of up to three tasks at the main hook; for `sae_logreg`, width is k. AUC diff is"
        " ours minus theirs on the test rows.\n\n"
        f"```text\n{probes.as_text(measured['probes'])}\n```\n"
    )


def main() -> None:
    """Measure, print, and keep the rows."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one task, no boosting, k = 16")
    quick = parser.parse_args().quick
    warnings.simplefilter("ignore")
    rows = extraction.measure()
    print(extraction.as_text(rows))
    fits = [row.__dict__ for row in probes.run(probes.load_arrays(), quick)]
    print(probes.as_text(fits))
    measured = {"extraction": rows, "probes": fits, "machine": machine(), "commit": commit()}
    write_atomically(LATEST, json.dumps(measured, indent=1).encode())
    write_atomically(LATEST.with_suffix(".md"), as_markdown(measured).encode())


if __name__ == "__main__":
    main()
