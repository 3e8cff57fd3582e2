"""Choosing rows, ordering hooks and naming widths; and what is said about fits."""

import pandas as pd
import pytest

from probing_core.analysis.quality import fit_quality
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
from tests.study_rows import study_rows


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


def test_quality_counts_skipped_and_stopped_fits():
    rows = study_rows(2)
    rows.loc[:2, "test_auc"] = float("nan")
    rows.loc[:1, "warning"] = "one class only"
    rows.loc[rows["method"] == "knn", "converged"] = False
    quality = fit_quality(rows)
    assert (quality.n_skipped, quality.worst_method) == (3, "knn")
    assert quality.reasons == (("one class only", 2), ("no reason given", 1))
    assert "one class only (2)" in quality.skipped_sentence()
    assert quality.converged_sentence().endswith("knn (100.0%).")


def test_quality_of_flawless_fits_is_said_plainly():
    quality = fit_quality(study_rows(1))
    assert quality.skipped_sentence() == "No fit was skipped."
    assert quality.converged_sentence() == "Every fit converged."


def test_quality_of_no_fits_is_no_error():
    assert fit_quality(study_rows(1).head(0)).n_fits == 0
