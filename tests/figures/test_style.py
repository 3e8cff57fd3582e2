"""The book's look: palette, captions, files, label placement, and words."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb

from probing_core.analysis.paired import mean_interval, signless_zero
from probing_core.datasets.regimes import REGIMES
from probing_core.figures import standard, style
from probing_core.figures.front import plot_headline
from probing_core.figures.marks import ink_on, spread
from probing_core.figures.words import (
    above_below,
    interval_name,
    model_limits,
    of_the_paper,
    paper_sentence,
    protocol_sentence,
    signed,
    split_sentence,
)
from probing_core.probes.methods import BASELINES, METHODS
from tests.figures.conftest import texts
from tests.study_rows import MAIN_HOOK, study_rows


def lightness(colour: str) -> float:
    """Return CIE L* (0 black, 100 white) of a colour, i.e. how it prints in grey."""
    linear = [((c + 0.055) / 1.055) ** 2.4 if c > 0.04045 else c / 12.92 for c in to_rgb(colour)]
    luminance = float(np.dot(linear, [0.2126, 0.7152, 0.0722]))
    return 116 * luminance ** (1 / 3) - 16 if luminance > 0.008856 else 903.3 * luminance


def drawing(caption: str = "Shown. Seen.", alt: str = "A finding.") -> style.Drawing:
    figure = style.new_figure(height=2)
    figure.subplots().plot([0, 1], [0, 1])
    return style.Drawing(figure, caption, alt)


def sample(*values: float):
    return mean_interval(pd.Series(values, index=[f"t{place}" for place in range(len(values))]))


def test_baseline_and_sae_stay_apart_in_grey():
    assert abs(lightness(style.BASELINE) - lightness(style.SAE)) > 20


def test_every_pair_of_baselines_differs_in_grey_in_marker_and_in_line():
    ours = [METHODS[name] for name in BASELINES]
    assert min(np.diff(sorted(lightness(one.colour) for one in ours))) > 7
    assert len({one.marker for one in METHODS.values()}) == len(METHODS)
    assert len({str(one.line) for one in ours}) == len(ours)


def test_no_colour_of_a_method_means_anything_else():
    assert not set(style.OTHER_COLOURS) & {one.colour for one in METHODS.values()}
    assert min(np.diff([lightness(colour) for colour in style.OTHER_COLOURS])) > 10
    cycle = style.RC["axes.prop_cycle"].by_key()["color"]
    assert tuple(cycle) == style.OTHER_COLOURS


def test_text_on_a_colour_can_be_read():
    for colour in (one.colour for one in METHODS.values()):
        assert abs(lightness(ink_on(colour)) - lightness(colour)) > 40


def test_long_caption_and_missing_alt_are_refused():
    with pytest.raises(ValueError, match="61"):
        drawing(caption="word " * 61)
    with pytest.raises(ValueError, match="alt text"):
        drawing(alt="  ")


def test_saved_files_are_white_twice_the_page_and_the_same_each_time(tmp_path):
    paths = style.save(drawing(), tmp_path / "new", "fig-x")
    assert [path.name for path in paths] == ["fig-x.png", "fig-x.pdf"]
    image = mpl.image.imread(paths[0])
    assert image.shape[:2] == (400, 1440)
    assert image[0, 0].tolist() == [1, 1, 1, 1]
    first = [path.read_bytes() for path in paths]
    style.save(drawing(), tmp_path / "new", "fig-x")
    assert [path.read_bytes() for path in paths] == first


def test_a_task_is_drawn_as_it_is_called():
    tag = r"$\frac$"
    rows = study_rows(6).replace({"dataset": {"5_task_number_0": tag}})
    plots = {"hook": MAIN_HOOK}
    drawn = [standard.plot_every_task(rows, **plots), standard.plot_quiver_scatter(rows, **plots)]
    assert any(tag == text.get_text() for text in texts(drawn[0]))
    for kind in ("png", "pdf"):
        assert all(style.image_bytes(one, kind) for one in drawn)


def test_no_figure_writes_mathematics(rows):
    plots = [standard.plot_auc_by_k, standard.plot_l0_and_width, standard.plot_auc_by_width]
    drawn = [plot(rows, hook=MAIN_HOOK) for plot in plots]
    assert not [text for one in drawn for text in texts(one) if "$" in text.get_text()]


def test_a_figure_without_its_rows_says_so_and_leaves_the_readers_own_settings_alone():
    with mpl.rc_context({"font.size": 21}):
        missing = style.styled(lambda: style.needed([], "anything"))()
        assert missing.alt == "Not run: anything."
        assert mpl.rcParams["font.size"] == 21


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=12), st.floats(0.01, 1))
def test_spread_labels_keep_order_and_distance_and_their_mean(values, gap):
    placed = spread(values, gap)
    order = np.argsort(values, kind="stable")
    assert (np.diff(placed[order]) >= gap - 1e-6).all()
    assert placed.mean() == pytest.approx(np.mean(values), abs=1e-6)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_spread_labels_stay_inside_when_they_fit(values):
    placed = spread(values, 0.1, 0.0, 1.0)
    assert placed.min() >= -1e-9 and placed.max() <= 1 + 1e-9


def test_spread_leaves_labels_that_are_apart_where_they_are():
    assert spread([3.0, 1.0, 2.0], 0.5).tolist() == pytest.approx([3.0, 1.0, 2.0])


def test_intervals_are_named_by_what_was_drawn():
    assert interval_name(sample(0.1, 0.2, 0.4)) == (
        "95% bootstrap (BCa) intervals over task families"
    )
    assert "percentile where undefined" in interval_name(sample(0.1, 0.2, 0.4), sample(0.1, 0.1))
    assert interval_name(sample(0.1)) == "no interval: one task"


def test_fine_print_names_protocol_split_and_the_models_limits(rows):
    assert protocol_sentence(rows) == "Protocol paper, solver fast, seed 42, model minilm."
    assert split_sentence(rows) == "Per task, 1,024 training prompts and 300 test prompts."
    assert "not in these tables" in split_sentence(rows.assign(n_test=None))
    assert "[SEP]" in model_limits("minilm")
    assert "[SEP]" not in model_limits("gemma-2-9b")


def test_differences_carry_their_sign_and_say_who_trails():
    assert [signed(value) for value in (0.01, -0.01, 0.0001)] == ["+0.010", "\u22120.010", "0.000"]
    assert "trails" in above_below(sample(-1.0, -2.0, -1.5), "a", "b")
    assert "beats" in above_below(sample(1.0, 2.0, 1.5), "a", "b")
    assert "may be chance" in above_below(sample(-0.03, 0.03, -0.02, 0.02), "a", "b")
    assert "do not differ" in above_below(sample(0.0, 0.0), "a", "b")


def test_front_and_sections_say_the_same_number_of_the_paper():
    said = {name: paper_sentence(name) for name in REGIMES}
    drawn = [text.get_text() for text in texts(plot_headline({}))]
    for name, sentence in said.items():
        mean = of_the_paper(name).mean
        assert f": {signless_zero(mean)} [" in sentence
        assert signed(mean) in drawn
    assert "the toolbox with SAE probes minus the one without" in said["scarcity"]
