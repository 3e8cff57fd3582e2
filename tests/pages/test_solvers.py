import json
from pathlib import Path

import pytest

from probing_core.figures.solvers import plot_agreement, plot_speed
from probing_core.pages import write_solver_tables

BENCH = Path(__file__).resolve().parents[2] / "bench"
AGREEMENT = json.loads((BENCH / "agreement.json").read_text())
LATEST = json.loads((BENCH / "latest.json").read_text())


@pytest.fixture
def pages(tmp_path):
    return [path.read_text() for path in write_solver_tables(tmp_path, AGREEMENT, LATEST)]


def test_every_cell_of_the_agreement_has_a_row(pages):
    lines = [line for line in pages[0].splitlines() if line.startswith("| ")]
    assert len(lines) == len(AGREEMENT["fast"]) + 2


def test_the_verdict_names_every_mean_beyond_the_aim(pages):
    beyond = [entry for entry in AGREEMENT["fast"] if abs(entry["mean"]) > 0.002]
    for entry in beyond:
        assert f"({entry['mean']:+.4f}, 95% interval" in pages[0]
    assert ("stays within 0.002 for every method" in pages[0]) == (not beyond)


def test_every_measured_row_is_shown(pages):
    shown = [row for row in LATEST if row["group"] in ("probes", "whole work", "growth")]
    groups = len({row["group"] for row in shown})
    lines = [line for line in pages[1].splitlines() if line.startswith("| ")]
    assert len(lines) == len(shown) + 2 * groups


def test_without_measurements_the_page_says_so(tmp_path):
    for path in write_solver_tables(tmp_path, {}, []):
        assert "not been measured" in path.read_text()


def test_figures_are_written_beside_the_page(tmp_path, pages):
    for name in ("solvers-agreement", "solvers-speed"):
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000
        assert f"sections/{name}.png" in "".join(pages)


def test_every_task_is_a_dot_and_every_panel_a_regime():
    figure = plot_agreement(AGREEMENT["fast"], []).figure
    dots = sum(len(part.get_offsets()) for axes in figure.axes for part in axes.collections)
    assert dots == sum(len(entry["gaps"]) for entry in AGREEMENT["fast"])
    regimes = {(entry["regime"], entry["regime_value"]) for entry in AGREEMENT["fast"]}
    assert len(figure.axes) == len(regimes)


def test_the_speed_figure_states_its_slowest_and_fastest():
    rows = [row for row in LATEST if row["group"] == "probes" and row["workers"] == 1]
    drawing = plot_speed(rows)
    assert f"{min(row['ratio'] for row in rows):.1f}" in drawing.alt
    dots = sum(len(part.get_offsets()) for part in drawing.figure.axes[0].collections)
    assert dots == len(rows)
