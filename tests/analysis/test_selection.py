"""Choosing rows, ordering hooks, naming widths, means and comparisons, words about fits."""

import pandas as pd
import pytest

from probing_core.analysis.comparison import compare, head_to_head, over_seeds, rare_test_prompts
from probing_core.analysis.means import best_method_counts, layer_means
from probing_core.analysis.quality import converged_sentence, skipped_sentence
from probing_core.analysis.selection import (
    hook_label,
    largest_l0_saes,
    ordered_hooks,
    per_task,
    sae_rows,
    shared_tasks,
    task_number,
    width_label,
)
from tests.study_rows import MAIN_HOOK, study_rows


@pytest.mark.parametrize(
    ("width", "label"),
    [(512, "512"), (2048, "2k"), (16384, "16k"), (65536, "65k"), (131072, "131k"), (2**20, "1m")],
)
def test_width_is_named_as_the_paper_names_it(width, label):
    assert width_label(width) == label


def test_hooks_sort_by_depth_and_have_short_names():
    rows = study_rows(1)
    names = {"blocks.10.hook_resid_post": "10", "hook_embed": "embed", "ln_final": "ln_final"}
    assert {hook: hook_label(hook) for hook in names} == names
    rows = rows[rows["method"] == "logreg"].head(3).assign(hook=list(names))
    assert ordered_hooks(rows) == ["hook_embed", "blocks.10.hook_resid_post", "ln_final"]


def test_one_sae_a_width_is_chosen_by_its_l0():
    assert largest_l0_saes(study_rows(2)) == ["topk-w1024-k64", "topk-w4096-k64"]
    assert largest_l0_saes(study_rows(2, saes=())) == []


def test_sae_rows_keep_what_is_asked_and_nothing_binarised():
    rows = study_rows(2)
    rows.loc[rows["k"] == 16, "binarize"] = True
    chosen = sae_rows(rows, ks=[4, 16], sae_ids=["topk-w1024-k64"])
    assert set(chosen["k"]) == {4}
    assert set(chosen["ranking"]) == {"mean_difference"}
    assert len(sae_rows(rows, ranking=None, ks=[4])) == 2 * 4 * 2


def test_every_task_weighs_the_same():
    rows = study_rows(2)
    doubled = rows[rows["dataset"] == rows["dataset"].iloc[0]]
    once = per_task(rows, ["method"])
    again = per_task(pd.concat([rows, doubled]), ["method"])
    pd.testing.assert_frame_equal(once, again)


def test_tasks_that_lack_a_group_are_left_out_of_comparisons():
    rows = study_rows(3)
    first = rows["dataset"] == rows["dataset"].iloc[0]
    thin = rows[~(first & (rows["k"] == 16))]
    kept = shared_tasks(sae_rows(thin), ["sae_id", "k"])
    assert kept["dataset"].nunique() == 2
    rows.loc[first & (rows["k"] == 16), "test_auc"] = float("nan")
    assert shared_tasks(sae_rows(rows), ["sae_id", "k"])["dataset"].nunique() == 2
    apart = rows[first == (rows["method"] == "logreg")]
    assert shared_tasks(apart, ["method"])["dataset"].nunique() == 3


def test_tags_without_a_number_sort_last():
    assert sorted(["mine", "10_b", "9_a"], key=task_number) == ["9_a", "10_b", "mine"]


def test_skipped_and_stopped_fits_are_counted_with_their_reasons():
    rows = study_rows(2)
    rows.loc[:2, "test_auc"] = float("nan")
    rows.loc[:1, "warning"] = "one class only"
    rows.loc[5:6, "val_auc"] = float("nan")
    rows.loc[rows["method"] == "knn", "converged"] = False
    said = skipped_sentence(rows)
    assert f"3 of {len(rows)} fits were skipped: one class only (2); no reason given (1)." in said
    assert "2 fits could not be validated" in said
    assert converged_sentence(rows).endswith("most often nearest neighbours (100.0%).")


def test_flawless_fits_and_no_fits_are_said_plainly():
    for rows in (study_rows(1), study_rows(1).head(0)):
        assert skipped_sentence(rows) == "No fit was skipped."
        assert converged_sentence(rows) == "Every fit converged."
    unknown = study_rows(1).assign(converged=None)
    assert "do not say" in converged_sentence(unknown)


def test_shares_of_tied_methods_sum_to_the_tasks():
    rows = study_rows(saes=())
    rows["test_auc"] = rows["test_auc"].round(1)
    counts = best_method_counts(rows)
    assert counts.sum(axis=1).tolist() == pytest.approx([6.0] * 3)
    assert (counts % 1 != 0).any().any()
    assert (best_method_counts(rows, ties="first") % 1 == 0).all().all()


def test_layer_means_are_means_over_tasks_and_then_over_baselines():
    rows = study_rows(3, saes=())
    means = layer_means(rows.sample(frac=1, random_state=2))
    assert [hook_label(hook) for hook in means.index] == ["embed", "1", "3"]
    last = rows[rows["hook"] == means.index[-1]]
    plain = last.groupby("method")["test_auc"].mean()
    assert means["logreg"].iloc[-1] == pytest.approx(plain["logreg"])
    assert means["combined"].iloc[-1] == pytest.approx(plain.mean())


def test_head_to_head_averages_seeds_before_it_compares():
    rows = study_rows()
    both = pd.concat([rows, rows.assign(seed=43, test_auc=rows["test_auc"] - 0.1)])
    one, two = (over_seeds(head_to_head(r, hook=MAIN_HOOK)) for r in (rows, both))
    assert two["sae"].to_numpy() == pytest.approx(one["sae"].to_numpy() - 0.05)
    assert two["difference"].to_numpy() == pytest.approx(one["difference"].to_numpy())


def test_skipped_fits_leave_their_task_out_of_the_comparison():
    rows = study_rows(3)
    first = rows["dataset"] == rows["dataset"].iloc[0]
    rows.loc[first & (rows["method"] == "sae_logreg"), ["test_auc", "val_auc"]] = float("nan")
    for frame in (head_to_head(rows, hook=MAIN_HOOK), compare(rows, "standard", hook=MAIN_HOOK)):
        assert len(frame) == 2
        assert frame["difference"].notna().all()


def test_head_to_head_is_matched_by_task_not_by_position():
    rows = study_rows(4).assign(regime="label_noise", regime_value=0.2)
    mixed = rows.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(
        *(compare(r, "label_noise", hook=MAIN_HOOK).sort_values("dataset") for r in (rows, mixed))
    )


def test_only_an_imbalanced_test_set_has_a_rarer_class():
    rows = study_rows(1).head(3).assign(n_test=100, regime_value=[0.05, 0.5, 0.95])
    assert rare_test_prompts(rows.assign(regime="scarcity")).tolist() == [50, 50, 50]
    assert rare_test_prompts(rows.assign(regime="imbalance")).tolist() == [5, 50, 5]
    unknown = rows.assign(regime="imbalance", n_test=float("nan"))
    assert rare_test_prompts(unknown).isna().all()
