from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bench.config import EncoderConfig, Profile
from bench.errors import BenchError, EngineError, SampleFailure, UserError
from bench.generate.engine.transformers import SeededSampler, TransformersGenerator, nucleus
from bench.generate.prompts.chat import ChatEncoder
from bench.types import Completion, Prompt, Request, Sampling, Slot
from tests.generate.folders import SMOLLM, tiny_llama

LOGITS = [2.0, -1.0, 0.5, 1.5, -3.0, 0.0]


def probabilities(logits: Sequence[float], temperature: float, top_p: float) -> list[float]:
    """The nucleus by its definition: the likeliest tokens until they make up top_p, then in proportion."""
    weights = [math.exp(logit / temperature) for logit in logits]
    whole = [weight / sum(weights) for weight in weights]
    kept: list[int] = []
    for token in sorted(range(len(whole)), key=lambda token: -whole[token]):
        if sum(whole[other] for other in kept) < top_p:
            kept.append(token)
    total = sum(whole[token] for token in kept)
    return [whole[token] / total if token in kept else 0.0 for token in range(len(whole))]


@pytest.mark.parametrize("top_p", [0.01, 0.3, 0.5, 0.7, 0.8, 0.95, 0.999, 1.0])
@pytest.mark.parametrize("logits", [LOGITS, [0.0, 0.0, 0.0], [5.0, -5.0], [1.0]])
def test_nucleus_is_the_smallest_likeliest_set(logits: list[float], top_p: float) -> None:
    import torch

    kept = nucleus(torch.tensor(logits), top_p)
    found = torch.softmax(kept, dim=-1).tolist()
    assert found == pytest.approx(probabilities(logits, 1.0, top_p), abs=1e-6)


def sample(logits: Sequence[Sequence[float]], requests: list[Request]) -> list[int]:
    import torch

    tokens: list[int] = SeededSampler(requests)(None, torch.tensor(logits)).argmax(-1).tolist()
    return tokens


def request(*ids: int, seed: int = 0, temperature: float = 0.0, top_p: float = 1.0, n: int = 8) -> Request:
    return Request(ids, Sampling(temperature, top_p, n), seed)


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.5, 1.0), (2.0, 0.9), (0.8, 0.7)])
def test_tokens_are_drawn_by_their_probabilities(temperature: float, top_p: float) -> None:
    n = 4000
    requests = [request(seed=seed, temperature=temperature, top_p=top_p) for seed in range(n)]
    counts = Counter(sample([LOGITS] * n, requests))
    expected = probabilities(LOGITS, temperature, top_p)
    assert all(counts[token] == 0 for token, p in enumerate(expected) if p == 0)
    chi_square = sum((counts[token] - n * p) ** 2 / (n * p) for token, p in enumerate(expected) if p)
    assert chi_square < 20.5  # 5 degrees of freedom: exceeded once in a thousand times


def test_draws_of_one_request_are_independent_of_each_other() -> None:
    import torch

    sampler = SeededSampler([request(seed=5, temperature=1.0)])
    tokens = [int(sampler(None, torch.tensor([[0.0, 0.0]])).argmax()) for _ in range(2000)]
    pairs = Counter(pairwise(tokens))
    assert all(abs(pairs[pair] - 500) < 100 for pair in [(0, 0), (0, 1), (1, 0), (1, 1)])  # > 5 deviations


def test_greedy_rows_are_left_alone_and_rows_do_not_see_each_other() -> None:
    import torch

    scores = torch.tensor([LOGITS, LOGITS[::-1], LOGITS])
    drawn = SeededSampler([request(), request(seed=3, temperature=1.0), request()])(None, scores.clone())
    assert torch.equal(drawn[0], scores[0]) and torch.equal(drawn[2], scores[2])
    alone = SeededSampler([request(seed=3, temperature=1.0)])(None, scores[1:2].clone())
    assert torch.equal(drawn[1], alone[0])


# ---------------------------------------------------------------- a tiny model


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory, require_assets: Callable[..., None]) -> Path:
    require_assets(SMOLLM)
    return tiny_llama(tmp_path_factory.mktemp("llama"), do_sample=True, repetition_penalty=8.0, temperature=0.1)


def profile(folder: Path) -> Profile:
    encoder = EncoderConfig("none", "mean", False, 8)
    return Profile(
        name="p",
        title="",
        llm=str(folder),
        dtype="float32",
        metrics=(),
        retrieval_encoder=encoder,
        embedder=encoder,
    )


def generate(
    folder: Path, requests: Sequence[Request], *, deterministic: bool = False, stop: tuple[str, ...] = ()
) -> list[Completion]:
    async def use() -> list[Completion]:
        said = profile(folder).model_copy(update={"stop": stop})
        engine = TransformersGenerator(said, deterministic=deterministic)
        await engine.start()
        try:
            return await asyncio.gather(*map(engine.generate, requests))
        finally:
            await engine.close()

    return asyncio.run(use())


def greedy_by_hand(folder: Path, ids: Sequence[int], n: int) -> list[int]:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokens = list(ids)
    with torch.inference_mode():
        for _ in range(n):
            tokens.append(int(model(torch.tensor([tokens])).logits[0, -1].argmax()))
    return tokens[len(ids) :]


PROMPTS = [(7, 8, 9), (100, 200, 300, 400, 500, 600, 700), (40_000,), (11,) * 20]


@pytest.mark.models
@pytest.mark.parametrize("deterministic", [True, False])
def test_greedy_is_the_argmax_of_each_step_padded_or_not(llama: Path, deterministic: bool) -> None:
    """Also with a generation_config that asks for a penalty: a request says all there is to say."""
    answers = generate(llama, [request(*ids, n=6) for ids in PROMPTS], deterministic=deterministic)
    for ids, answer in zip(PROMPTS, answers, strict=True):
        assert list(answer.ids) == greedy_by_hand(llama, ids, 6)
        assert (answer.finish, answer.n_prompt, answer.n_new) == ("length", len(ids), 6)


@pytest.mark.models
def test_a_request_answers_the_same_whatever_its_neighbours(llama: Path) -> None:
    asked = [request(*ids, seed=seed, temperature=1.0, top_p=0.9, n=10) for seed, ids in enumerate(PROMPTS)]
    alone = [generate(llama, [one])[0] for one in asked]
    together = generate(llama, [*reversed(asked), request(5, temperature=2.0, seed=99, n=3)])
    assert [answer.ids for answer in reversed(together[:-1])] == [answer.ids for answer in alone]
    assert [answer.text for answer in reversed(together[:-1])] == [answer.text for answer in alone]


@pytest.mark.models
def test_seeds_decide_and_every_request_has_its_own_limit(llama: Path) -> None:
    asked = [request(7, 8, 9, seed=seed, temperature=1.0, n=4 + seed % 3) for seed in range(6)]
    asked.append(asked[0])
    answers = generate(llama, asked)
    assert [answer.n_new for answer in answers] == [4, 5, 6, 4, 5, 6, 4]
    assert answers[0].ids == answers[-1].ids
    assert len({answer.ids[:4] for answer in answers}) == 6


@pytest.mark.models
def test_the_end_token_ends_an_answer_and_is_counted_but_not_shown(llama: Path, tmp_path: Path) -> None:
    import json
    import shutil

    from transformers import AutoTokenizer

    *before, end = greedy_by_hand(llama, PROMPTS[0], 3)
    assert end not in before
    folder = tmp_path / "ending"
    shutil.copytree(llama, folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(llama)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config["eos_token"] = tokenizer.convert_ids_to_tokens(end)
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    answers = generate(folder, [request(*PROMPTS[0], n=9), request(*PROMPTS[1], n=9)])
    assert (answers[0].ids, answers[0].finish) == ((*before, end), "stop")
    assert answers[0].text == tokenizer.decode(before)
    assert answers[1].n_new == 9 or answers[1].finish == "stop"


@pytest.mark.models
def test_a_stop_string_ends_an_answer_before_it_whatever_its_neighbours_do(llama: Path) -> None:
    asked = [request(*ids, n=12) for ids in PROMPTS]
    whole = generate(llama, asked)
    stop = (whole[0].text[9:12], "never said")
    assert len(stop[0]) == 3
    for answer, before in zip(generate(llama, asked, stop=stop), whole, strict=True):
        place = before.text.find(stop[0])
        assert answer.text == (before.text if place < 0 else before.text[:place])
        assert before.ids[: answer.n_new] == answer.ids
        assert answer.finish == ("stop" if place >= 0 else before.finish)
        assert (answer.n_new < before.n_new) or place < 0
    alone = generate(llama, asked[:1], stop=stop)[0]
    assert stop[0] in "".join(ChatEncoder(str(llama)).decode(alone.ids))  # what ended it was generated, and is counted
    assert alone.finish == "stop"


@pytest.mark.models
def test_a_stop_string_in_the_prompt_stops_nothing(llama: Path) -> None:
    ids = ChatEncoder(str(llama)).encode(Prompt("Write.", "A lamp###"))
    assert generate(llama, [request(*ids, n=4)], stop=("assistant\n",))[0].n_new == 4


@pytest.mark.models
def test_weights_that_cannot_be_loaded_are_named(llama: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "broken"
    shutil.copytree(llama, folder)
    (folder / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(UserError, match="cannot be loaded") as error:
        generate(folder, [request(1)])
    assert "\n" not in str(error.value)


@pytest.mark.models
def test_what_torch_raises_reaches_the_caller(llama: Path) -> None:
    with pytest.raises(EngineError, match="transformers could not generate"):
        generate(llama, [request(10**7)])


# ---------------------------------------------------------------- soft prompt embeddings


def embeddings(folder: Path, ids: Sequence[int]) -> Any:
    from safetensors.numpy import load_file

    return load_file(folder / "model.safetensors")["model.embed_tokens.weight"][list(ids)]


def as_embeds(folder: Path, one: Request, places: Sequence[int]) -> Request:
    """The same prompt, some of its ids by their embeddings."""
    slot = ChatEncoder(str(folder)).slot_id
    ids = tuple(slot if at in places else id_ for at, id_ in enumerate(one.ids))
    return replace(one, ids=ids, embeds=embeddings(folder, [one.ids[at] for at in places]))


@pytest.mark.models
@pytest.mark.parametrize("deterministic", [True, False])
def test_ids_and_their_embeddings_are_one_prompt(llama: Path, deterministic: bool) -> None:
    """Padded beside ordinary requests, and drawn as well as greedy."""
    plain = [request(*ids, seed=seed, temperature=seed % 2, n=8) for seed, ids in enumerate(PROMPTS)]
    places = [(0,), (1, 2, 6), (0,), tuple(range(20))]
    soft = [as_embeds(llama, one, at) for one, at in zip(plain, places, strict=True)]
    mixed = [soft[0], plain[1], soft[2], plain[3], soft[1], soft[3]]
    answers = generate(llama, [*plain, *mixed], deterministic=deterministic)
    expected = [answer.ids for answer in answers[:4]]
    assert [answer.ids for answer in answers[4:]] == [expected[i] for i in (0, 1, 2, 3, 1, 3)]
    assert [answer.n_prompt for answer in answers[4:]] == [len(one.ids) for one in mixed]


@pytest.mark.models
def test_embeddings_in_another_order_or_of_another_user_are_another_prompt(llama: Path) -> None:
    ids = ChatEncoder(str(llama)).encode(Prompt("Write.", ("for ", Slot("a"), " and ", Slot("b"))))
    embeds = embeddings(llama, [400, 500])
    asked = [
        Request(ids, Sampling(0.0, 1.0, 8), 0, embeds=each) for each in (embeds, embeds[::-1], -embeds, embeds.copy())
    ]
    answers = [answer.ids for answer in generate(llama, asked)]
    assert answers[0] == answers[3]
    assert len(set(answers)) == 3


@pytest.mark.models
def test_rows_that_do_not_fit_are_refused_without_harm_to_their_neighbours(llama: Path) -> None:
    good = as_embeds(llama, request(*PROMPTS[1], n=4), (1, 2))
    assert good.embeds is not None

    async def use() -> list[Completion | BaseException]:
        engine = TransformersGenerator(profile(llama))
        await engine.start()
        bad = [replace(good, embeds=good.embeds[:1]), good, replace(good, embeds=good.embeds[:, :9])]  # type: ignore[index]
        try:
            return await asyncio.gather(*map(engine.generate, bad), return_exceptions=True)
        finally:
            await engine.close()

    short, fine, narrow = asyncio.run(use())
    assert isinstance(short, SampleFailure) and isinstance(narrow, UserError) and isinstance(fine, Completion)
    assert "2 slots, but the method's module gave 1 embeddings" in str(short)
    assert "hidden size 64" in str(narrow)
    assert all("\n" not in str(error) for error in (short, narrow) if isinstance(error, BenchError))
