"""The published rows as recipes ask for them; what is not there is named."""

import functools
import io
from typing import Any

import pandas as pd

from probing_core.analysis.comparison import compare
from probing_core.analysis.quiver import arrows, pick, quiver
from probing_core.analysis.selection import sae_rows
from probing_core.published.layout import FOLDERS, GEMMA, LLAMA, MAIN_LAYER, TABLES
from probing_core.published.reading import LLAMA_SAE, hook_name
from probing_core.published.source import Import

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
    "upstream_literal": ("as_published", None),
    "tie_rule_in_text": ("sae_narrow_large_k", None),
    "ties_to_baseline": ("baseline", None),
    "neutral_ties": ("neutral", 9),
}
"""Rule for ties, and places to which validation AUCs are rounded before they are compared."""
REGIME_NAMES = {
    "normal": "standard",
    "scarcity": "scarcity",
    "imbalance": "imbalance",
    "corrupt": "label_noise",
    "ood": "covariate_shift",
}
"""Upstream's words for the regimes, and ours."""


class NotComputable(Exception):
    """A number that the tables at hand cannot give, and why."""


class Tables:
    """An import, by model, section and regime; whatever is empty raises `NotComputable`.

    Args:
        found: The import.
    """

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

    def saes(self, regime: str, ranking: str, model: str = GEMMA, **options: Any) -> pd.DataFrame:
        """Rows of SAE probes in one regime under one ranking, not binarised."""
        here = sae_rows(self.regime(regime, model), ranking=ranking, **options)
        return self._there(here, model, regime, ", SAE probes")

    def baseline(self, regime: str, model: str = GEMMA, layer: Any = None) -> pd.DataFrame:
        """Rows of the baselines at one layer, the SAEs' own by default."""
        layer = MAIN_LAYER[model] if layer is None else layer
        rows = self.regime(regime, model)
        here = rows[rows["method"].ne("sae_logreg") & rows["hook"].eq(hook_name(layer))]
        return self._there(here, model, regime, f", baselines at layer {layer}")

    def logreg(self, regime: str, model: str = GEMMA) -> pd.DataFrame:
        """Rows of logistic regression at the SAEs' own layer."""
        rows = self.baseline(regime, model)
        return rows[rows["method"].eq("logreg")]

    def hook(self, model: str = GEMMA) -> str:
        """The hook that a model's SAEs read."""
        return hook_name(MAIN_LAYER[model])

    def baseline_picks(self, model: str, regime: str, ranking: str, rule: str) -> pd.Series:
        """Names of the baselines that a quiver of baselines alone picks, tied ones joined."""
        options = {"hook": self.hook(model), "sae_ids": QUIVER_SAES[model], "ranking": ranking}
        pool = arrows(self._both(model, regime, ranking), **options)
        return pick(pool, "baselines", *RULES[rule])["picks"]

    def _picks(self, model: str, regime: str, ranking: str, rule: str) -> pd.DataFrame:
        """Quivers without and with SAE probes under a rule for ties, see `quiver`."""
        ties, decimals = RULES[rule]
        rows = self._both(model, regime, ranking)
        if ties == "as_published":
            read = {name: as_pandas_reads(rows[name]) for name in ("val_auc", "test_auc")}
            rows = rows.assign(**read)
        return quiver(
            rows, hook=self.hook(model), ties=ties, sae_ids=QUIVER_SAES[model], ks=QUIVER_K,
            ranking=ranking, decimals=decimals,
        )  # fmt: skip

    def _compared(self, model: str, ranking: str) -> pd.DataFrame:
        """Label noise: one SAE probe beside logistic regression, matched by task."""
        rows, saes = self._both(model, "label_noise", ranking), QUIVER_SAES[model]
        return compare(rows, "label_noise", hook=self.hook(model), sae_ids=saes, ranking=ranking)

    def _both(self, model: str, regime: str, ranking: str) -> pd.DataFrame:
        """Baselines and SAE probes of a regime, or the reason why one side is not there."""
        self.baseline(regime, model)
        self.saes(regime, ranking, model)
        return self.regime(regime, model)

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

    Upstream's code read its tables so, and compares validation AUCs without rounding: those
    digits decide which of several tied probes it picks (PAPER D.4).
    """
    text = "\n".join(["x", *map(repr, values.astype(float).tolist())])
    read = pd.read_csv(io.StringIO(text), float_precision="high")
    return pd.Series(read["x"].to_numpy(), index=values.index)
