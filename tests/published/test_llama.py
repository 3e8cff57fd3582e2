"""Entries of Llama, whose tables are not at hand: Gemma's rows under Llama's names stand in.

The numbers are recomputed here with plain pandas, from the files, and not by the recipes.
"""

import numpy as np
import pandas as pd
import pytest

from reproduction.check import check
from probing_core.published.importer import import_results

BASE, SAE = "baseline_probes_llama-3.1-8b", "sae_probes_llama-3.1-8b"
GEMMA_BASE, GEMMA_SAE = "baseline_probes_gemma-2-9b", "sae_probes_gemma-2-9b"
NARROW = "layer_20/width_16k/average_l0_408"
SETTINGS = {
    "imbalance": ("class_imbalance_setting", "frac"),
    "corrupt": ("label_noise_setting", "corrupt_frac"),
}


def probes(results, path):
    frame = pd.read_csv(results / path, float_precision="round_trip")
    frame = frame[(frame["sae_id"] == NARROW) & frame["k"].isin([16, 128])]
    return frame.assign(sae_id="l16r_32x", layer=16)


@pytest.fixture(scope="module")
def folder(results, tmp_path_factory):
    """Gemma's tables as if they were Llama's; its layers 9 and 20 as 8 and 16."""
    top = tmp_path_factory.mktemp("llama")
    for other, own in (("embed", "embed"), (9, 8), (20, 16), (31, 24), (41, 31)):
        target = top / BASE / "normal_settings" / f"layer{own}_results.csv"
        target.parent.mkdir(parents=True, exist_ok=True)
        source = results / GEMMA_BASE / "normal_settings" / f"layer{other}_results.csv"
        target.write_bytes(source.read_bytes())
    for regime, (setting, _) in SETTINGS.items():
        target = top / BASE / regime / "all_results.csv"
        target.parent.mkdir()
        target.write_bytes((results / GEMMA_BASE / regime / "all_results.csv").read_bytes())
        target = top / SAE / setting / "all_metrics.csv"
        target.parent.mkdir(parents=True)
        own = probes(results, f"{GEMMA_SAE}/{setting}/all_metrics_old.csv")
        own.to_csv(target, index=False)
    target = top / SAE / "normal_setting" / "all_metrics.csv"
    target.parent.mkdir()
    standard = probes(results, f"{GEMMA_SAE}/normal_setting/l1_layer20_max_l0.csv")
    standard.drop(columns=["sae_width", "sae_l0"]).to_csv(target, index=False)
    return top


def picked(frame, keys):
    """Test AUC of the first row with the largest validation AUC."""
    return frame.loc[frame.groupby(keys)["val_auc"].idxmax()].set_index(keys)["test_auc"]


def quiver(folder, baseline, setting, keys):
    base = pd.read_csv(folder / BASE / baseline, float_precision="round_trip")
    sae = pd.read_csv(folder / SAE / setting, float_precision="round_trip")
    names = {"frac": "x", "ratio": "x"}
    both = pd.concat([base, sae.assign(method="sae")], ignore_index=True, keys=None)
    both = both.assign(x=both[[c for c in names if c in both]].bfill(axis=1).iloc[:, 0].round(2)) \
        if "x" in keys else both  # fmt: skip
    without, with_sae = picked(both[both["method"] != "sae"], keys), picked(both, keys)
    return without, with_sae.reindex(without.index)


def verdict(folder, key, value, recipe=""):
    entry = {"value": value, "recipe": recipe, "suggested_abs_tol": 1e-9}
    (one,) = check(import_results(folder), {key: entry})
    return one


@pytest.mark.parametrize(
    ("key", "layer"),
    [
        ("fig18b.quiver_normal", 8),
        ("fig18b.upstream_layer8_baselines", 8),
        ("fig18b.layer16_baselines", 16),
    ],
)
def test_figure_18b_is_recomputed_with_the_baselines_of_the_layer_named(folder, key, layer):
    without, with_sae = quiver(
        folder, f"normal_settings/layer{layer}_results.csv",
        "normal_setting/all_metrics.csv", ["dataset"],
    )  # fmt: skip
    change = with_sae - without
    value = {
        "mean_delta": change.mean(),
        "se": change.std(ddof=0) / np.sqrt(113),
        "max_delta": change.max(),
        "n_improved": int((change > 0).sum()),
        "mean_without": without.mean(),
    }
    one = verdict(folder, key, value)
    assert (one.status, one.compared) == ("ok", len(value)), one
    assert verdict(folder, key, value | {"max_delta": change.max() + 1e-3}).status == "FAIL"
    nested = {f"layer_{layer}": value}
    assert verdict(folder, "fig18b.both", nested).status == "ok"
    assert verdict(folder, "fig18b.any", value, f"baselines of layer {layer}").status == "ok"


def test_figure_19_under_imbalance_is_recomputed(folder):
    without, with_sae = quiver(
        folder, "imbalance/all_results.csv", "class_imbalance_setting/all_metrics.csv",
        ["dataset", "x"],
    )  # fmt: skip
    means = (with_sae - without).groupby("x").mean()
    value = {"delta": {str(x): mean for x, mean in means.items()}, "n_rows": len(without)}
    one = verdict(folder, "fig19.imbalance.ties_to_baseline", value)
    assert (one.status, one.compared) == ("ok", 20), one


def test_figure_19_under_label_noise_is_matched_by_task(folder):
    base = pd.read_csv(folder / BASE / "corrupt/all_results.csv", float_precision="round_trip")
    path = folder / SAE / "label_noise_setting/all_metrics.csv"
    sae = pd.read_csv(path, float_precision="round_trip").query("k == 128")
    sae = sae.assign(ratio=sae["corrupt_frac"].round(2))
    base = base.assign(ratio=base["ratio"].round(2))
    both = base.merge(sae, on=["dataset", "ratio"], suffixes=("", "_sae"))
    change = (both["test_auc_sae"] - both["test_auc"]).groupby(both["ratio"])
    wins = 100 * (both["test_auc_sae"] > both["test_auc"]).groupby(both["ratio"]).mean()
    value = {
        "delta": {str(x): mean for x, mean in change.mean().items()},
        "sae_win_pct": {str(x): share for x, share in wins.items()},
        "overall_sae": both["test_auc_sae"].mean(),
    }
    one = verdict(folder, "fig19.corrupt", value)
    assert (one.status, one.compared) == ("ok", 23), one


def test_figure_18a_and_the_standard_means_are_recomputed(folder):
    layers = {"embed": "embed", "8": 8, "16": 16, "24": 24, "31": 31}
    read = {
        name: pd.read_csv(folder / BASE / f"normal_settings/layer{layer}_results.csv")
        for name, layer in layers.items()
    }
    means = {name: frame.groupby("method")["test_auc"].mean() for name, frame in read.items()}
    value = {m: {name: one[m] for name, one in means.items()} for m in ("logreg", "knn", "mlp")}
    key = "fig18a.llama-3.1-8b.baseline_mean_test_auc_by_layer"
    assert verdict(folder, key, value).status == "ok"
    first = read["16"].loc[read["16"].groupby("dataset")["test_auc"].idxmax(), "method"]
    counts = {"16": first.value_counts().to_dict()}
    key = "fig18a.llama-3.1-8b.best_method_counts_by_layer"
    assert verdict(folder, key, counts).status == "ok"
    sae = pd.read_csv(folder / SAE / "normal_setting/all_metrics.csv")
    by_k = sae.groupby("k")["test_auc"].mean()
    value = {f"l16r_32x|k={k}": mean for k, mean in by_k.items()}
    assert verdict(folder, "llama.normal.sae_mean_test_auc", value).status == "ok"
    logreg = read["16"].query("method == 'logreg'").set_index("dataset")["test_auc"]
    change = sae[sae["k"] == 128].set_index("dataset")["test_auc"] - logreg
    value = {"mean": change.mean(), "sae_better": int((change > 0).sum())}
    assert verdict(folder, "llama.normal.head_to_head", value).status == "ok"


def test_what_a_folder_does_not_hold_is_skipped_with_the_tables_name(folder):
    one = verdict(folder, "fig19.scarcity.neutral_ties", {"delta": {"2": 0.0}})
    assert one.status == "skip" and "baseline_probes_llama-3.1-8b/scarcity" in one.reason
