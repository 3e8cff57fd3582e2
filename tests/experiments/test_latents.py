"""Single latents of a small SAE: alone, in context, injected, in languages, judged by a rule."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from probing_core.datasets import standard_split
from probing_core.errors import UserError
from probing_core.experiments import latents as L
from probing_core.experiments.activations import study_model
from probing_core.experiments.published import single_latents
from probing_core.experiments.saes import study_sae, study_saes
from probing_core.experiments.study import open_study
from probing_core.pages.cards import task_cards
from probing_core.published.source import published_rows
from tests.conftest import TAGS

TAG = "66_living-room"


@pytest.fixture(scope="module")
def source(small_study):
    return study_saes(small_study)[0]


@pytest.fixture(scope="module")
def best(small_study, source):
    return L.best_latents(small_study, TAG, source, among=32)


@pytest.fixture(scope="module")
def table(small_study, source):
    return L.latents_of_tasks(small_study, source, among=32)


@pytest.fixture(scope="module")
def contexts(small_study, source, best):
    return L.top_contexts(small_study, TAG, source, best["latent"][:3], n=4)


def test_auc_of_a_latent_is_that_of_scikit_learn(small_study, source, best):
    dataset, latents = small_study.datasets[TAG], L.task_latents(small_study, TAG, source)
    split = standard_split(dataset, protocol="paper", seed=42)
    shifted = small_study.dataset(f"{TAG}_shifted")
    moved = L.task_latents(small_study, f"{TAG}_shifted", source)
    assert list(best["rank"]) == list(range(1, 33))
    for row in best.itertuples():
        values, there = (one[:, [row.latent]].toarray()[:, 0] for one in (latents, moved))
        above = roc_auc_score(dataset.labels[split.train], values[split.train])
        assert row.sign == (1 if above >= 0.5 else -1)
        assert row.train_auc == pytest.approx(max(above, 1 - above))
        signed = roc_auc_score(dataset.labels[split.test], row.sign * values[split.test])
        assert row.test_auc == pytest.approx(signed)
        out = roc_auc_score(shifted.labels, row.sign * there)
        assert row.shifted_auc == pytest.approx(out)


def test_task_without_a_shifted_test_set_has_no_shifted_auc(small_study, source):
    alone = L.best_latents(small_study, "113_movie_sent", source, among=4)
    assert alone["shifted_auc"].isna().all() and alone["test_auc"].notna().all()


def test_contexts_end_in_the_stored_latent_and_come_largest_first(small_study, source, contexts):
    dataset, latents = small_study.datasets[TAG], L.task_latents(small_study, TAG, source)
    for latent, found in contexts.items():
        stored = latents[:, [latent]].toarray()[:, 0]
        ends = [one.values[-1] for one in found]
        prompts = {p: v for p, v in zip(dataset.prompts, stored, strict=True)}
        assert ends == pytest.approx(sorted(prompts.values(), reverse=True)[: len(found)], abs=1e-4)
        assert all(one.values.dtype == np.float32 for one in found)
        assert all(len(one.tokens) == len(one.values) for one in found)


def test_contexts_are_distinct_and_read_as_text(contexts):
    for found in contexts.values():
        texts = ["".join(one.tokens) for one in found]
        assert len(set(texts)) == len(texts)
        assert all(text.endswith("[SEP]") and "##" not in text for text in texts)


@pytest.mark.parametrize("text", ["Unbelievably, naïve 🙂🙃 text", "客厅 and <b>"])
def test_pieces_of_a_prompt_join_to_what_the_model_reads(small_study, text):
    model = study_model(small_study)
    (ids,), _ = model.tokenize([text], 64)
    pieces = model.pieces(ids)
    assert len(pieces) == len(ids)
    joined = model.bridge.tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    assert "".join(pieces) == joined


def test_injected_tokens_are_words_of_the_contexts(small_study, source, best, contexts):
    latent = int(best["latent"][0])
    found = L.injection(small_study, TAG, source, latent, contexts[latent], n=12)
    seen = {token.strip() for one in contexts[latent] for token in one.tokens}
    assert 1 <= len(found.tokens) <= 3 and set(found.tokens) <= seen - {"[CLS]", "[SEP]"}
    assert found.n == 12
    others = [L.injection(small_study, TAG, source, one, contexts[one], n=12) for one in contexts]
    assert any(one.anywhere[1] > one.anywhere[0] for one in others)
    labels = small_study.datasets[TAG].labels
    fires = L.task_latents(small_study, TAG, source)[:, [latent]].toarray()[:, 0] > 0
    assert fires[labels == found.label].mean() <= fires[labels != found.label].mean()
    assert found == L.injection(small_study, TAG, source, latent, contexts[latent], n=12)


def test_injection_without_tokens_changes_nothing(small_study, source, best):
    found = L.injection(small_study, TAG, source, int(best["latent"][0]), [], n=5)
    assert found.tokens == () and found.probed[0] == found.probed[1]


def test_inserted_tokens_stand_in_the_middle_and_never_exceed_the_model():
    assert L._inserted([1, 2, 3, 4], [9], 10) == [1, 2, 9, 3, 4]
    assert L._inserted([1, 2, 3, 4], [8, 9], 4) == [1, 9, 3, 4]
    assert L._inserted([1], [9], 4) == [1, 9]


def test_neighbours_have_the_largest_cosine(small_study, source):
    decoder = study_sae(small_study, source).W_dec.detach()
    found = L.neighbours(small_study, source, 7)
    cosines = torch.nn.functional.cosine_similarity(decoder, decoder[7][None])
    order = [int(one) for one in cosines.argsort(descending=True) if one != 7][:3]
    assert [latent for latent, _ in found] == order
    assert [cosine for _, cosine in found] == pytest.approx(cosines[order].tolist(), abs=1e-5)


def test_every_task_has_its_best_latent_by_training_auc(small_study, source, best, table):
    assert list(table["dataset"]) == list(TAGS)
    row = table.set_index("dataset").loc[TAG]
    top = best.loc[best["train_auc"].idxmax()]
    assert (row["latent"], row["test_auc"]) == (top["latent"], top["test_auc"])
    fires = [
        (L.task_latents(small_study, tag, source)[:, [row["latent"]]].toarray() > 0).mean()
        for tag in TAGS if tag != TAG
    ]  # fmt: skip
    assert row["fires_elsewhere"] == pytest.approx(np.mean(fires))
    assert set(table["flag"]) <= {"apt", "spurious", "unclear"}


@pytest.mark.parametrize(
    ("evidence", "flag"),
    [
        ((0.95, 0.60, 0.8, 0.1), "apt"),
        ((0.95, 0.95, 0.8, 0.1), "spurious"),
        ((0.60, 0.90, 0.8, 0.8), "spurious"),
        ((0.95, 0.85, 0.8, 0.1), "unclear"),
        ((0.79, 0.60, 0.8, 0.1), "unclear"),
        ((0.95, 0.60, 0.8, 0.3), "unclear"),
        ((0.95, np.nan, 0.8, 0.1), "apt"),
        ((0.95, 0.60, 0.8, np.nan), "unclear"),
    ],
)
def test_rule_flags_constructed_cases(evidence, flag):
    assert L.judged(*evidence) == flag


def test_languages_are_read_from_the_shipped_translations(small_study, source, best):
    found = L.language_probe(small_study, source, int(best["latent"][0]))
    assert len(found) == 15 and set(found["language"]) > {"English", "French", "Bengali"}
    assert dict(zip(found["language"], found["text"], strict=True))["German"] == "Wohnzimmer"
    assert (found["highest"] >= found["value"]).all() and (found["value"] >= 0).all()


def test_own_translations_are_read_by_column(small_study, source, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("id,text,LANGUAGE\n1,cupboard,English\n2,Schrank,German\n")
    found = L.language_probe(small_study, source, 3, path)
    assert found[["language", "text"]].to_numpy().tolist() == [
        ["English", "cupboard"],
        ["German", "Schrank"],
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("language,word\nEnglish,cup\n", "no columns are called 'text'"),
        ("language,text,translation\nEnglish,cup,cup\n", "2 columns are called 'text'"),
        ("text,translation\n", "no columns are called 'language'"),
        ("language,text\nEnglish,cup\nGerman, \n", "row 2 lacks a language or a text"),
        ("language,text\n", "row 1 lacks"),
        ("", "names the columns language and text"),
        ("language,text\nEnglish,a,b\n", "has 3 fields"),
    ],
)
def test_translations_that_cannot_be_read_are_refused_in_one_line(
    small_study, source, tmp_path, content, message
):
    path = tmp_path / "mine.csv"
    path.write_text(content)
    with pytest.raises(UserError, match=message) as refused:
        L.language_probe(small_study, source, 3, path)
    assert "\n" not in str(refused.value)


def test_published_latents_have_the_aucs_of_the_paper():
    shifted = single_latents(published_rows(None, "latents", "google/gemma-2-9b"))
    row = shifted[shifted["latent"] == 122774].iloc[0]
    assert (row["test_auc"], round(row["shifted_auc"], 4)) == (1, 0.6402)
    alone = single_latents(published_rows(None, "single_latents", "google/gemma-2-9b"))
    assert len(alone) == 113 and alone["shifted_auc"].isna().all()
    aucs = alone.set_index("dataset")["test_auc"].round(4)
    assert aucs["66_living-room"] == 0.9986 and aucs["22_headline_isobama"].round(3) == 0.782


def test_published_tables_stand_in_where_no_model_is_at_hand(tmp_path):
    study = open_study("published", tmp_path)
    five, six = L.of_task(study, TAG), L.of_tasks(study)
    assert five["latent"].iloc[0] == 122774 and len(five) == 8
    assert five["shifted_auc"].iloc[0] == pytest.approx(0.6402, abs=1e-4)
    assert six["test_auc"].max() > 0.99 and six["dataset"].is_unique
    assert L.languages(study, five).empty and task_cards(study, TAG, five) == []
