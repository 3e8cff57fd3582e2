"""Extraction beside a plain Transformers forward pass.

Same prompts, same dtype, same batches, in turns within one process, one thread: the plain pass
runs all layers, ours the layers up to the last hook wanted.
"""

from bench.table import Row
from probing_core.experiments.study import open_study
from probing_core.experiments.throughput import measure_throughput
from probing_core.profiles import load_profile

TOKENS = 10_000


def measure() -> list[Row]:
    """Seconds for 10,000 tokens in float32 and bfloat16, to the main and to the last hook."""
    quick = load_profile("quick")
    rows = []
    for dtype in ("float32", "bfloat16"):
        for last in (quick.models[0].main_hook, quick.models[0].hooks[-1]):
            hooks = quick.models[0].hooks
            hooks = hooks[: hooks.index(last) + 1]
            model = quick.models[0].model_copy(update={"dtype": dtype, "hooks": hooks})
            study = open_study(quick.model_copy(update={"models": (model,)}))
            found = measure_throughput(study)
            rate = {row["way"]: row["tokens_per_second"] for row in found}
            mine, plain = rate["ours"], rate["plain transformers"]
            name = f"extraction {dtype} to {last}"
            note = "10,000 tokens; the other way is a plain Transformers pass"
            row = Row(name, TOKENS, 384, 1, TOKENS / mine, TOKENS / plain, mine / plain, note=note)
            rows.append(row)
    return rows
