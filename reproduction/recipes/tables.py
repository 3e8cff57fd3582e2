"""The published rows as recipes ask for them; what is not there is named."""

import functools
import io
from typing import Any

import pandas as pd

from probing_core.analysis.comparison import compare
from probing_core.analysis.quiver import quiver
from probing_core.analysis.selection import baseline_rows, sae_rows
from probing_core.published.source import Import
from reproduction.upstream.layout import FOLDERS, GEMMA, LLAMA, MAIN_LAYER, TABLES, V1
from reproduction.upstream.reading import LLAMA_SAE, hook_name

QUIVER_SAES = {
    GEMMA: [
        "layer_20/width_16k/average_l0_408",
        "layer_20/width_131k/average_l0_276",
        "layer_20/width_1m/average_l0_193",
    ],
    LLAMA: [LLAMA_SAE[0]],
}
"""The SAEs of the paper's quivers (PAPER B.6, B.13); the first meets logistic regression alone."""
QUIVER_K = (16, 128)
RULES: dict[str, tuple[str, int | None]] = {
    "upstream_literal": ("as_published", None), "tie_rule_in_text": ("sae_narrow_large_k", None),
    "ties_to_baseline": ("baseline", None), "neutral_ties": ("neutral", 9),
}  # fmt: skip
"""Rule for ties, and places to which validation AUCs are rounded before they are compared."""
REGIMES = {
    "normal": "standard", "scarcity": "scarcity", "imbalance": "imbalance",
    "corrupt": "label_noise", "ood": "covariate_shift",
}  # fmt: skip
"""Upstream's words for the regimes, and ours."""


class NotComputable(Exception):
    """A number that the tables at hand cannot give, and why."""


class Tables:
    """An import, by model, section and regime; whatever is empty raises `NotComputable`."""

    def __init__(self, found: Import):
        self.sides = found.sides
        self._rows, self._missing = found.rows, found.report["missing"]
        self.picks = functools.cache(self._picks)
        self.compared = functools.cache(self._compared)

    def section(self, section: str, model: str = GEMMA) -> pd.DataFrame:
        """Rows of a section."""
        rows = self._rows
        here = rows[rows["section"].eq(section) & rows["model"].eq(model)]
        return self._there(here, model, section)

    def regime(self, regime: str, model: str = GEMMA) -> pd.DataFrame:
        """Rows of the standard regime or of a hard one, all layers and rankings."""
        section = {"standard": "standard", "covariate_shift": "shift"}.get(regime, "regimes")
        here = self.section(section, model)
        return self._there(here[here["regime"].eq(regime)], model, regime)

    def saes(self, regime: str, ranking: str, model: str = GEMMA, **only: Any) -> pd.DataFrame:
        """Rows of SAE probes in one regime under one ranking, not binarised."""
        here = sae_rows(self.regime(regime, model), ranking=ranking, **only)
        return self._there(here, model, regime, ", SAE probes")

    def baseline(self, regime: str, model: str = GEMMA, layer: Any = None) -> pd.DataFrame:
        """Rows of the baselines at one layer, the SAEs' own by default."""
        layer = MAIN_LAYER[model] if layer is None else layer
        rows = baseline_rows(self.regime(regime, model), hook=hook_name(layer))
        return self._there(rows, model, regime, f", baselines at layer {layer}")

    def logreg(self, regime: str, model: str = GEMMA) -> pd.DataFrame:
        """Rows of logistic regression at the SAEs' own layer."""
        rows = self.baseline(regime, model)
        return rows[rows["method"].eq("logreg")]

    def both(self, regime: str, ranking: str = V1, model: str = GEMMA) -> pd.DataFrame:
        """Rows of baselines and of SAE probes, neither of which may be absent."""
        self.baseline(regime, model)
        self.saes(regime, ranking, model)
        return self.regime(regime, model)

    def pool(self, model: str = GEMMA, ranking: str = V1) -> dict[str, Any]:
        """The hook, SAEs and ranking that a model's quivers and comparisons are made of."""
        hook = hook_name(MAIN_LAYER[model])
        return {"hook": hook, "sae_ids": QUIVER_SAES[model], "ranking": ranking}

    def _picks(self, model: str, regime: str, ranking: str, rule: str) -> pd.DataFrame:
        """Quivers without and with SAE probes under a rule for ties, see `quiver`."""
        ties, decimals = RULES[rule]
        rows = self.both(regime, ranking, model)
        if ties == "as_published":
            read = {name: as_pandas_reads(rows[name]) for name in ("val_auc", "test_auc")}
            rows = rows.assign(**read)
        return quiver(rows, ties=ties, decimals=decimals, **self.pool(model, ranking))

    def _compared(self, model: str, ranking: str) -> pd.DataFrame:
        """Label noise: one SAE probe beside logistic regression, matched by task."""
        rows = self.both("label_noise", ranking, model)
        return compare(rows, "label_noise", **self.pool(model, ranking))

    def _there(self, rows: pd.DataFrame, model: str, what: str, more: str = "") -> pd.DataFrame:
        """The rows, or an error that names the table that would have them."""
        if len(rows):
            return rows
        wanted = [one.path for one in TABLES if one.model == model and one.regime == what]
        paths = [path for path in wanted if path in self._missing]
        where = f": {paths[0]} is not in the folder" if paths else " in the folder"
        raise NotComputable(f"no rows of {FOLDERS[model]}, {what}{more}{where}")


def as_pandas_reads(values: pd.Series) -> pd.Series:
    """The numbers that pandas' default CSV reader makes of these; they differ in the last digit.

    Upstream read its tables so, and those digits decide among tied probes (PAPER D.4).
    """
    text = "\n".join(["x", *map(repr, values.astype(float).tolist())])
    read = pd.read_csv(io.StringIO(text), float_precision="high")
    return pd.Series(read["x"].to_numpy(), index=values.index)
