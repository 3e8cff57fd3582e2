"""The figures of section 03 on synthetic rows of every shape."""

import numpy as np
import pandas as pd
import pytest

from probing_core.datasets.regimes import REGIMES
from probing_core.figures import picks, regime_tasks, regimes
from probing_core.figures.style import image_bytes
from tests.study_rows import MAIN_HOOK, study_rows

VALUES = {"scarcity": (2, 16, 128), "imbalance": (0.1, 0.5, 0.9), "label_noise": (0.0, 0.2, 0.5)}
OPTIONS = {"hook": MAIN_HOOK}


def regime_rows(n_tasks: int = 6, seeds: tuple[int, ...] = (42,)) -> pd.DataFrame:
    parts = [study_rows(n_tasks)]
    for name, values in VALUES.items():
        for number, value in enumerate(values):
            for seed in seeds:
                part = study_rows(n_tasks, ks=(16, 128), seed=number + 10 * seed)
                sae = part["method"] == "sae_logreg"
                part.loc[sae, ["val_auc", "test_auc"]] += 0.04 * (number - 1)
                parts.append(part.assign(regime=name, regime_value=value, seed=seed))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def rows():
    return regime_rows()


@pytest.fixture(scope="module")
def frames(rows):
    return regimes.compared(rows, **OPTIONS)


def drawings(rows, frames):
    return {
        "bars": regimes.plot_regime_bars(rows, **OPTIONS),
        "differences": regimes.plot_differences(frames),
        "examples": regime_tasks.plot_examples(frames),
        "heat": regime_tasks.plot_heat_map(frames),
        "picked": picks.plot_picked(frames),
        "arrows": picks.plot_picked_arrows(frames, rows),
        "toolboxes": picks.plot_toolboxes(rows, **OPTIONS),
        "ties": picks.plot_tie_policies(rows, **OPTIONS),
    }


def test_every_figure_is_drawn_with_caption_and_finding(rows, frames):
    for name, drawing in drawings(rows, frames).items():
        assert len(image_bytes(drawing)) > 10_000, name
        assert drawing.caption.endswith("."), name
        assert any(letter.isdigit() for letter in drawing.alt), name


def test_figures_of_no_rows_say_what_is_missing(rows):
    empty = rows[rows["regime"] == "standard"].iloc[:0]
    for name, drawing in drawings(empty, {}).items():
        assert "not" in drawing.alt.lower() or "not" in drawing.caption.lower(), name


def test_one_task_and_one_value_still_draw():
    rows = regime_rows(1).query("regime_value.isna() or regime_value in [16, 0.5]")
    frames = regimes.compared(rows, **OPTIONS)
    for name, drawing in drawings(rows, frames).items():
        assert len(image_bytes(drawing)) > 5_000, name


def test_several_seeds_are_drawn_apart_and_said(frames):
    several = regimes.compared(regime_rows(seeds=(1, 2, 3)), **OPTIONS)
    thin = [
        line
        for line in regimes.plot_differences(several).figure.axes[0].lines
        if line.get_linewidth() < 1
    ]
    assert sum(len(line.get_xdata()) == 3 for line in thin) >= 3
    assert "3 split seeds" in regimes.seed_sentence(several)
    assert "One split seed" in regimes.seed_sentence(frames)


def test_sentences_name_difference_interval_counts_and_picks(frames):
    for name, frame in frames.items():
        said = regimes.regime_sentence(name, frame)
        assert REGIMES[name].label in said and "6 tasks" in said and "95% interval" in said
        assert "better on" in said and "%" in said and "Holm" in said


def test_label_noise_is_matched_by_task_not_by_position(rows):
    shuffled = rows.sample(frac=1, random_state=1)
    ordered, mixed = (regimes.compared(r, **OPTIONS)["label_noise"] for r in (rows, shuffled))
    keys = ["dataset", "regime_value"]
    pd.testing.assert_frame_equal(
        ordered.sort_values(keys).reset_index(drop=True),
        mixed.sort_values(keys).reset_index(drop=True),
    )


def test_shares_of_picked_arrows_sum_to_one_and_split_ties(frames):
    frame = pd.DataFrame({"picks": ["a, k=16 | b, k=128", "logreg | a, k=16", "logreg", "a, k=16"]})
    table = picks.arrow_shares(frame).set_index(["sae_id", "k"])["share"]
    assert table["a", 16] == pytest.approx((0.5 + 0.5 + 1) / 2.5)
    assert table.sum() == pytest.approx(1)
    for name in ("scarcity", "imbalance"):
        assert picks.arrow_shares(frames[name])["share"].sum() == pytest.approx(1)


def test_missing_settings_are_grey_not_zero(frames):
    holes = dict(frames)
    first = holes["scarcity"]
    holes["scarcity"] = first[
        ~((first["regime_value"] == 128) & (first["dataset"] == first["dataset"].iloc[0]))
    ]
    image = regime_tasks.plot_heat_map(holes).figure.axes[0].images[0].get_array()
    assert np.isnan(np.ma.filled(image, np.nan)).sum() == 1
