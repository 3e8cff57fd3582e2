"""The figures of section 03 on rows of every shape."""

import numpy as np
import pandas as pd
import pytest

from probing_core.analysis.comparison import NOT_COMPARED, compared
from probing_core.datasets.regimes import REGIMES, Regime, plenty
from probing_core.figures import front, regimes, words
from probing_core.figures.style import image_bytes
from tests.figures.conftest import VALUES, check, regime_rows, texts
from tests.study_rows import MAIN_HOOK

HERE = {"hook": MAIN_HOOK, "ranking": "mean_difference"}


@pytest.fixture(scope="module")
def fits():
    return regime_rows()


@pytest.fixture(scope="module")
def frames(fits):
    return compared(fits, **HERE)


def drawings(fits, frames):
    return {
        "bars": regimes.plot_regime_bars(fits, **HERE),
        "differences": regimes.plot_differences(frames),
        "examples": regimes.plot_examples(frames),
        "heat": regimes.plot_heat_map(frames, fits),
        "picked": regimes.plot_picked(frames),
        "arrows": regimes.plot_picked_arrows(frames, fits),
        "toolboxes": regimes.plot_toolboxes(fits, **HERE),
        "ties": regimes.plot_tie_policies(fits, **HERE),
    }


def test_every_figure_fits_the_page_and_states_a_finding(fits, frames):
    for name, drawing in drawings(fits, frames).items():
        check(drawing)
        assert any(letter.isdigit() for letter in drawing.alt), name


def test_figures_of_no_rows_say_what_is_missing(fits):
    for drawing in drawings(fits.iloc[:0], {}).values():
        check(drawing)
        assert drawing.alt.startswith(("Not compared", "Nothing to draw"))


def without_sae_probes(fits):
    return fits[fits["sae_id"].isna()]


def skipped_everywhere(fits):
    return fits.assign(test_auc=np.nan, val_auc=np.nan, warning="too few prompts")


@pytest.mark.parametrize("lack", [without_sae_probes, skipped_everywhere])
def test_where_no_sae_probe_stands_every_figure_and_sentence_says_not_compared(fits, lack):
    fits = lack(fits)
    frames = compared(fits, **HERE)
    assert frames == {}
    for name, drawing in drawings(fits, frames).items():
        check(drawing)
        assert drawing.alt.startswith("Nothing to draw" if name == "arrows" else "Not compared")
    for name in VALUES:
        assert NOT_COMPARED in words.regime_sentence(name, frames.get(name))
    assert words.arrows_sentence(fits, **HERE) == "No SAE probe competes in the quiver."
    headline = front.plot_headline(front.regime_differences(frames))
    assert NOT_COMPARED in headline.alt and NOT_COMPARED in headline.caption


def test_one_task_and_one_value_still_draw():
    fits = regime_rows(1, grid={name: values[1:2] for name, values in VALUES.items()})
    for name, drawing in drawings(fits, compared(fits, **HERE)).items():
        check(drawing)
        assert len(image_bytes(drawing)) > 5_000, name


def test_a_sixth_regime_appears_in_every_figure_by_itself(monkeypatch):
    six = Regime("paraphrased", "paraphrased prompts", plenty, "share of prompts", (0.1, 0.5, 0.9))
    monkeypatch.setitem(REGIMES, "paraphrased", six)
    fits = regime_rows(grid=VALUES | {six.key: six.values})
    frames = compared(fits, **HERE)
    found = drawings(fits, frames) | {
        "front": front.plot_headline(front.regime_differences(frames)),
    }
    del found["ties"]
    for name, drawing in found.items():
        written = " ".join(text.get_text().replace("\n", " ") for text in texts(drawing))
        assert "paraphrased prompts" in written, name
    assert "Under paraphrased prompts" in words.regime_sentence("paraphrased", frames[six.key])


def test_a_regime_without_a_number_is_compared_but_has_no_axis(fits):
    shifted = fits[fits["regime"] == "label_noise"].drop_duplicates(
        ["dataset", "hook", "method", "sae_id", "ranking", "k"]
    )
    both = pd.concat([fits, shifted.assign(regime="covariate_shift", regime_value=np.nan)])
    frames = compared(both, **HERE)
    assert list(frames) == [*VALUES, "covariate_shift"]
    assert len(regimes.plot_differences(frames).figure.axes) == len(VALUES)
    assert "covariate shift" in regimes.plot_regime_bars(both, **HERE).alt
    assert "Holm" not in words.regime_sentence("covariate_shift", frames["covariate_shift"])


def test_several_seeds_are_drawn_apart_and_said(frames):
    several = compared(regime_rows(seeds=(1, 2, 3)), **HERE)
    lines = regimes.plot_differences(several).figure.axes[0].lines
    thin = [line for line in lines if line.get_linewidth() < 0.8]
    assert sum(len(line.get_xdata()) == 3 for line in thin) == 3
    assert "3 split seeds" in words.seed_sentence(several)
    assert "One split seed" in words.seed_sentence(frames)


def test_sentences_name_difference_interval_counts_and_picks(frames):
    for name, frame in frames.items():
        said = words.regime_sentence(name, frame)
        mean = frame.groupby("dataset")["difference"].mean()
        assert f"better on {(mean > 0.005).sum()}, worse on {(mean < -0.005).sum()}" in said
        assert f"{frame['picked_sae'].mean():.0%} of" in said or "ahead in" in said
        assert REGIMES[name].label in said and "6 tasks" in said and "95% interval" in said


def test_points_of_a_difference_are_coloured_by_who_is_ahead(frames):
    drawing = regimes.plot_differences(frames)
    for axes, frame in zip(drawing.figure.axes, frames.values(), strict=True):
        means = frame.groupby("regime_value")["difference"].mean()
        edges = axes.collections[-1].get_edgecolors()
        blue = edges[:, 2] > edges[:, 0]
        assert blue.tolist() == (means > 0).tolist()


def test_missing_settings_are_grey_not_zero(fits, frames):
    first = frames["scarcity"]
    hole = (first["regime_value"] == 128) & (first["dataset"] == first["dataset"].iloc[0])
    drawing = regimes.plot_heat_map(dict(frames) | {"scarcity": first[~hole]}, fits)
    image = drawing.figure.axes[0].images[0].get_array()
    assert np.isnan(np.ma.filled(image, np.nan)).sum() == 1


def test_cells_that_rest_on_few_rare_test_prompts_are_marked_and_said(fits, frames):
    sized = fits.assign(n_test=np.where(fits["dataset"] == fits["dataset"].iloc[0], 30, 300))
    marked = regimes.plot_heat_map(frames, sized)
    counts = [len(axes.lines[0].get_xdata()) for axes in marked.figure.axes[: len(VALUES)]]
    # 15 of 30 are fewer than 20 everywhere; at 0.1 and 0.9 the others keep 30 of 300.
    assert counts == [3, 3, 3]
    bigger = regimes.plot_heat_map(frames, fits.assign(n_test=300))
    assert [len(axes.lines[0].get_xdata()) for axes in bigger.figure.axes[:3]] == [0, 0, 0]
    cells = pd.concat(frames.values(), ignore_index=True)
    worst = cells.loc[cells["difference"].idxmin()]
    value = worst["regime_value"]
    share = min(value, 1 - value) if worst["regime"] == "imbalance" else 0.5
    assert (
        f"largest loss \N{MINUS SIGN}{abs(worst['difference']):.3f} (on {share * 300:.0f} test"
        in (bigger.alt)
    )
    unknown = regimes.plot_heat_map(frames, fits.assign(n_test=np.nan))
    assert "rarer class" not in unknown.alt + unknown.caption


def test_rules_for_ties_are_drawn_in_no_methods_colour(fits):
    lines = regimes.plot_tie_policies(fits, **HERE).figure.axes[0].lines
    used = {line.get_color() for line in lines}
    assert not used & {"#E69F00", "#0072B2"}
    assert len(used) == 5
