"""Write what the leak-free benchmark consists of: ``python -m bench.release``, a few minutes.

``book/leak-free.parquet`` and ``book/tasks.json`` are committed; tests compare them with the code.
"""

import json

from bench.trials import ROOT
from probing_core.datasets import TASKS, ProbingDataset, load_dataset, standard_split
from probing_core.datasets.audit import audit, overlaps
from probing_core.datasets.benchmark import VERSION, write_benchmark
from probing_core.experiments.shortcuts import shortcut_rows


def shortcuts(dataset: ProbingDataset) -> dict[str, float]:
    """Test AUC on the standard split of what needs no model, the best first."""
    split = standard_split(dataset, protocol="paper", seed=42)
    rows = shortcut_rows(dataset, split).sort_values("test_auc", ascending=False)
    return dict(zip(rows["feature"], rows["test_auc"].round(4), strict=True))


if __name__ == "__main__":
    write_benchmark(ROOT / "book" / "leak-free.parquet")
    datasets = [load_dataset(tag) for tag in TASKS]
    shared = overlaps(datasets)
    audits = {
        one.tag: audit(one).as_json()
        | {"family": TASKS[one.tag].family, "overlaps": shared[one.tag]}
        | {"shortcuts": shortcuts(one)}
        for one in datasets
    }
    lines = ",\n".join(f"{json.dumps(tag)}: {json.dumps(one)}" for tag, one in audits.items())
    text = f'{{"version": {json.dumps(VERSION)}, "tasks": {{\n{lines}\n}}}}\n'
    (ROOT / "book" / "tasks.json").write_text(text, encoding="utf-8")
