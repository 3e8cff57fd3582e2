"""Running units of work: serially, or on loky workers with one BLAS thread each.

Anything that speaks ``concurrent.futures.Executor`` does, such as a Dask cluster's
``client.get_executor()``: pass it to :func:`run_units`.
"""

import ctypes
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, as_completed
from contextlib import suppress
from multiprocessing import resource_tracker
from typing import Any, TypeVar

import psutil
import torch
from loky import cpu_count, get_reusable_executor
from tqdm import tqdm

_ENVIRONMENT = {
    name: "1"
    for name in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMBA_NUM_THREADS",
        "MALLOC_ARENA_MAX",  # glibc's other arenas kept a gigabyte of freed batches in each worker
    )
}
T = TypeVar("T")
_WORKER_BYTES = 3_000_000_000
"""What a worker with an embedded model holds, and some more."""
_HELD: dict[Any, Any] = {}
AT_INTERRUPT: list[Callable[[], str]] = []
"""What Ctrl-C says of how far the work came."""


def run_units(
    function: Callable[..., Any],
    units: Sequence[tuple[Any, ...]],
    *,
    label: str,
    workers: int = 1,
    executor: Executor | None = None,
) -> list[Any]:
    """Call a module-level function as ``function(*unit)`` for every unit; results in their order.

    Each unit writes its own result to the store, so whatever finished before an interruption
    or an error is kept. Costly ones first balance best. One worker is this process; `label` is what
    the progress bar says.
    """
    if not units:
        return []
    if executor is None and (workers <= 1 or len(units) == 1):
        try:
            return [function(*unit) for unit in _bar(units, len(units), label)]
        finally:
            release()
    pool: Any = executor or get_reusable_executor(
        max_workers=min(workers, len(units)),
        env=_ENVIRONMENT,
        initializer=_start_worker,
        initargs=(os.getpid(),),
        timeout=120,
    )
    futures = {pool.submit(function, *unit): number for number, unit in enumerate(units)}
    results: list[Any] = [None] * len(units)
    try:
        for future in _bar(as_completed(futures), len(units), label):
            results[futures[future]] = future.result()
    except BaseException as error:
        for future in futures:
            future.cancel()
        if not executor and isinstance(error, KeyboardInterrupt):
            pool.shutdown(kill_workers=True)
        raise
    release()
    return results


def held(load: Callable[..., T], *what: Any) -> T:
    """What `load(*what)` gives: a model or an SAE, one a process, kept until the next is loaded."""
    if (load, what) not in _HELD:
        release()  # before the next comes
        _HELD[load, what] = load(*what)
    return _HELD[load, what]


def release() -> None:
    """Let go of the model or SAE that this process holds, and of memory that is free by then."""
    _HELD.clear()
    gc.collect()
    torch.cuda.empty_cache()  # nothing where there is no GPU
    with suppress(OSError, AttributeError):  # glibc kept a gigabyte in each worker
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def count_workers(workers: int | str) -> int:
    """``auto`` is one worker a core that this process may use, each with 3 GB of memory."""
    if workers != "auto":
        return max(1, int(workers))
    return max(1, min(int(cpu_count()), psutil.virtual_memory().total // _WORKER_BYTES))


def leave_with_parent(parent: int) -> None:
    """End this process within a second of `parent`, which started it, however that one ends."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def stop_at_interrupt() -> None:
    """Let Ctrl-C end this process and all it started at once: one line, exit code 130.

    A thread waits for it, whatever the main one is at; no library and no child hears it.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        return  # as under nohup
    resource_tracker.ensure_running()  # which would unblock it
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    terminal = os.dup(2)  # notebooks turn stderr away

    def wait() -> None:
        signal.sigwait({signal.SIGINT})
        try:
            said = " ".join(["Stopped.", *(tell() for tell in AT_INTERRUPT)])
            os.write(terminal, f"{said} The same command goes on from there.\n".encode())
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # pools lament their dead workers
            for child in psutil.Process().children(recursive=True):
                child.kill()
        finally:
            os._exit(130)

    threading.Thread(target=wait, daemon=True).start()


def _start_worker(parent: int) -> None:
    """No life after `parent`, one torch thread, and no restart for merely holding a model.

    loky takes 300 MB of growth for a leak and starts the worker anew, which would load the
    language model again and again.
    """
    leave_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import loky.process_executor

    torch.set_num_threads(1)
    loky.process_executor._MAX_MEMORY_LEAK_SIZE = 8 << 30


def _bar(items: Any, total: int, label: str) -> Any:
    """A bar in a terminal; nothing in pages, logs and CI."""
    return tqdm(items, total=total, desc=label, disable=not sys.stderr.isatty(), unit="unit")
