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
_BESIDE = (
    Method("diff_mean", "difference in means", "means", "#56B4E9", "X", (0, (2, 1))),
    Method("reconstruction", "the SAE's reconstruction", "recon", "#5B8FA8", "<", "-", "l2"),
    Method("error", "the SAE's error", "error", "#8C8C8C", ">", "-", "l2"),
    Method("attention", "attention, one head", "attention", "#B04A00", "h", "-"),
    Method("attention_8", "attention, eight heads", "attention 8", "#7A3B00", "H", "-"),
    Method("softmax_pooling", "softmax-weighted maximum", "softmax", "#D98E04", "d", "-"),
    Method("concatenated_pca", "PCA of each position", "concatenated", "#009E73", "*", "-", "l1"),
)
"""What sections show beside the paper's probes; no quiver of sections 02 to 05 has them.
*Reconstruction* and *error* are logistic regressions on the two parts into which an SAE divides an
activation; the last four read every token."""
METHODS: dict[str, Method] = {method.key: method for method in (*_ALL, *_BESIDE)}
"""By key; the order settles ties."""
BASELINES: tuple[str, ...] = tuple(one.key for one in _ALL if one.key != SAE_METHOD)
"""The paper's five, which compete in its quiver."""
PARTS = ("reconstruction", "error")
FITTED = (*BASELINES, "diff_mean")
"""What can be asked for on activations."""
