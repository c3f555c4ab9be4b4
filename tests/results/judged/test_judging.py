"""`bench judge` on finished runs, with judges of known bias behind a server with OpenAI's interface."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import registry
from bench.data.corpus import Corpus
from bench.errors import EngineError
from bench.record import judged, runs
from bench.record.judged import Judgement, Pair
from bench.score.judging import Judges
from metrics.pairwise import PairwiseJudge
from results.checks.stand_ins import StoredAnswers
from results.judged import judging, show
from results.statistics import judged as measures
from tests import fakes
from tests.fakes import PROFILE, bench, profile_file
from tests.generate.fake_server import FakeServer, Reply, completed, refusal, serving
from tests.results.judged import stubs
from tests.results.judged.stubs import Answer

LIMIT, KNOWN = 12, 20


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    with serving(FakeServer()) as running:
        yield running


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return stubs.planted(tmp_path_factory.mktemp("data") / "world")


@pytest.fixture
def out(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs of nonperso and rag over the world, by an engine that costs nothing."""
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", fakes.FAKE)
    monkeypatch.setattr(fakes.FakeGenerator, "plan", fakes.Plan())
    profile = profile_file(tmp_path, PROFILE.replace("input_budget = 200", "input_budget = 4000"))
    assert corpus._world is not None
    words = ["--data", corpus._world, "--profile", profile, "--generator", "fake", "--limit", LIMIT]
    assert bench("run", "--method", "nonperso,rag", *words, "--out", tmp_path / "runs") == 0
    return tmp_path / "runs"


def by(answers: Answer) -> Any:
    """A server's answers by a stub."""
    return lambda n, body: Reply(body=completed(answers(body["messages"][1]["content"])))


def judge(out: Path, server: FakeServer, *more: object) -> int:
    return bench("judge", "rag", "--against", "nonperso", "--out", out, "--base-url", server.address, *more)


def kept(out: Path) -> Judgement:
    (path,) = (out / judged.FOLDER).iterdir()
    return judged.read(path)


def words(said: str) -> str:
    return " ".join(said.split())


def test_a_judge_that_prefers_the_first_is_found_and_marked(
    out: Path, server: FakeServer, capfd: pytest.CaptureFixture[str]
) -> None:
    server.answer = by(stubs.first)
    assert judge(out, server, "--pairs", KNOWN) == 0
    said = capfd.readouterr().out
    assert "RAG · K = 2  against  Non-Perso, judged by served-model on openai" in said or "RAG  against" in said
    assert "0.50 ?" in said
    assert "flip rate 1.00" in said and "first place chosen 1.00" in said and "accuracy 0.50 (" in said
    assert "? served-model on openai unreported is not shown to tell this user's text from a peer's" in said
    found = kept(out)
    assert (len(found.pairs), len(found.known)) == (LIMIT, KNOWN)
    asked = [one for one in found.pairs if one.settled == "asked"]
    assert asked and all(one.score == 0.5 and measures.flipped(one) for one in asked)
    assert f"{len(asked)} ties because the orders disagree, {len(asked)} of them by place" in said
    assert len(server.bodies) == 2 * (len(asked) + KNOWN)
    assert {(body["temperature"], body["max_tokens"]) for body in server.bodies} == {(0, 16)}
    assert all(b"sk-secret" not in path.read_bytes() for path in out.rglob("*") if path.is_file())


def test_a_judge_that_prefers_the_longer_is_found_and_marked(
    out: Path, server: FakeServer, capfd: pytest.CaptureFixture[str]
) -> None:
    server.answer = by(stubs.longer)
    assert judge(out, server) == 0
    calibration = measures.calibration(kept(out))
    assert calibration is not None and calibration.length is not None
    assert calibration.n == 100 and calibration.length.low > 1 and calibration.flips == 0 and not calibration.good
    said = capfd.readouterr().out
    assert f"slope on length {calibration.length.value:+.2f}" in said and "log odds per doubling" in said
    for one in kept(out).pairs:
        assert (
            one.settled != "asked"
            or one.score == (1 + (one.words[0] > one.words[1]) - (one.words[0] < one.words[1])) / 2
        )


def test_a_perfect_judge_is_not_marked(
    out: Path, corpus: Corpus, server: FakeServer, capfd: pytest.CaptureFixture[str]
) -> None:
    server.answer = by(stubs.perfect(corpus))
    assert judge(out, server, "--pairs", 40) == 0
    said = capfd.readouterr().out
    assert "accuracy 1.00 (0.91 to 1.00" in said and "?" not in said


def test_unread_answers_are_in_no_win_rate_and_counted(
    out: Path, server: FakeServer, capfd: pytest.CaptureFixture[str]
) -> None:
    server.answer = by(stubs.rubbish)
    assert judge(out, server, "--pairs", 4) == 0
    said = capfd.readouterr().out
    asked = sum(one.settled == "asked" for one in kept(out).pairs)
    assert f"{asked} pairs asked: {asked} unread, in no win rate ({2 * asked} of {2 * asked} answers" in words(said)
    assert "none of its answers on 4 pairs with known answers could be read" in said
    lines = measures.lines(kept(out).pairs)
    assert sum(line.unread for line in lines) == asked
    assert all(line.wins + line.ties + line.losses == (line.share.n if line.share else 0) for line in lines)


def test_questions_are_asked_once_and_the_table_is_printed_again_without_any(
    out: Path, server: FakeServer, capfd: pytest.CaptureFixture[str]
) -> None:
    server.answer = by(stubs.longer)
    assert judge(out, server, "--pairs", KNOWN) == 0
    table, asked, file = capfd.readouterr().out, len(server.bodies), next((out / judged.FOLDER).iterdir()).read_bytes()
    assert judge(out, server, "--pairs", KNOWN) == 0
    assert capfd.readouterr().out == table and next((out / judged.FOLDER).iterdir()).read_bytes() == file
    assert (
        bench("judge", "nonperso", "--against", "rag", "--out", out, "--base-url", server.address, "--pairs", 20) == 0
    )
    capfd.readouterr()
    assert len(server.bodies) == asked  # the other way round has the same questions, and the calibration is the data's
    server.answer = lambda n, body: refusal(500, "must not be asked")
    assert judge(out, server, "--again") == 0
    assert capfd.readouterr().out == table
    first, second = (judged.read(path) for path in sorted((out / judged.FOLDER).iterdir()))
    assert [one.score for one in first.pairs] == [1 - one.score for one in second.pairs if one.score is not None]


def test_a_judgement_is_replayed_from_the_store_without_a_question(out: Path, server: FakeServer) -> None:
    server.answer = by(stubs.longer)
    assert judge(out, server, "--pairs", KNOWN) == 0
    before, asked = kept(out), len(server.bodies)
    made = PairwiseJudge(base_url=server.address)
    with Judges(stored=StoredAnswers) as judges:
        a, b, pairs = judging.sides("rag", "nonperso", out)
        assert judging.judge_sides(a, b, pairs, made, known_pairs=KNOWN, judges=judges) == before
    (out / ".store" / "requests.sqlite").unlink()
    with Judges(stored=StoredAnswers) as judges, pytest.raises(EngineError, match="answered none of"):
        judging.judge_sides(a, b, pairs, made, known_pairs=KNOWN, judges=judges)
    assert kept(out) == before
    assert len(server.bodies) == asked


def test_a_judgement_is_found_without_the_options_that_made_it(
    out: Path, server: FakeServer, capfd: pytest.CaptureFixture[str]
) -> None:
    again = ("judge", "rag", "--against", "nonperso", "--out", out, "--again")
    server.answer = by(stubs.longer)
    assert judge(out, server, "--pairs", 2) == 0
    table = capfd.readouterr().out
    for words in ((), ("--model-name", "served-model"), ("--base-url", server.address)):
        assert bench(*again, *words) == 0
        assert capfd.readouterr().out == table
    for words in (("--model-name", "another"), ("--reviews", 3)):
        assert bench(*again, *words) == 2
        assert "nothing is kept of these runs and this judge" in capfd.readouterr().err
    assert bench("judge", "nonperso", "--against", "rag", "--out", out, "--again") == 2  # A and B are other sides
    assert judge(out, server, "--pairs", 2, "--reviews", 3) == 0
    table = capfd.readouterr().out
    assert bench(*again) == 2
    said = capfd.readouterr().err
    assert "2 judgements of these runs are kept: served-model on openai unreported (--base-url http" in said
    assert "--reviews 3); give the options of one" in said or "--reviews 3); served-model" in said
    assert bench(*again, "--reviews", 3) == 0
    assert capfd.readouterr().out == table


def test_a_server_that_always_fails_is_not_asked_to_calibrate(
    out: Path, server: FakeServer, capfd: pytest.CaptureFixture[str]
) -> None:
    server.answer = lambda n, body: refusal(400, "no")
    capfd.readouterr()
    assert judge(out, server, "--pairs", KNOWN) == 1
    err = capfd.readouterr().err
    assert "answered none of" in err and "calibrating" not in err
    assert not (out / judged.FOLDER).exists()


def test_an_engine_without_a_model_is_no_judge(
    out: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("results.tables.run_settings.FAKE", ("fake",))
    assert bench("judge", "rag", "--against", "nonperso", "--out", out) == 2
    assert "was written by fake, which is no model and cannot judge; name a judge by --base-url" in (
        capfd.readouterr().err
    )


def test_the_runs_own_engine_judges_where_no_other_is_named(out: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert bench("judge", "rag", "--against", "nonperso", "--out", out, "--pairs", 3) == 0
    said = capfd.readouterr().out
    assert "judged by no model on fake 1" in said  # echo repeats words of the prompt, which is no answer
    assert "none of its answers on 3 pairs with known answers could be read" in said


def test_the_judge_sees_the_real_history_where_the_method_saw_anothers(
    out: Path, corpus: Corpus, server: FakeServer, tmp_path: Path
) -> None:
    more = ["--profile", tmp_path / "fake.toml", "--generator", "fake", "--limit", LIMIT, "--out", out]
    assert bench("run", "--method", "rag", "--data", str(corpus._world), *more, "--history", "random") == 0
    server.answer = by(stubs.first)
    names = [folder.path.name for folder in runs.find(out) if "-rag-" in folder.path.name]
    (swapped,), (own,) = ([name for name in names if ("random" in name) is other] for other in (True, False))
    given = ["--out", out, "--base-url", server.address, "--pairs", 0]
    assert bench("judge", swapped, "--against", own, *given) == 0
    real = {sample.sample_id: sample.history for sample in corpus.samples("test")}
    asked = [body["messages"][1]["content"] for body in server.bodies]
    for pair in kept(out).pairs:
        shown = [f": {review.text}" in text for text in asked for review in real[pair.sample_id][:1]]
        assert pair.settled != "asked" or sum(shown) == 2


def test_seeds_pair_up_and_users_stay_clusters(
    out: Path, corpus: Corpus, server: FakeServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    more = ["--profile", tmp_path / "fake.toml", "--generator", "fake", "--limit", LIMIT, "--out", out]
    assert bench("run", "--method", "nonperso,rag", "--data", str(corpus._world), *more, "--seed", "0,1") == 0
    server.answer = by(stubs.longer)
    assert judge(out, server, "--pairs", 0) == 0
    found = kept(out)
    assert [one.seed for one in found.pairs] == [0] * LIMIT + [1] * LIMIT
    lines = measures.lines(found.pairs)
    users = {(one.category, one.user_id) for one in found.pairs}
    assert (
        sum(line.share.users for line in lines if line.share)
        == len(users)
        < sum(line.wins + line.ties + line.losses for line in lines)
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("rag", "--against", "dpl"), "no run or row 'dpl'"),
        (("rag", "--against", "rag"), "rag and rag are the same runs"),
        (("rag", "--against", "nonperso", "--again"), "is not there: nothing is kept"),
    ],
)
def test_a_mistake_is_one_line(
    out: Path, given: tuple[str, ...], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    assert bench("judge", *given, "--out", out) == 2
    err = capfd.readouterr().err
    assert message in err and err.count("\n") == 1


def test_a_file_that_was_changed_and_texts_that_were_are_refused(
    out: Path, server: FakeServer, capfd: pytest.CaptureFixture[str]
) -> None:
    server.answer = by(stubs.longer)
    assert judge(out, server, "--pairs", 2) == 0
    (path,) = (out / judged.FOLDER).iterdir()
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], lines[2].replace('"score"', '"skore"')]))
    capfd.readouterr()
    assert judge(out, server, "--again") == 2
    assert "line 3 is not what `bench judge` wrote" in capfd.readouterr().err
    path.write_text("")
    assert judge(out, server, "--again") == 2
    assert "is empty" in capfd.readouterr().err
    path.write_text("\n".join(lines))
    folder = next(folder for folder in runs.find(out) if "-rag-" in folder.path.name)
    folder.write_rows(runs.SAMPLES, [{**row, "text": "another"} for row in folder.rows(runs.SAMPLES)])
    assert judge(out, server, "--again") == 2
    assert "texts have changed since" in capfd.readouterr().err


def test_answers_of_a_judgement_outlive_bench_rm(out: Path, server: FakeServer) -> None:
    server.answer = by(stubs.longer)
    assert judge(out, server, "--pairs", 5) == 0
    asked = len(server.bodies)
    assert bench("rm", "--store", "--yes", "--out", out) == 0
    assert judge(out, server, "--pairs", 5) == 0
    assert len(server.bodies) == asked


def test_tables_of_a_judges_scores_say_how_good_it_is(
    out: Path, corpus: Corpus, server: FakeServer, capfd: pytest.CaptureFixture[str]
) -> None:
    server.answer = lambda n, body: Reply(body=completed("Score: 4"))
    assert bench("score", out, "--metric", "judge", "--set", f"judge.base_url={server.address}") == 0
    assert "Scores of a judge that is not calibrated here: `bench judge A --against B`" in capfd.readouterr().out
    for answers, good in ((stubs.first, False), (stubs.perfect(corpus), True)):
        server.cards[0]["id"] = answers.__name__
        server.answer = lambda n, body: Reply(body=completed("Score: 4"))
        assert bench("score", out, "--metric", "judge", "--set", f"judge.base_url={server.address}") == 0
        server.answer = by(answers)
        assert judge(out, server, "--pairs", KNOWN) == 0
        capfd.readouterr()
        assert bench("table", out, "--metric", "judge") == 0
        said = capfd.readouterr().out
        assert (
            f"{answers.__name__} on openai unreported, asked for pairs by `bench judge`: Calibrated on 20 pairs" in said
        )
        assert "not calibrated here" not in said and ("is not shown to tell" in said) != good


def test_lines_count_by_category_and_correct_for_all_of_them() -> None:
    def pair(category: str, user: int, score: float | None) -> Pair:
        choice = {1.0: "one", 0.0: "other", 0.5: "tie", None: None}[score]
        values = {"sample_id": f"{category}{user}", "category": category, "user_id": f"u{user}", "words": [3, 3]}
        more = {"score": score, "settled": "asked", "answers": ["x", "x"], "choices": [choice] * 2}
        return Pair.model_validate({**values, **more, "reviews": 1, "shortened": False})

    books = [pair("Books", user, 1.0) for user in range(12)] + [pair("Books", 12, None)]
    films = [pair("Films", user, score) for user, score in enumerate([1.0, 0.0, 0.5, 0.5])]
    one, other = measures.lines([*books, *films, pair("Games", 1, None)])[:2]
    assert (one.wins, one.ties, one.losses, one.unread) == (12, 0, 0, 1)
    assert one.share is not None and other.share is not None
    assert (one.share.value, one.share.n, one.share.users) == (1.0, 12, 12)
    assert (other.share.value, other.share.p) == (0.5, 1.0)
    assert one.share.p == 2 / 2**12 and one.p == 2 * one.share.p  # two lines have a share
    assert show.cells(one, good=True) == ["1.00 †", "0.76 to 1.00", "0.0010", "12-0-0", "1", "12"]
    assert show.cells(other, good=False)[0] == "0.50 ?"
    lost = [pair("Books", user, 0.0) for user in range(12)]
    assert show.cells(measures.lines(lost)[0], good=False)[0] == "0.00 ‡?"
    assert show.cells(measures.lines([pair("Games", 1, None)])[0], good=True) == ["-", "-", "-", "0-0-0", "1", "0"]
    assert json.loads(books[0].model_dump_json())["score"] == 1.0
