"""Servers as they are: whatever a server answers is a text, a retry, or one clear line; bookkeeping costs no text."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bench.errors import BenchError, EngineError, SampleFailure
from bench.generate.store import RequestStore
from bench.types import Completion, Prompt, Request
from tests.generate.fake_server import FakeServer, Reply, completed, refusal, serving
from tests.generate.server.test_openai import PROMPT, SAMPLING, ask, make, one, one_line


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret-0123456789")


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with serving(FakeServer()) as running:
        yield running


def always(server: FakeServer, body: Any, **more: Any) -> None:
    server.answer = lambda n, _: Reply(body=body, **more)


def error(code: Any = None, message: Any = "the provider's words", **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **({} if code is None else {"code": code}), **more}}


# ---------------------------------------------------------------- status 200 with an error

TRANSIENT: dict[str, Any] = {
    "429": error(429),
    "'502'": error("502"),
    "503.0": error(503.0),
    "a word": error("rate_limit_exceeded"),
    "a type": error(None, type="overloaded_error"),
    "status": error(None, status=500),
    "nested": {"error": {"error": {"message": "the provider's words", "code": 529}}},
    "in the choice": {"choices": [{"error": {"code": 502, "message": "the provider's words"}, "text": ""}]},
    "no code": error(),
    "a text": {"error": "the provider's words"},
    "odd code": error({"a": 1}),
    "code 0": error(0),
    "code true": error(True),
    "object error": {"object": "error", "message": "the provider's words", "code": 503},
    "metadata": error(429, "failed", metadata={"raw": "the provider's words"}),
    "only a message": {"message": "the provider's words"},
}


@pytest.mark.parametrize("name", TRANSIENT)
def test_an_error_with_status_200_that_may_pass_is_tried_again(server: FakeServer, name: str) -> None:
    server.answer = lambda n, _: Reply(body=TRANSIENT[name] if n < 3 else completed("at last"))
    assert one(make(server)).text == "at last"
    assert len(server.bodies) == 4
    always(server, TRANSIENT[name])
    with pytest.raises(SampleFailure, match=r"in 6 tries; the last: .*the provider's words") as failure:
        one(make(server))
    one_line(failure)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (error(402), "402 the provider's words; what was finished is kept"),
        (error("insufficient_quota"), "402 the provider's words; what was finished is kept"),
        (error(401), "set OPENAI_API_KEY"),
        (error("403"), "set OPENAI_API_KEY to one that may"),
        (error(404), "check the model's name"),
        ({"choices": [{"error": {"code": 402, "message": "the provider's words"}}]}, "402 the provider's words"),
    ],
)
def test_an_error_with_status_200_that_no_request_survives_ends_the_run(
    server: FakeServer, body: Any, says: str
) -> None:
    always(server, body)
    with pytest.raises(EngineError, match=says):
        one(make(server))
    assert len(server.bodies) == 1


@pytest.mark.parametrize("code", [400, "413", "context_length_exceeded"])
def test_an_error_with_status_200_of_one_request_fails_that_sample(server: FakeServer, code: Any) -> None:
    always(server, error(code))
    with pytest.raises(SampleFailure, match=r"refused the request: 4\d\d the provider's words"):
        one(make(server))
    assert len(server.bodies) == 1


def test_payment_is_required_ends_the_run_with_its_status_too(server: FakeServer) -> None:
    server.answer = lambda n, _: refusal(402, "top up")
    with pytest.raises(EngineError, match="402 top up"):
        one(make(server))


# ---------------------------------------------------------------- answers that are none

NO_ANSWER: dict[str, Any] = {
    "HTML": b"<html>busy</html>",
    "half of it": json.dumps(completed("whole")).encode()[:-20],
    "nothing": b"",
    "white space": b"   \n ",
    "null": b"null",
    "an array": b"[1, 2]",
    "a number": b"7",
    "no UTF-8": b'{"choices": "\xff\xfe"}',
    "events": b'data: {"choices": [{"delta": {"content": "x"}}]}\n\ndata: [DONE]\n\n',
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("name", NO_ANSWER)
def test_what_is_no_answer_is_tried_again_and_named(server: FakeServer, name: str) -> None:
    server.answer = lambda n, _: Reply(body=NO_ANSWER[name] if n < 2 else completed("whole"))
    assert one(make(server)).text == "whole"
    always(server, NO_ANSWER[name])
    with pytest.raises(SampleFailure, match=r"in 6 tries; the last: the answer is") as failure:
        one(make(server))
    assert len(one_line(failure)) < 400


def choice(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "finish_reason": "stop", **fields}]}


def said(content: Any, **message: Any) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": content, **message}}


NO_TEXT: list[tuple[str, dict[str, Any], str]] = [
    ("no choices", {"choices": []}, "holds no text"),
    ("choices of text", {"choices": "x"}, "holds no text"),
    ("choice null", {"choices": [None]}, "holds no text"),
    ("reasoning", choice(**said(None, reasoning_content="hm"), finish_reason="length"), "never leaves its reasoning"),
    ("reasoning, empty", choice(**said("", reasoning="hm"), finish_reason="length"), "never leaves its reasoning"),
    (
        "hidden reasoning",
        {
            **choice(**said("", refusal=None), finish_reason="length"),
            "usage": {"completion_tokens_details": {"reasoning_tokens": 9}},
        },
        "never leaves its reasoning",
    ),
    ("refusal", choice(**said(None, refusal="I will not.")), "the model refused: I will not."),
    ("filter", choice(**said("half"), finish_reason="content_filter"), r"withheld the answer \(content_filter\)"),
    ("tool", choice(**said(None, tool_calls=[{}]), finish_reason="tool_calls"), "called a tool"),
    ("null", choice(**said(None)), "has no text"),
    ("a number", choice(**said(7)), "has no text"),
    ("no content", choice(message={"role": "assistant"}), "has no text"),
    ("parts without text", choice(**said([{"type": "image"}])), "has no text"),
    ("empty message", choice(message={}), "has no text"),
]


@pytest.mark.parametrize(("name", "body", "says"), NO_TEXT)
def test_an_answer_without_a_text_is_a_failed_sample_that_says_why(
    server: FakeServer, name: str, body: Any, says: str
) -> None:
    always(server, body)
    with pytest.raises(SampleFailure, match=says) as failure:
        one(make(server))
    one_line(failure)
    assert len(server.bodies) == 1


# ---------------------------------------------------------------- texts that must not be lost

UNKNOWN = [None, "tool_calls", "eos_reached", 3, {"a": 1}, ["stop"], ""]


@pytest.mark.parametrize("finish", UNKNOWN, ids=repr)
def test_an_end_that_nobody_knows_keeps_the_text(server: FakeServer, finish: Any) -> None:
    always(server, choice(**said("a text"), finish_reason=finish))
    answer = one(make(server))
    assert (answer.text, answer.finish) == ("a text", "unknown")
    body = choice(**said("a text"))
    del body["choices"][0]["finish_reason"]
    always(server, body)
    assert one(make(server)).finish == "unknown"


@pytest.mark.parametrize(("finish", "ours"), [("eos", "stop"), ("STOP", "stop"), ("MAX_TOKENS", "length")])
def test_other_words_for_known_ends(server: FakeServer, finish: str, ours: str) -> None:
    always(server, choice(**said("a text"), finish_reason=finish))
    assert one(make(server)).finish == ours


def test_a_text_in_parts_is_joined_and_an_empty_text_is_one(server: FakeServer) -> None:
    parts = [{"type": "text", "text": "a "}, {"type": "reasoning", "x": 1}, "b", {"type": "text", "text": " c"}]
    for content, text in ((parts, "a b c"), ({"type": "text", "text": "one"}, "one"), ("", "")):
        always(server, choice(**said(content)))
        assert one(make(server)).text == text


def test_reasoning_in_a_field_of_its_own_is_kept_apart(server: FakeServer) -> None:
    for name in ("reasoning_content", "reasoning", "thinking"):
        always(server, choice(**said("a text", **{name: "hm"})))
        answer = one(make(server))
        assert (answer.text, answer.reasoning) == ("a text", "hm")


ODD: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no usage": lambda body: body.pop("usage"),
    "usage null": lambda body: body.update(usage=None),
    "usage a list": lambda body: body.update(usage=[1]),
    "usage a text": lambda body: body.update(usage="x"),
    "counts as texts": lambda body: body.update(usage={"prompt_tokens": "11", "completion_tokens": "4"}),
    "negative": lambda body: body.update(usage={"prompt_tokens": -1, "completion_tokens": -4}),
    "fractions": lambda body: body.update(usage={"prompt_tokens": 1.5, "completion_tokens": 0.1}),
    "huge": lambda body: body.update(usage={"prompt_tokens": 10**30, "completion_tokens": 1e300}),
    "booleans": lambda body: body.update(usage={"prompt_tokens": True, "completion_tokens": False}),
    "details": lambda body: body.update(usage={"prompt_tokens_details": [1], "completion_tokens_details": "x"}),
    "cached": lambda body: body.update(usage={"prompt_tokens_details": {"cached_tokens": "7"}}),
    "no ids": lambda body: [body.pop(name) for name in ("id", "object", "created", "model")],
    "other types": lambda body: body.update(id=7, object=None, created="now", model={"x": 1}, system_fingerprint=[1]),
    "another model": lambda body: body.update(model="somebody else's"),
    "more fields": lambda body: body.update(provider={"a": [1]}, warnings="x", choice=3),
    "logprobs": lambda body: body["choices"][0].update(logprobs="x", index=None),
    "no index": lambda body: body["choices"][0].pop("index"),
    "token ids of texts": lambda body: body["choices"][0].update(token_ids=["a", 1]),
    "token ids negative": lambda body: body["choices"][0].update(token_ids=[-1, 2.5]),
    "token ids null": lambda body: body["choices"][0].update(token_ids=None),
    "error null": lambda body: body.update(error=None),
    "error empty": lambda body: body.update(error={}),
    "second choice": lambda body: body["choices"].append(None),
}


@pytest.mark.parametrize("name", ODD)
def test_bookkeeping_never_costs_a_text(server: FakeServer, name: str, tmp_path: Any) -> None:
    body = completed("a text")
    ODD[name](body)
    always(server, body)
    answer = one(make(server))
    assert (answer.text, answer.finish) == ("a text", "stop")
    assert all(type(count) is int and count >= 0 for count in (answer.n_prompt, answer.n_cached, answer.n_new))
    store = RequestStore(tmp_path / "store.sqlite")
    assert store.put("k", PROMPT, answer) == answer == store.get("k")
    store.close()


@pytest.mark.parametrize("head", [b"\xef\xbb\xbf", b"\n\n   ", b"\r\n"])
def test_what_stands_before_the_json_does_not_matter(server: FakeServer, head: bytes) -> None:
    always(server, head + json.dumps(completed("a text")).encode(), headers={"content-type": "text/plain"})
    assert one(make(server)).text == "a text"


def test_numbers_that_json_does_not_know_are_read(server: FakeServer) -> None:
    always(server, json.dumps(completed("a text", score=float("nan"))).encode())
    assert one(make(server)).text == "a text"


# ---------------------------------------------------------------- parameters that a server does not take


def refusing(*names: str, status: int = 400, wording: str = "Unsupported parameter: '{}'", **more: Any) -> Any:
    def answer(body: dict[str, Any]) -> Reply:
        for name in names:
            if name in body:
                return refusal(status, wording.format(name), **more)
        return Reply(body=completed(json.dumps(sorted(body))))

    return answer


@pytest.mark.parametrize(
    "wording",
    [
        "Unsupported parameter: '{}'", "{}: Extra inputs are not permitted", "'{}' is not supported with this model.",
        "Unrecognized request argument supplied: {}", "unknown field \"{}\"", "This model does not support `{}`.",
        "the parameter {} is deprecated",
    ],
)  # fmt: skip
@pytest.mark.parametrize("status", [400, 422])
def test_a_refused_parameter_is_left_out_and_the_identity_says_so(
    server: FakeServer, wording: str, status: int
) -> None:
    take = refusing("seed", "top_p", wording=wording, status=status)
    server.trial, server.answer = take, lambda n, body: take(body)
    generator = make(server)
    assert dict(generator.identity())["left_out"] == ["seed", "top_p"]
    assert json.loads(one(generator).text) == ["max_tokens", "messages", "model", "temperature"]
    assert len(server.bodies) == 1
    assert generator.details() == {}
    server.trial = lambda body: Reply(body=completed())
    assert "left_out" not in make(server).identity()


def test_a_refusal_with_status_200_names_its_parameter_too(server: FakeServer) -> None:
    body = error("unknown_parameter", "no such field", param="seed", status=400)
    server.trial = lambda asked: Reply(body=body if "seed" in asked else completed())
    server.answer = lambda n, asked: Reply(body=body if "seed" in asked else completed("fine"))
    generator = make(server)
    assert dict(generator.identity())["left_out"] == ["seed"]
    assert one(generator).text == "fine"


def test_a_refusal_that_comes_later_is_told_with_the_run(server: FakeServer) -> None:
    take = refusing("seed")
    server.answer = lambda n, body: Reply(body=completed("fine")) if n < 4 else take(body)
    generator = make(server, concurrency=1)
    ids = generator.encoder.encode(PROMPT)
    answers = ask(generator, [Request(ids, SAMPLING, seed) for seed in range(8)])
    assert all(isinstance(answer, Completion) for answer in answers)
    assert generator.details() == {"left_out_later": ["seed"]}
    assert sum("seed" in body for body in server.bodies) == 5


@pytest.mark.parametrize("name", ["model", "messages"])
def test_what_a_request_cannot_do_without_is_never_left_out(server: FakeServer, name: str) -> None:
    take = refusing(name)
    server.trial, server.answer = take, lambda n, body: take(body)
    with pytest.raises(SampleFailure, match=f"400 Unsupported parameter: '{name}'"):
        one(make(server))


def test_a_value_out_of_range_is_a_refused_request(server: FakeServer) -> None:
    """It names a parameter that the server knows: leaving it out would sample otherwise than asked."""
    server.answer = lambda n, _: refusal(400, "temperature must be at most 1", param="temperature")
    with pytest.raises(SampleFailure, match="temperature must be at most 1"):
        one(make(server))
    assert len(server.bodies) == 1


def test_a_server_that_refuses_the_trial_for_another_reason_is_asked_all_the_same(server: FakeServer) -> None:
    for reply in (refusal(400, "max_tokens must be at least 16"), Reply(body=b"<html>"), refusal(500, "no")):
        server.trial = lambda body, reply=reply: Reply(reply.status, reply.body, {"retry-after-ms": "1"})
        assert one(make(server)).text.startswith("answer")


def test_no_misbehaviour_costs_more_than_its_sample(server: FakeServer) -> None:
    """One bad answer of every kind among good ones."""
    bad = [*NO_ANSWER.values(), *(body for _, body, _ in NO_TEXT), error(400)]
    prompts: dict[str, Any] = {f"item {n}": body for n, body in enumerate(bad)}

    def answer(n: int, body: dict[str, Any]) -> Reply:
        return Reply(body=prompts.get(body["messages"][1]["content"], completed("fine")))

    server.answer = answer
    generator = make(server)

    async def use() -> list[Completion | BaseException]:
        await generator.start()
        asked = [Prompt("s", f"item {n}") for n in range(2 * len(bad))]
        requests = [Request(generator.encoder.encode(prompt), SAMPLING, seed=1) for prompt in asked]
        found = await asyncio.gather(*map(generator.generate, requests), return_exceptions=True)
        await generator.close()
        return found

    found = asyncio.run(use())
    assert all(isinstance(one, SampleFailure) for one in found[: len(bad)])
    assert [one.text for one in found[len(bad) :] if isinstance(one, Completion)] == ["fine"] * len(bad)
    assert not [one for one in found if isinstance(one, BaseException) and not isinstance(one, BenchError)]
