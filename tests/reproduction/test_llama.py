"""Entries of Llama, whose tables are not at hand: Gemma's rows under Llama's names stand in.

The numbers are recomputed here with plain pandas, from the files, and not by the recipes.
"""

import numpy as np
import pandas as pd
import pytest

from probing_core.published.importer import import_results
from reproduction.check import check
from tests.upstream import write_baselines, write_saes

BASE, SAE = "baseline_probes_llama-3.1-8b", "sae_probes_llama-3.1-8b"
LAYERS = {"embed": "embed", 9: 8, 20: 16, 31: 24, 41: 31}
"""Gemma's layers, and Llama's whose names they take."""
REGIMES = {
    "imbalance": ("imbalance", "class_imbalance_setting", "frac"),
    "label_noise": ("corrupt", "label_noise_setting", "corrupt_frac"),
}


@pytest.fixture(scope="module")
def folder(gemma, tmp_path_factory):
    """Gemma's tables as if they were Llama's."""
    top, gemmas = tmp_path_factory.mktemp("llama"), "baseline_probes_gemma-2-9b"
    for other, own in LAYERS.items():
        name = f"normal_settings/layer{other}_results.csv"
        target = f"{BASE}/normal_settings/layer{own}_results.csv"
        write_baselines(gemma, f"{gemmas}/{name}", top, target)
    narrow = gemma["sae_id"].eq("layer_20/width_16k/average_l0_408") & ~gemma["binarize"].eq(True)
    saes = gemma[narrow & gemma["ranking"].eq("mean_difference")].assign(sae_id="l16r_32x")
    for regime, (name, setting, value) in REGIMES.items():
        table = f"{name}/all_results.csv"
        write_baselines(gemma, f"{gemmas}/{table}", top, f"{BASE}/{table}")
        own = saes[saes["regime"].eq(regime) & saes["k"].isin([16, 128])]
        write_saes(own, top / SAE / setting / "all_metrics.csv", value, layer=16)
    standard = saes[saes["regime"].eq("standard")]
    write_saes(standard, top / SAE / "normal_setting/all_metrics.csv", layer=16)
    return top


def read(path):
    return pd.read_csv(path, float_precision="round_trip")


def picked(frame, keys):
    """Test AUC of the first row with the largest validation AUC."""
    return frame.loc[frame.groupby(keys)["val_auc"].idxmax()].set_index(keys)["test_auc"]


def quiver(folder, baseline, setting, value=""):
    base, sae = read(folder / BASE / baseline), read(folder / SAE / setting / "all_metrics.csv")
    sae = sae[sae["k"].isin([16, 128])]
    keys = ["dataset", "x"]
    base, sae = (
        base.assign(x=base["ratio"] if value else 0),
        sae.assign(x=sae[value] if value else 0),
    )
    both = pd.concat([base, sae], ignore_index=True)
    without = picked(base, keys)
    return without, picked(both, keys).reindex(without.index)


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
    table = f"normal_settings/layer{layer}_results.csv"
    without, with_sae = quiver(folder, table, "normal_setting")
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
    assert verdict(folder, "fig18b.both", {f"layer_{layer}": value}).status == "ok"
    assert verdict(folder, "fig18b.any", value, f"baselines of layer {layer}").status == "ok"


def test_figure_19_under_imbalance_is_recomputed(folder):
    name, setting, value = REGIMES["imbalance"]
    without, with_sae = quiver(folder, f"{name}/all_results.csv", setting, value)
    means = (with_sae - without).groupby("x").mean()
    wanted = {"delta": {str(x): mean for x, mean in means.items()}, "n_rows": len(without)}
    one = verdict(folder, "fig19.imbalance.ties_to_baseline", wanted)
    assert (one.status, one.compared) == ("ok", 20), one


def test_figure_19_under_label_noise_is_matched_by_task(folder):
    name, setting, value = REGIMES["label_noise"]
    base = read(folder / BASE / name / "all_results.csv").query("method == 'logreg'")
    sae = read(folder / SAE / setting / "all_metrics.csv").query("k == 128")
    both = base.merge(
        sae.rename(columns={value: "ratio"}), on=["dataset", "ratio"], suffixes=("", "_sae")
    )
    change = (both["test_auc_sae"] - both["test_auc"]).groupby(both["ratio"])
    wanted = {
        "delta": {str(x): mean for x, mean in change.mean().items()},
        "sae_win_pct": {str(x): 100 * (own > 0).mean() for x, own in change},
        "overall_sae": both["test_auc_sae"].mean(),
    }
    one = verdict(folder, "fig19.corrupt", wanted)
    assert (one.status, one.compared) == ("ok", 23), one


def test_figure_18a_is_recomputed(folder):
    read_all = {
        str(own): read(folder / BASE / f"normal_settings/layer{own}_results.csv")
        for own in LAYERS.values()
    }
    means = {name: frame.groupby("method")["test_auc"].mean() for name, frame in read_all.items()}
    value = {m: {name: one[m] for name, one in means.items()} for m in ("logreg", "knn", "mlp")}
    key = "fig18a.llama-3.1-8b.baseline_mean_test_auc_by_layer"
    assert verdict(folder, key, value).status == "ok"
    first = read_all["16"].loc[read_all["16"].groupby("dataset")["test_auc"].idxmax(), "method"]
    counts = {"16": first.value_counts().to_dict()}
    key = "fig18a.llama-3.1-8b.best_method_counts_by_layer"
    assert verdict(folder, key, counts).status == "ok"


def test_standard_means_of_llama_are_known_by_probe_and_by_k(folder):
    groups = read(folder / SAE / "normal_setting/all_metrics.csv").groupby("k")["test_auc"]
    means = groups.mean()
    named = {f"l16r_32x|k={k}": means[k] for k in (16, 128)}
    assert verdict(folder, "llama.normal.sae_mean_test_auc", named).status == "ok"
    by_k = {str(k): mean for k, mean in means.items()}
    assert len(by_k) == 10
    for key, value in (
        ("llama.normal.sae_mean_test_auc_by_k", by_k),
        ("llama.normal.sae_auc_by_k", {"mean": by_k}),
        ("llama.normal.sae_mean_test_auc", {"l16r_32x": by_k}),
        ("llama.normal.sae_median_auc_by_k", {str(k): m for k, m in groups.median().items()}),
    ):
        one = verdict(folder, key, value)
        assert (one.status, one.compared, one.left) == ("ok", 10, ()), one
    off = by_k | {"8": by_k["8"] + 1e-3}
    assert verdict(folder, "llama.normal.sae_mean_test_auc_by_k", off).status == "FAIL"


def test_one_probe_of_llama_is_put_beside_logistic_regression(folder):
    logreg = read(folder / BASE / "normal_settings/layer16_results.csv")
    logreg = logreg.query("method == 'logreg'").set_index("dataset")["test_auc"]
    sae = read(folder / SAE / "normal_setting/all_metrics.csv").query("k == 128")
    change = sae.set_index("dataset")["test_auc"] - logreg
    value = {"mean": change.mean(), "sae_better": int((change > 0).sum())}
    assert verdict(folder, "llama.normal.head_to_head", value).status == "ok"


def test_what_a_folder_does_not_hold_is_skipped_with_the_tables_name(folder):
    one = verdict(folder, "fig19.scarcity.neutral_ties", {"delta": {"2": 0.0}})
    assert one.status == "skip" and "baseline_probes_llama-3.1-8b/scarcity" in one.reason
