"""Every figure of the standard page, drawn from full, thin and broken rows."""

import pandas as pd
import pytest
from matplotlib.figure import Figure

from probing_core.analysis.comparison import head_to_head, over_seeds
from probing_core.figures import latents, layers, standard
from probing_core.figures.style import CAPTION_WORDS, PAGE_WIDTH, Drawing, image_bytes
from tests.study_rows import MAIN_HOOK, study_rows

DRAW = {
    "bars": lambda rows: standard.plot_standard_bars(rows, hook=MAIN_HOOK),
    "quiver": lambda rows: standard.plot_quiver_scatter(rows, hook=MAIN_HOOK),
    "every task": lambda rows: standard.plot_every_task(rows, hook=MAIN_HOOK),
    "layers": layers.plot_auc_by_layer,
    "best": layers.plot_best_method_by_layer,
    "k": lambda rows: latents.plot_auc_by_k(rows, hook=MAIN_HOOK),
    "l0 and width": lambda rows: latents.plot_l0_and_width(rows, hook=MAIN_HOOK),
    "width": lambda rows: latents.plot_auc_by_width(rows, hook=MAIN_HOOK),
    "rankings": lambda rows: latents.plot_rankings(rows, hook=MAIN_HOOK),
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


def texts_outside(figure: Figure) -> list[str]:
    """Name the visible texts that reach beyond the paper's edge."""
    figure.draw_without_rendering()
    page = figure.bbox
    found = []
    for axes in figure.axes:
        for text in [*axes.texts, axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label]:
            if text.get_visible() and text.get_text() and axes.axison:
                box = text.get_window_extent()
                inside = page.x0 - 1 <= box.x0 and box.x1 <= page.x1 + 1
                if not (inside and page.y0 - 1 <= box.y0 and box.y1 <= page.y1 + 1):
                    found.append(text.get_text())
    return found


def smallest_text(figure: Figure) -> float:
    """Return the smallest font size, in points, of any visible text."""
    figure.draw_without_rendering()
    return min(
        text.get_fontsize()
        for text in figure.findobj(lambda part: hasattr(part, "get_fontsize"))
        if text.get_visible() and getattr(text, "get_text", str)()
    )


def check(drawing: Drawing) -> None:
    assert len(drawing.caption.split()) <= CAPTION_WORDS
    assert drawing.alt.endswith(".")
    assert "nan" not in (drawing.caption + drawing.alt).lower()
    assert drawing.figure.get_figwidth() <= PAGE_WIDTH
    assert smallest_text(drawing.figure) >= 8
    assert texts_outside(drawing.figure) == []


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


def test_figure_without_its_rows_says_what_is_missing(rows):
    no_sae = study_rows(saes=())
    assert latents.plot_auc_by_k(no_sae, hook=MAIN_HOOK).alt.startswith("Not run: SAE probes")
    one = study_rows(rankings=("mean_difference",))
    assert "both rankings" in latents.plot_rankings(one, hook=MAIN_HOOK).caption


def test_skipped_fits_leave_their_task_out_of_the_comparison(rows):
    broken = rows.copy()
    first = broken["dataset"] == broken["dataset"].iloc[0]
    broken.loc[first & (broken["method"] == "sae_logreg"), ["test_auc", "val_auc"]] = float("nan")
    pair = head_to_head(broken, hook=MAIN_HOOK)
    assert len(pair) == rows["dataset"].nunique() - 1
    assert pair["difference"].notna().all()


def test_head_to_head_averages_seeds_before_it_compares(rows):
    again = rows.assign(seed=43, test_auc=rows["test_auc"] - 0.1)
    both = pd.concat([rows, again])
    one = over_seeds(head_to_head(rows, hook=MAIN_HOOK))
    two = over_seeds(head_to_head(both, hook=MAIN_HOOK))
    assert two["sae"].to_numpy() == pytest.approx(one["sae"].to_numpy() - 0.05)
    assert two["difference"].to_numpy() == pytest.approx(one["difference"].to_numpy())


def test_interpolation_is_drawn_only_with_twelve_saes_or_more(rows):
    few = latents.plot_l0_and_width(rows, hook=MAIN_HOOK)
    many = latents.plot_l0_and_width(study_rows(saes=MANY), hook=MAIN_HOOK)
    assert "interpolation" not in few.caption
    assert "interpolation" in many.caption
    assert len(few.figure.axes[0].texts) == 4


def test_shares_of_tied_methods_sum_to_the_tasks():
    rows = study_rows(saes=())
    rows["test_auc"] = rows["test_auc"].round(1)
    counts = layers.best_method_counts(rows)
    assert counts.sum(axis=1).tolist() == pytest.approx([6.0] * 3)
    assert (counts % 1 != 0).any().any()
    first = layers.best_method_counts(rows, ties="first")
    assert (first % 1 == 0).all().all()
    with pytest.raises(ValueError, match="share, first"):
        layers.best_method_counts(rows, ties="last")


def test_hooks_are_drawn_from_the_embedding_up(rows):
    axes = layers.plot_auc_by_layer(rows.sample(frac=1, random_state=1)).figure.axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["embed", "1", "3"]
