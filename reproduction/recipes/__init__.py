"""Recipes: how every published number comes from the published tables.

A recipe is found by the key of the number, such as ``fig6.v1.scarcity.neutral_ties``: the figure,
the generation of the SAE results, the regime, the rule. The model follows from the figure.
"""

import re
from collections.abc import Callable
from typing import Any

from probing_core.published.layout import GEMMA, GENERATIONS, HEAD, LLAMA, V1
from reproduction.recipes import data, later, regimes, standard
from reproduction.recipes.tables import QUIVER_SAES, REGIME_NAMES, RULES, NotComputable, Tables

Recipe = Callable[[Tables, re.Match[str], dict[str, Any]], Any]
_GENERATION = r"(?P<generation>v1|head)"
_RULE = rf"(?P<rule>{'|'.join(RULES)})"


def compute(tables: Tables, key: str, entry: dict[str, Any]) -> Any:
    """Recompute one number, or a nest of them, from the published tables.

    Args:
        tables: The published rows.
        key: Name of the entry.
        entry: The entry; its recipe may name a layer.

    Raises:
        NotComputable: If the tables at hand cannot give it; the message says why.
    """
    for pattern, reason in _OUT_OF_REACH.items():
        if re.match(pattern, key):
            raise NotComputable(reason)
    for pattern, recipe in _RECIPES.items():
        if found := re.fullmatch(pattern, key):
            return recipe(tables, found, entry)
    raise NotComputable("no recipe for an entry of this name")


def _ranking(found: re.Match[str]) -> str:
    """The ranking of an entry's generation; Llama's tables have the first only."""
    return GENERATIONS[found.groupdict().get("generation") or "v1"]


def _model(found: re.Match[str]) -> str:
    return LLAMA if re.match(r"fig1[89]|llama", found[0]) else GEMMA


def _by_layer(tables: Tables, found: re.Match[str], entry: dict[str, Any]) -> Any:
    counts = "count" in found[0] or "best" in found[0] or found[0].startswith("fig13b")
    return (standard.best_by_layer if counts else standard.by_layer)(tables, _model(found))


def _quiver(tables: Tables, found: re.Match[str], entry: dict[str, Any]) -> Any:
    """Figure 4 or 18b; a layer in the key, in the value's names or in the recipe counts."""
    model, ranking, value = _model(found), _ranking(found), entry.get("value")
    nested = {n: standard.layer_in(str(n)) for n in value} if isinstance(value, dict) else {}
    if any(nested.values()):
        layers = {name: layer for name, layer in nested.items() if layer is not None}
        return {n: standard.quivers(tables, ranking, model, layer) for n, layer in layers.items()}
    layer = _layer(found, entry) if model == LLAMA else None
    return standard.quivers(tables, ranking, model, layer)


def _layer(found: re.Match[str], entry: dict[str, Any]) -> str | int | None:
    return standard.layer_in(found[0]) or standard.layer_in(str(entry.get("recipe", "")))


def _in_regime(tables: Tables, found: re.Match[str], entry: dict[str, Any]) -> Any:
    regime = REGIME_NAMES[found["regime"]]
    return regimes.quivers_by_value(tables, regime, _ranking(found), found["rule"], _model(found))


def _examples(tables: Tables, found: re.Match[str], entry: dict[str, Any]) -> Any:
    rule = found["rule"] or "tie_rule_in_text"
    return regimes.examples(tables, REGIME_NAMES[found["regime"]], _ranking(found), rule)


def _llama_standard(tables: Tables, found: re.Match[str], entry: dict[str, Any]) -> Any:
    """Whatever standard numbers the tables of Llama give: by probe, by method, by k."""
    layer, value = _layer(found, entry), entry.get("value")
    if "head_to_head" in found[0]:
        return standard.one_against_one(tables, V1, LLAMA)
    if "quiver" in found[0]:
        return standard.quivers(tables, V1, LLAMA, layer)
    methods = tables.baseline("standard", LLAMA, layer).groupby("method")["test_auc"].mean()
    ours = standard.sae_means(tables, V1, LLAMA) | methods.to_dict()
    named = [name for name in ours if name in found[0]]
    if not isinstance(value, dict) and len(named) == 1:
        return ours[named[0]]
    by_k = standard.by_k(tables, V1, LLAMA)
    numbered = by_k["median" if "median" in found[0] else "mean"]
    return ours | by_k | numbered | {QUIVER_SAES[LLAMA][0]: numbered}


def _printed(tables: Tables, found: re.Match[str], entry: dict[str, Any]) -> Any:
    """Upstream's printed means: the standard ones of the later ranking, the others of v1."""
    ours = {}
    for title, regime, ranking, rule in (
        ("Standard Conditions", "standard", HEAD, "ties_to_baseline"),
        ("Data Scarcity", "scarcity", V1, "upstream_literal"),
        ("Class Imbalance", "imbalance", V1, "upstream_literal"),
    ):
        picks = tables.picks(GEMMA, regime, ranking, rule)
        probes = tables.saes(regime, ranking).groupby(["sae_id", "k"])["test_auc"].mean()
        alone = [probes[(sae, k)] for sae in QUIVER_SAES[GEMMA] for k in standard.QUIVER_K]
        sides = [picks["without_auc"].mean(), picks["with_auc"].mean()]
        ours[title] = [*sides, tables.logreg(regime)["test_auc"].mean(), *alone]
    return ours


def _legend(tables: Tables, found: re.Match[str], entry: dict[str, Any]) -> Any:
    numbers = {name: standard.quivers(tables, rank) for name, rank in GENERATIONS.items()}
    return {
        name: f"Mean delta: {one['mean_delta']:.3f} +- {one['se']:.3f}"
        for name, one in numbers.items()
    }


_RECIPES: dict[str, Recipe] = {
    r"fig(13a|13b|18a)\..*": _by_layer,
    rf"fig3\.partial\.{_GENERATION}\..*": lambda t, m, e: standard.by_width_and_k(t, _ranking(m)),
    rf"fig3_14\.digitised\.{_GENERATION}": lambda t, m, e: standard.by_sae_and_k(t, _ranking(m)),
    rf"fig15\.{_GENERATION}\..*": lambda t, m, e: standard.by_k(t, _ranking(m)),
    r"fig4\.legend": _legend,
    rf"fig4\.{_GENERATION}\..*": _quiver,
    r"fig18b\..*": _quiver,
    rf"normal\.{_GENERATION}\.sae_mean.*": lambda t, m, e: standard.sae_means(t, _ranking(m)),
    rf"normal\.{_GENERATION}\.head_to_head": (
        lambda t, m, e: standard.one_against_one(t, _ranking(m))
    ),
    r"llama\.normal\..*": _llama_standard,
    r"fig1\.logreg_bars": lambda t, m, e: standard.bars(t),
    r"fig1\.(?P<version>[\w.]+)\.sae_bars": lambda t, m, e: standard.bars(t, m["version"]),
    rf"fig(6|19)\.({_GENERATION}\.)?(?P<regime>scarcity|imbalance)\.{_RULE}": _in_regime,
    rf"fig(6|19)\.({_GENERATION}\.)?corrupt": (
        lambda t, m, e: regimes.noise_by_value(t, _ranking(m), _model(m))
    ),
    rf"fig17c\.{_GENERATION}\..*": lambda t, m, e: regimes.wins_by_position(t, _ranking(m)),
    rf"fig5\.{_GENERATION}\.(?P<regime>scarcity|imbalance|corrupt)(\.{_RULE})?": _examples,
    rf"fig16\.{_GENERATION}\..*": lambda t, m, e: regimes.heat_map(t, _ranking(m)),
    r"fig7\..*": lambda t, m, e: later.shifted(t),
    r"fig20\.head\..*": lambda t, m, e: later.pruning(t),
    r"table5\.(?P<task>.*)": lambda t, m, e: later.latent_table(t, m["task"], "latents"),
    r"ood_latents_raw\.(?P<task>.*)": (
        lambda t, m, e: later.latent_table(t, m["task"], "latents_raw")
    ),
    r"table6\..*": lambda t, m, e: later.best_latents(t),
    r"fig9\..*": lambda t, m, e: later.cola(t),
    r"fig11\.v1\..*": lambda t, m, e: later.multi_token(t, V1),
    r"fig11\.head.*": lambda t, m, e: later.multi_token(t, HEAD),
    r"fig22b\..*": lambda t, m, e: later.multi_token(t, V1, binarize=True),
    r"table9\.multi_token": lambda t, m, e: later.table_9(t),
    r"fig21\.baseline.*": lambda t, m, e: later.small_baselines(t),
    r"fig21\.ood_panel": lambda t, m, e: later.architectures(t),
    r"fig21\.ood_best_l0": lambda t, m, e: later.best_l0(t),
    r"fig21\.digitised": lambda t, m, e: later.digitised_architectures(t),
    r"fig12\.digitised.*": lambda t, m, e: later.medians_by_architecture(t),
    r"fig12_21\.architecture_l0s": lambda t, m, e: later.l0s(t),
    r"improvements\.(?P<name>\w+)": lambda t, m, e: later.win_rates(t, m["name"]),
    r"datasets\.audit": lambda t, m, e: data.audit(),
    r"datasets\.leak_vs_gap": lambda t, m, e: data.leak_against_gap(t),
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
