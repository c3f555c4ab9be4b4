from __future__ import annotations

import asyncio
import json
import logging
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.config import EncoderConfig, Profile
from bench.errors import BenchError, EngineError, SampleFailure, UserError
from bench.generate.server.messages import MessageEncoder
from bench.generate.server.openai import OpenAIGenerator
from bench.generate.server.retries import RetryPolicy, retry_after
from bench.generate.service import GenerationService
from bench.generate.store import RequestStore
from bench.models import addresses
from bench.types import Completion, Prompt, Request, Sampling
from tests.generate.fake_server import MODEL, FakeServer, Reply, completed, refusal, serving
from tests.generate.folders import SMOLLM, tokenizer_folder

KEY = "sk-very-secret-0123456789"
QUICK = RetryPolicy(tries=6, per_try=5.0, total=30.0, first_pause=0.002, longest_pause=0.01)
VLLM = {"id": MODEL, "object": "model", "owned_by": "vllm", "root": "org/weights"}
PROMPT = Prompt("Write.", "[Item Title]: Ein Löwe \U0001f981, 日本")
SAMPLING = Sampling(temperature=0.7, top_p=0.9, max_new_tokens=32)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with serving(FakeServer()) as running:
        yield running


def profile(llm: str = "hosted-model") -> Profile:
    encoder = EncoderConfig("none", "mean", False, 8)
    return Profile(name="p", title="", llm=llm, metrics=(), retrieval_encoder=encoder, embedder=encoder)


def make(server: FakeServer, llm: str = "hosted-model", **options: Any) -> OpenAIGenerator:
    return OpenAIGenerator(profile(llm), base_url=server.address, **{"retries": QUICK, **options})


def ask(generator: OpenAIGenerator, requests: Sequence[Request]) -> list[Completion | BaseException]:
    async def use() -> list[Completion | BaseException]:
        await generator.start()
        try:
            return await asyncio.gather(*map(generator.generate, requests), return_exceptions=True)
        finally:
            await generator.close()

    return asyncio.run(use())


def one(generator: OpenAIGenerator, prompt: Prompt = PROMPT, *, seed: int = 5) -> Completion:
    (answer,) = ask(generator, [Request(generator.encoder.encode(prompt), SAMPLING, seed)])
    if isinstance(answer, BaseException):
        raise answer
    return answer


# ---------------------------------------------------------------- what is sent and what comes back


def test_a_hosted_model_gets_the_messages_and_every_sampling_value(server: FakeServer) -> None:
    server.answer = lambda n, body: Reply(
        body=completed("a review ", usage={"prompt_tokens_details": {"cached_tokens": 7}})
    )
    answer = one(make(server), seed=2**62 + 9)
    assert server.paths == ["/v1/chat/completions"]
    assert server.bodies == [
        {
            "model": MODEL,
            "messages": [{"role": "system", "content": PROMPT.system}, {"role": "user", "content": PROMPT.user}],
            "temperature": 0.7,
            "top_p": 0.9,
            "max_tokens": 32,
            "seed": 9,
        }
    ]
    assert (answer.text, answer.finish, answer.ids, answer.n_new) == ("a review ", "stop", (), 4)
    assert (answer.n_prompt, answer.n_cached) == (11, 7)
    assert set(server.keys) == {f"Bearer {KEY}"}


@pytest.mark.models
def test_a_vllm_server_that_renders_alike_gets_token_ids(
    server: FakeServer, tmp_path: Path, require_assets: Callable[..., None]
) -> None:
    from transformers import AutoTokenizer

    require_assets(SMOLLM)
    folder = tokenizer_folder(tmp_path / "model")
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"")
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    more: list[int] = []  # what another model would have besides

    def tokenize(body: dict[str, Any]) -> dict[str, Any]:
        ids = tokenizer.apply_chat_template(
            body["messages"], add_generation_prompt=body["add_generation_prompt"], return_dict=False
        )
        return {"tokens": [*ids, *more]}

    server.cards = [VLLM]
    server.routes = {"/version": {"version": "9.9"}, "/tokenize": tokenize}
    server.answer = lambda n, body: Reply(body=completed("yes", finish="length", token_ids=[4, 5, 6]))

    generator = make(server, str(folder))
    answer = one(generator, Prompt("Write.", "A lamp."), seed=2**62 + 9)
    messages = [{"role": "system", "content": "Write."}, {"role": "user", "content": "A lamp."}]
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert server.paths == ["/v1/completions"]
    (body,) = server.bodies
    assert body["prompt"] == list(ids)
    assert (body["temperature"], body["top_p"], body["max_tokens"], body["seed"]) == (0.7, 0.9, 32, 2**62 + 9)
    neutral = {"top_k": 0, "min_p": 0, "repetition_penalty": 1, "presence_penalty": 0, "frequency_penalty": 0}
    assert {name: body[name] for name in neutral} == neutral
    assert (answer.text, answer.ids, answer.n_new, answer.finish) == ("yes", (4, 5, 6), 3, "length")
    identity = dict(generator.identity())
    assert (identity["api"], identity["version"], identity["root"]) == ("completions", "9.9", "org/weights")
    assert identity["tokenizer"]

    more.append(0)
    other = make(server, str(folder))
    assert isinstance(other.encoder, MessageEncoder)
    assert other.identity()["api"] == "chat"
    assert other.identity() != identity


def test_completions_that_are_asked_for_need_a_local_tokenizer(server: FakeServer) -> None:
    with pytest.raises(UserError, match="hosted-model"):
        _ = make(server, api="completions").encoder


def test_a_model_that_refuses_the_old_limit_gets_the_new_one(server: FakeServer) -> None:
    def answer(n: int, body: dict[str, Any]) -> Reply:
        if "max_tokens" in body:
            message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
            return refusal(400, message, param="max_tokens", code="unsupported_parameter")
        return Reply(body=completed(str(body["max_completion_tokens"])))

    server.answer = answer
    generator = make(server)
    ids = generator.encoder.encode(PROMPT)
    answers = ask(generator, [Request(ids, SAMPLING, seed) for seed in range(8)])
    assert [answer.text for answer in answers if isinstance(answer, Completion)] == ["32"] * 8


@pytest.mark.parametrize("body", [b"<html>hello</html>", {"choices": []}, {"detail": "x"}, "text", None])
def test_an_answer_without_text_is_a_failed_sample(server: FakeServer, body: Any) -> None:
    server.answer = lambda n, _: Reply(body=body)
    with pytest.raises(SampleFailure) as error:
        one(make(server))
    one_line(error)


# ---------------------------------------------------------------- messages as ids


@pytest.mark.parametrize("text", ["", "a", "ab", "abc", "Ein Löwe \U0001f981, 日本\n", "þÿ\x00", "x" * 1000])
def test_ids_give_the_messages_back(text: str) -> None:
    encoder = MessageEncoder()
    for prompt in (Prompt(text, "u"), Prompt("s", text), Prompt(text, text)):
        ids = encoder.encode(prompt)
        assert encoder.decode(ids) == prompt
        size = len(prompt.system.encode()) + len(prompt.user.encode())
        assert size / 3 <= len(ids) <= size / 3 + 2


def test_lone_surrogates_become_question_marks_and_borders_matter() -> None:
    encoder = MessageEncoder()
    assert encoder.decode(encoder.encode(Prompt("a\ud800", "b"))) == Prompt("a?", "b")
    assert encoder.encode(Prompt("a", "bc")) != encoder.encode(Prompt("ab", "c"))


# ---------------------------------------------------------------- servers that fail


def test_a_busy_server_is_asked_again_after_the_time_that_it_names(server: FakeServer) -> None:
    times: list[float] = []

    def answer(n: int, body: dict[str, Any]) -> Reply:
        times.append(time.monotonic())
        return refusal(429, "slow down", headers={"retry-after": "0.3"}) if n < 2 else Reply(body=completed())

    server.answer = answer
    assert one(make(server)).text == "fine"
    assert len(times) == 3
    assert all(later - before >= 0.3 for before, later in pairwise(times))


def test_a_wait_that_exceeds_the_total_is_not_waited(server: FakeServer) -> None:
    server.answer = lambda n, body: refusal(429, "come back tomorrow", headers={"retry-after": "86400"})
    with pytest.raises(SampleFailure, match=r"in 1 try; the last: 429 come back tomorrow"):
        one(make(server))
    assert len(server.bodies) == 1


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503])
def test_a_server_that_keeps_failing_fails_the_sample_after_six_tries(server: FakeServer, status: int) -> None:
    server.answer = lambda n, body: refusal(status, "no\nluck")
    with pytest.raises(SampleFailure, match=f"in 6 tries; the last: {status} no luck") as error:
        one(make(server))
    one_line(error)
    assert len(server.bodies) == 6


def test_a_server_that_hangs_is_a_timeout(server: FakeServer) -> None:
    server.answer = lambda n, body: Reply(body=completed("late"), after=1.2 if n < 2 else 0.0)
    patient = RetryPolicy(tries=4, per_try=0.4, first_pause=0.001)
    assert one(make(server, retries=patient)).text == "late"
    assert len(server.bodies) >= 3
    server.answer = lambda n, body: Reply(body=completed(), after=1.2)
    with pytest.raises(SampleFailure, match="in 4 tries; the last: no answer in time"):
        one(make(server, retries=patient))


def test_a_connection_that_is_cut_is_tried_again(server: FakeServer) -> None:
    server.answer = lambda n, body: Reply(body=completed("whole"), cut=n < 3)
    assert one(make(server)).text == "whole"
    assert len(server.bodies) == 4
    server.answer = lambda n, body: Reply(body=completed("never"), cut=True)
    with pytest.raises(SampleFailure, match="in 6 tries"):
        one(make(server))


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refused_request_is_not_tried_again(server: FakeServer, status: int) -> None:
    server.answer = lambda n, body: refusal(status, "maximum context length is 8")
    with pytest.raises(SampleFailure, match=f"{status} maximum context length is 8"):
        one(make(server))
    assert len(server.bodies) == 1


@pytest.mark.parametrize(("status", "cure"), [(401, "OPENAI_API_KEY"), (403, "OPENAI_API_KEY"), (404, "/v1")])
def test_a_wrong_key_or_model_ends_the_run_at_once(server: FakeServer, status: int, cure: str) -> None:
    server.answer = lambda n, body: refusal(status, f"not with {KEY}")
    with pytest.raises(EngineError, match=cure) as error:
        one(make(server))
    assert f"{status} not with ***" in one_line(error)
    assert len(server.bodies) == 1


def test_a_spent_quota_ends_the_run(server: FakeServer) -> None:
    server.answer = lambda n, body: refusal(429, "you exceeded your quota", code="insufficient_quota")
    with pytest.raises(EngineError, match="exceeded your quota"):
        one(make(server))
    assert len(server.bodies) == 1


def test_a_server_that_went_away_ends_the_run() -> None:
    with serving(FakeServer()) as server:
        generator = make(server)
        generator.identity()
    with pytest.raises(EngineError, match=r"is gone \(6 tries: .*start it") as error:
        one(generator)
    assert server.address in one_line(error)


def test_a_server_that_never_was_is_named(server: FakeServer) -> None:
    with serving(FakeServer()) as gone:
        pass
    for use in (lambda: asyncio.run(make(gone).start()), lambda: make(gone).identity()):
        with pytest.raises(EngineError, match="no model server answers") as error:
            use()
        assert gone.address in one_line(error)


def test_no_more_requests_than_allowed_are_in_flight(server: FakeServer) -> None:
    server.answer = lambda n, body: Reply(body=completed(), after=0.03)
    for options, most in (({"concurrency": 4}, 4), ({"deterministic": True}, 1)):
        server.bodies.clear()
        server.most_at_once = 0
        generator = make(server, **options)
        ids = generator.encoder.encode(PROMPT)
        answers = ask(generator, [Request(ids, SAMPLING, seed) for seed in range(12)])
        assert all(isinstance(answer, Completion) for answer in answers)
        assert len(server.bodies) == 12
        assert server.most_at_once == most


def pauses(policy: RetryPolicy, tries: int, asked: str = "") -> list[float]:
    """The pause after so many tries, drawn 200 times; `asked` is the server's Retry-After."""
    error = SimpleNamespace(response=SimpleNamespace(headers={"retry-after": asked}))
    state: Any = SimpleNamespace(attempt_number=tries, outcome=SimpleNamespace(exception=lambda: error))
    return [policy.pause(state) for _ in range(200)]


def test_pauses_double_up_to_a_limit_and_are_never_shorter_than_asked() -> None:
    policy = RetryPolicy(first_pause=1.0, longest_pause=8.0)
    for tries, longest in zip((1, 2, 3, 4, 5, 9), (1, 2, 4, 8, 8, 8), strict=True):
        drawn = pauses(policy, tries)
        assert longest / 2 <= min(drawn) < 0.6 * longest
        assert 0.9 * longest < max(drawn) <= longest
    assert set(pauses(policy, 1, asked="3.5")) == {3.5}
    assert max(pauses(policy, 4, asked="3.5")) > 7


def test_retry_after_is_a_number_or_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    past = format_datetime(datetime.now(UTC) - timedelta(seconds=100), usegmt=True)
    assert 90 < retry_after({"retry-after": soon}) <= 100
    given = {past: 0, "2.5": 2.5, "-1": 0, "nan": 0, "soon": 0, "": 0}
    assert {value: retry_after({"retry-after": value}) for value in given} == given
    assert retry_after({}) == 0


# ---------------------------------------------------------------- which model, which address


def test_the_model_is_the_one_named_or_the_only_one_or_the_profiles(server: FakeServer) -> None:
    assert make(server).identity()["model"] == MODEL
    with pytest.raises(UserError, match=f"no model at {server.address} 'served-modle'; did you mean '{MODEL}'"):
        make(server, model="served-modle").identity()
    server.cards = [{"id": name, "object": "model", "owned_by": "x"} for name in ("a", "hosted-model")]
    assert make(server).identity()["model"] == "hosted-model"
    with pytest.raises(UserError, match="serves a, hosted-model; choose one by --model-name"):
        make(server, llm="other").identity()
    server.routes["/v1/models"] = refusal(404, "nothing here")
    assert make(server, model="alias").identity()["model"] == "alias"
    with pytest.raises(EngineError, match="ends in /v1"):
        make(server).identity()


@pytest.mark.parametrize(
    ("status", "says"), [(401, "set OPENAI_API_KEY"), (503, "is not ready: 503 loading"), (500, "is not ready: 500")]
)
def test_a_server_that_does_not_let_itself_be_looked_at_says_why(server: FakeServer, status: int, says: str) -> None:
    server.routes["/v1/models"] = refusal(status, "loading", headers={"retry-after-ms": "1"})
    with pytest.raises(EngineError, match=says) as error:
        make(server).identity()
    one_line(error)


def test_the_address_comes_from_the_environment_where_none_is_given(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="--base-url"):
        OpenAIGenerator(profile())
    monkeypatch.setenv("OPENAI_BASE_URL", server.address + "/")
    assert OpenAIGenerator(profile()).identity()["server"] == f"127.0.0.1:{server.port}/v1"


@pytest.mark.parametrize(
    "address",
    ["http://me:hidden@host/v1", "http://hidden@host/v1", "https://host/v1?token=hidden", "http://host/v1#hidden"],
)
def test_addresses_with_secrets_are_refused_without_repeating_them(address: str) -> None:
    with pytest.raises(UserError, match="address of host") as error:
        addresses.checked(address)
    assert "hidden" not in one_line(error)


@pytest.mark.parametrize("address", ["localhost:8000/v1", "ftp://host/v1", "http://", "http://host:x/v1", "http://[1"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UserError, match="like http://localhost:8000/v1") as error:
        addresses.checked(address)
    one_line(error)


# ---------------------------------------------------------------- the key


def one_line(error: pytest.ExceptionInfo[BenchError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert KEY not in "".join(traceback.format_exception(error.value))
    return text


def test_a_key_that_cannot_be_sent_is_not_spelled_out(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for bad in ("sk-se\ncret", "sk-se cret", "sk-se\u2026cret"):
        monkeypatch.setenv("OPENAI_API_KEY", bad)
        with pytest.raises(UserError, match="OPENAI_API_KEY holds") as error:
            make(server).identity()
        assert "cret" not in "".join(traceback.format_exception(error.value))
    monkeypatch.setenv("OPENAI_API_KEY", KEY + "\n")
    assert one(make(server)).text
    assert set(server.keys) == {f"Bearer {KEY}"}


def test_without_a_key_a_local_server_is_asked_all_the_same(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    assert one(make(server)).text == "answer 0"
    assert KEY not in "".join(server.keys)


def test_the_key_is_nowhere_but_in_the_requests(
    server: FakeServer, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    echoing = {0: refusal(429, f"{KEY} is too fast"), 1: refusal(500, f"{KEY} broke it")}
    server.answer = lambda n, body: echoing.get(n, Reply(body=completed("stored")))
    generator = make(server)

    async def use() -> str:
        service = GenerationService(generator, RequestStore(tmp_path / "requests.sqlite"))
        request = Request(generator.encoder.encode(PROMPT), SAMPLING, 1)
        first, _, _ = await service.complete(PROMPT, request)
        again, from_store, _ = await service.complete(PROMPT, request)
        assert (first.text, again, from_store) == ("stored", first, True)
        server.answer = lambda n, body: refusal(400, f"what is {KEY}?")
        with pytest.raises(SampleFailure, match=r"what is \*\*\*\?") as error:
            await service.complete(PROMPT, Request(request.ids, SAMPLING, 2))
        one_line(error)
        files = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        assert b"stored" in files
        assert KEY.encode() not in files
        await service.close()
        return json.dumps(service.identity)

    identity = asyncio.run(use())
    assert set(server.keys) == {f"Bearer {KEY}"}
    assert KEY not in identity + caplog.text + "".join(capfd.readouterr())
    assert KEY not in json.dumps(server.bodies)
    assert KEY not in repr(vars(generator))


def test_a_server_without_a_system_role_gets_one_message(server: FakeServer) -> None:
    merging = profile().model_copy(update={"system_role": "merge"})
    generator = OpenAIGenerator(merging, base_url=server.address, retries=QUICK)
    one(generator)
    assert server.bodies[0]["messages"] == [{"role": "user", "content": f"{PROMPT.system}\n\n{PROMPT.user}"}]
    server.answer = lambda n, body: refusal(400, "System role not supported")
    with pytest.raises(SampleFailure, match="System role not supported; --set system_role=merge puts"):
        one(make(server))


# ---------------------------------------------------------------- how a model is spoken to


def spoken(server: FakeServer, llm: str = "hosted-model", **chat: Any) -> OpenAIGenerator:
    said = profile(llm).model_copy(update=chat)
    return OpenAIGenerator(said, base_url=server.address, retries=QUICK)


def test_stop_strings_are_sent_and_cut_here_too(server: FakeServer) -> None:
    server.answer = lambda n, body: Reply(body=completed("A lamp.###More"))
    generator = spoken(server, stop=("###", "\n\n"))
    assert one(generator).text == "A lamp."
    assert server.bodies[0]["stop"] == ["###", "\n\n"]
    assert generator.identity()["stop"] == ["###", "\n\n"]


def test_a_model_that_refuses_stop_strings_is_cut_here_alone(server: FakeServer) -> None:
    def reply(body: dict[str, Any]) -> Reply:
        odd = refusal(400, "Unsupported parameter: 'stop' is not supported with this model.", param="stop")
        return odd if "stop" in body else Reply(body=completed("A lamp.###More"))

    server.trial, server.answer = reply, lambda n, body: reply(body)
    generator = spoken(server, stop=("###",))
    assert one(generator).text == "A lamp."
    assert "stop" not in server.bodies[0]
    assert generator.identity()["left_out"] == ["stop"]


def test_values_of_the_template_go_to_a_server_that_renders(server: FakeServer) -> None:
    generator = spoken(server, chat_kwargs={"enable_thinking": False})
    one(generator)
    assert server.bodies[0]["chat_template_kwargs"] == {"enable_thinking": False}
    assert generator.identity()["chat_kwargs"] == {"enable_thinking": False}
    assert "chat_kwargs" not in make(server).identity()


def test_a_server_that_takes_no_values_is_refused_before_a_run(server: FakeServer) -> None:
    server.trial = lambda body: refusal(400, "Unrecognized request argument supplied: chat_template_kwargs")
    with pytest.raises(UserError, match=r"takes no chat_kwargs \(.*Unrecognized.*\); leave them out, or serve by vLLM"):
        spoken(server, chat_kwargs={"enable_thinking": False}).identity()


def test_a_server_that_renders_takes_no_template(server: FakeServer) -> None:
    with pytest.raises(UserError, match="renders them by its own chat template; leave out chat_template, or serve"):
        spoken(server, chat_template="plain").identity()


@pytest.mark.models
def test_a_vllm_server_gets_the_ids_of_a_template_that_it_does_not_know(
    server: FakeServer, tmp_path: Path, require_assets: Callable[..., None]
) -> None:
    from transformers import AutoTokenizer

    require_assets(SMOLLM)
    folder = tokenizer_folder(tmp_path / "base", "")
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"")
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    more: list[int] = []
    server.cards = [VLLM]

    def tokenize(body: dict[str, Any]) -> dict[str, Any]:
        assert body["add_special_tokens"] is False
        return {"tokens": [*tokenizer(body["prompt"], add_special_tokens=False)["input_ids"], *more]}

    server.routes = {"/version": {"version": "9.9"}, "/tokenize": tokenize}
    one(spoken(server, str(folder), chat_template="plain"), Prompt("Write.", "A lamp."))
    assert server.paths == ["/v1/completions"]
    assert tokenizer.decode(server.bodies[0]["prompt"]) == "Write.\n\nA lamp.\n\n"
    more.append(0)
    with pytest.raises(UserError, match=r"does not tokenize as the tokenizer of .* on this machine"):
        spoken(server, str(folder), chat_template="plain").identity()


def test_a_server_of_a_base_model_says_so_with_the_option_that_mends_it(server: FakeServer) -> None:
    said = "As of transformers v4.44, default chat template is no longer allowed, so you must provide a chat template"
    server.answer = lambda n, body: refusal(400, said)
    with pytest.raises(SampleFailure, match="must provide a chat template; --set chat_template=plain sends texts with"):
        one(make(server))
