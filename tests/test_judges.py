"""Judges rank latents; an endpoint is asked over HTTP with the real client."""

import json
import logging
import sys

import pytest

from probing_core import judges
from probing_core.errors import UserError
from probing_core.judges import Described, NoAnswer, ask, council, relevance
from probing_core.store import Store
from tests.endpoint import SECRET, completion

HIDDEN = "prompt-do-not-tell"
LATENTS = (Described(7, (f"a {HIDDEN} text", "\ud800 lone")), Described(12, ("another",)))
QUESTION = "Is this about rooms?"


def by_endpoint(server, **options):
    return relevance("endpoint", QUESTION, LATENTS, server.store, **options)


def test_an_endpoint_is_told_question_and_shift_and_its_scores_are_kept(server):
    server.replies.append((200, completion('```json\n{"7": 2, "12": 9.5}\n```'), {}))
    judged = by_endpoint(server, shift="the texts are French")
    assert judged.scores == {7: 2, 12: 9.5} and judged.note == "scores of owner/judge"
    (_, path, body), *more = server.asked
    text = body["messages"][0]["content"]
    assert path == "/v1/chat/completions" and body["model"] == "owner/judge" and not more
    assert QUESTION in text and "differ: the texts are French." in text and "Rate down" in text
    assert HIDDEN in text and json.loads(text.split("\n\n", 1)[1])["12"] == ["another"]


def test_an_answer_is_asked_for_once_and_outlives_its_key(server, monkeypatch):
    server.replies.append((200, completion('{"7": 1, "12": 3}'), {}))
    first = by_endpoint(server)
    monkeypatch.delenv("OPENAI_API_KEY")
    assert by_endpoint(server) == first and len(server.asked) == 1
    other = by_endpoint(server, shift="another shift")
    assert other.scores is None and other.note == "no scores: OPENAI_API_KEY is not set"


def test_another_model_endpoint_or_list_of_names_is_asked_anew(server, monkeypatch):
    server.replies.append((200, completion('{"a": 1, "b": 3}'), {}))
    for names, model in ((["a"], "owner/judge"), (["a", "b"], "owner/judge"), (["a"], "other")):
        monkeypatch.setenv("PROBING_JUDGE_MODEL", model)
        assert set(ask("?", names, server.store, most=5)) == set(names)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setattr(judges, "RETRIES", 0)
    with pytest.raises(NoAnswer, match="cannot be reached"):
        ask("?", ["a"], server.store, most=5)
    assert [body["model"] for *_, body in server.asked] == ["owner/judge", "owner/judge", "other"]


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (completion("7 is best"), "its answer is no JSON object of numbers"),
        (completion('{"7": 1, "12": 3'), "its answer is no JSON object of numbers"),
        (completion('{"7": [1], "12": 3}'), "its answer is no JSON object of numbers"),
        (completion('{"7": 1e999, "12": 3}'), "its answer gives 7 no number between 0 and 10"),
        (completion('{"7": NaN, "12": 3}'), "its answer gives 7 no number between 0 and 10"),
        (completion('{"7": -1, "12": 3}'), "its answer gives 7 no number between 0 and 10"),
        (completion('{"7": 1}'), "its answer leaves out 12"),
        (completion('{"a":' + "[" * 100_000 + "}"), "its answer is no JSON object of numbers"),
        (completion(None, refusal=f"I will not read {HIDDEN}"), "it refuses"),
        (completion(None), "it says nothing"),
        ({"choices": []}, "its answer is no completion"),
        (b"<html>", "its answer is no completion"),
    ],
)
def test_what_is_no_answer_ends_as_a_note_and_is_not_kept(server, reply, said):
    server.replies += [(200, reply, {}), (200, completion('{"7": 1, "12": 3}'), {})]
    judged = by_endpoint(server)
    assert judged.scores is None and judged.note == f"no scores: {said}"
    assert by_endpoint(server).scores == {7: 1, 12: 3}


def test_a_slow_endpoint_is_given_up_and_a_broken_one_named_by_its_status(server, monkeypatch):
    monkeypatch.setattr(judges, "TIMEOUT_SECONDS", 0.3)
    monkeypatch.setattr(judges, "RETRIES", 0)
    server.replies += [("late", 0.8, {}), (500, {"error": HIDDEN}, {})]
    assert by_endpoint(server).note == "no scores: it does not answer within 0.3 s"
    assert by_endpoint(server).note == "no scores: it answers HTTP 500"


def test_a_rate_limit_is_waited_for_and_one_that_stays_is_a_note(server):
    limit = (429, {"error": {"message": "slow down"}}, {"Retry-After": "1"})
    server.replies += [limit, (200, completion('{"7": 1, "12": 3}'), {})]
    assert by_endpoint(server).scores == {7: 1, 12: 3}
    assert server.asked[1][0] - server.asked[0][0] >= 0.9
    server.replies[:] = [(429, {}, {"Retry-After": "0.01"})]
    assert by_endpoint(server, shift="x").note == "no scores: its rate limit is reached"
    assert len(server.asked) == 2 + 1 + judges.RETRIES


def test_a_wrong_key_or_model_is_the_users_to_mend(server):
    for status, named in ((401, "OPENAI_API_KEY"), (404, "PROBING_JUDGE_MODEL")):
        server.replies[:] = [(status, {"error": {"message": f"wrong {SECRET}"}}, {})]
        with pytest.raises(UserError, match=named) as error:
            by_endpoint(server)
        assert error.value.__context__ is None and "\n" not in str(error.value)


def test_no_key_and_no_prompt_lands_in_logs_store_notes_or_exceptions(server, caplog):
    caplog.set_level(logging.DEBUG)
    echo = {"error": {"message": f"{SECRET} {HIDDEN}"}}
    said: list[str] = []
    for reply in (
        (400, echo, {}), (401, echo, {}), (200, completion(f"{SECRET} {HIDDEN}"), {}),
        (200, completion(f'{{"7": "{HIDDEN}"}}'), {}), (200, completion('{"7": 1, "12": 3}'), {}),
    ):  # fmt: skip
        server.replies[:] = [reply]
        try:
            said.append(by_endpoint(server).note)
        except UserError as error:
            said += [str(error), repr(error.__context__), repr(error.__cause__)]
    files = [path for path in server.store.root.rglob("*") if path.is_file()]
    assert len(files) == 2  # the format and the numbers
    told = [*said, caplog.text, *(f"{p.name} {p.read_text('utf-8')}" for p in files)]
    assert not [one for one in told if SECRET in one or HIDDEN in one or "127.0.0.1" in one]


def test_a_key_without_a_model_and_a_missing_client_say_what_to_do(server, monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(UserError, match="pip install -c constraints.txt openai"):
        by_endpoint(server)
    monkeypatch.delenv("PROBING_JUDGE_MODEL")
    with pytest.raises(UserError, match="set PROBING_JUDGE_MODEL"):
        by_endpoint(server)


def test_people_rank_latents_of_several_tasks_in_one_file(tmp_path):
    path = tmp_path / "ranks.csv"
    path.write_text("\ufefflatent,rank,dataset\n12,1,a\n7,2,a\n99,3,a\n7,1,b\n\n12,2,b\n", "utf-8")
    for dataset, best in (("a", 12), ("b", 7)):
        judged = relevance(str(path), QUESTION, LATENTS, Store(tmp_path), dataset=dataset)
        assert max(judged.scores, key=judged.scores.get) == best and set(judged.scores) == {7, 12}
        assert judged.note == "ranks of ranks.csv"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("latents,rank\n7,1\n", "ranks.csv: there is no column 'latent'."),
        ("latent,rank\n7,1\nx,2\n", "ranks.csv: row 2: latent and rank must be whole numbers"),
        ("latent,rank\n7\n", "ranks.csv: row 1 (line 2) has 1 field, the header has 2"),
        ("latent,rank\n7,0\n", "ranks.csv: row 1: latent and rank must be whole numbers"),
        ("latent,rank\n7,1\n\n7,2\n", "ranks.csv: row 2: this latent has a rank already"),
        ("latent,rank\n7,1\n", "ranks.csv ranks no latent 12: add a row each."),
        ("latent,rank,dataset\n7,1,a\n", "ranks.csv ranks no latent 7, 12 of b: add a row"),
        ("", "ranks.csv is empty; its first line names the columns latent and rank"),
    ],
)
def test_a_wrong_file_of_ranks_is_named_with_its_row(tmp_path, text, said):
    path = tmp_path / "ranks.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(UserError) as error:
        relevance(str(path), QUESTION, LATENTS, Store(tmp_path), dataset="b")
    assert str(error.value).startswith(said)


def test_a_judge_that_does_not_exist_or_cannot_be_read_is_named(tmp_path):
    for judge, said in (
        ("ofline", "'offline', 'endpoint' or a CSV's path"),
        (tmp_path, "not a readable CSV"),
    ):
        with pytest.raises(UserError, match=said):
            relevance(str(judge), QUESTION, LATENTS, Store(tmp_path))


def test_offline_an_obviously_relevant_latent_comes_first_and_one_without_prompts_last(tmp_path):
    latents = [
        Described(1, ("The yeast cells were grown in the dark.", "Interest rates rose again.")),
        Described(2, ("He sat down in the living room", "the sofa of their large living room")),
        Described(3, ()),
    ]
    asks = "Is the compound word 'living room' absent from the end of this text?"
    scores = relevance("offline", asks, latents, Store(tmp_path)).scores
    assert sorted(scores, key=scores.get, reverse=True) == [2, 1, 3] and scores[3] == -1
    assert scores[2] > scores[1] + 0.2


def test_offline_scores_are_kept_by_what_was_judged(tmp_path, monkeypatch):
    store, one = Store(tmp_path), [Described(1, ("a sofa",))]
    first = relevance("offline", "furniture?", one, store)
    monkeypatch.setattr(judges, "extract", lambda *args, **more: pytest.fail("judged again"))
    assert relevance("offline", "furniture?", one, store) == first
    with pytest.raises(pytest.fail.Exception):
        relevance("offline", "weather?", one, store)


def test_a_council_has_a_column_a_model_and_what_it_takes_is_said_first(server, caplog):
    prompts = [f"{HIDDEN} {n}" for n in range(25)]
    first = {str(n): n % 2 for n in range(20)}
    last = {str(n): 1 for n in range(20, 25)}
    server.replies += [(200, completion(json.dumps(one)), {}) for one in (first, last)]
    server.replies.append((200, completion("no idea"), {}))
    with caplog.at_level(logging.INFO, "probing_core.judges"):
        votes = council(["m/one", "m/two"], QUESTION, prompts, server.store, temperature=0.5)
    assert votes["m/one"].tolist() == [n % 2 for n in range(20)] + [1] * 5
    assert votes["m/two"].isna().all()
    assert "m/one, m/two about 25 prompts: 4 calls" in caplog.text and HIDDEN not in caplog.text
    assert {body["model"] for _, _, body in server.asked} == {"m/one", "m/two"}
    assert {body["temperature"] for _, _, body in server.asked} == {0.5}
    asked = len(server.asked)
    council(["m/one"], QUESTION, prompts, server.store, temperature=0.5)
    assert len(server.asked) == asked


def test_a_council_that_cannot_answer_is_an_error_of_one_line(server):
    with pytest.raises(UserError, match="needs models"):
        council([], QUESTION, ["a"], server.store)
    server.replies.append((200, completion("no idea"), {}))
    with pytest.raises(UserError, match="The council gave no answer: its answer is no JSON"):
        council(["m"], QUESTION, ["a"], server.store)
