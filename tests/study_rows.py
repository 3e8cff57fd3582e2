"""Synthetic tidy rows of the standard regime, as thin or as full as a test wants."""

import numpy as np
import pandas as pd

HOOKS = ("hook_embed", "blocks.1.hook_resid_post", "blocks.3.hook_resid_post")
MAIN_HOOK = HOOKS[-1]
BASELINES = ("logreg", "pca", "knn", "xgboost", "mlp")
RANKINGS = ("mean_difference", "normalized_mean_difference")


def study_rows(
    n_tasks: int = 6,
    *,
    methods: tuple[str, ...] = BASELINES,
    saes: tuple[tuple[int, int], ...] = ((1024, 16), (1024, 64), (4096, 16), (4096, 64)),
    rankings: tuple[str, ...] = RANKINGS,
    ks: tuple[int, ...] = (1, 4, 16, 128),
    seed: int = 0,
) -> pd.DataFrame:
    """Make tidy rows of the standard regime: AUC grows with depth, k and L0."""
    generator = np.random.default_rng(seed)
    shared = {"regime": "standard", "regime_value": np.nan, "seed": 42, "protocol": "paper"}
    shared |= {"solver": "fast", "model": "minilm", "n_train": 1024, "n_test": 300}
    rows = []
    for task in range(n_tasks):
        ease = generator.uniform(0.65, 0.97)
        for depth, hook in enumerate(HOOKS):
            for place, method in enumerate(methods):
                auc = min(1.0, ease + 0.02 * depth - 0.01 * place)
                rows.append({"hook": hook, "method": method, "test_auc": auc})
        for width, l0 in saes:
            for ranking in rankings:
                for k in ks:
                    auc = ease - 0.12 / (1 + k) + 0.002 * np.log2(l0) - 1e-6 * width
                    auc += generator.normal(0, 0.01)
                    sae = {"sae_id": f"topk-w{width}-k{l0}", "sae_width": width, "sae_l0": l0}
                    probe = {"method": "sae_logreg", "penalty": "l1", "binarize": False}
                    kept = {"hook": MAIN_HOOK, "ranking": ranking, "k": k}
                    rows.append(sae | probe | kept | {"test_auc": float(np.clip(auc, 0.3, 1))})
        for row in rows:
            row.setdefault("dataset", f"{task + 5}_task_number_{task}")
    frame = pd.DataFrame(rows).assign(**shared, converged=True, warning=None, fit_seconds=0.1)
    for column in ("sae_id", "ranking", "penalty", "binarize", "sae_width", "sae_l0", "k"):
        if column not in frame:
            frame[column] = None
    frame["val_auc"] = (frame["test_auc"] * 50).round() / 50
    types = {"k": "Int64", "sae_width": "Int64", "sae_l0": float, "binarize": "boolean"}
    return frame.astype(types)
