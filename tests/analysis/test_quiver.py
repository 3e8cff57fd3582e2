"""The quiver on small rows where the right pick is known."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probing_core.analysis.comparison import compare, over_seeds
from probing_core.analysis.quiver import TIES, arrow_shares, picked_by_task, quiver
from probing_core.analysis.selection import BASELINES
from probing_core.errors import UserError

HOOK = "blocks.3.hook_resid_post"


def probe(
    method: str, val: float, test: float, *, dataset: str = "1_a", width: int | None = None,
    k: int | None = None, **more: object,
) -> dict[str, object]:  # fmt: skip
    row = {
        "dataset": dataset, "regime": "standard", "regime_value": np.nan, "seed": 42,
        "hook": HOOK, "method": method, "val_auc": val, "test_auc": test,
        "sae_id": f"sae-{width}" if width else None, "sae_width": width, "sae_l0": 30.0,
        "ranking": "mean_difference" if width else None, "k": k,
        "penalty": "l1" if width else None, "binarize": False if width else None,
    }  # fmt: skip
    return row | more


def frame(*rows: dict[str, object]) -> pd.DataFrame:
    types = {"k": "Int64", "sae_width": "Int64", "binarize": "boolean"}
    return pd.DataFrame(list(rows)).astype(types)


NEVER = {"width": 512, "k": 16, "sae_l0": 0.1}
"""An SAE probe of so low a validation AUC that no setting picks it."""


def one(rows: pd.DataFrame, ties: str = "neutral", **more: object) -> pd.Series:
    picks = quiver(rows, hook=HOOK, ties=ties, **more)
    assert len(picks) == 1
    return picks.iloc[0]


TIED = frame(
    probe("logreg", 0.9, 0.80),
    probe("pca", 0.9, 0.70),
    probe("sae_logreg", 0.9, 0.60, width=1024, k=16),
    probe("sae_logreg", 0.9, 0.50, width=1024, k=128),
    probe("sae_logreg", 0.9, 0.40, width=4096, k=128),
)


def test_pick_is_by_validation_and_reported_on_test():
    rows = frame(
        probe("logreg", 0.8, 0.95), probe("sae_logreg", 0.9, 0.60, width=1024, k=16)
    )  # fmt: skip
    pick = one(rows)
    assert (pick["without_auc"], pick["with_auc"]) == (0.95, 0.60)
    assert pick["difference"] == pytest.approx(-0.35)
    assert (pick["picked_sae"], pick["picks"]) == (1.0, "sae-1024, k=16")


@pytest.mark.parametrize(
    ("ties", "without", "with_sae", "share"),
    [
        ("neutral", 0.75, 0.60, 0.6),
        ("baseline", 0.80, 0.80, 0.0),
        ("sae_narrow_large_k", 0.80, 0.50, 1.0),
    ],
)
def test_tie_rule(ties, without, with_sae, share):
    pick = one(TIED, ties)
    assert pick["without_auc"] == pytest.approx(without)
    assert pick["with_auc"] == pytest.approx(with_sae)
    assert pick["picked_sae"] == pytest.approx(share)


def test_order_of_rows_does_not_matter():
    for ties in ("neutral", "sae_narrow_large_k"):
        shuffled = quiver(TIED.sample(frac=1, random_state=3), hook=HOOK, ties=ties)
        pd.testing.assert_frame_equal(shuffled, quiver(TIED, hook=HOOK, ties=ties))


def test_last_bit_of_a_validation_auc_does_not_break_a_tie():
    rows = frame(
        probe("logreg", 1.0, 0.8),
        probe("knn", 1.0000000000000002, 0.6),
        probe("sae_logreg", 0.0, 0.0, **NEVER),
    )
    assert one(rows)["without_auc"] == pytest.approx(0.7)
    assert one(rows, "baseline")["without_auc"] == 0.8
    assert one(rows, "baseline", decimals=None)["without_auc"] == 0.6


def test_only_the_wanted_arrows_compete():
    rows = frame(
        probe("logreg", 0.7, 0.7),
        probe("sae_logreg", 0.0, 0.0, **NEVER),
        probe("sae_logreg", 0.99, 0.1, width=1024, k=512),
        probe("sae_logreg", 0.99, 0.2, width=1024, k=16, ranking="normalized_mean_difference"),
        probe("sae_logreg", 0.99, 0.3, width=1024, k=16, binarize=True),
        probe("sae_logreg", 0.99, 0.4, width=1024, k=16, penalty="l2"),
        probe("sae_logreg", 0.99, 0.5, width=2048, k=16, hook="blocks.1.hook_resid_post"),
    )
    assert one(rows)["with_auc"] == 0.7
    assert one(rows, ks=[512])["with_auc"] == 0.1


def test_default_saes_are_the_largest_l0_of_each_width():
    low = probe("sae_logreg", 0.99, 0.1, width=1024, k=16, sae_id="low", sae_l0=8.0)
    high = probe("sae_logreg", 0.98, 0.2, width=1024, k=16, sae_id="high", sae_l0=64.0)
    rows = frame(probe("logreg", 0.7, 0.7), low, high)
    assert one(rows)["picks"] == "high, k=16"
    assert one(rows, sae_ids=["low"])["picks"] == "low, k=16"
    assert quiver(rows, hook=HOOK, sae_ids=[]).empty


def test_settings_are_compared_apart_and_missing_values_keep_their_setting():
    rows = pd.concat(
        [
            frame(
                probe("logreg", 0.8, test, dataset=tag, regime_value=value),
                probe("sae_logreg", 0.0, 0.0, dataset=tag, regime_value=value, **NEVER),
            )
            for tag, value, test in (("1_a", 2.0, 0.1), ("1_a", 3.0, 0.2), ("2_b", np.nan, 0.3))
        ]
    )
    picks = quiver(rows, hook=HOOK)
    assert picks["without_auc"].tolist() == [0.1, 0.2, 0.3]


def test_fits_without_an_auc_are_left_out():
    sae = probe("sae_logreg", 0.0, 0.0, **NEVER)
    rows = frame(probe("logreg", np.nan, 0.9), probe("pca", 0.6, 0.5), sae)
    assert one(rows)["picks"] == "pca"


def test_a_task_that_lacks_one_side_is_left_out():
    sae = {"width": 1024, "k": 16}
    rows = frame(
        probe("logreg", 0.8, 0.9),
        probe("sae_logreg", 0.8, 0.9, **sae),
        probe("sae_logreg", 0.8, 0.9, dataset="2_b", **sae),
        probe("logreg", 0.8, 0.9, dataset="3_c"),
    )
    assert quiver(rows, hook=HOOK)["dataset"].tolist() == ["1_a"]


@pytest.mark.parametrize(
    "wrong", [{"ks": [77]}, {"ranking": "normalized_mean_difference"}, {"sae_ids": ["absent"]}]
)
def test_without_an_sae_probe_nothing_is_compared_and_no_difference_is_zero(wrong):
    assert len(quiver(TIED, hook=HOOK)) == 1
    assert over_seeds(quiver(TIED, hook=HOOK, **wrong))["difference"].tolist() == []
    assert compare(TIED, "standard", hook=HOOK, **wrong).empty


def test_picks_of_the_baselines_alone_are_the_quivers_without_sae_probes():
    rows = pd.concat([TIED, TIED.assign(dataset="2_b", val_auc=[0.8, 0.9, 0.7, 0.7, 0.7])])
    for ties in TIES:
        expected = quiver(rows, hook=HOOK, ties=ties).set_index("dataset")
        for side, column in (("baselines", "without_auc"), ("both", "with_auc")):
            picked = picked_by_task(rows, hook=HOOK, side=side, ties=ties)
            pd.testing.assert_series_equal(picked, expected[column], check_names=False)
    assert picked_by_task(TIED, hook=HOOK, side="saes")["1_a"] == pytest.approx(0.5)
    with pytest.raises(UserError, match="baselines"):
        picked_by_task(TIED, hook=HOOK, side="baseline")


def test_shares_of_picked_arrows_sum_to_one_and_split_ties():
    frame = pd.DataFrame({"picks": ["a, k=16 | b, k=128", "logreg | a, k=16", "logreg", "a, k=16"]})
    table = arrow_shares(frame).set_index(["sae_id", "k"])["share"]
    assert table["a", 16] == pytest.approx((0.5 + 0.5 + 1) / 2.5)
    assert table.sum() == pytest.approx(1)
    assert arrow_shares(frame.iloc[2:3]).empty


def test_unknown_tie_rule_and_doubled_arrow_are_refused():
    with pytest.raises(UserError, match="neutral"):
        quiver(TIED, hook=HOOK, ties="random")
    with pytest.raises(ValueError, match="'logreg' occurs twice for '1_a'"):
        quiver(pd.concat([TIED, TIED]), hook=HOOK)


aucs = st.sampled_from([0.5, 0.7, 0.9, 1.0])
arrow_lists = st.lists(
    st.tuples(aucs, st.floats(0.4, 1.0)), min_size=len(BASELINES), max_size=len(BASELINES) + 4
)


def build(values: list[tuple[float, float]]) -> pd.DataFrame:
    rows = [
        probe(method, *pair)
        for method, pair in zip(BASELINES, values[: len(BASELINES)], strict=True)
    ]
    for place, pair in enumerate(values[len(BASELINES) :]):
        rows.append(probe("sae_logreg", *pair, width=1024 * (place + 1), k=16))
    return frame(*rows)


@settings(max_examples=40, deadline=None)
@given(arrow_lists, st.sampled_from(TIES))
def test_arrow_that_never_wins_changes_nothing(values, ties):
    rows = pd.concat([build(values), frame(probe("sae_logreg", 0.1, 0.9, **NEVER))])
    loser = frame(probe("sae_logreg", 0.1, 1.0, width=2**20, k=128))
    before = quiver(rows, hook=HOOK, ties=ties)
    pd.testing.assert_frame_equal(quiver(pd.concat([rows, loser]), hook=HOOK, ties=ties), before)


@settings(max_examples=40, deadline=None)
@given(arrow_lists)
def test_neutral_lies_between_the_best_and_the_worst_way_to_break_ties(values):
    rows = pd.concat([build(values), frame(probe("sae_logreg", 0.1, 0.9, **NEVER))])
    best = rows[rows["val_auc"] == rows["val_auc"].max()]["test_auc"]
    pick = one(rows)
    assert best.min() - 1e-12 <= pick["with_auc"] <= best.max() + 1e-12
    assert 0 <= pick["picked_sae"] <= 1
    for ties in ("baseline", "sae_narrow_large_k"):
        assert one(rows, ties)["with_auc"] in best.to_numpy()
