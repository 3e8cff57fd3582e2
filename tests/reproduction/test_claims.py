"""Each claim is put to the tables and to a run, which is silent on what its model cannot show."""

import numpy as np
import pandas as pd
import pytest

from probing_core.analysis.comparison import NOT_COMPARED
from probing_core.experiments.second import ModelRun
from reproduction.claims import CHECKS, CLAIMS, NOT_AT_HAND, NOT_BUILT, check_claims
from reproduction.findings import (
    AGREES,
    CANNOT_SPEAK,
    DIFFERS,
    FINDINGS,
    OPEN,
    Run,
    noise,
    quiver,
    shift,
)  # fmt: skip
from reproduction.recipes.tables import QUIVER_SAES
from reproduction.upstream.layout import GEMMA, HEAD, LLAMA, V1
from tests.study_rows import MAIN_HOOK, study_rows

PAPER = {"hook": "blocks.20.hook_resid_post", "sae_ids": QUIVER_SAES[GEMMA], "ks": [16, 128]}
PAPER |= {"ranking": V1, "ties": "neutral"}
SMALL = {"hook": MAIN_HOOK, "sae_ids": ["topk-w1024-k64"], "ks": [128], "ranking": V1}


@pytest.fixture(scope="module")
def rows(found):
    own = found.rows[found.rows["model"].eq(GEMMA)]
    return own[own["section"].isin(["standard", "regimes", "shift"])]


def minilm(gain=0.0):
    """Rows of a run with MiniLM, under standard conditions and under label noise."""
    plain = study_rows(8)
    plain["val_auc"] = plain["test_auc"] + np.where(plain["method"].eq("sae_logreg"), gain, 0)
    plain["test_auc"] = plain["val_auc"]
    noise = plain.assign(section="regimes", regime="label_noise", regime_value=0.25)
    return pd.concat([plain.assign(section="standard"), noise], ignore_index=True)


def test_every_claim_is_listed_once_with_its_place_and_a_check():
    assert len(CLAIMS) == len({claim["check"] for claim in CLAIMS}) == 18
    assert {claim["check"] for claim in CLAIMS} == set(CHECKS) > set(FINDINGS)
    assert all(claim["words"] and claim["where"] and claim["stated"] for claim in CLAIMS)


def llama(found, gain=0.0):
    """The published rows of Llama as a second model's, SAE probes made better by `gain`."""
    own = found.rows[found.rows["model"].eq(LLAMA)].copy()
    own.loc[own["method"].eq("sae_logreg"), ["val_auc", "test_auc"]] += gain
    hook = "blocks.16.hook_resid_post"
    return ModelRun(LLAMA, own, own.iloc[:0], hook, hook, QUIVER_SAES[LLAMA])


def test_claim_of_llama_is_judged_by_the_second_model(facts, rows, found):
    for gain, verdict in ((0.0, AGREES), (0.3, DIFFERS)):
        checked = check_claims(facts, rows, **PAPER, second=llama(found, gain))
        (number,) = (n for n, claim in enumerate(CLAIMS) if claim["check"] == "llama")
        assert checked.verdicts["this run"][number] == verdict
        assert checked.numbers["this run"][number].startswith(f"{LLAMA}: ")


def test_on_the_papers_own_rows_both_verdicts_agree(facts, rows):
    checked = check_claims(facts, rows, **PAPER)
    assert (checked.verdicts["this run"].head(7) == AGREES).all(), checked.numbers.head(7)
    tables = checked.verdicts["published tables"].value_counts().to_dict()
    assert tables == {"bear it out": 12, "give its number": 4, "cannot tell": 2}
    assert (checked.numbers["this run"] == NOT_BUILT).sum() == 5
    recomputed, own = checked.numbers["recomputed"], checked.numbers["this run"]
    assert recomputed[0] == own[0] and recomputed[4] == own[4]
    assert own[6].startswith(f"{recomputed[6]}; \u22120.103 [")
    assert "bear out 12" in checked.tables and "agrees with 7" in checked.run
    later = check_claims(facts, rows, **PAPER | {"ranking": HEAD})
    assert (later.verdicts["this run"] == AGREES).sum() >= 4
    empty = check_claims(facts, rows.iloc[:0], **PAPER)
    assert (empty.numbers["this run"] == "not in this run").sum() == 8
    assert (empty.verdicts["this run"].head(7) == NOT_COMPARED).all()


def test_minilm_cannot_speak_to_layers_nor_to_width_and_the_reasons_are_said(facts):
    checked = check_claims(facts, minilm(), **SMALL)
    silent = checked.verdicts["this run"].eq(CANNOT_SPEAK)
    assert [claim["check"] for claim, one in zip(CLAIMS, silent, strict=True) if one] == [
        "layers", "latents",
    ]  # fmt: skip
    assert checked.silent == (
        "To claim 3 it cannot speak: the deepest block probed is 3; the paper's model has 42"
        " layers. To claim 4 it cannot speak: its widest SAE has 4,096 latents, the paper's"
        " narrowest 16,384. To claim 5 it cannot speak: nothing is compared. To claim 7 it"
        " cannot speak: nothing is compared. To claim 17 it cannot speak: nothing is compared."
    )
    assert "speaks to 3 of them" in checked.run
    assert checked.numbers["this run"][2].startswith("layer 3, ")


def test_a_run_in_which_sae_probes_gain_differs():
    ahead, behind = (Run(shifted(minilm(gain)), **SMALL) for gain in (0.1, -0.1))
    for finding in (quiver, noise, shift):
        assert finding(ahead).verdict == DIFFERS
        assert finding(behind).verdict == AGREES


def shifted(rows):
    """The rows of standard conditions once more, as those of shifted test sets."""
    plain = rows[rows["regime"].eq("standard")]
    return pd.concat(
        [rows, plain.assign(section="shift", regime="covariate_shift")], ignore_index=True
    )


def test_shifted_test_sets_that_point_both_ways_settle_nothing():
    rows = shifted(minilm())
    under, sae = rows["regime"].eq("covariate_shift"), rows["method"].eq("sae_logreg")
    other = rows["dataset"].isin(sorted(rows["dataset"].unique())[::2])
    rows.loc[under, "test_auc"] = 0.7 + 0.1 * (sae & other) - 0.1 * (sae & ~other)
    found = shift(Run(rows, **SMALL))
    assert found.verdict == OPEN
    assert found.text.startswith("0.700 against 0.700, ahead on 4 of 8; ")


def test_a_fact_that_the_tables_cannot_give_is_said_to_be_absent(facts, rows):
    less = check_claims(facts | {"shift": None}, rows.iloc[:0], **PAPER)
    assert less.numbers["recomputed"][6] == NOT_AT_HAND
    assert less.verdicts["published tables"][6] == "cannot tell"


def test_numbers_that_say_otherwise_do_not_bear_a_claim_out(facts, rows):
    shift = {"average": {"baseline": {"mean": 0.7}, "sae": {"mean": 0.8, "n": 8}}}
    other = facts | {"shift": shift | {"n_sae_better": 7}}
    said = check_claims(other, rows.iloc[:0], **PAPER)
    assert said.numbers["recomputed"][6] == "0.700 against 0.800, ahead on 1 of 8"
    assert said.verdicts["published tables"][6] == "do not bear it out"
    assert "contradict 1" in said.tables
