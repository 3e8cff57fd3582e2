"""What the section contract promises: a section or a regime is added in the places it names."""

import textwrap

import nbformat
import numpy as np
import pandas as pd
import pytest

from probing_core.analysis.comparison import compared
from probing_core.datasets import load_shifted, regimes
from probing_core.datasets.splits import draw_split
from probing_core.errors import UserError
from probing_core.experiments import sections
from probing_core.experiments.activations import activation_key
from probing_core.experiments.study import open_study
from probing_core.experiments.units import plan_units
from probing_core.figures.regimes import plot_differences
from probing_core.probes.evaluate import Inputs, evaluate_label_sets
from probing_core.runner import book, notebooks
from tests.conftest import HOOK, TAGS, small_profile


def plan_toy(study):
    """A section of its own: the standard regime without prompts' own SAE probes."""
    grid = study.profile.sections["toy"]
    return plan_units(study, "toy", "standard", grid, version=1, hooks=[study.main_hook], saes=[])


NOTEBOOK = """
---
sections: [toy]
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# A toy section

```{code-cell} ipython3
:tags: [parameters]

n: int = 1
```

```{code-cell} ipython3
n + 1
```
"""


def test_a_section_needs_a_plan_a_grid_and_a_notebook(small_study, tmp_path, monkeypatch):
    monkeypatch.setitem(sections.SECTIONS, "toy", sections.fitted("toy", plan_toy))
    monkeypatch.setattr(notebooks, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(notebooks, "SECTIONS", tmp_path / "sections")
    monkeypatch.setattr(book, "SECTIONS", tmp_path / "sections")
    (tmp_path / "05-toy.md").write_text(textwrap.dedent(NOTEBOOK).lstrip(), encoding="utf-8")
    profile = small_profile(sections={"toy": {"methods": ["knn"]}})
    study = open_study(profile, small_study.store)
    (page,) = book.run(study, profile="quick")
    assert (page.sections, page.units) == (["toy"], {"toy": len(TAGS)})
    rows = sections.rows(study, "toy")
    assert set(rows["section"]) == {"toy"} and set(rows["method"]) == {"knn"}
    assert len(rows) == len(TAGS) and rows["test_auc"].notna().all()
    assert sections.lacking(study, "toy") == []
    made = nbformat.read(tmp_path / "sections" / "05-toy.ipynb", as_version=4)
    assert made.cells[-1].outputs[0]["data"]["text/plain"] == "2"
    published = open_study("published", small_study.store)
    assert sections.rows(published, "toy").empty


def halved(dataset, value, how):
    """A share `value` of the training rows is left out."""
    whole = regimes.plenty(dataset, value, how)
    kept = draw_split(
        dataset,
        n_train=int(len(whole.split.train) * (1 - value)),
        n_test=len(whole.split.test),
        protocol=how.protocol,
        seed=how.seed,
    )
    return regimes.Setting(kept, dataset.labels[kept.train].astype(np.int64))


def test_a_sixth_regime_needs_one_entry_and_a_grid(small_study, monkeypatch):
    sixth = regimes.Regime("halved", "fewer prompts", halved, "share left out (0 to 1)", (0.5,))
    monkeypatch.setitem(regimes.REGIMES, "halved", sixth)
    grid = {"values": [0, 0.5], "methods": ["logreg"], "k": [4, 16]}
    study = open_study(small_profile(regimes={"halved": grid}), small_study.store)
    rows = sections.rows(study, "regimes")
    assert set(rows["regime_value"]) == {0.0, 0.5} and rows["test_auc"].notna().all()
    drawn = plot_differences(compared(rows, hook=HOOK, ks=[4, 16]))
    assert [axes.get_title(loc="left") for axes in drawn.figure.axes] == ["fewer prompts"]


def test_a_shifted_test_set_is_a_regime_like_any_other(small_study):
    grid = {"methods": ["knn"], "k": [4]}
    study = open_study(small_profile(regimes={"covariate_shift": grid}), small_study.store)
    rows = sections.rows(study, "regimes")
    tag = "66_living-room"
    assert set(rows["dataset"]) == {tag, "5_hist_fig_ismale"}
    shifted, task = load_shifted(tag), study.datasets[tag]
    x, z = (
        study.store.read_arrays(activation_key(study, one, HOOK))[0]["activations"]
        for one in (tag, shifted.tag)
    )
    train = regimes.plenty(task, 0, regimes.Draw("paper", 42, 1024)).split.train
    (by_hand,) = evaluate_label_sets(
        "knn",
        [task.labels[train].astype(int)],
        shifted.labels.astype(int),
        shared=Inputs(x[train], z),
        solver="fast",
        xgboost_draws=1,
    )
    row = rows.query("dataset == @tag and method == 'knn'").iloc[0]
    assert (row.test_auc, row.n_test) == (pytest.approx(by_hand.test_auc), len(shifted))
    assert np.isnan(row.regime_value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sections": {"tooy": {}}}, "There is no section 'tooy'"),
        ({"regimes": {"scarcty": {}}}, "There is no regime 'scarcty'. Did you mean 'scarcity'"),
        ({"standard": {"methods": ["logregg"]}}, "no method 'logregg'. Did you mean 'logreg'"),
    ],
)
def test_what_does_not_exist_is_refused_before_anything_runs(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        book.compute(open_study(small_profile(**changes), tmp_path), ["standard"])
    assert [path.name for path in tmp_path.iterdir()] == ["format.json"]


def test_published_rows_stand_in_for_every_section(tmp_path):
    study = open_study("published", tmp_path)
    found = {name: sections.rows(study, name) for name in sections.SECTIONS}
    assert set(found["standard"]["regime"]) == {"standard"}
    assert set(found["regimes"]["regime"]) == {"scarcity", "imbalance", "label_noise"}
    assert set(found["shift"]["regime"]) == {"covariate_shift"}
    assert len(found["activations"]) == 113 and len(found["lengths"]) == 0
    assert found["saes"]["width"].is_monotonic_increasing
    assert all(isinstance(frame, pd.DataFrame) for frame in found.values())
