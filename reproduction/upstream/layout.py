"""Where upstream keeps which results, and what is lost without them: ``layout.csv`` as `TABLES`.

The layout is that of the folder ``results`` of github.com/JoshEngels/SAE-Probes (MIT).
"""

import csv
from dataclasses import dataclass
from pathlib import Path

GEMMA, LLAMA, SMALL = "google/gemma-2-9b", "meta-llama/Llama-3.1-8B", "google/gemma-2-2b"
FOLDERS = {GEMMA: "gemma-2-9b", LLAMA: "llama-3.1-8b", SMALL: "gemma-2-2b"}
MAIN_LAYER = {GEMMA: 20, LLAMA: 16, SMALL: 12}
V1, HEAD = "mean_difference", "normalized_mean_difference"
GENERATIONS = {"v1": V1, "head": HEAD}
"""The published figures rank latents by mean difference; upstream's later runs normalise first."""
SHIFTED_EXAMPLES = ("66_living-room", "90_glue_qnli", "7_hist_fig_ispolitician")
"""The three tasks whose latents the paper prunes (section 4.1)."""

_PROBED = ("dataset", "test_auc", "val_auc", "test_acc", "test_f1")
_COLUMNS = {
    "baselines": ("method", *_PROBED),
    "saes": (*_PROBED, "k", "layer", "sae_id", "reg_type"),
    "shift": ("dataset", "test_auc_baseline"),
    "single_latents": ("dataset", "best_feature", "test_auc"),
    "multi_token": (*_PROBED, "layer", "sae_aggregation_method", "sae_id", "k", "kind"),
    "cola_probes": ("run_num", "run_type", "test_auc", "test_acc"),
    "judgements": ("original_target", "ensemble"),
    "pruned": ("k", "ood_auc_llm", "val_auc_llm"),
    "latents": ("latent", "val_auc", "ood_auc", "coef"),
    "win_rates": ("sae1", "sae2", "win_rate"),
}


@dataclass(frozen=True)
class Table:
    """One result table of upstream: a line of ``layout.csv``.

    Attributes:
        path: Where it lies below ``results``; ``also`` are other places of the same table.
        kind: Name of its reader in `reproduction.upstream.reading`.
        makes: What cannot be drawn or checked without it.
        n_rows: Rows of upstream's own table at commit 9917d94; None where it was not at hand.
        model: The model probed; ``regime``, ``section`` and ``ranking`` are those of its rows.
        layer: The layer probed, if the table does not say it; ``dataset`` likewise the task.
        value: Column of the regime's number, if there is one.
        more: Columns it must have beside those of its kind.
    """

    path: str
    kind: str
    makes: str
    n_rows: int | None
    model: str
    regime: str
    section: str
    ranking: str
    layer: str
    value: str
    dataset: str
    more: str
    also: str

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns it must have."""
        value = (self.value,) if self.value else ()
        return tuple(dict.fromkeys((*_COLUMNS[self.kind], *value, *self.more.split())))

    @property
    def places(self) -> tuple[str, ...]:
        """Where it may lie, the usual place first."""
        return (self.path, *self.also.split())

    @property
    def whole(self) -> bool:
        """Whether it covers all 113 tasks."""
        return self.section in ("standard", "regimes", "single_latents")

    @property
    def newline(self) -> bool:
        """Whether upstream's file ends with one, so that a cut shows."""
        return self.section != "latents"


TABLES = tuple(
    Table(**row | {"n_rows": int(row["n_rows"]) if row["n_rows"] else None})  # type: ignore[arg-type]
    for row in csv.DictReader(Path(__file__).with_name("layout.csv").read_text("utf-8").split("\n"))
)
