"""Who wins when every token may be read: laid out by probe, picked by validation, counted."""

import numpy as np
import pandas as pd
import pytest

from probing_core.analysis.tokens import (
    BASELINES,
    COMPARISONS,
    FAIR,
    ILLUSION,
    SAES,
    by_probe,
    compare,
    first_best,
)

TASKS = ["66_living-room", "87_glue_cola", "36_sciq_tf", "113_movie_sent"]


def made(**aucs):
    """A row a task and probe; a probe's test AUC is given, its validation AUC the same."""
    rows = []
    for name in (*BASELINES, *SAES):
        method, _, how = name.partition(" ")
        for place, tag in enumerate(TASKS):
            auc = aucs.get(name.replace(" ", "_"), 0.7) + 0.01 * place
            rows.append((tag, "tiny", method, how or None, auc, auc))
    columns = ["dataset", "model", "method", "position", "test_auc", "val_auc"]
    frame = pd.DataFrame(rows, columns=columns)
    sparse = frame["method"] == "sae_logreg"
    return frame.assign(
        binarize=np.where(sparse, False, None), sae_l0=np.where(sparse, 32.0, np.nan),
        sae_id=np.where(sparse, "sae", None), k=np.where(sparse, 128, None),
    )  # fmt: skip


def test_an_illusion_goes_when_both_sides_may_pool():
    rows = made(sae_logreg_max=0.8, logreg_mean=0.8)
    found = {one.name: one for one in compare(rows)}
    assert list(found) == list(COMPARISONS)
    assert list(found[ILLUSION].wins) == [0, 1] and list(found[FAIR].wins) == [0, 0]
    assert found[ILLUSION].difference.mean == pytest.approx(0.1)
    assert found[FAIR].difference.mean == pytest.approx(0)


def test_a_win_exceeds_the_margin():
    rows = made(sae_logreg_last=0.704)
    for margin, share in ((0.005, 0), (0.003, 1)):
        (last, *_) = compare(rows, margin=margin)
        assert list(last.wins) == [0, share] and last.low[1] <= share <= last.high[1]


def test_the_first_of_equal_validation_aucs_is_picked():
    val = pd.DataFrame({"a": [0.9, 0.8], "b": [0.9, 0.9]}, index=TASKS[:2])
    test = pd.DataFrame({"a": [0.1, 0.2], "b": [0.3, 0.4]}, index=TASKS[:2])
    assert first_best(test, val, ["a", "b"]).tolist() == [0.1, 0.4]
    assert first_best(test, val, []).empty


def test_of_several_saes_the_one_with_the_largest_l0_is_laid_out_or_the_one_named():
    rows = made()
    sparse = rows[rows["method"] == "sae_logreg"]
    other = sparse.assign(sae_id="other", sae_l0=64.0, test_auc=0.6)
    both = pd.concat([rows, other])
    assert set(by_probe(both)["sae_logreg max"]) == {0.6}
    assert by_probe(both, sae_id="sae")["sae_logreg max"].min() == 0.7


def test_binarised_probes_are_compared_with_the_same_baselines():
    rows = made(sae_logreg_max=0.8)
    sparse = rows[rows["method"] == "sae_logreg"]
    both = pd.concat([rows, sparse.assign(binarize=True, test_auc=0.6)])
    plain, on = (
        {one.name: one.difference.mean for one in compare(both, binarised=how)}
        for how in (False, True)
    )
    assert plain[ILLUSION] == pytest.approx(0.1)
    assert on[ILLUSION] == pytest.approx(0.6 - 0.715)
