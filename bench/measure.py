"""Time a command and its whole process tree's memory, and note both for the book.

``python -m bench.measure --profile quick --what "first build" -- make book`` appends to
``bench/measured.json``, which the page *Run it* shows. Needs ``psutil`` only.
"""

import argparse
import json
import subprocess
import threading
import time
from datetime import date
from pathlib import Path

import psutil

MEASURED = Path(__file__).with_name("measured.json")
ROOT = Path(__file__).resolve().parents[1]


def tree_memory(process: psutil.Process) -> int:
    """Bytes of a process and its descendants; a page they share is counted once (PSS)."""
    total = 0
    for member in [process, *process.children(recursive=True)]:
        try:
            memory = member.memory_full_info()
            total += getattr(memory, "pss", memory.rss)
        except psutil.Error:
            continue
    return total


def run(command: list[str]) -> tuple[float, float, int]:
    """Run a command.

    Returns:
        Seconds, peak memory in GB, exit code.
    """
    start, peak = time.perf_counter(), 0
    child = subprocess.Popen(command, cwd=ROOT)
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(1.0):
            try:
                peak = max(peak, tree_memory(psutil.Process(child.pid)))
            except psutil.Error:
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = child.wait()
    done.set()
    watcher.join()
    return time.perf_counter() - start, peak / 1e9, code


def main() -> None:
    """Measure one command and note it."""
    parser = argparse.ArgumentParser(prog="python -m bench.measure", description=__doc__)
    parser.add_argument("--profile", required=True)
    parser.add_argument("--what", required=True, help="such as 'first build' or 'again'")
    parser.add_argument("command", nargs="+")
    chosen = parser.parse_args()
    seconds, memory, code = run(chosen.command)
    store = ROOT / "store"
    stored = sum(p.stat().st_size for p in store.rglob("*") if p.is_file()) / 1e9
    entry = {
        "profile": chosen.profile,
        "what": chosen.what,
        "seconds": round(seconds),
        "peak_memory_gb": round(memory, 1),
        "store_gb": round(stored, 1),
        "machine": f"{psutil.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GB",
        "date": date.today().isoformat(),
    }
    print(json.dumps(entry), "exit code", code)
    if code == 0:
        before = json.loads(MEASURED.read_text()) if MEASURED.exists() else []
        same = (entry["profile"], entry["what"])
        kept = [row for row in before if (row["profile"], row["what"]) != same]
        MEASURED.write_text(json.dumps([*kept, entry], indent=1) + "\n")
    raise SystemExit(code)


if __name__ == "__main__":
    main()
