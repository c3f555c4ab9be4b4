"""Aspects: what is asked, how strictly it is read, and the scores by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bench import registry
from bench.errors import UserError
from bench.record import runs
from bench.types import Prompt
from metrics import reading
from metrics.aspects import SCORES, Aspects, parse_aspects, parse_matches
from tests import fakes
from tests.fakes import World, bench
from tests.generate.fake_server import FakeServer, Reply, completed, serving

TWO = '{"aspects": [{"aspect": "sound", "evidence": "a sound!"}, {"aspect": "price", "evidence": "cheap"}]}'


def listed(*names: str) -> str:
    return json.dumps({"aspects": [{"aspect": name, "evidence": f"the {name}"} for name in names]})


def matched(*entries: tuple[int | None, bool, bool]) -> str:
    return json.dumps(
        {
            "matches": [
                {"first": number, "second": second, "content": content, "style": style}
                for number, (second, content, style) in enumerate(entries, start=1)
            ]
        }
    )


@dataclass
class Scripted:
    answers: list[str | None]
    asked: list[Prompt] = field(default_factory=list)
    name: str = "a model on an engine 1"

    def fits(self, prompt: Prompt) -> bool:
        return True

    def answer(self, prompts: Sequence[Prompt], *, max_new_tokens: int) -> list[str | None]:
        self.asked += prompts
        given, self.answers = self.answers[: len(prompts)], self.answers[len(prompts) :]
        return given


def scored(answers: list[str | None], predictions: list[str], references: list[str]) -> tuple[Aspects, Scripted, Any]:
    metric, respondent = Aspects(), Scripted(answers)
    metric.respondent = respondent
    return metric, respondent, metric.score(predictions, references)


@pytest.mark.parametrize("answer", [TWO, f" {TWO}\n", f"```json\n{TWO}\n```", f"```\n{TWO}\n```"])
def test_a_list_is_read(answer: str) -> None:
    assert parse_aspects(answer, most=2) == [("sound", "a sound!"), ("price", "cheap")]
    assert parse_aspects('{"aspects": []}', most=2) == []


@pytest.mark.parametrize(
    "answer",
    [None, "", "none", "[]", '{"aspects": 1}', '{"aspects": ["sound"]}', f"Here it is: {TWO}", TWO[:-1],
     '{"aspects": [], "more": 1}', '{"aspects": [{"aspect": "a"}]}', '{"aspects": [{"aspect": "a", "evidence": " "}]}',
     '{"aspects": [{"aspect": "a", "evidence": ["b"]}]}', '{"aspects": [{"aspect": "a", "evidence": "b", "x": 1}]}',
     listed("a", "b", "c")],
)  # fmt: skip
def test_another_form_is_no_list(answer: str | None) -> None:
    assert parse_aspects(answer, most=2) is None


def test_matches_are_read_in_any_order_and_none_agrees_in_nothing() -> None:
    answer = json.loads(matched((2, True, False), (None, True, True)))
    answer["matches"].reverse()
    assert parse_matches(json.dumps(answer), first=2, second=2) == [(True, False), (False, False)]


@pytest.mark.parametrize(
    "answer",
    [None, "", "{}", matched((1, True, True)), matched((1, True, True), (3, True, True)),
     matched((0, True, True), (1, True, True)), matched((1, 1, True), (1, True, True)),  # type: ignore[arg-type]
     matched((True, True, True), (1, True, True)), matched((1, True, True), (1, True, True), (1, True, True)),
     matched((1, True, True), (1, True, True)).replace('"first": 2', '"first": 1'),
     matched((1, True, True), (1, True, True)).replace("style", "manner")],
)  # fmt: skip
def test_another_form_is_no_match(answer: str | None) -> None:
    assert parse_matches(answer, first=2, second=2) is None


def test_scores_by_hand() -> None:
    """Text: 2 aspects, of which 1 agrees in content and both in style. Reference: 4, of which 1 agrees in content, 2
    in style. Content: P 1/2, R 1/4, F 1/3. Style: P 1, R 1/2, F 2/3."""
    answers = [
        listed("sound", "price"),
        listed("sound", "price", "case", "shop"),
        matched((1, True, True), (2, False, True)),
        matched((1, True, True), (2, False, True), (None, False, False), (None, True, True)),
    ]
    _, respondent, (row,) = scored([*answers], ["a text"], ["a reference"])
    assert [row[key] for key in SCORES] == pytest.approx([1 / 3, 1 / 2, 1 / 4, 2 / 3, 1.0, 1 / 2])
    assert row["aspects_answers"] == answers
    asked = [prompt.text for prompt in respondent.asked]
    assert "a text" in asked[0] and "a reference" in asked[1]
    assert asked[2].index("1. sound: the sound\n2. price") < asked[2].index("4. shop: the shop")
    assert asked[3].index("4. shop: the shop") < asked[3].rindex("2. price: the price")
    assert len({prompt.system for prompt in respondent.asked}) == 1  # by which `bench rm` knows its answers
    assert Aspects().prompt("", "").system == respondent.asked[0].system


def test_what_cannot_be_read_is_counted_and_never_a_success() -> None:
    good = matched((1, True, True))
    lists = ["rubbish", listed("a"), listed("a"), None, listed("a"), '{"aspects": []}', '{"aspects": []}', listed("a")]
    lists += [listed("a")] * 4
    metric, respondent, rows = scored([*lists, good, "rubbish", good, good], ["x"] * 6, ["y"] * 6)
    assert [row["aspects_content"] for row in rows] == [None, None, None, 0.0, None, 1.0]
    assert len(respondent.asked) == 12 + 4
    values = metric.aggregate(rows)
    assert (values["aspects_content"], values["aspects_missing"], values["aspects_n"]) == (0.5, 4.0, 2.0)
    assert metric.aggregate(rows[:1]) == {"aspects_missing": 1.0, "aspects_n": 0.0}
    assert {column.key for column in metric.columns} == set(values)
    json.dumps(rows, allow_nan=False)


def test_empty_texts_score_zero_without_a_question() -> None:
    metric, respondent, rows = scored([], ["", " "], ["y", "y"])
    assert respondent.asked == [] and all(row[key] == 0.0 for row in rows for key in SCORES)
    assert metric.aggregate(rows)["aspects_n"] == 2


def test_texts_in_braces_long_texts_and_versions() -> None:
    metric = Aspects(max_chars=5)
    assert "{x} %" in metric.prompt("{x} %s", "").text and "%s" not in metric.prompt("{x} %s", "").text
    metric.respondent = Scripted(["", ""])
    (row,) = metric.score(["sixsix"], ["y"])
    assert row["unread"] == {"prediction": [reading.CUT]}
    assert metric.unread(row) == {"prediction": ["are read to their first 5 characters only"]}
    (text,) = metric.versions().values()
    assert text.endswith("by a model on an engine 1, greedy, 768 tokens, 8 aspects, texts to 5 chars")
    assert set(registry.options_of("metric", "aspects")) == {"base_url", "model", "most", "max_chars", "max_new_tokens"}
    with pytest.raises(ValueError, match="respondent"):
        Aspects().score(["x"], ["y"])
    with pytest.raises(UserError, match="password or a query"):
        Aspects(base_url="http://me:secret@host/v1")


def test_a_run_is_scored_by_a_server_once_and_verified_from_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", fakes.FAKE)
    monkeypatch.setattr(fakes.FakeGenerator, "plan", fakes.Plan())
    world = World(tmp_path)
    assert world.run() == 0

    def answer(n: int, body: dict[str, Any]) -> Reply:
        user = body["messages"][1]["content"]
        return Reply(body=completed(matched((1, True, False)) if "[First]" in user else listed("thing")))

    with serving(FakeServer(answer=answer)) as server:
        words = ("--metric", "aspects", "--set", f"aspects.base_url={server.address}")
        assert bench("score", world.out, *words, "--set", "aspects.max_new_tokens=64") == 0
        asked = len(server.bodies)
        values = world.folder().read(runs.SUMMARY)["scores"].values()
        assert {(one["aspects_content"], one["aspects_style"], one["aspects_missing"]) for one in values} == {
            (1.0, 0.0, 0.0)
        }
        assert bench("rm", "--store", "--yes", "--out", world.out) == 0
        assert bench("score", world.out, "--metric", "aspects") == 0
        capfd.readouterr()
        assert bench("verify", world.out) == 0
        assert "aspects computed again" in capfd.readouterr().out
        assert len(server.bodies) == asked
