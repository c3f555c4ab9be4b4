"""Soft prompt embeddings for servers: embedding tables, whole prompts as embeddings, servers that refuse them."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.errors import UserError
from bench.generate.prompts.chat import ChatEncoder
from bench.generate.server import prompt_embeds
from bench.generate.server.messages import MessageEncoder
from bench.generate.server.openai import OpenAIGenerator
from bench.types import Completion, Prompt, Request, Slot
from tests.generate.fake_server import FakeServer, Reply, completed, refusal, serving
from tests.generate.folders import SMOLLM, tiny_llama
from tests.generate.server.test_openai import QUICK, SAMPLING, VLLM, ask, profile

SOFT = Prompt("Write.", ("for ", Slot("a"), " and ", Slot("b"), "."))
PROBED = {"logprobs": {"top_logprobs": [{" the": -0.5, " a": -1.5}]}, "token_ids": [5]}


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory, require_assets: Callable[..., None]) -> Path:
    require_assets(SMOLLM)
    return tiny_llama(tmp_path_factory.mktemp("llama"))


@cache
def encoder(folder: Path) -> ChatEncoder:
    return ChatEncoder(str(folder))


@pytest.fixture
def server(llama: Path) -> Iterator[FakeServer]:
    """Renders as the tiny model does and answers every prompt alike."""
    tokenizer = encoder(llama).tokenizer

    def tokenize(body: dict[str, Any]) -> dict[str, Any]:
        ids = tokenizer.apply_chat_template(body["messages"], add_generation_prompt=True, return_dict=False)
        return {"tokens": list(ids)}

    routes = {"/version": {"version": "9.9"}, "/tokenize": tokenize}
    with serving(FakeServer(cards=[VLLM], routes=routes)) as running:
        running.answer = lambda n, body: Reply(body=completed("fine", **PROBED))
        yield running


def soft(llama: Path, *, seed: int = 0) -> Request:
    embeds = np.random.default_rng(seed).normal(size=(2, 64)).astype(np.float32)
    return Request(encoder(llama).encode(SOFT), SAMPLING, seed, embeds=embeds)


def sent(body: dict[str, Any]) -> Any:
    import torch

    return torch.load(io.BytesIO(base64.b64decode(body["prompt_embeds"], validate=True)), weights_only=True)


def generator(server: FakeServer, llm: str, **options: Any) -> OpenAIGenerator:
    return OpenAIGenerator(profile(llm), base_url=server.address, retries=QUICK, **options)


def table(folder: Path) -> Any:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")["model.embed_tokens.weight"]


@pytest.mark.models
def test_a_soft_prompt_is_sent_as_the_embeddings_of_all_its_tokens(server: FakeServer, llama: Path) -> None:
    import torch

    one = soft(llama)
    answers = ask(generator(server, str(llama)), [one])
    assert [answer.text for answer in answers if isinstance(answer, Completion)] == ["fine"]
    by_ids, by_embeds, body = server.bodies  # the first two ask whether the server takes embeddings as it takes ids
    assert sent(by_embeds).equal(table(llama)[by_ids["prompt"]])
    assert {**by_ids, "prompt": None} == {key: value for key, value in by_embeds.items() if key != "prompt_embeds"}

    assert body["prompt"] is None
    assert (body["temperature"], body["max_tokens"], body["seed"]) == (0.7, 32, 0)
    assert (body["repetition_penalty"], body["presence_penalty"], body["frequency_penalty"]) == (1, 0, 0)
    at = torch.tensor(one.ids) == encoder(llama).slot_id
    assert sent(body)[at].equal(torch.from_numpy(one.embeds))
    assert sent(body)[~at].equal(table(llama)[torch.tensor(one.ids)[~at]])


@pytest.mark.models
def test_the_server_is_probed_once_and_not_for_ordinary_prompts(server: FakeServer, llama: Path) -> None:
    plain = Request(soft(llama).ids, SAMPLING, 9)
    answers = ask(generator(server, str(llama)), [plain, *(soft(llama, seed=seed) for seed in range(6))])
    assert all(isinstance(answer, Completion) for answer in answers)
    assert len(server.bodies) == 2 + 7
    server.bodies.clear()
    ask(generator(server, str(llama)), [plain])
    assert len(server.bodies) == 1


@pytest.mark.models
def test_a_server_that_takes_no_embeddings_is_named_with_the_cure(server: FakeServer, llama: Path) -> None:
    def answer(n: int, body: dict[str, Any]) -> Reply:
        if "prompt_embeds" in body:
            return refusal(400, "You must set `--enable-prompt-embeds` to input `prompt_embeds`.")
        return Reply(body=completed("fine", **PROBED))

    server.answer = answer
    (error,) = ask(generator(server, str(llama)), [soft(llama)])
    assert isinstance(error, UserError)
    assert "takes no soft prompt embeddings (the server refused the request: 400" in str(error)
    assert "start it with --enable-prompt-embeds, or pass --generator vllm" in str(error)
    assert server.address in str(error) and "\n" not in str(error)


@pytest.mark.models
@pytest.mark.parametrize("other", [[{" the": -0.8}], [{" a": -0.5}], [], None])
def test_a_server_whose_model_has_other_embeddings_is_refused(server: FakeServer, llama: Path, other: Any) -> None:
    def answer(n: int, body: dict[str, Any]) -> Reply:
        changed = {"logprobs": {"top_logprobs": other}} if "prompt_embeds" in body else {}
        return Reply(body=completed("fine", **PROBED | changed))

    server.answer = answer
    (error,) = ask(generator(server, str(llama)), [soft(llama)])
    assert isinstance(error, UserError)
    assert "does not answer the embeddings" in str(error) and "\n" not in str(error)


@pytest.mark.models
def test_a_server_that_gets_messages_or_is_no_vllm_takes_none(server: FakeServer, llama: Path) -> None:
    server.cards = [{**VLLM, "owned_by": "x"}]
    by_ids = generator(server, str(llama), api="completions")
    (error,) = ask(by_ids, [soft(llama)])
    assert isinstance(error, UserError)
    for use in (
        lambda: generator(server, str(llama)).encoder.encode(SOFT),
        lambda: MessageEncoder().slot_id,
    ):
        with pytest.raises(
            UserError, match=r"no place for soft prompt embeddings; serve .* --enable-prompt-embeds"
        ) as raised:
            use()
        assert str(raised.value) == str(error)


# ---------------------------------------------------------------- tables


def resaved(folder: Path, target: Path, rename: Callable[[str], str], **options: Any) -> Path:
    """The folder with other tensor names, or in several files."""
    import shutil

    from safetensors.torch import load_file, save_file

    shutil.copytree(folder, target)
    values = load_file(target / "model.safetensors")
    (target / "model.safetensors").unlink()
    parts = options.get("parts", 1)
    names = {name: f"model-{number % parts}.safetensors" for number, name in enumerate(values)}
    if parts == 1:
        names = dict.fromkeys(values, prompt_embeds.WHOLE)
    for file in set(names.values()):
        chosen = {rename(name): values[name] for name in values if names[name] == file}
        save_file(chosen, target / file, metadata={"format": "pt"})
    if parts > 1:
        index = {"weight_map": {rename(name): file for name, file in names.items()}}
        (target / prompt_embeds.INDEX).write_text(json.dumps(index))
    return target


@pytest.mark.models
def test_the_table_is_found_in_one_file_or_several_and_under_longer_or_shorter_names(
    llama: Path, tmp_path: Path
) -> None:
    expected = table(llama)
    assert prompt_embeds.read(llama).equal(expected)
    renames: dict[str, Callable[[str], str]] = {
        "same": lambda name: name,
        "shorter": lambda name: name.removeprefix("model."),
        "longer": lambda name: f"language_model.{name}",
    }
    for number, (name, rename) in enumerate(renames.items()):
        assert prompt_embeds.read(resaved(llama, tmp_path / name, rename, parts=number + 1)).equal(expected)


@pytest.mark.models
@pytest.mark.parametrize("damage", ["no weights", "no table", "broken"])
def test_a_folder_without_a_table_is_named(llama: Path, tmp_path: Path, damage: str) -> None:
    folder = resaved(llama, tmp_path / "model", lambda name: name.replace("embed_tokens", "other"))
    if damage == "no weights":
        (folder / prompt_embeds.WHOLE).unlink()
    if damage == "broken":
        (folder / prompt_embeds.WHOLE).write_bytes(b"no weights at all")
    with pytest.raises(UserError, match=r"cannot be read .*soft prompt embeddings need --generator vllm") as error:
        prompt_embeds.read(folder)
    assert str(folder) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.models
@pytest.mark.parametrize(
    ("kept", "dtype", "expected"),
    [
        ("float32", "auto", "float32"),
        ("float32", "bfloat16", "float32"),
        ("bfloat16", "auto", "bfloat16"),
        ("bfloat16", "bfloat16", "bfloat16"),
        ("bfloat16", "float16", "float32"),
        ("bfloat16", "float32", "float32"),
    ],
)
def test_embeddings_are_sent_in_a_type_that_holds_the_table_s_and_the_model_s(
    llama: Path, monkeypatch: pytest.MonkeyPatch, kept: str, dtype: str, expected: str
) -> None:
    import torch

    monkeypatch.setattr(prompt_embeds, "read", lambda folder: table(folder).to(getattr(torch, kept)))
    slot_id = encoder(llama).slot_id
    body = {"prompt_embeds": prompt_embeds.EmbeddingTable(str(llama), dtype=dtype).encode(soft(llama), slot_id=slot_id)}
    assert sent(body).dtype == getattr(torch, expected)
