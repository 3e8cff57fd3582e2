"""Read the paper's published result tables as tidy rows, for tests that check our numbers.

The tables are upstream's data and are no part of this repository. Point the environment
variable PUBLISHED_RESULTS at the ``results`` folder of github.com/JoshEngels/SAE-Probes.
"""

import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

MAIN_HOOK = "blocks.20.hook_resid_post"
BASELINE = "baseline_probes_gemma-2-9b"
SAE = "sae_probes_gemma-2-9b"
WIDTHS = {"16k": 2**14, "32k": 2**15, "65k": 2**16, "131k": 2**17, "262k": 2**18}
WIDTHS |= {"524k": 2**19, "1m": 2**20}
QUIVER_SAES = [
    "layer_20/width_16k/average_l0_408",
    "layer_20/width_131k/average_l0_276",
    "layer_20/width_1m/average_l0_193",
]
SAE_FILES = {
    "scarcity": ("scarcity_setting", "num_train"),
    "imbalance": ("class_imbalance_setting", "frac"),
    "label_noise": ("label_noise_setting", "corrupt_frac"),
}
BASELINE_FILES = {
    "scarcity": ("scarcity/summary/all_results.csv", "num_train"),
    "imbalance": ("imbalance/all_results.csv", "ratio"),
    "label_noise": ("corrupt/all_results.csv", "ratio"),
}


def results_folder() -> Path:
    """Return the folder of published tables, or skip the test that asks for it."""
    folder = os.environ.get("PUBLISHED_RESULTS")
    if not folder:
        pytest.skip("PUBLISHED_RESULTS is not set: the paper's result tables are not at hand")
    return Path(folder)


def read(path: str) -> pd.DataFrame:
    """Read one published CSV with exactly parsed floats."""
    return pd.read_csv(results_folder() / path, float_precision="round_trip")


def _tidy(frame: pd.DataFrame, *, hook: str, regime: str, value: str | None) -> pd.DataFrame:
    regime_value = frame[value].astype(float).round(6) if value else float("nan")
    return frame.assign(
        section="published",
        protocol="paper",
        solver="reference",
        model="gemma-2-9b",
        hook=hook,
        regime=regime,
        regime_value=regime_value,
        seed=42,
        converged=True,
    )


def _baselines(frame: pd.DataFrame) -> pd.DataFrame:
    empty = {"sae_id": None, "ranking": None, "penalty": None, "binarize": None}
    numbers = {"k": pd.array([pd.NA] * len(frame), "Int64"), "sae_l0": float("nan")}
    return frame.assign(**empty, **numbers, sae_width=numbers["k"])


def _saes(frame: pd.DataFrame, ranking: str) -> pd.DataFrame:
    parts = frame["sae_id"].str.extract(r"width_(?P<width>\w+)/average_l0_(?P<l0>\d+)")
    return frame.drop(columns=["layer"]).assign(
        method="sae_logreg",
        sae_width=parts["width"].map(WIDTHS).astype("Int64"),
        sae_l0=parts["l0"].astype(float),
        k=frame["k"].astype("Int64"),
        penalty="l1",
        binarize=False,
        ranking=ranking,
    )


def standard_rows() -> pd.DataFrame:
    """Standard conditions: five layers of baselines, seven SAEs at all k, both rankings.

    The normalised ranking comes from the label-noise table at fraction zero, which equals the
    standard runs (three SAEs, k = 16 and 128).
    """
    layers = {"embed": "hook_embed"}
    layers |= {str(n): f"blocks.{n}.hook_resid_post" for n in (9, 20, 31, 41)}
    parts = [
        _tidy(
            _baselines(read(f"{BASELINE}/normal_settings/layer{layer}_results.csv")),
            hook=hook,
            regime="standard",
            value=None,
        )
        for layer, hook in layers.items()
    ]
    plain = _saes(read(f"{SAE}/normal_setting/l1_layer20_max_l0.csv"), "mean_difference")
    noise = read(f"{SAE}/label_noise_setting/all_metrics.csv")
    head = _saes(noise[noise["corrupt_frac"] == 0], "normalized_mean_difference")
    parts += [_tidy(part, hook=MAIN_HOOK, regime="standard", value=None) for part in (plain, head)]
    return pd.concat(parts, ignore_index=True)


def expected() -> dict[str, Any]:
    """The numbers recomputed from the tables, by key, or a skip where they are not at hand."""
    path = results_folder().parent.parent / "published_numbers.json"
    if not path.is_file():
        pytest.skip(f"{path.name} is not beside the paper's result tables")
    return json.loads(path.read_text(encoding="utf-8"))["entries"]


def regime_rows(regime: str, generation: str = "v1") -> pd.DataFrame:
    """Scarcity, imbalance or label noise; `v1` made the paper's figures, `head` came later."""
    folder, sae_value = SAE_FILES[regime]
    name = "all_metrics_old" if generation == "v1" else "all_metrics"
    # The name of a ranking only says which rows a figure takes: here there is one at a time.
    sae = _saes(read(f"{SAE}/{folder}/{name}.csv"), "mean_difference")
    path, value = BASELINE_FILES[regime]
    baseline = _baselines(read(f"{BASELINE}/{path}"))
    parts = [
        _tidy(sae, hook=MAIN_HOOK, regime=regime, value=sae_value),
        _tidy(baseline, hook=MAIN_HOOK, regime=regime, value=value),
    ]
    return pd.concat(parts, ignore_index=True)


def shifted_rows() -> pd.DataFrame:
    """Covariate shift: columns dataset, test_auc_baseline, test_auc_sae."""
    return read(f"{BASELINE}/ood/all_results.csv")
