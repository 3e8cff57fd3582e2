"""The book's look: palette, captions, files, label placement."""

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb

from probing_core.figures import style


def lightness(colour: str) -> float:
    """Return CIE L* (0 black, 100 white) of a colour, i.e. how it prints in grey."""
    linear = [((c + 0.055) / 1.055) ** 2.4 if c > 0.04045 else c / 12.92 for c in to_rgb(colour)]
    luminance = float(np.dot(linear, [0.2126, 0.7152, 0.0722]))
    return 116 * luminance ** (1 / 3) - 16 if luminance > 0.008856 else 903.3 * luminance


def drawing(caption: str = "Shown. Seen.", alt: str = "A finding.") -> style.Drawing:
    figure = style.new_figure(height=2)
    figure.subplots().plot([0, 1], [0, 1])
    return style.Drawing(figure, caption, alt)


def test_baseline_and_sae_stay_apart_in_grey():
    assert abs(lightness(style.BASELINE) - lightness(style.SAE)) > 20


def test_every_pair_of_methods_differs_in_grey_or_in_marker_and_line():
    baselines = [name for name in style.METHODS if name != "sae_logreg"]
    shades = sorted(lightness(style.METHODS[name][0]) for name in baselines)
    assert min(np.diff(shades)) > 7
    assert len({style.METHODS[name][1] for name in style.METHODS}) == len(style.METHODS)
    assert len({str(style.METHODS[name][2]) for name in baselines}) == len(baselines)


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


def test_drawing_leaves_the_readers_own_settings_alone():
    with mpl.rc_context({"font.size": 21}):
        style.not_run("anything")
        assert mpl.rcParams["font.size"] == 21


@given(
    st.lists(st.floats(-10, 10), min_size=1, max_size=12),
    st.floats(0.01, 1),
)
def test_spread_labels_keep_order_and_distance(values, gap):
    placed = style.spread(values, gap)
    order = np.argsort(values, kind="stable")
    steps = np.diff(placed[order])
    assert (steps >= gap - 1e-6).all()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_spread_labels_stay_inside_when_they_fit(values):
    placed = style.spread(values, 0.1, 0.0, 1.0)
    assert placed.min() >= -1e-9
    assert placed.max() <= 1 + 1e-9


def test_spread_leaves_labels_that_are_apart_where_they_are():
    assert style.spread([3.0, 1.0, 2.0], 0.5).tolist() == [3.0, 1.0, 2.0]
