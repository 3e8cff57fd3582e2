"""Read the leak-free splits: needs sae-probes and pandas, and `leak-free.parquet` beside it."""

import hashlib
from importlib.util import find_spec
from pathlib import Path

import pandas as pd


def leak_free(tag, seed=42, path=Path(__file__).with_name("leak-free.parquet")):
    """The prompts of a task by side: train, validation and test, frames with prompt and target."""
    data = Path(find_spec("sae_probes").origin).parent / "data" / "cleaned_data"
    task = pd.read_csv(data / f"{tag}.csv.zst", dtype=str, keep_default_na=False)
    task = task[["prompt", "target"]]
    text = "\n".join(task["prompt"] + "\t" + task["target"])
    rows = pd.read_parquet(path, filters=[("task", "==", tag)]).set_index("row")
    if rows["hash"].iloc[0] != hashlib.sha256(text.encode()).hexdigest()[:16]:
        raise ValueError(f"{tag}: these are not the prompts that were split")
    return {side: task.loc[rows.index[rows[f"seed_{seed}"] == side]] for side in
            ("train", "validation", "test")}  # fmt: skip
