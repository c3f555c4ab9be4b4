"""The openai generator and the judge against a real vLLM server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.config import Profile, RunConfig, load_profile
from bench.data.corpus import load
from bench.generate.engine.transformers import TransformersGenerator
from bench.generate.server.openai import OpenAIGenerator
from bench.protocols import Generator
from bench.record import runs
from bench.score.judging import Judges
from bench.types import Completion, Request, Sampling
from metrics.judge import Judge
from tests.engine.soft import check_equal, soft_requests
from tests.engine.test_engine import NEAR_TIE, gap_of_first_difference, prompts
from tests.fakes import bench
from tests.server.conftest import LENGTH, VllmServer

pytestmark = [pytest.mark.engine, pytest.mark.models]

GREEDY = Sampling(temperature=0.0, top_p=1.0, max_new_tokens=32)
DRAWN = Sampling(temperature=0.9, top_p=0.95, max_new_tokens=16)


@pytest.fixture(scope="module")
def profile() -> Profile:
    return load_profile("tiny", {"input_budget": LENGTH - 64, "max_new_tokens": 64})


def complete(generator: Generator, requests: Sequence[Request]) -> list[Completion]:
    async def use() -> list[Completion]:
        await generator.start()
        try:
            return await asyncio.gather(*map(generator.generate, requests))
        finally:
            if not isinstance(generator, TransformersGenerator):  # its model is asked for logits later
                await generator.close()

    return asyncio.run(use())


def requests(generator: OpenAIGenerator, n: int, sampling: Sampling) -> list[Request]:
    return [Request(generator.encoder.encode(p), sampling, seed) for seed, p in enumerate(prompts(n))]


def test_greedy_texts_are_those_of_the_local_model_up_to_near_ties(vllm_server: VllmServer, profile: Profile) -> None:
    """The server's own generation_config would repeat nothing and stop after three tokens."""
    remote, local = OpenAIGenerator(profile, base_url=vllm_server.address), TransformersGenerator(profile)
    identity = remote.identity()
    assert (identity["api"], identity["model"], identity["backend"]) == ("completions", "small", "openai")
    assert identity["version"][0].isdigit()

    wanted = requests(remote, 8, GREEDY)
    ours, theirs = complete(remote, wanted), complete(local, wanted)
    different = [i for i in range(8) if ours[i].ids != theirs[i].ids]
    gaps = [gap_of_first_difference(local._model, wanted[i], ours[i], theirs[i]) for i in different]
    print(f"greedy: {8 - len(different)} of 8 equal; logit gaps where not: {gaps}")
    assert all(gap < NEAR_TIE for gap in gaps)
    assert len(different) <= 2
    assert all(ours[i].text == theirs[i].text for i in range(8) if i not in different)
    assert [answer.n_prompt for answer in ours] == [len(request.ids) for request in wanted]
    assert all(answer.n_new == len(answer.ids) > 3 for answer in ours)


def test_soft_prompts_give_the_greedy_texts_of_the_local_model(vllm_server: VllmServer, profile: Profile) -> None:
    remote, local = OpenAIGenerator(profile, base_url=vllm_server.address), TransformersGenerator(profile)
    wanted = soft_requests(local.encoder, 8, GREEDY, user=1)
    ours, theirs = complete(remote, wanted), complete(local, wanted)
    check_equal("soft prompts by a server and transformers", local, wanted, ours, theirs)
    same = [i for i in range(8) if ours[i].ids == theirs[i].ids]
    assert all(ours[i].text == theirs[i].text for i in same)
    assert [answer.n_prompt for answer in ours] == [len(request.ids) for request in wanted]

    others = complete(remote, soft_requests(local.encoder, 8, GREEDY, user=2))  # equal ids, the cache full of the first
    assert sum(a.ids != b.ids for a, b in zip(ours, others, strict=True)) >= 4
    check_equal("a user before and after the other", local, wanted, complete(remote, wanted), ours)


def test_messages_give_the_texts_that_token_ids_give(vllm_server: VllmServer, profile: Profile) -> None:
    by_ids = OpenAIGenerator(profile, base_url=vllm_server.address)
    by_messages = OpenAIGenerator(profile, base_url=vllm_server.address, api="chat")
    assert by_messages.identity()["api"] == "chat"
    wanted = requests(by_ids, 3, GREEDY)
    first, second = complete(by_ids, wanted), complete(by_messages, requests(by_messages, 3, GREEDY))
    assert [(a.text, a.ids, a.finish) for a in first] == [(a.text, a.ids, a.finish) for a in second]
    assert [a.n_prompt for a in second] == [len(request.ids) for request in wanted]
    assert all(0 < a.n_cached < a.n_prompt for a in second)  # the same prompts as just before


def test_a_seed_decides_the_text(vllm_server: VllmServer, profile: Profile) -> None:
    generator = OpenAIGenerator(profile, base_url=vllm_server.address)
    wanted = requests(generator, 4, DRAWN)
    first = complete(generator, wanted)
    again = complete(generator, wanted)
    other = complete(generator, [replace(request, seed=request.seed + 1000) for request in wanted])
    assert [a.ids for a in first] == [a.ids for a in again]
    assert all(a.ids != b.ids for a, b in zip(first, other, strict=True))


def test_a_run_by_the_server_and_the_same_run_again(
    vllm_server: VllmServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", vllm_server.address)
    small = ["--set", "input_budget=512", "--set", "max_new_tokens=24", "--set", 'metrics=["rouge"]']
    small += ["--data", "bundled", "--profile", "tiny", "-k", "1", "--limit", "4"]
    words = ["run", "--method", "rag", "--generator", "openai", "--out", tmp_path, *small]
    before = vllm_server.served()
    assert bench(*words) == 0
    (folder,) = runs.find(tmp_path)
    rows = list(folder.rows(runs.SAMPLES))
    n = len(rows)
    assert n and all(row["text"] and row["error"] is None for row in rows)
    assert vllm_server.served() - before == n
    (folder.path / runs.SUMMARY).unlink()
    (folder.path / runs.SAMPLES).unlink()
    assert bench(*words) == 0
    assert vllm_server.served() - before == n
    assert [row["text"] for row in folder.rows(runs.SAMPLES)] == [row["text"] for row in rows]


def test_a_judge_asks_the_server_once(vllm_server: VllmServer, profile: Profile, tmp_path: Path) -> None:
    corpus = load("bundled")
    targets = [corpus.reference(sample.sample_id) for sample in corpus.samples("test", limit=4)]
    texts = [targets[0], "", *targets[:-2]]
    config = RunConfig(method="nonperso", k=0, data="bundled", data_fingerprint=corpus.fingerprint, profile=profile)

    def judged() -> tuple[list[dict[str, Any]], dict[str, float], dict[str, str]]:
        judge = Judge(base_url=vllm_server.address)
        with Judges() as judges:
            judges.bind({"judge": judge}, config, out=tmp_path)
            rows = judge.score(texts, targets[: len(texts)])
        return rows, judge.aggregate(rows), judge.versions()

    before = vllm_server.served()
    rows, values, versions = judged()
    asked = len(texts) - 1
    assert vllm_server.served() - before == asked
    assert rows[1] == {"judge": 0.0, "judge_answer": None}
    assert all(row["judge_answer"] for row in (*rows[:1], *rows[2:]))
    assert values["judge_n"] + values["judge_missing"] == len(texts)
    assert all(row["judge"] is None or 0 <= row["judge"] <= 10 for row in rows)
    assert "by small on openai" in versions["judge"]
    print([row["judge_answer"] for row in rows], values)

    assert judged() == (rows, values, versions)
    assert vllm_server.served() - before == asked
