"""Recipes: how every published number comes from the published tables.

``recipes.csv`` finds a recipe by the key of the number, such as ``fig6.v1.scarcity.neutral_ties``:
the figure, the generation of the SAE results, the regime, the rule. The model follows from the
figure. Recipes take what they name among their arguments: ranking, model, regime, rule, key, ….
"""

import csv
import inspect
import re
from pathlib import Path
from typing import Any

from probing_core.published.layout import GEMMA, GENERATIONS, LLAMA
from reproduction.recipes import data, later, regimes, standard
from reproduction.recipes.tables import REGIME_NAMES, RULES, NotComputable, Tables

_MODULES = {"data": data, "later": later, "regimes": regimes, "standard": standard}
_GROUPS = {"GENERATION": "(?P<generation>v1|head)", "RULE": f"(?P<rule>{'|'.join(RULES)})"}
_TABLE = Path(__file__).parents[1] / "recipes.csv"
_RECIPES = list(csv.DictReader(_TABLE.read_text("utf-8").splitlines()))
"""Pattern of a key, its recipe and more arguments of that; or why there is none."""


def compute(tables: Tables, key: str, entry: dict[str, Any]) -> Any:
    """Recompute one number, or a nest of them, from the published tables.

    Args:
        tables: The published rows.
        key: Name of the entry.
        entry: The entry; its recipe may name a layer.

    Raises:
        NotComputable: If the tables at hand cannot give it; the message says why.
    """
    for row in _RECIPES:
        if not (found := re.fullmatch(row["key"].format(**_GROUPS), key)):
            continue
        if row["reason"]:
            raise NotComputable(row["reason"])
        words = found.groupdict()
        known = words | {
            "key": key,
            "entry": entry,
            "model": LLAMA if re.match(r"fig1[89]|llama", key) else GEMMA,
            "ranking": GENERATIONS[words.get("generation") or "v1"],
            "regime": REGIME_NAMES.get(words.get("regime") or ""),
            "rule": words.get("rule") or "tie_rule_in_text",
            "section": row["section"],
            "binarize": bool(row["binarize"]),
        }
        module, name = row["recipe"].split(".")
        recipe = getattr(_MODULES[module], name)
        wanted = inspect.signature(recipe).parameters
        return recipe(tables, **{name: known[name] for name in wanted if name in known})
    raise NotComputable("no recipe for an entry of this name")
