"""The figures and sentences of section 09, from made rows."""

import pandas as pd
import pytest

from probing_core.figures import leakage as draw
from probing_core.rows import to_frame
from tests.figures.conftest import check, in_families, texts
from tests.study_rows import MAIN_HOOK, study_rows

LEAK = {"size_matched": 0.02, "leak_free": 0.0, "leak_free_exact": 0.01, "leak_free_normalised": 0}


def leak_rows(model="minilm", n_tasks=6, protocols=tuple(LEAK)):
    """Rows whose test AUC is higher by `LEAK`, that of SAE probes by half as much."""
    plain = in_families(study_rows(n_tasks, ks=(16, 128), rankings=("mean_difference",)))
    plain = plain[plain["hook"] == MAIN_HOOK]
    parts = []
    for protocol in protocols:
        sae = plain["method"].eq("sae_logreg")
        auc = 0.9 * plain["test_auc"] + LEAK[protocol] * (1 - 0.5 * sae)
        own = plain.assign(section="leakage", protocol=protocol, test_auc=auc, model=model)
        parts += [own, own[sae].assign(section="leakage_suite")]
    return pd.concat(parts, ignore_index=True)


REPEATS = pd.DataFrame(
    {
        "dataset": sorted(leak_rows()["dataset"].unique()),
        "exact": [0.0, 0.06, 0.2, 0.8, 0.1, 0.04],
        "normalised": [0.0, 0.06, 0.2, 0.8, 0.1, 0.04],
        "near": [0.0, 0.08, 0.3, 0.9, 0.1, 0.04],
        "n_train": 1024, "n_strict": [1024] * 5 + [500], "n_test": 300, "n_unseen": 200,
        "conflicts": [0, 3, 0, 0, 0, 0], "n_shifted": [300, 0, 0, 0, 0, 0], "shifted_repeats": 0,
    }
)  # fmt: skip


def test_shares_are_drawn_in_order_and_counted():
    drawing = draw.plot_repeats(REPEATS)
    check(drawing)
    assert "20.0% of the test prompts stand letter for letter" in drawing.alt
    assert "more than 5% on 4, more than 10% on 2, more than 75% on 1), 23.7% nearly" in drawing.alt
    said = draw.sizes_sentence(REPEATS)
    assert "on 5 of 6 tasks" in said and "3 prompts with both labels" in said


def test_a_cost_is_what_repeats_add_and_who_profits_most_is_named():
    rows = pd.concat([leak_rows(), leak_rows("smollm2", 4)], ignore_index=True)
    drawing = draw.plot_costs(rows)
    check(drawing)
    assert [axes.get_title(loc="left") for axes in drawing.figure.axes] == ["minilm", "smollm2"]
    written = {text.get_text() for text in texts(drawing)}
    assert {"Logistic regression", "SAE probe, k = 16", "+0.020", "+0.010"} <= written
    assert "0.020 [" in drawing.alt and "least to SAE probe, k = " in drawing.alt


def test_what_repeats_add_to_both_sides_alike_changes_no_conclusion():
    drawing = draw.plot_conclusions(leak_rows())
    check(drawing)
    assert "0 of 1 pairs" in drawing.alt and "differs in none" in drawing.alt


def test_a_turned_conclusion_is_counted():
    rows = leak_rows(protocols=("size_matched", "leak_free"))
    up = rows["method"].eq("sae_logreg") & rows["protocol"].eq("leak_free")
    rows.loc[up, "test_auc"] = 0.99
    rows.loc[rows["method"].eq("sae_logreg"), "val_auc"] = 1.0
    said = draw.plot_conclusions(rows).alt
    assert "1 of 1 pairs" in said and "differs in 1" in said


def test_levels_are_drawn_for_the_model_that_has_them():
    few = leak_rows("smollm2", protocols=("size_matched", "leak_free"))
    drawing = draw.plot_levels(pd.concat([leak_rows(), few], ignore_index=True))
    check(drawing)
    assert [axes.get_title(loc="left") for axes in drawing.figure.axes] == ["minilm"]
    assert "exact repeats +0.010, near ones too +0.020" in drawing.alt


def test_saes_that_lose_alike_keep_their_order():
    drawing = draw.plot_sae_ranks(leak_rows())
    check(drawing)
    assert "\u03c1 = 1.00" in drawing.alt and drawing.alt.endswith("lose 0.010 on average.")


def test_the_front_page_says_how_much_leaks_what_it_is_worth_and_what_changes():
    said = draw.front_sentence(leak_rows(), REPEATS, "minilm")
    assert "20.0% of the test prompts" in said and "loses 0.020 [" in said
    assert "becomes" in said
    nothing = draw.front_sentence(to_frame([]), REPEATS, "minilm")
    assert nothing.endswith("is not measured here.")


def test_the_table_names_the_tasks_with_most_repeats():
    cells = draw.task_cells(leak_rows(), REPEATS, "minilm", most=2)
    assert cells["nearly"].tolist() == ["90%", "30%"]
    assert draw.task_cells(to_frame([]), REPEATS, "x")["AUC, leak-free"].eq("").all()


def test_a_table_has_the_cost_of_every_probe_in_every_regime_and_stars_what_is_surely_one():
    noisy = leak_rows().assign(regime="label_noise", regime_value=0.3)
    alike = noisy.assign(test_auc=0.8)
    cells = draw.cost_cells(pd.concat([leak_rows(), alike], ignore_index=True)).set_index("probe")
    assert list(cells) == ["model", "standard", "label noise"]
    assert cells.loc["Logistic regression"].tolist() == ["minilm", "+0.020*", "0.000"]
    assert cells.loc["SAE probe, k = 16", "standard"] == "+0.010*"
    assert draw.cost_cells(to_frame([])).empty


@pytest.mark.parametrize(
    "plot", [draw.plot_costs, draw.plot_conclusions, draw.plot_levels, draw.plot_sae_ranks]
)
def test_published_rows_are_said_not_to_have_a_twin(plot):
    drawing = plot(to_frame([]))
    assert drawing.alt.startswith("Not run: ")
