"""Running units of work: serially, or on loky workers with one BLAS thread each.

Anything that speaks ``concurrent.futures.Executor`` does, such as a Dask cluster's
``client.get_executor()``: pass it to :func:`run_units`.
"""

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, as_completed
from typing import Any

from loky import cpu_count, get_reusable_executor
from tqdm import tqdm

_ONE_THREAD = {
    name: "1"
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
}


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
        return [function(*unit) for unit in _bar(units, len(units), label)]
    pool = executor or get_reusable_executor(
        max_workers=min(workers, len(units)),
        env=_ONE_THREAD,
        initializer=_start_worker,
        timeout=120,
    )
    futures = {pool.submit(function, *unit): number for number, unit in enumerate(units)}
    results: list[Any] = [None] * len(units)
    try:
        for future in _bar(as_completed(futures), len(units), label):
            results[futures[future]] = future.result()
    except BaseException:
        for future in futures:
            future.cancel()
        raise
    return results


def count_workers(workers: int | str) -> int:
    """``auto`` is one worker a core that this process may use, affinity and quotas heeded."""
    return int(cpu_count()) if workers == "auto" else max(1, int(workers))


def _start_worker() -> None:
    """One torch thread, and no restart for merely holding a model.

    loky takes 300 MB of growth for a leak and starts the worker anew, which would load the
    language model again and again.
    """
    import loky.process_executor
    import torch

    torch.set_num_threads(1)
    loky.process_executor._MAX_MEMORY_LEAK_SIZE = 8 << 30


def _bar(items: Any, total: int, label: str) -> Any:
    """A bar in a terminal; nothing in pages, logs and CI."""
    return tqdm(items, total=total, desc=label, disable=not sys.stderr.isatty(), unit="unit")
