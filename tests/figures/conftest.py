"""Rows for drawing, and what every drawing owes the page."""

import pandas as pd
import pytest
from matplotlib.text import Text

from probing_core.datasets.registry import TASKS
from probing_core.figures.style import PAGE_WIDTH, Drawing
from tests.study_rows import study_rows

VALUES = {"scarcity": (2, 16, 128), "imbalance": (0.1, 0.5, 0.9), "label_noise": (0.0, 0.2, 0.5)}


def in_families(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows under built-in tags, of which the first few share prompts."""
    tags = dict(zip(sorted(rows["dataset"].unique()), TASKS, strict=False))
    return rows.assign(dataset=rows["dataset"].map(tags))


def regime_rows(
    n_tasks: int = 6, seeds: tuple[int, ...] = (42,), grid: dict[str, tuple[float, ...]] = VALUES
) -> pd.DataFrame:
    """Rows of some regimes: SAE probes gain from value to value."""
    parts = []
    for name, values in grid.items():
        for number, value in enumerate(values):
            for seed in seeds:
                part = study_rows(n_tasks, ks=(16, 128), seed=number + 10 * seed)
                sae = part["method"] == "sae_logreg"
                part.loc[sae, ["val_auc", "test_auc"]] += 0.04 * (number - 1)
                parts.append(part.assign(regime=name, regime_value=value, seed=seed))
    return in_families(pd.concat(parts, ignore_index=True))


def texts(drawing: Drawing) -> list[Text]:
    """The texts of a drawing that a reader sees."""
    drawing.figure.draw_without_rendering()
    off = [axes for axes in drawing.figure.axes if not axes.axison]
    hidden = {
        text for axes in off for part in (axes.xaxis, axes.yaxis) for text in part.findobj(Text)
    }
    found = drawing.figure.findobj(Text)
    return [t for t in found if t.get_visible() and t.get_text().strip() and t not in hidden]


def check(drawing: Drawing) -> None:
    """Assert that a drawing fits the page, can be read and says something."""
    assert drawing.caption.endswith(".")
    assert drawing.alt.endswith(".")
    assert "nan" not in (drawing.caption + drawing.alt).lower().split()
    assert drawing.figure.get_figwidth() <= PAGE_WIDTH
    seen = texts(drawing)
    assert min(text.get_fontsize() for text in seen) >= 8
    page = drawing.figure.bbox
    ticks = {
        id(label)
        for axes in drawing.figure.axes
        for label in (*axes.get_xticklabels(), *axes.get_yticklabels())
    }
    for box, text in ((t.get_window_extent(), t.get_text()) for t in seen if id(t) not in ticks):
        assert page.x0 - 1 <= box.x0 and box.x1 <= page.x1 + 1, text
        assert page.y0 - 1 <= box.y0 and box.y1 <= page.y1 + 1, text


@pytest.fixture(scope="session")
def rows() -> pd.DataFrame:
    return in_families(study_rows())
