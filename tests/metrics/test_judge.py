from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from bench import registry
from bench.config import Profile
from bench.data.corpus import load
from bench.errors import EngineError, UserError
from bench.generate.engine.echo import EchoGenerator
from bench.record import runs
from bench.score import scoring
from bench.score.finish import score_folder
from bench.score.judging import Judges, judging_profile
from bench.score.written import read_config
from bench.types import Completion, Prompt, Request
from metrics.judge import Judge, parse
from tests.fakes import CANARY, World, bench
from tests.generate.fake_server import FakeServer, Reply, completed, refusal, serving

# ---------------------------------------------------------------- reading an answer

READABLE = {
    "7": 7,
    "7.5": 7.5,
    "7,5": 7.5,
    "10": 10,
    "0": 0,
    "Score: 7": 7,
    "Score: 7.": 7,
    "score=7": 7,
    "[Score]: 7": 7,
    "Score - 7": 7,
    '{"score": 7, "reason": "2 of 3 points"}': 7,
    "**8**": 8,
    "Score: **8**/10": 8,
    "`8`": 8,
    "7/10": 7,
    "7 / 10": 7,
    "9.5/10.0": 9.5,
    "10/10": 10,
    "10 out of 10": 10,
    "I'd give it a 6.5 out of 10": 6.5,
    "I'd rate this 8/10 because 3 things agree": 8,
    "On a scale of 0 to 10, I would say 4": 4,
    "Score (0-10): 3": 3,
    "Of the 4 topics 3 agree. Score: 6": 6,
    "The score is 6, as 2 topics agree": 6,
    "Score:\n9\n\nThe two reviews agree.": 9,
    "<think>At first I would say 3.</think>\n\nScore: 5": 5,
}
UNREADABLE = [
    "", " ", "seven", "I cannot say", "11", "-3", "Score: -1", "100", "Score: 75/100", "80%", "4/5", "3 out of 5",
    "5 stars", "7-8", "7 to 8", "1.2.3", "2nd", "Score: 10.5", "2023", "NaN", "inf",
]  # fmt: skip


@pytest.mark.parametrize(("answer", "score"), READABLE.items())
def test_scores_are_read_in_any_form(answer: str, score: float) -> None:
    assert parse(answer) == score


@pytest.mark.parametrize("answer", UNREADABLE)
def test_an_answer_without_a_score_is_missing(answer: str) -> None:
    assert parse(answer) is None


# ---------------------------------------------------------------- the metric


@dataclass
class Scripted:
    """Answers from a list and keeps the prompts."""

    answers: list[str | None]
    asked: list[Prompt] = field(default_factory=list)
    limit: int = 0
    name: str = "a model on an engine 1"

    def answer(self, prompts: Sequence[Prompt], *, max_new_tokens: int) -> list[str | None]:
        self.asked += prompts
        self.limit = max_new_tokens
        return self.answers


def judged(answers: list[str | None], predictions: list[str], references: list[str]) -> tuple[Judge, Scripted, Any]:
    judge, respondent = Judge(), Scripted(answers)
    judge.respondent = respondent
    return judge, respondent, judge.score(predictions, references)


def test_rows_keep_answers_and_empty_texts_score_zero_without_a_request() -> None:
    _, respondent, rows = judged(["Score: 7", "hm", None], ["a", "", "b", " \n", "c"], ["R0", "R1", "R2", "R3", "R4"])
    assert rows == [
        {"judge": 7.0, "judge_answer": "Score: 7"},
        {"judge": 0.0, "judge_answer": None},
        {"judge": None, "judge_answer": "hm"},
        {"judge": 0.0, "judge_answer": None},
        {"judge": None, "judge_answer": None},
    ]
    assert respondent.limit == 32
    assert [[text in prompt.user for text in ("R0", "R2", "R4")] for prompt in respondent.asked] == [
        [True, False, False],
        [False, True, False],
        [False, False, True],
    ]


def test_the_mean_is_over_readable_answers_and_the_rest_is_counted() -> None:
    judge, _, rows = judged(["Score: 7", "hm", None, "9.5"], ["a", "", "b", "c", "d"], ["r"] * 5)
    assert judge.aggregate(rows) == {"judge": (7 + 0 + 9.5) / 3, "judge_missing": 2.0, "judge_n": 3.0}
    assert judge.aggregate(rows[2:4]) == {"judge_missing": 2.0, "judge_n": 0.0}  # no mean of nothing
    assert {column.key for column in judge.columns} == {"judge", "judge_missing", "judge_n"}
    json.dumps(rows, allow_nan=False)


def test_without_texts_nothing_is_asked() -> None:
    _, respondent, rows = judged([], ["", " "], ["r", "r"])
    assert [row["judge"] for row in rows] == [0.0, 0.0]
    assert respondent.asked == []


def test_the_prompt_holds_both_texts_as_they_are_up_to_a_limit() -> None:
    prompt = Judge().prompt("{prediction} {0} %s", "{reference}")
    assert "{prediction} {0} %s" in prompt.user and "{reference}" in prompt.user
    cut = Judge(max_chars=5).prompt("ABCDEFG", "HIJKLMN").user
    assert "ABCDE" in cut and "HIJKL" in cut and "F" not in cut and "M" not in cut


def test_versions_name_prompt_model_and_limits() -> None:
    judge, _, _ = judged([], [], [])
    (text,) = judge.versions().values()
    assert text == "prompt " + text.split()[1] + " by a model on an engine 1, greedy, 32 tokens, texts to 6000 chars"
    (other,) = Judge(max_chars=5).versions().values()
    assert " by " not in other and other.startswith(" ".join(text.split()[:2]) + ",")


def test_a_judge_without_a_model_does_not_score() -> None:
    with pytest.raises(ValueError, match="respondent"):
        Judge().score(["a"], ["b"])


def test_options_are_the_fields_that_a_user_may_set() -> None:
    assert set(registry.options_of("metric", "judge")) == {"base_url", "model", "max_chars", "max_new_tokens"}
    with pytest.raises(UserError, match="password or a query"):
        registry.create("metric", "judge", {"base_url": "http://me:secret@host/v1"})


# ---------------------------------------------------------------- a whole run, judged


class Opinionated(EchoGenerator):
    """Judges by the number of words between its prompt's two texts, and writes as echo does."""

    requests: ClassVar[list[Request]] = []
    lengths: ClassVar[list[tuple[str, int]]] = []
    closed: ClassVar[int] = 0

    def __init__(self, profile: Profile, *, deterministic: bool = False, log: Path | None = None) -> None:
        super().__init__(profile, deterministic=deterministic, log=log)
        self.lengths.append((profile.llm, profile.input_budget + profile.max_new_tokens))

    def identity(self) -> dict[str, Any]:
        return {"backend": "opinionated", "version": "1", "model": "m"}

    async def generate(self, request: Request) -> Completion:
        if request.stage != "judge":
            return await super().generate(request)
        self.requests.append(request)
        text = f"Score: {len(request.ids) % 10}.5" if len(self.requests) % 3 else "no idea"
        return Completion(text=text, ids=(1,), finish="stop", n_prompt=len(request.ids))

    async def close(self) -> None:
        type(self).closed += 1


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", f"{__name__}:Opinionated")
    monkeypatch.setattr(Opinionated, "requests", [])
    monkeypatch.setattr(Opinionated, "lengths", [])
    monkeypatch.setattr(Opinionated, "closed", 0)
    return World(tmp_path)


def test_a_run_is_judged_by_its_own_model_and_scoring_again_asks_nothing(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    assert world.run("--set", 'metrics=["rouge","judge"]') == 0
    asked = list(Opinionated.requests)
    assert len(asked) == 6
    assert all((request.sampling.temperature, request.sampling.max_new_tokens) == (0, 32) for request in asked)
    assert len(set(Opinionated.lengths)) == 1  # the judge's engine is as long as the run's

    rows = [row["judge"] for row in world.folder().rows(runs.SCORES)]
    summary = world.folder().read(runs.SUMMARY)
    read = [row["judge"] for row in rows if row["judge"] is not None]
    assert len(read) == 4 and all(score % 1 == 0.5 for score in read)
    values = summary["scores"].values()
    assert sum(value["judge_missing"] for value in values) == 2
    assert sum(value["judge_n"] for value in values) == 4
    assert sum(value["judge"] * value["judge_n"] for value in values) == pytest.approx(sum(read))
    assert "by m on opinionated 1" in summary["metric_versions"]["judge"]["judge"]
    assert "unread" in capfd.readouterr().out

    assert bench("score", world.out, "--metric", "judge") == 0
    assert Opinionated.requests == asked
    assert [row["judge"] for row in world.folder().rows(runs.SCORES)] == rows


def test_the_judge_sees_the_users_review_and_the_writer_does_not(world: World) -> None:
    assert world.run("--set", 'metrics=["judge"]') == 0
    store = sqlite3.connect(world.out / ".store" / "requests.sqlite")
    prompts = [stored_prompt(blob) for (blob,) in store.execute("SELECT prompt FROM completions")]
    seen = [CANARY in prompt for prompt in prompts]
    assert (seen.count(True), seen.count(False)) == (6, 6)


def stored_prompt(blob: bytes) -> str:
    import zlib

    return zlib.decompress(blob).decode()


def scored(world: World, **options: Any) -> dict[str, Any]:
    corpus = load(str(world.data))
    return score_folder(world.folder(), corpus, metrics=["judge"], options={"judge": options})


def test_a_judge_may_be_another_model(world: World) -> None:
    assert world.run() == 0
    Opinionated.lengths.clear()
    scored(world, model="other")
    assert Opinionated.lengths == [("other", 212)]
    assert Opinionated.closed == 2  # the run's engine and the judge's


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    with serving(FakeServer()) as running:
        yield running


def test_a_judge_behind_a_server(world: World, server: FakeServer) -> None:
    assert world.run() == 0
    server.cards[0]["id"] = "gpt-judge"
    server.answer = lambda n, body: Reply(body=completed(f"**{n}**/10"))
    summary = scored(world, base_url=server.address, model="gpt-judge", max_new_tokens=16)
    assert [body["model"] for body in server.bodies] == ["gpt-judge"] * 6
    assert {(body["temperature"], body["max_tokens"]) for body in server.bodies} == {(0, 16)}
    values = summary["scores"].values()
    assert sum(value["judge"] * value["judge_n"] for value in values) == pytest.approx(0 + 1 + 2 + 3 + 4 + 5)
    assert "gpt-judge on openai unreported" in summary["metric_versions"]["judge"]["judge"]
    scored(world, base_url=server.address, model="gpt-judge", max_new_tokens=16)
    assert len(server.bodies) == 6
    assert all(b"sk-secret" not in path.read_bytes() for path in world.out.rglob("*") if path.is_file())


def test_the_server_of_the_run_judges_too(world: World, server: FakeServer) -> None:
    def answer(n: int, body: dict[str, Any]) -> Reply:
        return Reply(body=completed("Score: 4" if "Score" in body["messages"][0]["content"] else f"review {n}"))

    server.answer = answer
    words = world.words("--base-url", server.address, "--metric", "judge")
    words[words.index("fake")] = "openai"
    assert bench(*words) == 0
    assert [body["model"] for body in server.bodies] == ["served-model"] * 12
    assert {values["judge"] for values in world.folder().read(runs.SUMMARY)["scores"].values()} == {4.0}
    server.cards.append({**server.cards[0], "id": "bigger"})
    assert bench("score", world.out, "--metric", "judge", "--set", "judge.model=bigger") == 0
    assert [body["model"] for body in server.bodies[12:]] == ["bigger"] * 6


def test_questions_that_fail_are_missing_said_and_asked_again_next_time(world: World, server: FakeServer) -> None:
    assert world.run() == 0
    server.answer = lambda n, body: refusal(400, "not this one") if n % 2 else Reply(body=completed("6"))
    said: list[str] = []
    corpus = load(str(world.data))
    options = {"judge": {"base_url": server.address}}
    with Judges(say=said.append) as judges:
        summary = score_folder(world.folder(), corpus, metrics=["judge"], options=options, judges=judges)
        values = summary["scores"].values()
        assert sum(value["judge_missing"] for value in values) == 3
        assert any("3 of 6 questions" in line and "400 not this one" in line for line in said)
        server.answer = lambda n, body: Reply(body=completed("8"))
        summary = score_folder(world.folder(), corpus, metrics=["judge"], options=options, judges=judges)
    assert sum(value["judge"] * value["judge_n"] for value in summary["scores"].values()) == 3 * 6 + 3 * 8
    assert len(server.bodies) == 9
    assert sum("starting the engine" in line for line in said) == 1  # shared by what one command scores


def test_a_judge_that_cannot_be_reached_leaves_the_scores_alone(world: World) -> None:
    assert world.run() == 0
    before = world.folder().read(runs.SUMMARY)
    with serving(FakeServer()) as gone:
        pass
    with pytest.raises(EngineError, match="no model server answers"):
        scored(world, base_url=gone.address)
    assert world.folder().read(runs.SUMMARY) == before


def test_binding_starts_nothing_and_leaves_other_metrics_alone(world: World) -> None:
    assert world.run() == 0
    config = read_config(world.folder())
    metrics = scoring.create(config.profile, ["rouge", "judge"])
    count = len(Opinionated.requests)
    with Judges() as judges:
        judges.bind(metrics, config, out=world.out)
    assert len(Opinionated.requests) == count
    assert getattr(metrics["judge"], "respondent", None) is not None
    assert not hasattr(metrics["rouge"], "respondent")


def test_the_judges_engine_is_as_long_as_the_runs(world: World) -> None:
    assert world.run() == 0
    profile = read_config(world.folder()).profile
    for limit, expected in ((32, (180, 32)), (1000, (1, 211))):
        made = judging_profile(profile, Judge(max_new_tokens=limit))
        assert (made.input_budget, made.max_new_tokens) == expected


def test_a_judge_is_spoken_to_as_its_own_model_is(world: World) -> None:
    assert world.run() == 0
    profile = read_config(world.folder()).profile
    said = {"chat_template": "plain", "chat_kwargs": {"enable_thinking": False}, "stop": ("###",)}
    spoken = profile.model_copy(update=said)
    assert judging_profile(spoken, Judge()).chat == {key: said[key] for key in ("chat_template", "chat_kwargs")}
    assert judging_profile(spoken, Judge(model="another")).chat == {}
