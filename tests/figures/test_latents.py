"""Figures and tables of single latents: this run's and the published ones."""

import numpy as np
import pandas as pd
import pytest

from probing_core.experiments.published import single_latents
from probing_core.figures.latents import latent_table, plot_languages, plot_single_latents
from probing_core.figures.style import SAE
from probing_core.published.source import published_rows
from tests.figures.conftest import check, texts

MODEL = "google/gemma-2-9b"


def alone(n=40):
    rng = np.random.default_rng(0)
    aucs = {"test_auc": rng.uniform(0.5, 0.8, n), "shifted_auc": rng.uniform(0.4, 0.7, n)}
    frame = pd.DataFrame({"dataset": "66_living-room", "latent": np.arange(100, 100 + n)} | aucs)
    frame.loc[3, ["test_auc", "shifted_auc"]] = [0.97, 0.55]
    return frame


def languages(**values):
    frame = pd.DataFrame({"language": ["English", "French", "$x$ <b>"], "text": ["a", "b", "c"]})
    return frame.assign(**{"value": [1.5, 0.0, 0.4], "highest": [2.0, 0.7, 0.4]} | values)


def test_single_latents_name_the_first_and_count_the_losers():
    drawing = plot_single_latents(alone())
    check(drawing)
    first = alone().iloc[0]
    said = f"{first.latent}, has AUC {first.test_auc:.2f} on test prompts and"
    assert f"{said} {first.shifted_auc:.2f} on shifted ones" in drawing.alt
    below = (alone()["shifted_auc"] < alone()["test_auc"]).sum()
    assert f"{below} of 40 latents" in drawing.alt
    assert f"{first.latent}" in {text.get_text() for text in texts(drawing)}


def test_published_latents_draw_the_same_figure():
    drawing = plot_single_latents(single_latents(published_rows(None, "latents", MODEL)))
    check(drawing)
    assert "122774, has AUC 1.00 on test prompts and 0.64 on shifted ones" in drawing.alt


def test_latents_without_shifted_prompts_are_not_drawn():
    drawing = plot_single_latents(single_latents(published_rows(None, "single_latents", MODEL)))
    assert drawing.alt.startswith("Not run: single latents")


def test_languages_are_sorted_and_english_stands_out():
    drawing = plot_languages(languages())
    check(drawing)
    axes = drawing.figure.axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["English", "$x$ <b>", "French"]
    assert [bar.get_width() for bar in axes.patches] == [1.5, 0.4, 0.0]
    blue = axes.patches[0].get_facecolor()
    assert plot_blue() == blue != axes.patches[1].get_facecolor()
    assert "fires in 2 of 3 languages, most in English (1.50)" in drawing.alt


def plot_blue():
    from matplotlib.colors import to_rgba

    return to_rgba(SAE)


def test_a_latent_that_is_silent_everywhere_says_so():
    drawing = plot_languages(languages(value=0.0, highest=0.0))
    check(drawing)
    assert drawing.alt == "It is silent in every language."


@pytest.mark.parametrize(
    ("section", "heads"),
    [
        ("latents", {"rank by o1", "rank by a human", "shifted AUC"}),
        ("single_latents", {"task", "latent", "test AUC", "described as"}),
    ],
)
def test_published_tables_are_laid_out(section, heads):
    rows = single_latents(published_rows(None, section, MODEL))
    table = latent_table(rows)
    assert heads <= set(table) and len(table) == len(rows)
    assert ("shifted AUC" in table) == (section == "latents")
    assert "22915" in set(table["latent"]) or section == "latents"


def test_table_of_this_run_leaves_out_what_is_unknown_and_says_the_flag():
    frame = pd.DataFrame(
        {
            "dataset": ["a", "b"], "sae_id": "s", "latent": [1, 2], "test_auc": [0.9, 0.6],
            "shifted_auc": np.nan, "surface": ["length", ""], "surface_auc": [0.95, np.nan],
            "fires_here": [0.5, 1.0], "fires_elsewhere": [0.1, 0.2], "flag": ["spurious", "no"],
        }
    )  # fmt: skip
    table = latent_table(frame)
    assert "shifted AUC" not in table
    first, second = table.to_dict("records")
    assert first["is"] == "spurious" and first["fires here"] == "50%"
    assert pd.isna(second["surface feature"]) and pd.isna(second["its AUC"])
