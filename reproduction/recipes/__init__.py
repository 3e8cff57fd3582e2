"""Recipes: how every published number comes from the published tables.

A recipe is found by the key of the number, such as ``fig6.v1.scarcity.neutral_ties``: the figure,
the generation of the SAE results, the regime, the rule. It takes what of these it names.
"""

import inspect
import re
from collections.abc import Callable
from functools import partial
from typing import Any

from reproduction.recipes import early, later
from reproduction.recipes.tables import QUIVER_K, QUIVER_SAES, REGIMES, RULES, NotComputable, Tables
from reproduction.upstream.layout import GEMMA, GENERATIONS, HEAD, LLAMA, V1


def compute(tables: Tables, key: str, entry: dict[str, Any]) -> Any:
    """Recompute one number, or a nest of them; the entry's own recipe may name a layer.

    Raises:
        NotComputable: If the tables at hand cannot give it; the message says why.
    """
    for pattern, reason in _OUT_OF_REACH.items():
        if re.match(pattern, key):
            raise NotComputable(reason)
    for pattern, recipe in _RECIPES.items():
        if found := re.fullmatch(pattern, key):
            words = found.groupdict()
            known = words | {
                "key": key, "entry": entry,
                "model": LLAMA if re.match(r"fig1[89]|llama", key) else GEMMA,
                "ranking": GENERATIONS[words.get("generation") or "v1"],
                "regime": REGIMES.get(words.get("regime") or ""),
                "rule": words.get("rule") or "tie_rule_in_text",
            }  # fmt: skip
            wanted = inspect.signature(recipe).parameters
            return recipe(tables, **{name: known[name] for name in wanted if name in known})
    raise NotComputable("no recipe for an entry of this name")


def _quiver(tables: Tables, key: str, entry: dict[str, Any], ranking: str, model: str) -> Any:
    """Figure 4 or 18b; a layer in the key, in the value's names or in the recipe counts."""
    value = entry.get("value")
    named = {n: early.layer_in(str(n)) for n in value} if isinstance(value, dict) else {}
    if layers := {name: layer for name, layer in named.items() if layer is not None}:
        return {n: early.quivers(tables, ranking, model, layer) for n, layer in layers.items()}
    layer = _layer(key, entry) if model == LLAMA else None
    return early.quivers(tables, ranking, model, layer)


def _layer(key: str, entry: dict[str, Any]) -> str | int | None:
    return early.layer_in(key) or early.layer_in(str(entry.get("recipe", "")))


def _llama_standard(tables: Tables, key: str, entry: dict[str, Any]) -> Any:
    """Whatever standard numbers the tables of Llama give: by probe, by method, by k."""
    layer = _layer(key, entry)
    if "head_to_head" in key:
        return early.one_against_one(tables, V1, LLAMA)
    if "quiver" in key:
        return early.quivers(tables, V1, LLAMA, layer)
    methods = tables.baseline("standard", LLAMA, layer).groupby("method")["test_auc"].mean()
    ours = early.sae_means(tables, V1, LLAMA) | methods.to_dict()
    named = [name for name in ours if name in key]
    if not isinstance(entry.get("value"), dict) and len(named) == 1:
        return ours[named[0]]
    by_k = early.by_k(tables, V1, LLAMA)
    numbered = by_k["median" if "median" in key else "mean"]
    return ours | by_k | numbered | {QUIVER_SAES[LLAMA][0]: numbered}


def _printed(tables: Tables) -> dict[str, list[float]]:
    """Upstream's printed means: the standard ones of the later ranking, the others of v1."""
    ours = {}
    for title, regime, ranking, rule in (
        ("Standard Conditions", "standard", HEAD, "ties_to_baseline"),
        ("Data Scarcity", "scarcity", V1, "upstream_literal"),
        ("Class Imbalance", "imbalance", V1, "upstream_literal"),
    ):
        sides = tables.picks(GEMMA, regime, ranking, rule)[["without_auc", "with_auc"]].mean()
        probes = tables.saes(regime, ranking).groupby(["sae_id", "k"])["test_auc"].mean()
        alone = [probes[(sae, k)] for sae in QUIVER_SAES[GEMMA] for k in QUIVER_K]
        ours[title] = [*sides, tables.logreg(regime)["test_auc"].mean(), *alone]
    return ours


def _legend(tables: Tables) -> dict[str, str]:
    said = {}
    for name, ranking in GENERATIONS.items():
        one = early.quivers(tables, ranking)
        said[name] = f"Mean delta: {one['mean_delta']:.3f} +- {one['se']:.3f}"
    return said


_GENERATION = r"(?P<generation>v1|head)"
_RULE = rf"(?P<rule>{'|'.join(RULES)})"
_RECIPES: dict[str, Callable[..., Any]] = {
    r"fig13b\..*|fig1(3|8)a\..*(count|best).*": early.best_by_layer,
    r"fig1(3|8)a\..*": early.by_layer,
    rf"fig3\.partial\.{_GENERATION}\..*": early.by_width_and_k,
    rf"fig3_14\.digitised\.{_GENERATION}": early.by_sae_and_k,
    rf"fig15\.{_GENERATION}\..*": early.by_k,
    r"fig4\.legend": _legend,
    rf"fig4\.{_GENERATION}\..*|fig18b\..*": _quiver,
    rf"normal\.{_GENERATION}\.sae_mean.*": early.sae_means,
    rf"normal\.{_GENERATION}\.head_to_head": early.one_against_one,
    r"llama\.normal\..*": _llama_standard,
    r"fig1\.((?P<version>[\w.]+)\.sae|logreg)_bars": early.bars,
    rf"fig(6|19)\.({_GENERATION}\.)?(?P<regime>scarcity|imbalance)\.{_RULE}": (
        early.quivers_by_value
    ),
    rf"fig(6|19)\.({_GENERATION}\.)?corrupt": early.noise_by_value,
    rf"fig17c\.{_GENERATION}\..*": early.wins_by_position,
    rf"fig5\.{_GENERATION}\.(?P<regime>scarcity|imbalance|corrupt)(\.{_RULE})?": early.examples,
    rf"fig16\.{_GENERATION}\..*": early.heat_map,
    r"fig7\..*": later.shifted,
    r"fig20\.head\..*": later.pruning,
    r"table5\.(?P<task>.*)": partial(later.latent_table, section="latents"),
    r"ood_latents_raw\.(?P<task>.*)": partial(later.latent_table, section="latents_raw"),
    r"table6\..*": later.best_latents,
    r"fig9\..*": later.cola,
    rf"fig11\.{_GENERATION}.*": later.multi_token,
    r"fig22b\..*": partial(later.multi_token, binarize=True),
    r"table9\.multi_token": later.table_9,
    r"fig21\.baseline.*": later.small_baselines,
    r"fig21\.ood_panel": later.architectures,
    r"fig21\.ood_best_l0": later.best_l0,
    r"fig21\.digitised": later.digitised_architectures,
    r"fig12\.digitised.*": later.medians_by_architecture,
    r"fig12_21\.architecture_l0s": later.l0s,
    r"improvements\.(?P<name>\w+)": later.win_rates,
    r"datasets\.audit": early.audit,
    r"datasets\.leak_vs_gap": early.leak_against_gap,
    r"plot_combined\..*": _printed,
}
_OUT_OF_REACH = {
    r"fig20\.v1\.": "upstream's present tables hold a later run of the pruning",
    r"table8\.": "needs the activations of 2.8 million tokens; upstream's file is pickled",
    r"table9\.sae_last_l0_68": "the SAE with L0 68 is in no table of last tokens",
    r"fig14b\.legend": "a legend in a picture; most of the 34 SAEs are in no table",
    r"fig12\.partial": "a run on another branch of upstream, not in its results",
    r"paper\.stated": "numbers quoted from the text; the page 'Paper and run' compares them",
}
