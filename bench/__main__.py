"""``make bench``: extraction and probes beside others, a table and ``bench/latest.json``."""

import argparse
import json
import os
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from bench import extraction, probes
from probing_core.store import write_atomically

LATEST = Path(__file__).with_name("latest.json")


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
    write_atomically(LATEST, json.dumps({"extraction": rows, "probes": fits}, indent=1).encode())


if __name__ == "__main__":
    main()
