"""Numbers of the paper that figures draw beside a run's own, typed once with their source.

The differences are recomputed from the result tables the authors published (Gemma-2-9B, layer 20,
113 tasks, plain mean-difference ranking) with this project's statistics, so that both sides of a
figure mean the same: ties averaged, each task counted once, 95% BCa bootstrap over task families.
The paper's own pictures break ties differently; `published` says what they show.
"""

from dataclasses import dataclass

CITATION = "kantamneni2025"


@dataclass(frozen=True)
class PaperDifference:
    """The mean effect of SAE probes in one regime.

    Attributes:
        regime: key of the regime in result rows.
        label: the regime's written name.
        quantity: ``quiver`` (baselines and SAE probes minus baselines) or ``head to head`` (one
            SAE probe minus logistic regression), as the paper compares them in this regime.
        mean: mean difference in test AUC.
        low: lower end of the 95% interval over task families.
        high: upper end.
        n_tasks: number of tasks.
        published: what the paper's own picture shows.
        source: figure of the paper (arXiv v1) and the tables behind it.
    """

    regime: str
    label: str
    quantity: str
    mean: float
    low: float
    high: float
    n_tasks: int
    published: str
    source: str


DIFFERENCES = (
    PaperDifference(
        "standard", "standard", "quiver", -0.00290, -0.00698, -0.00051, 113,
        "\u22120.003 \u00b1 0.002 (one standard error), an SAE probe picked on 14 of 113 tasks",
        "figure 4; normal_settings/layer20_results.csv, normal_setting/l1_layer20_max_l0.csv",
    ),
    PaperDifference(
        "scarcity", "data scarcity", "quiver", -0.00138, -0.00688, 0.00460, 113,
        "\u22120.004, mean over the rows of figure 6, left",
        "figure 6, left; scarcity/summary/all_results.csv, scarcity_setting/all_metrics_old.csv",
    ),
    PaperDifference(
        "imbalance", "class imbalance", "quiver", -0.00249, -0.00467, -0.00048, 113,
        "\u22120.003, mean over the rows of figure 6, middle",
        "figure 6, middle; imbalance/all_results.csv, class_imbalance_setting/all_metrics_old.csv",
    ),
    PaperDifference(
        "label_noise", "label noise", "head to head", -0.02019, -0.02771, -0.01217, 113,
        "\u22120.020, mean over the rows of figure 6, right",
        "figure 6, right; corrupt/all_results.csv, label_noise_setting/all_metrics_old.csv",
    ),
    PaperDifference(
        "covariate_shift", "covariate shift", "head to head", -0.10343, -0.17937, -0.01694, 8,
        "0.723 against 0.826, mean over 8 tasks",
        "figure 7; ood/all_results.csv",
    ),
)  # fmt: skip


def published(regime: str) -> str:
    """Say what the paper's own picture shows for a regime.

    Args:
        regime: key of the regime.

    Returns:
        The sentence typed above.

    Raises:
        KeyError: if the regime is unknown.
    """
    return {paper.regime: paper.published for paper in DIFFERENCES}[regime]
