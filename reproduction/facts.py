"""What the published tables say, in a few hundred numbers: for the front page and the errata.

``python -m reproduction.facts [FOLDER]`` computes them from the rows that ship, or from a checkout
of upstream, and writes ``facts.json`` here and ``paper.json`` beside the rows. Where a store holds
imported tables, the pages recompute the facts instead.
"""

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from probing_core.analysis.comparison import compare
from probing_core.analysis.effects import Effect, effects, overall
from probing_core.analysis.selection import width_label
from probing_core.datasets.regimes import REGIMES
from probing_core.figures.words import plural
from probing_core.published.paper import paper_differences
from probing_core.published.source import SHIPPED, Import, imported, published_import
from probing_core.store import Store, write_atomically
from reproduction.check import leaves
from reproduction.findings import apart_from_zero
from reproduction.recipes import NotComputable, Tables, early, later
from reproduction.recipes.tables import QUIVER_SAES, RULES
from reproduction.upstream.importer import import_results
from reproduction.upstream.layout import GEMMA, HEAD, LLAMA, V1

FACTS = Path(__file__).with_name("facts.json")
KEPT = "numbers kept with this book, from the authors' tables at commit 9917d94"


def load_facts(store: Store | None = None) -> dict[str, Any]:
    """The numbers behind the errata and the claims, see `compute_facts`.

    Args:
        store: Where imported tables may be. What they do not give, or without any everything, are
            the numbers kept with the project; ``from`` says so in words.
    """
    kept = json.loads(FACTS.read_text(encoding="utf-8"))
    for name, one in paper_differences().items():
        if not REGIMES[name].quiver:
            own = {"mean": one.mean, "low": one.low, "high": one.high, "n": one.n_tasks}
            kept["one_probe"][name] = own
    if not imported(store):
        return kept | {"from": KEPT}
    found = published_import(store)
    fresh = compute_facts(found)
    given = {name: fact for name, fact in fresh.items() if _covers(fact, kept.get(name))}
    said = f"{len(found.report['files'])} imported tables, recomputed"
    if flaws := found.report["remarks"]:
        said += f", with {plural(len(flaws), 'flaw')} that the import named"
    if lacking := sorted(name for name in kept if kept[name] is not None and name not in given):
        said += f"; for {', '.join(lacking)} {KEPT}"
    return kept | given | {"from": said}


def compute_facts(found: Import) -> dict[str, Any]:
    """Numbers by topic, JSON-ready, rounded to ten digits; ``None`` for what the tables lack."""
    tables = Tables(found)
    recipes: dict[str, Callable[[Tables], Any]] = {
        "one_probe": _one_probe, "standard": early.quivers,
        "layers": lambda t: {"means": early.by_layer(t), "best": early.best_by_layer(t)},
        "latents": _latents, "values": _values, "noise": early.noise_by_value,
        "shift": later.shifted, "pruning": later.pruning, "cola": later.cola,
        "tokens": later.multi_token,
        "tokens_binarized": partial(later.multi_token, binarize=True),
        "single_latents": _single_latents, "ties": _ties, "positions": early.wins_by_position,
        "not_ood": _not_ood, "shift_small": later.shifted_small,
        "llama_layers": lambda t: {n: early.quivers(t, V1, LLAMA, n) for n in (8, 16)},
        "llama": _llama, "architectures": later.medians_by_architecture,
        "leak": early.leak_against_gap,
    }  # fmt: skip
    facts: dict[str, Any] = dict.fromkeys(recipes)
    for name, recipe in recipes.items():
        with suppress(NotComputable, KeyError):
            facts[name] = _plain(recipe(tables))
    return facts


def compute_paper(found: Import) -> dict[str, dict[str, Any]]:
    """Compute the content of ``paper.json`` anew; where a number is from stays as it is typed."""
    tables = Tables(found)
    paper = {}
    for name, kept in paper_differences().items():
        numbers = _numbers(overall(compare(tables.regime(name), name, **tables.pool())))
        paper[name] = _plain(numbers | {"n_tasks": numbers.pop("n"), "source": kept.source})
    return paper


def write_facts(found: Import) -> None:
    """Write ``facts.json`` and ``paper.json`` anew; no number stands in both."""
    facts = compute_facts(found)
    for name in [name for name in facts["one_probe"] if not REGIMES[name].quiver]:
        del facts["one_probe"][name]
    for path, content in ((FACTS, facts), (SHIPPED / "paper.json", compute_paper(found))):
        write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())


def _covers(fact: Any, kept: Any) -> bool:
    """Whether a fact has every number that the kept one has."""
    known, wanted = ({at for at, one in leaves(x) if one is not None} for x in (fact, kept))
    return wanted <= known


def _one_probe(tables: Tables) -> dict[str, Any]:
    """One SAE probe minus logistic regression by regime, as figure 1 pairs them."""
    pairs = {name: early.one_probe(tables, name) for name in paper_differences()}
    return {name: _numbers(overall(pair)) for name, pair in pairs.items()}


def _numbers(effect: Effect) -> dict[str, Any]:
    mean = effect.difference
    return {"mean": mean.mean, "low": mean.low, "high": mean.high, "n": mean.n}


def _ties(tables: Tables) -> dict[str, Any]:
    """Figure 6, scarcity, under every rule for ties."""
    frames = {rule: tables.picks(GEMMA, "scarcity", V1, rule) for rule in RULES}
    return {rule: early.by_value(frame, "difference") for rule, frame in frames.items()}


def _latents(tables: Tables) -> dict[str, Any]:
    """How AUC moves with k and with width, at the largest L0 of every width."""
    rows = tables.saes("standard", V1)
    by_width = rows.groupby("sae_width")["test_auc"].mean()
    narrow = rows[rows["sae_id"].eq(QUIVER_SAES[GEMMA][0])].groupby("k")["test_auc"].mean()
    slope = np.polyfit(np.log2(by_width.index.to_numpy(float)), by_width, 1)[0]
    widths = by_width.rename(index=width_label).to_dict()
    return {"by_k": narrow.to_dict(), "by_width": widths, "per_doubling": slope}


def _values(tables: Tables) -> dict[str, Any]:
    """Figure 6: the drawn difference and band, and the corrected ones, value by value."""
    found: dict[str, Any] = {}
    for regime in ("scarcity", "imbalance"):
        drawn = tables.picks(GEMMA, regime, V1, "upstream_literal")
        even = tables.picks(GEMMA, regime, V1, "neutral_ties")
        estimates = effects(even)
        gained, lost = apart_from_zero(estimates)
        found[regime] = {
            "drawn": early.by_value(drawn, "difference"),
            "drawn_half": early.unpaired_half_width(drawn),
            "paired_half": early.paired_half_width(even),
            "corrected": {one.value: _numbers(one) for one in estimates},
            "gains": gained, "losses": lost,
            "picked": drawn.groupby("regime_value")["picked_sae"].sum().to_dict(),
        }  # fmt: skip
    return found


def _single_latents(tables: Tables) -> dict[str, float]:
    """Table 6: AUC of the latents that the text names."""
    aucs = tables.section("single_latents").set_index("dataset")["test_auc"]
    named = ("22_headline_isobama", "110_aimade_humangpt3", "66_living-room", "87_glue_cola")
    return {task: aucs[task] for task in named if task in aucs} | {"mean": aucs.mean()}


def _not_ood(tables: Tables) -> dict[str, Any]:
    """The table named OOD beside the standard runs of the same probes, and real shifted data.

    ``best`` is the probe of the largest test AUC, ``logreg`` and ``shifted`` are those of figure 7.
    """
    keys = ["dataset", "sae_id", "k"]
    named = tables.section("not_ood").set_index(keys)["test_auc"]
    plain = tables.saes("standard", HEAD, sae_ids=QUIVER_SAES[GEMMA], ks=[16, 128])
    other = plain.set_index(keys)["test_auc"].reindex(named.index)
    real = tables.saes("covariate_shift", V1).set_index("dataset")["test_auc"]
    table = pd.DataFrame({"named": named, "standard": other}).groupby("dataset").mean()
    base = tables.logreg("covariate_shift").set_index("dataset")["test_auc"]
    more = {"best": named.groupby("dataset").max(), "shifted": real, "logreg": base}
    by_task = table.join(pd.DataFrame(more)).to_dict("index")
    largest = (named - other).abs().max()
    return {"rows": len(named), "largest_difference": largest, "by_task": by_task}


def _llama(tables: Tables) -> dict[str, Any] | None:
    """Llama-3.1-8B, as far as its tables are there: what SAE probes add by regime."""
    found = {}
    for name in ("standard", "scarcity", "imbalance", "label_noise"):
        with suppress(NotComputable):
            rows = tables.both(name, V1, LLAMA)
            found[name] = _numbers(overall(compare(rows, name, **tables.pool(LLAMA))))
    return found or None


def _plain(value: Any) -> Any:
    """JSON values with text keys and rounded floats."""
    if isinstance(value, dict):
        keys = [f"{float(k):g}" if isinstance(k, (int, float)) else str(k) for k in value]
        return dict(zip(keys, map(_plain, value.values()), strict=True))
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return None if np.isnan(value) else round(value, 10)
    return value


if __name__ == "__main__":
    write_facts(import_results(Path(sys.argv[1])) if sys.argv[1:] else published_import())
