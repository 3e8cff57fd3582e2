"""Kill, damage, race and interrupt the program, and count what breaks.

``python -m bench.trials [kills damage pairs orphans aborts] [--count N] [--seed S]`` works on a
tiny profile in a temporary folder, and on a copy of this checkout where pages are written.
"""

import argparse
import io
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

from bench.table import pipe_table
from probing_core.experiments import sections
from probing_core.experiments.study import open_study
from probing_core.published.source import Import, published_import
from probing_core.store import Key, Store
from reproduction.upstream.importer import store_import

ROOT = Path(__file__).resolve().parents[1]
PROFILE = """
{name: trials, tasks: [66_living-room, 113_movie_sent, 5_hist_fig_ismale], max_prompts: 150,
max_tokens: 32, sae_tokens: 1500, workers: 2, standard: {methods: [knn, logreg], k: [4]},
regimes: {scarcity: {values: [20, 40], methods: [knn, logreg], k: [4]}},
models: [{name: minilm, dtype: float32, hooks: [hook_embed, blocks.3.hook_resid_post],
main_hook: blocks.3.hook_resid_post,
saes: [{width: 512, l0: 16, steps: 60, batch_tokens: 512}]}]}
"""
Process = subprocess.Popen
SUFFIXES = (".safetensors", ".parquet", ".json")
TIMES = ["fit_seconds", "created_at", "train_seconds", "extract_seconds"]
PAGES = ("run", "--force", "--only", "00-front", "--only", "01-activations")
GONE_SECONDS = 5.0
IGNORED = (".git", ".venv", "store", "_build", "sections", "lab", "__pycache__", ".*_cache")
log, STORE_LOG = logging.getLogger("bench.trials"), logging.getLogger("probing_core.store")


@dataclass(frozen=True)
class Counts:
    """How often something was tried, and what came of it that should not have."""

    trial: str
    trials: int
    silent: int = 0
    tracebacks: int = 0
    aborts: int = 0
    others: int = 0


def tally(trial: str, outcomes: Iterable[str]) -> Counts:
    """Count outcomes: each the name of a column of `Counts`, or empty where all was well."""
    found = Counter(outcomes)
    return Counts(trial, found.total(), **{name: n for name, n in found.items() if name})


class Ground:
    """A profile, a store that holds all of it, its rows, and a checkout to write pages in."""

    def __init__(self, folder: Path, seed: int):
        self.folder, self.chance = folder, random.Random(seed)
        self.profile = folder / "trials.yaml"
        self.profile.write_text(PROFILE)
        self.full, self.checkout = folder / "full", copy_checkout(folder / "checkout")
        started = time.monotonic()
        if end(self.start(self.full))[0]:
            raise SystemExit("The reference run failed.")
        self.seconds = time.monotonic() - started
        self.rows = self.rows_of(self.full)

    def store(self, share: float) -> Path:
        """A copy of the full store that lacks a share of its files, each by chance."""
        root = Path(shutil.copytree(self.full, self.folder / uuid.uuid4().hex))
        for path in sorted(root.rglob("*")):
            if path.is_file() and self.chance.random() < share:
                path.unlink()
        return root

    def start(self, store: Path, *command: str, mark: str = "", root: Path = ROOT) -> Process:
        """Start the program as a terminal does, with `mark` in the environment of all it starts."""
        wanted = [*(command or ("compute",)), "-P", str(self.profile), "-s", str(store)]
        once = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PROBING_TRIAL": mark}
        return Process(
            [sys.executable, "-m", "probing_core", *wanted],
            cwd=root, env=os.environ | once | {"PYTHONPATH": str(root)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def rows_of(self, root: Path) -> dict[str, pd.DataFrame]:
        """The rows of every section in a store without what depends on the clock."""
        study, rows = open_study(self.profile, root), {}
        for name in sections.SECTIONS:
            lacking = len(sections.lacking(study, name))
            found = sections.stored(study, name).assign(lacking=lacking)
            rows[name] = found.drop(columns=TIMES, errors="ignore")
        return rows

    def compare(self, root: Path) -> str:
        """``silent`` where a store's rows are not those of the reference; the store is removed."""
        rows = self.rows_of(root)
        shutil.rmtree(root)
        wrong = [name for name, frame in self.rows.items() if not frame.equals(rows[name])]
        return note("silent", wrong) if wrong else ""


def copy_checkout(folder: Path) -> Path:
    """A copy of the working tree, without what is made there, to write pages in."""
    return Path(shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*IGNORED)))


def note(outcome: str, about: object) -> str:
    """An outcome, and in the log what it was."""
    log.warning("%s: %s", outcome, about)
    return outcome


def end(process: Process, code: int = 0) -> tuple[str, str]:
    """Wait for a process; what its end amounts to, and what it said."""
    said, outcome = process.communicate()[1], ""
    if "Traceback" in said:
        outcome = "tracebacks"
    elif process.returncode != code:
        outcome = "aborts" if process.returncode == -signal.SIGABRT else "others"
    about = f"exit code {process.returncode}: {said[-3000:]}"
    return (note(outcome, about) if outcome else ""), said


def kills(ground: Ground, count: int) -> Iterator[Counts]:
    """Kill `compute` at a random moment, go on, and compare the rows."""

    def one() -> str:
        store = ground.store(ground.chance.choice([1.0, 0.6, 0.3]))
        process = ground.start(store)
        time.sleep(ground.chance.uniform(0, ground.seconds))
        process.kill()
        return end(ground.start(store))[0] or ground.compare(store)

    yield tally("compute killed, gone on", (one() for _ in range(count)))


def damage(ground: Ground, count: int) -> Iterator[Counts]:
    """Damage every kind of file, and read it; then compute over a damaged store."""
    store, found = ground.store(0.0), published_import()
    store_import(Store(store), Import(found.rows.head(2000), found.sides, found.report))
    yield from damage_files(store, ground.chance, count * 25)

    def one() -> str:
        store = ground.store(0.0)
        spoil(ground.chance.choice([p for p in store.rglob("*") if p.is_file()]), ground.chance)
        return end(ground.start(store))[0] or ground.compare(store)

    yield tally("compute over a damaged file", (one() for _ in range(count)))


def damage_files(root: Path, chance: random.Random, count: int) -> Iterator[Counts]:
    """Flip `count` bits in every kind of file of a store; a tenth as often cut or delete it."""
    kinds: dict[str, list[Path]] = {}
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        folder, *inside = path.relative_to(root).parts
        kind = f"{folder}/{inside[1]}" if len(inside) > 1 else f"{folder} {path.suffix}"
        kinds.setdefault(kind, []).append(path)
    for kind, paths in kinds.items():
        how = ["flip"] * count + ["cut", "delete"] * max(1, count // 10)
        yield tally(kind, (damage_one(root, chance.choice(paths), chance, one) for one in how))


def damage_one(root: Path, path: Path, chance: random.Random, how: str) -> str:
    """Damage a file, read it through the store, and put everything back."""
    place = path.parent if path.parent.parent.parent == root else path
    before, data = read(root, place), {p: p.read_bytes() for p in [path, *place.rglob("*")]}
    spoil(path, chance, how)
    heard = io.StringIO()
    STORE_LOG.addHandler(handler := logging.StreamHandler(heard))
    try:
        after = read(root, place)
    except Exception as error:  # which is what is looked for
        return note("tracebacks", f"{path}: {error!r}")
    finally:
        STORE_LOG.removeHandler(handler)
        for lost, content in data.items():
            lost.parent.mkdir(exist_ok=True)
            lost.write_bytes(content)
    if after is not None:
        return note("silent", path) if after != before else ""
    named = how == "delete" or str(path) in heard.getvalue()
    return "" if named else note("others", f"{path} is named nowhere")


def read(root: Path, path: Path) -> Any:
    """What the store gives for a file or folder of it, in values that compare; or nothing."""
    store = Store(root)
    if path.parent == root:
        return path.read_bytes()
    label, _, digest = (path.stem if path.suffix in SUFFIXES else path.name).rpartition("-")
    key = Key(path.parent.name, label, digest, {})
    if path.suffix == ".safetensors" and (found := store.read_arrays(key)):
        return {n: (a.dtype, a.shape, a.tobytes()) for n, a in found[0].items()}, found[1]
    if path.suffix in SUFFIXES:
        return store.read_rows(key) if path.suffix == ".parquet" else store.read_json(key)
    folder = store.read_folder(key)
    return folder and {p.name: p.read_bytes() for p in folder.iterdir()}


def spoil(path: Path, chance: random.Random, how: str = "flip") -> None:
    """Flip a random bit of a file, ``cut`` it somewhere, or ``delete`` it."""
    data = bytearray(path.read_bytes())
    place = chance.randrange(len(data))
    if how == "flip":
        data[place] ^= 1 << chance.randrange(8)
    else:
        del data[place:]
    path.unlink() if how == "delete" else path.write_bytes(data)


def pairs(ground: Ground, count: int) -> Iterator[Counts]:
    """Start two at once: both fill one store; of two that write pages, one gives way."""

    def computes() -> str:
        store = ground.store(ground.chance.choice([1.0, 0.5]))
        both = [ground.start(store) for _ in range(2)]
        return max(end(process)[0] for process in both) or ground.compare(store)

    def pages() -> str:
        both = [ground.start(ground.full, *PAGES, root=ground.checkout) for _ in range(2)]
        first, second = sorted(both, key=lambda process: process.wait())
        (bad, _), (worse, said) = end(first), end(second, 2)
        named = f"process {first.pid} " in said and said.count("\n") == 1
        return bad or worse or ("" if named else note("others", said))

    yield tally("two computes at once", (computes() for _ in range(count)))
    yield tally("two runs at once", (pages() for _ in range(count)))


def orphans(ground: Ground, count: int) -> Iterator[Counts]:
    """Stop the program at a random moment, with kernels or without: all it started must go."""

    def one(number: signal.Signals) -> str:
        mark = uuid.uuid4().hex
        command = ground.chance.choice([(), (), PAGES, PAGES[:4]])
        root, store = (ground.checkout, 0.0) if command else (ROOT, 0.6)
        process = ground.start(ground.store(store), *command, mark=mark, root=root)
        time.sleep(ground.chance.uniform(2, ground.seconds))
        stopped = time.monotonic()
        if process.poll() is None:
            send = os.killpg if number == signal.SIGINT else os.kill
            send(process.pid, number)
        whole = process.wait() == 0
        bad, said = end(process, 0 if whole else 130 if number == signal.SIGINT else -number)
        while left := [p for p in psutil.process_iter(["environ"]) if mark in str(p.info)]:
            if time.monotonic() - stopped > GONE_SECONDS:
                return note("others", [p.cmdline() for p in left])
            time.sleep(0.1)
        told = number != signal.SIGINT or whole or said.splitlines()[-1].startswith("Stopped.")
        return bad or ("" if told else note("others", said))

    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
        yield tally(f"{number.name}: all gone", (one(number) for _ in range(count)))


def aborts(ground: Ground, count: int) -> Iterator[Counts]:
    """Run `compute` where nothing is left to do."""
    yield tally("warm compute", (end(ground.start(ground.full))[0] for _ in range(count * 10)))


TRIALS: dict[str, Callable[[Ground, int], Iterator[Counts]]] = {
    "kills": kills, "damage": damage, "pairs": pairs, "orphans": orphans, "aborts": aborts,
}  # fmt: skip


def main() -> None:
    """Try, and print the counts."""
    parser = argparse.ArgumentParser(prog="python -m bench.trials", description=__doc__)
    parser.add_argument("trials", nargs="*", default=[*TRIALS], choices=TRIALS)
    parser.add_argument(
        "--count",
        type=int,
        default=20,
        help="trials of a kind; of bits 25 times, of warm runs 10 times as many",
    )
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("probing_core").propagate = False
    with tempfile.TemporaryDirectory() as folder:
        ground = Ground(Path(folder), chosen.seed)
        rows = [row for one in chosen.trials for row in TRIALS[one](ground, chosen.count)]
    print(pipe_table([f.name for f in fields(Counts)], [[*map(str, astuple(r))] for r in rows]))


if __name__ == "__main__":
    main()
