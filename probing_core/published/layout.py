"""Where upstream keeps which results: one entry a table, and what is lost without it.

The layout is that of the folder ``results`` of github.com/JoshEngels/SAE-Probes (MIT). The tables
themselves are no part of this project.
"""

from dataclasses import dataclass, field
from typing import Any

GEMMA, LLAMA, SMALL = "google/gemma-2-9b", "meta-llama/Llama-3.1-8B", "google/gemma-2-2b"
FOLDERS = {GEMMA: "gemma-2-9b", LLAMA: "llama-3.1-8b", SMALL: "gemma-2-2b"}
LAYERS = {GEMMA: ("embed", 9, 20, 31, 41), LLAMA: ("embed", 8, 16, 24, 31), SMALL: (12,)}
MAIN_LAYER = {GEMMA: 20, LLAMA: 16, SMALL: 12}
V1, HEAD = "mean_difference", "normalized_mean_difference"
GENERATIONS = {"v1": V1, "head": HEAD}
"""The published figures rank latents by mean difference; upstream's later runs normalise first."""

PROBED = ("dataset", "test_auc", "val_auc", "test_acc", "test_f1")
SAE_COLUMNS = (*PROBED, "k", "layer", "sae_id", "reg_type")
VALUES = {"scarcity": "num_train", "imbalance": "ratio", "label_noise": "ratio"}
SAE_VALUES = {"scarcity": "num_train", "imbalance": "frac", "label_noise": "corrupt_frac"}
_BASELINE_FOLDERS = {"scarcity": "scarcity", "imbalance": "imbalance", "label_noise": "corrupt"}
_SAE_FOLDERS = {
    "standard": "normal_setting",
    "scarcity": "scarcity_setting",
    "imbalance": "class_imbalance_setting",
    "label_noise": "label_noise_setting",
}
_WIN_RATES = {
    "sae_win_rate_1": "standard, k = 1",
    "sae_win_rate_16_normal": "standard",
    "sae_win_rate_16_scarcity": "scarcity",
    "sae_win_rate_16_imbalance": "imbalance",
    "sae_win_rate_16_corrupt": "label_noise",
    "sae_win_rate_16_ood": "covariate_shift",
}
SHIFTED_EXAMPLES = ("66_living-room", "90_glue_qnli", "7_hist_fig_ispolitician")
"""The three tasks whose latents the paper prunes (section 4.1)."""


@dataclass(frozen=True)
class Table:
    """One result table of upstream.

    Attributes:
        path: Where it lies below ``results``.
        kind: Name of its reader, a function of `probing_core.published.reading`.
        makes: What cannot be drawn or checked without it.
        columns: Columns it must have.
        n_rows: Rows of upstream's own table at commit 9917d94; None where it was not at hand.
        also: Other places upstream or its forks keep the same table.
        options: What its reader must know besides.
        tasks: Whether it covers all 113 tasks.
        newline: Whether upstream's file ends with one, so that a cut shows.
    """

    path: str
    kind: str
    makes: str
    columns: tuple[str, ...]
    n_rows: int | None = None
    also: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    tasks: bool = True
    newline: bool = True

    @property
    def places(self) -> tuple[str, ...]:
        """Every place it may lie at, the usual one first."""
        return (self.path, *self.also)


def _baselines(model: str, counts: dict[str, int]) -> list[Table]:
    folder = f"baseline_probes_{FOLDERS[model]}"
    tables = [
        Table(
            f"{folder}/normal_settings/layer{layer}_results.csv",
            "baselines",
            f"baselines of {model} at layer {layer}",
            ("method", *PROBED),
            565 if layer in (*LAYERS[GEMMA], *LAYERS[SMALL]) and model != LLAMA else None,
            options={"model": model, "layer": layer, "regime": "standard"},
        )
        for layer in LAYERS[model]
    ]
    for regime, name in _BASELINE_FOLDERS.items():
        plain, summary = (f"{folder}/{name}/{part}all_results.csv" for part in ("", "summary/"))
        usual, other = (
            (summary, plain) if name == "scarcity" and model != SMALL else (plain, summary)
        )
        column = VALUES[regime]
        tables.append(
            Table(
                usual,
                "baselines",
                f"baselines of {model} under {regime}",
                ("method", *PROBED, *dict.fromkeys((column, "num_train"))),
                counts.get(regime),
                (other,),
                {"model": model, "layer": MAIN_LAYER[model], "regime": regime, "value": column},
            )
        )
    return tables


def _saes(model: str, counts: dict[tuple[str, str], int]) -> list[Table]:
    tables = []
    for regime, name in _SAE_FOLDERS.items():
        for ranking in (V1, HEAD) if model == GEMMA else (V1,):
            old = "_old" if model == GEMMA and ranking == V1 else ""
            value = SAE_VALUES.get(regime)
            tables.append(
                Table(
                    f"sae_probes_{FOLDERS[model]}/{name}/all_metrics{old}.csv",
                    "saes",
                    f"SAE probes of {model} under {regime} ({ranking.replace('_', ' ')})",
                    (*SAE_COLUMNS, *([value] if value else [])),
                    counts.get((regime, ranking)),
                    options={"model": model, "regime": regime, "ranking": ranking, "value": value},
                )
            )
    return tables


def _gemma_extras() -> list[Table]:
    base, folder = f"sae_probes_{FOLDERS[GEMMA]}", f"baseline_probes_{FOLDERS[GEMMA]}"
    standard = {"model": GEMMA, "regime": "standard", "ranking": V1, "value": None}
    tables = [
        Table(
            f"{base}/normal_setting/l1_layer20_max_l0.csv", "saes",
            "figures 3, 4 and 15", SAE_COLUMNS, 7910, options=standard,
        ),
        Table(
            f"{base}/normal_setting/all_metrics_binarized.csv", "saes",
            "figure 22b, SAE (last)", (*SAE_COLUMNS, "binarize"), 4520, options=standard,
        ),
        Table(
            f"{folder}/ood/all_results.csv", "shift", "figure 7 and figure 1, last bar",
            ("dataset", "test_auc_baseline", "test_auc_sae"), 8,
            options={"model": GEMMA}, tasks=False,
        ),
        Table(
            f"{base}/OOD_setting/all_metrics.csv", "saes", "the erratum on this very table",
            SAE_COLUMNS, 48, tasks=False,
            options=standard | {"ranking": HEAD, "section": "not_ood"},
        ),
        Table(
            f"{base}/normal_setting/top_1_latent_results_layer_20_width_131k_average_l0_114"
            "_with_explanations.csv", "single_latents", "table 6",
            ("dataset", "best_feature", "test_auc"), 113,
            (f"{base}/normal_setting/top_1_latent_results_layer_20_width_131k_average_l0_114.csv",),
            {"model": GEMMA},
        ),
        Table(
            "multi_token/all_metrics.csv", "multi_token", "figures 11 and 22, table 9",
            (*PROBED, "layer", "sae_aggregation_method", "sae_id", "k", "kind"), 460,
            options={"model": GEMMA}, tasks=False,
        ),
        Table(
            "investigate/87_glue_cola_investigate_probes.csv", "cola_probes", "figure 9",
            ("run_num", "run_type", "test_auc", "test_acc"), 9,
            options={"model": GEMMA}, tasks=False,
        ),
        Table(
            "investigate/87_glue_cola_investigate.csv", "judgements", "how many CoLA labels differ",
            ("original_target", "ensemble"), 1000, tasks=False,
        ),
    ]  # fmt: skip
    for task in SHIFTED_EXAMPLES:
        place = f"{base}/OOD/OOD_latents/{task}/{task}"
        options = {"model": GEMMA, "dataset": task}
        tables += [
            Table(
                f"{place}_pruned.csv", "pruned", f"figure 20, {task}",
                ("k", "ood_auc_llm", "val_auc_llm"), 8, options=options, tasks=False,
            ),
            Table(
                f"{place}_latent_aucs.csv", "latents", f"table 5, {task}",
                ("latent", "val_auc", "ood_auc", "coef", "Relevance"), 8, options=options,
                tasks=False, newline=False,
            ),
        ]  # fmt: skip
    for task in (*SHIFTED_EXAMPLES, "87_glue_cola"):
        place = f"{base}/OOD/OOD_latents/{task}/{task}"
        tables.append(
            Table(
                f"{place}_latent_aucs_raw.csv", "latents", f"latents of {task} before ranking",
                ("latent", "val_auc", "ood_auc", "coef"), 9,
                options={"model": GEMMA, "dataset": task, "raw": True}, tasks=False,
            )
        )  # fmt: skip
    return tables


def _small_extras() -> list[Table]:
    base = f"sae_probes_{FOLDERS[SMALL]}"
    tables = [
        Table(
            f"baseline_probes_{FOLDERS[SMALL]}/ood/all_results.csv", "shift",
            "figure 21, last row, baseline", ("dataset", "test_auc_baseline"), 8,
            options={"model": SMALL}, tasks=False,
        ),
        Table(
            f"{base}/ood_setting/all_metrics.csv", "saes", "figure 21, last row", SAE_COLUMNS,
            768, tasks=False,
            options={
                "model": SMALL, "regime": "covariate_shift", "ranking": V1, "value": None,
            },
        ),
    ]  # fmt: skip
    return tables + [
        Table(
            f"{base}/improvements/{name}.csv", "win_rates", f"win rates, {name}",
            ("sae1", "sae2", "win_rate"), 56, options={"name": name, "regime": regime}, tasks=False,
        )
        for name, regime in _WIN_RATES.items()
    ]  # fmt: skip


_FULL = {"scarcity": 11235, "imbalance": 10735, "label_noise": 1243}
_GEMMA_SAES = {
    (regime, ranking): count
    for regime, count in (("scarcity", 13482), ("imbalance", 12882), ("label_noise", 7458))
    for ranking in (V1, HEAD)
}
TABLES: tuple[Table, ...] = (
    *_baselines(GEMMA, _FULL),
    *_saes(GEMMA, _GEMMA_SAES),
    *_gemma_extras(),
    *_baselines(LLAMA, {"scarcity": 11235}),
    *_saes(LLAMA, {("scarcity", V1): 4494}),
    *_baselines(SMALL, _FULL),
    *_saes(SMALL, {}),
    *_small_extras(),
)
