"""What the published tables say, in a few hundred numbers: for the front page and the errata.

The tables are not part of this project, so the numbers that its pages compare with are kept beside
this module, in ``facts.json``, with the recipe here. ``python -m reproduction.facts
FOLDER`` writes the file anew, and a test compares it with the tables. Where a store holds imported
tables, the pages recompute them instead.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from probing_core.analysis.comparison import compare, first_held, head_to_head
from probing_core.analysis.effects import Effect, effects, overall
from probing_core.analysis.selection import width_label
from probing_core.published.source import import_report, imported_rows, imported_side
from probing_core.figures.words import plural
from reproduction.findings import apart_from_zero
from probing_core.published.importer import Import, import_results
from probing_core.published.layout import GEMMA, HEAD, LLAMA, V1
from reproduction.recipes import NotComputable, Tables, data, later, regimes, standard
from reproduction.recipes.tables import QUIVER_SAES
from probing_core.store import Store, write_atomically

FACTS = Path(__file__).with_name("facts.json")
COMMIT = "9917d94"
"""The commit of upstream whose tables gave ``facts.json``."""
DIGITS = 10
LITERAL = "upstream_literal"


def load_facts(store: Store | None = None) -> dict[str, Any]:
    """The numbers behind the errata and the claims.

    Args:
        store: Where imported tables may be. What they do not give, or without any everything, are
            the numbers kept with the project.

    Returns:
        See `compute_facts`; ``from`` says in words where they come from.
    """
    kept = json.loads(FACTS.read_text(encoding="utf-8"))
    source = f"numbers kept with this book, from the authors' tables at commit {COMMIT}"
    rows = imported_rows(store) if store else None
    if store is None or rows is None:
        return kept | {"from": source}
    kinds = ("win_rates", "judgements")
    sides = {kind: side for kind in kinds if (side := imported_side(store, kind)) is not None}
    report = import_report(store) or {}
    files = report.get("files", {})
    fresh = compute_facts(Import(rows, sides, files, (), (), ()))
    given = {name: fact for name, fact in fresh.items() if _covers(fact, kept.get(name))}
    said = f"{len(files)} imported tables, recomputed"
    if flaws := report.get("remarks"):
        said += f", with {plural(len(flaws), 'flaw')} that the import named"
    if lacking := sorted(name for name in kept if kept[name] is not None and name not in given):
        said += f"; for {', '.join(lacking)} {source}"
    return kept | given | {"from": said}


def _covers(fact: Any, kept: Any) -> bool:
    """Whether a fact is there, with every number that the kept one has."""
    if fact is None:
        return False
    if isinstance(kept, dict):
        return isinstance(fact, dict) and all(
            _covers(fact.get(name), inner) for name, inner in kept.items() if inner is not None
        )
    return True


def compute_facts(found: Import) -> dict[str, Any]:
    """Compute every fact that the tables give; ``None`` stands for what they cannot.

    Args:
        found: The imported tables.

    Returns:
        Numbers by topic, JSON-ready, rounded to ten digits.
    """
    tables = Tables(found)
    recipes = {
        "one_probe": _one_probe,
        "standard": lambda t: standard.quivers(t, V1),
        "layers": lambda t: {"means": standard.by_layer(t, GEMMA), "best": _best(t)},
        "latents": _latents,
        "values": _values,
        "noise": lambda t: regimes.noise_by_value(t, V1),
        "shift": later.shifted,
        "pruning": later.pruning,
        "cola": later.cola,
        "tokens": lambda t: later.multi_token(t, V1),
        "tokens_binarized": lambda t: later.multi_token(t, V1, binarize=True),
        "single_latents": _single_latents,
        "ties": _ties,
        "positions": lambda t: regimes.wins_by_position(t, V1),
        "not_ood": _not_ood,
        "llama_layers": _llama_layers,
        "llama": _llama,
        "architectures": later.medians_by_architecture,
        "leak": data.leak_against_gap,
    }
    return {name: _attempt(recipe, tables) for name, recipe in recipes.items()}


def _attempt(recipe: Any, tables: Tables) -> Any:
    try:
        return _plain(recipe(tables))
    except (NotComputable, KeyError):
        return None


def _one_probe(tables: Tables) -> dict[str, Any]:
    """One SAE probe minus logistic regression by regime, as figure 1 pairs them."""
    found = {}
    for name in ("standard", "scarcity", "imbalance", "label_noise", "covariate_shift"):
        rows = tables.regime(name)
        sae = first_held(rows, QUIVER_SAES[GEMMA])
        pair = head_to_head(rows, hook=tables.hook(GEMMA), sae_id=sae)
        if pair.empty:
            raise NotComputable(f"no task has both probes under {name}")
        found[name] = _estimate(overall(pair.assign(picked_sae=0.0)))
    return found


def _estimate(effect: Effect) -> dict[str, Any]:
    mean = effect.difference
    return {"mean": mean.mean, "low": mean.low, "high": mean.high, "n": mean.n}


def _best(tables: Tables) -> dict[str, Any]:
    return standard.best_by_layer(tables, GEMMA)


def _latents(tables: Tables) -> dict[str, Any]:
    """How AUC moves with k and with width, at the largest L0 of every width."""
    rows = tables.saes("standard", V1)
    by_width = rows.groupby("sae_width")["test_auc"].mean()
    slope = np.polyfit(np.log2(by_width.index.to_numpy(dtype=float)), by_width, 1)[0]
    narrow = rows[rows["sae_id"].eq(QUIVER_SAES[GEMMA][0])].groupby("k")["test_auc"].mean()
    return {
        "by_k": narrow.to_dict(),
        "by_width": {width_label(width): mean for width, mean in by_width.items()},
        "per_doubling": slope,
    }


def _values(tables: Tables) -> dict[str, Any]:
    """Figure 6: the drawn difference and band, and the corrected ones, value by value."""
    found: dict[str, Any] = {}
    for regime in ("scarcity", "imbalance"):
        drawn = tables.picks(GEMMA, regime, V1, LITERAL)
        even = tables.picks(GEMMA, regime, V1, "neutral_ties")
        estimates = effects(even)
        gained, lost = apart_from_zero(estimates)
        found[regime] = {
            "drawn": drawn.groupby("regime_value")["difference"].mean().to_dict(),
            "drawn_half": regimes.unpaired_half_width(drawn).to_dict(),
            "paired_half": regimes.paired_half_width(even).to_dict(),
            "corrected": {one.value: _estimate(one) for one in estimates},
            "gains": gained,
            "losses": lost,
            "picked": drawn.groupby("regime_value")["picked_sae"].sum().to_dict(),
        }
    return found


def _ties(tables: Tables) -> dict[str, Any]:
    """The difference under scarcity by rule for ties, value by value."""
    rules = (LITERAL, "tie_rule_in_text", "ties_to_baseline", "neutral_ties")
    return {
        rule: tables.picks(GEMMA, "scarcity", V1, rule)
        .groupby("regime_value")["difference"]
        .mean()
        .to_dict()
        for rule in rules
    }


def _single_latents(tables: Tables) -> dict[str, float]:
    """Table 6: AUC of the latents that the text names."""
    rows = tables.section("single_latents").set_index("dataset")
    named = ("22_headline_isobama", "110_aimade_humangpt3", "66_living-room", "87_glue_cola")
    return {task: rows["test_auc"][task] for task in named if task in rows.index} | {
        "mean": rows["test_auc"].mean()
    }


def _not_ood(tables: Tables) -> dict[str, Any]:
    """The table named OOD beside the standard runs of the same probes, and real shifted data."""
    keys = ["dataset", "sae_id", "k"]
    named = tables.section("not_ood").set_index(keys)["test_auc"]
    plain = tables.saes("standard", HEAD, sae_ids=QUIVER_SAES[GEMMA], ks=[16, 128])
    other = plain.set_index(keys)["test_auc"].reindex(named.index)
    real = tables.saes("covariate_shift", V1).set_index("dataset")["test_auc"]
    table = pd.DataFrame({"named": named, "standard": other}).groupby("dataset").mean()
    return {
        "rows": len(named),
        "largest_difference": (named - other).abs().max(),
        "by_task": table.assign(shifted=real.reindex(table.index)).to_dict("index"),
    }


def _llama_layers(tables: Tables) -> dict[str, Any]:
    """Figure 18b with baselines of the layer drawn, and of the layer that the SAE reads."""
    drawn, own = standard.DRAWN_LAYER[LLAMA], 16
    return {str(layer): standard.quivers(tables, V1, LLAMA, layer) for layer in (drawn, own)}


def _llama(tables: Tables) -> dict[str, Any] | None:
    """Llama-3.1-8B, as far as its tables are there: what SAE probes add by regime."""
    found = {}
    for name in ("standard", "scarcity", "imbalance", "label_noise"):
        try:
            rows = pd.concat([tables.baseline(name, LLAMA), tables.saes(name, V1, LLAMA)])
        except NotComputable:
            continue
        frame = compare(rows, name, hook=tables.hook(LLAMA), sae_ids=QUIVER_SAES[LLAMA])
        found[name] = _estimate(overall(frame))
    return found or None


def _plain(value: Any) -> Any:
    """JSON values with text keys and rounded floats."""
    if isinstance(value, dict):
        return {_key(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return None if np.isnan(value) else round(value, DIGITS)
    return value


def _key(name: Any) -> str:
    return f"{float(name):g}" if isinstance(name, (int, float)) else str(name)


if __name__ == "__main__":
    computed = compute_facts(import_results(Path(sys.argv[1])))
    write_atomically(FACTS, (json.dumps(computed, indent=1) + "\n").encode())
