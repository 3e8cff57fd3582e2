"""Every probe's names and looks: what tables, figures and sentences say of a method.

Light on purpose: nothing of a solver is imported, so that pages which only draw stay quick.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

BASELINE = "#E69F00"
SAE = "#0072B2"
SAE_METHOD = "sae_logreg"

Line = str | tuple[int, tuple[float, ...]]


@dataclass(frozen=True)
class Method:
    """What is said of one probe.

    Attributes:
        key: As rows, profiles and shards name it.
        label: In words, as in a legend or a sentence.
        short: In the field's shorthand, as in a table.
        colour: Hex colour, the same in every figure.
        marker: Matplotlib marker.
        line: Matplotlib line style.
        penalty: The norm its coefficients are penalised by, if any.
    """

    key: str
    label: str
    short: str
    colour: str
    marker: str
    line: Line
    penalty: Literal["l1", "l2"] | None = None


_ALL = (
    Method("logreg", "logistic regression", "L2", BASELINE, "o", "-", "l2"),
    Method("pca", "PCA", "PCA", "#009E73", "s", (0, (6, 2)), "l2"),
    Method("knn", "nearest neighbours", "KNN", "#EDB3D2", "D", (0, (1, 1.2))),
    Method("xgboost", "XGBoost", "XGBoost", "#A6335F", "^", (0, (4, 1.5, 1, 1.5))),
    Method("mlp", "MLP", "MLP", "#3B2A6B", "v", (0, (3, 1.5))),
    Method(SAE_METHOD, "SAE probe", "L1", SAE, "P", "-", "l1"),
)
METHODS: dict[str, Method] = {method.key: method for method in _ALL}
"""By key; the order settles ties."""
BASELINES: tuple[str, ...] = tuple(key for key in METHODS if key != SAE_METHOD)
