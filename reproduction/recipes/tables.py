"""The imported rows as recipes ask for them; what is not there is named."""

import functools
import io
from typing import Any

import pandas as pd

from probing_core.analysis.comparison import compare
from probing_core.analysis.quiver import arrows, pick, quiver
from probing_core.analysis.selection import sae_rows
from probing_core.published.importer import Import
from probing_core.published.layout import FOLDERS, GEMMA, LLAMA, MAIN_LAYER
from probing_core.published.tidy import LLAMA_SAE, hook_name

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
    """An import, by model, section and regime.

    Args:
        found: The import.
    """

    def __init__(self, found: Import):
        self.found = found
        self._picks = functools.cache(self._choose)
        self._compared = functools.cache(self._compare)

    def section(self, section: str, model: str = GEMMA) -> pd.DataFrame:
        """Rows of a section.

        Raises:
            NotComputable: If there are none.
        """
        rows = self.found.rows
        here = rows[rows["section"].eq(section) & rows["model"].eq(model)]
        if here.empty:
            raise NotComputable(self._absence(model, section))
        return here

    def regime(self, regime: str, model: str = GEMMA) -> pd.DataFrame:
        """Rows of the standard regime or of a hard one, all layers and rankings.

        Raises:
            NotComputable: If there are none.
        """
        section = {"standard": "standard", "covariate_shift": "shift"}.get(regime, "regimes")
        here = self.section(section, model)
        here = here[here["regime"].eq(regime)]
        if here.empty:
            raise NotComputable(self._absence(model, regime))
        return here

    def saes(self, regime: str, ranking: str, model: str = GEMMA, **options: Any) -> pd.DataFrame:
        """Rows of SAE probes in one regime under one ranking, not binarised.

        Raises:
            NotComputable: If there are none.
        """
        here = sae_rows(self.regime(regime, model), ranking=ranking, **options)
        if here.empty:
            raise NotComputable(self._absence(model, f"{regime}, SAE probes"))
        return here

    def baseline(self, regime: str, model: str = GEMMA, layer: Any = None) -> pd.DataFrame:
        """Rows of the baselines at one layer, the SAEs' own by default.

        Raises:
            NotComputable: If there are none.
        """
        layer = MAIN_LAYER[model] if layer is None else layer
        rows = self.regime(regime, model)
        here = rows[rows["method"].ne("sae_logreg") & rows["hook"].eq(hook_name(layer))]
        if here.empty:
            raise NotComputable(self._absence(model, f"{regime}, baselines at layer {layer}"))
        return here

    def picks(self, model: str, regime: str, ranking: str, rule: str) -> pd.DataFrame:
        """Quivers without and with SAE probes under a rule for ties, see `quiver`."""
        return self._picks(model, regime, ranking, rule)

    def pool(self, model: str, regime: str, ranking: str) -> pd.DataFrame:
        """The arrows that compete in those quivers."""
        rows = self._both(model, regime, ranking)
        return arrows(rows, hook=self.hook(model), sae_ids=QUIVER_SAES[model], ranking=ranking)

    def compared(self, model: str, ranking: str) -> pd.DataFrame:
        """Label noise: one SAE probe beside logistic regression, matched by task."""
        return self._compared(model, ranking)

    def hook(self, model: str) -> str:
        """The hook that a model's SAEs read."""
        return hook_name(MAIN_LAYER[model])

    def _choose(self, model: str, regime: str, ranking: str, rule: str) -> pd.DataFrame:
        ties, decimals = RULES[rule]
        rows = self._both(model, regime, ranking)
        if ties == "as_published":
            read = {name: as_pandas_reads(rows[name]) for name in ("val_auc", "test_auc")}
            rows = rows.assign(**read)
        return quiver(
            rows,
            hook=self.hook(model),
            ties=ties,
            sae_ids=QUIVER_SAES[model],
            ks=QUIVER_K,
            ranking=ranking,
            decimals=decimals,
        )

    def _compare(self, model: str, ranking: str) -> pd.DataFrame:
        return compare(
            self._both(model, "label_noise", ranking),
            "label_noise",
            hook=self.hook(model),
            sae_ids=QUIVER_SAES[model],
            ranking=ranking,
        )

    def _both(self, model: str, regime: str, ranking: str) -> pd.DataFrame:
        """Baselines and SAE probes of a regime, or the reason why one side is not there."""
        self.baseline(regime, model)
        self.saes(regime, ranking, model)
        return self.regime(regime, model)

    def _absence(self, model: str, what: str) -> str:
        """Name the tables that would have it."""
        about = what.split(",")[0]
        paths = [
            table.path
            for table in self.found.missing
            if table.options.get("model") == model and table.options.get("regime") == about
        ]
        where = f": {paths[0]} is not in the folder" if paths else " in the folder"
        return f"no rows of {FOLDERS[model]}, {what}{where}"


def as_pandas_reads(values: pd.Series) -> pd.Series:
    """The numbers that pandas' default CSV reader makes of these; they differ in the last digit.

    Upstream's code read its tables so, and compares validation AUCs without rounding: those
    digits decide which of several tied probes it picks (PAPER D.4).
    """
    text = "\n".join(["x", *map(repr, values.astype(float).tolist())])
    read = pd.read_csv(io.StringIO(text), float_precision="high")
    return pd.Series(read["x"].to_numpy(), index=values.index)


def baseline_picks(tables: Tables, model: str, regime: str, ranking: str, rule: str) -> pd.Series:
    """Names of the baselines that a quiver of baselines alone picks, tied ones joined."""
    ties, decimals = RULES[rule]
    pool = tables.pool(model, regime, ranking)
    return pick(pool, "baselines", ties, decimals)["picks"]
