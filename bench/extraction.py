"""Tokens per second of the extraction beside a plain Transformers forward pass.

Same prompts, same dtype, same batches, in turns within one process, one thread: the plain pass
runs all layers, ours the layers up to the last hook wanted.
"""

from typing import Any

from probing_core.experiments.study import open_study
from probing_core.experiments.throughput import measure_throughput
from probing_core.profiles import load_profile


def measure() -> list[dict[str, Any]]:
    """Throughput in float32 and bfloat16, for all hooks of ``quick`` and up to its main hook."""
    quick = load_profile("quick")
    rows = []
    for dtype in ("float32", "bfloat16"):
        for last in (quick.models[0].main_hook, quick.models[0].hooks[-1]):
            hooks = quick.models[0].hooks
            hooks = hooks[: hooks.index(last) + 1]
            model = quick.models[0].model_copy(update={"dtype": dtype, "hooks": hooks})
            study = open_study(quick.model_copy(update={"models": (model,)}))
            rows += [{"last_hook": last, **row} for row in measure_throughput(study)]
    return rows


def as_text(rows: list[dict[str, Any]]) -> str:
    """The rows as a table."""
    lines = [f"{'last hook':<26}{'dtype':<10}{'way':<20}{'tokens/s':>9}"]
    for row in rows:
        rate = f"{row['tokens_per_second']:>9.0f}"
        lines.append(f"{row['last_hook']:<26}{row['dtype']:<10}{row['way']:<20}{rate}")
    return "\n".join(lines) + "\n"
