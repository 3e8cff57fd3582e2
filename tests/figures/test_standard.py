"""Every figure of section 02, drawn from full, thin and broken rows."""

import pytest

from probing_core.figures import standard
from probing_core.figures.style import image_bytes
from tests.figures.conftest import check
from tests.study_rows import MAIN_HOOK, study_rows

HERE = {"hook": MAIN_HOOK}
DRAW = {
    "bars": lambda rows: standard.plot_standard_bars(rows, **HERE),
    "quiver": lambda rows: standard.plot_quiver_scatter(rows, **HERE),
    "every task": lambda rows: standard.plot_every_task(rows, **HERE),
    "layers": standard.plot_auc_by_layer,
    "best": standard.plot_best_method_by_layer,
    "k": lambda rows: standard.plot_auc_by_k(rows, **HERE),
    "l0 and width": lambda rows: standard.plot_l0_and_width(rows, **HERE),
    "width": lambda rows: standard.plot_auc_by_width(rows, **HERE),
    "rankings": lambda rows: standard.plot_rankings(rows, **HERE),
}
MANY = tuple((1024 * 2**step, l0) for step in range(4) for l0 in (8, 16, 32, 64))
THIN = {
    "one task": {"n_tasks": 1},
    "one SAE": {"saes": ((1024, 16),)},
    "sixteen SAEs": {"saes": MANY},
    "no SAE": {"saes": ()},
    "one baseline": {"methods": ("logreg",)},
    "no logistic regression": {"methods": ("pca", "knn")},
    "one ranking": {"rankings": ("mean_difference",)},
    "few k": {"ks": (2, 8)},
    "twenty-three tasks": {"n_tasks": 23},
}


@pytest.mark.parametrize("name", DRAW)
def test_figure_of_a_full_study_fits_the_page_and_says_its_finding(rows, name):
    drawing = DRAW[name](rows)
    check(drawing)
    assert not drawing.alt.startswith("Not run")


@pytest.mark.parametrize("thin", THIN)
@pytest.mark.parametrize("name", DRAW)
def test_figure_survives_a_study_with(name, thin):
    drawing = DRAW[name](study_rows(**THIN[thin]))
    check(drawing)
    assert image_bytes(drawing).startswith(b"\x89PNG")


def test_figure_without_its_rows_says_what_is_missing():
    no_sae = study_rows(saes=())
    assert DRAW["k"](no_sae).alt.startswith("Not run: SAE probes")
    for name in ("bars", "quiver"):
        assert DRAW[name](no_sae).alt.startswith("Not compared: no SAE probe with k = ")
    one = study_rows(rankings=("mean_difference",))
    assert "both rankings" in DRAW["rankings"](one).caption


def test_the_best_and_the_start_by_k_are_of_one_curve(rows):
    plain = rows[rows["ranking"].eq("mean_difference") & rows["sae_width"].eq(1024)].copy()
    plain.loc[plain["sae_l0"].eq(16) & plain["k"].eq(1), "test_auc"] = 0.3
    means = plain.groupby(["sae_l0", "k"])["test_auc"].mean()
    l0, k = means.idxmax()
    said = DRAW["k"](plain).alt
    assert f"is {means.max():.3f} (k = {k}, L0 {l0:.0f})" in said
    assert l0 == 64 and means.idxmin()[0] == 16
    assert said.endswith(f"with k = 1 the same SAE starts at {means[l0, 1]:.3f}.")


def test_counts_of_the_bars_are_those_of_the_rows(rows):
    here = rows[(rows["hook"] == MAIN_HOOK)]
    logreg = here[here["method"] == "logreg"].set_index("dataset")["test_auc"]
    chosen = here["sae_id"].eq("topk-w1024-k64") & here["ranking"].eq("mean_difference")
    probe = here[chosen & here["k"].eq(128)].set_index("dataset")["test_auc"]
    change = probe - logreg
    drawing = DRAW["bars"](rows)
    better, worse = (change > 0.005).sum(), (change < -0.005).sum()
    assert f"better on {better}, worse on {worse}, " in drawing.alt
    assert f"on {6 - better - worse} of 6 tasks" in drawing.alt
    assert f"{probe.mean():.3f} against {logreg.mean():.3f}" in drawing.alt
    assert len(drawing.figure.axes[1].patches) >= len(change)


def test_reaching_logistic_regression_is_counted_task_by_task(rows):
    level = rows.assign(test_auc=0.7)
    assert "on 6 of 6 tasks; with 1 on 6." in DRAW["every task"](level).alt
    ahead = level["method"].eq("logreg") & level["dataset"].isin(level["dataset"].unique()[:2])
    level.loc[ahead, "test_auc"] = 0.8
    assert "on 4 of 6 tasks; with 1 on 4." in DRAW["every task"](level).alt


def test_numbers_are_written_beside_a_dozen_saes_at_most(rows):
    few, many = (DRAW["l0 and width"](r).figure.axes[0] for r in (rows, study_rows(saes=MANY)))
    assert len(few.texts) == 4
    assert not many.texts


def test_hooks_are_drawn_from_the_embedding_up(rows):
    axes = standard.plot_auc_by_layer(rows.sample(frac=1, random_state=1)).figure.axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["embed", "1", "3"]
