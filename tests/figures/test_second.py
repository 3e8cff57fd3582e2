"""Figures of the second model: what they show, and what they say where there is nothing."""

import numpy as np
import pandas as pd

from probing_core.analysis.comparison import compared
from probing_core.analysis.replication import both_effects, rank_agreement
from probing_core.datasets import TASKS
from probing_core.figures import second as draw
from probing_core.figures.style import Drawing, new_panels
from tests.figures.conftest import check, regime_rows, texts
from tests.study_rows import MAIN_HOOK


def frames(shift=0.0):
    rows = regime_rows(8)
    sae = rows["method"] == "sae_logreg"
    rng = np.random.default_rng(int(100 * shift))
    rows.loc[sae, ["val_auc", "test_auc"]] += shift * rng.normal(size=(sae.sum(), 1))
    return compared(rows, hook=MAIN_HOOK)


def tables(n_tasks=5):
    rng = np.random.default_rng(0)
    aucs = rng.uniform(0.6, 1, (n_tasks, 2))
    return pd.DataFrame(aucs, columns=["last", "mean"], index=list(TASKS)[:n_tasks])


def test_replication_draws_a_panel_a_regime_with_its_correlation():
    pairs = both_effects(frames(), frames(0.03))
    drawing = draw.plot_replication(pairs, "minilm", "owner/big")
    check(drawing)
    panels = [axes for axes in drawing.figure.axes if axes.axison]
    assert len(panels) == len(pairs) == 3
    for axes, (name, pair) in zip(panels, pairs.items(), strict=True):
        rho = rank_agreement(pair).rho
        assert f"\u03c1 = {rho:.2f}".replace("-", "\u2212") in axes.get_title(loc="left"), name
    assert "in minilm and in big" in drawing.alt and "intervals leave out zero" in drawing.alt


def test_replication_without_a_second_model_says_so():
    drawing = draw.plot_replication({}, "minilm", "no second model")
    assert drawing.alt.startswith("Not compared: the same regime with SAE probes in two models")


def test_too_few_tasks_tell_no_correlation():
    pairs = {"standard": pd.DataFrame({"first": [0.1, 0.2], "second": [0, 0.1]}, index=["a", "b"])}
    drawing = draw.plot_replication(pairs, "minilm", "big")
    check(drawing)
    assert "share too few tasks" in drawing.alt


def test_positions_name_the_task_with_the_largest_gap():
    table = tables()
    table.iloc[2] = [0.95, 0.4]
    drawing = draw.plot_positions({"minilm": tables(), "big": table})
    check(drawing)
    assert f"most on {table.index[2]}: 0.95 against 0.40" in drawing.alt
    assert {"minilm", "big"} <= {text.get_text() for text in texts(drawing)}


def test_positions_of_a_hundred_tasks_have_no_names():
    drawing = draw.plot_positions({"minilm": tables(100), "big": tables(0)})
    check(drawing)
    assert drawing.figure.axes[0].get_yticklabels() == []


def test_one_position_is_told():
    assert "second position" in draw.plot_positions({"minilm": tables(0)}).alt


def test_layers_and_model_are_said():
    same, mixed = (Drawing(new_panels()[0], "c.", alt) for alt in ("Same.", "Mixed."))
    said = draw.layers_sentence(same, mixed, "blocks.1.hook_resid_post", "blocks.3.hook_resid_post")
    assert said == "All probes at block 3: Same. Baselines at block 1: Mixed."
    assert draw.layers_sentence(same, mixed, "", "") == "Same."
    rows = regime_rows().assign(position="last", prepend_bos=False)
    told = draw.models_sentence("minilm", "owner/big", rows)
    assert told.endswith("on 6 tasks: probed at the last token, prompts without BOS in front.")
    assert "no second model" in draw.models_sentence("minilm", "none", rows.iloc[:0])
