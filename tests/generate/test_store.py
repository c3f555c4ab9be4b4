from __future__ import annotations

import json
import multiprocessing
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.config import EncoderConfig, Profile
from bench.errors import UserError
from bench.generate.engine.transformers import TransformersGenerator
from bench.generate.store import RequestStore, request_key
from bench.types import Completion, Prompt, Request, Sampling, Slot
from tests.paths import ROOT

PROMPT = Prompt("be brief", "日本語 \ud800 <|im_end|>\n")
ANSWER = Completion(text="fine \udc80 \x00", ids=(5, 0, 2**40), finish="length", n_prompt=7, n_cached=3, seconds=0.25)
REQUEST = Request(ids=(1, 2, 3), sampling=Sampling(temperature=0.8, top_p=0.95, max_new_tokens=10), seed=4)
IDENTITY = {"backend": "fake", "weights": "abc", "dtype": "float32", "engine": {"max_num_seqs": 4}}


def test_what_is_put_comes_back_from_another_connection(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "requests.sqlite"
    store = RequestStore(path)
    assert store.get("k") is None
    assert store.prompt("k") is None
    store.put("k", PROMPT, ANSWER)
    store.close()
    again = RequestStore(path)
    assert (again.get("k"), again.prompt("k"), len(again)) == (ANSWER, PROMPT, 1)


def test_the_first_answer_of_a_key_stays(tmp_path: Path) -> None:
    store = RequestStore(tmp_path / "requests.sqlite")
    other = RequestStore(tmp_path / "requests.sqlite")
    assert store.put("k", PROMPT, ANSWER) == ANSWER
    assert other.put("k", PROMPT, replace(ANSWER, text="later")) == ANSWER  # and it is the one that a row will hold
    assert store.get("k") == ANSWER


def with_sampling(**values: Any) -> Request:
    return replace(REQUEST, sampling=replace(REQUEST.sampling, **values))


def test_every_ingredient_changes_the_key() -> None:
    requests = [
        REQUEST,
        replace(REQUEST, ids=(1, 2)),
        replace(REQUEST, ids=(1, 2, 4)),
        replace(REQUEST, ids=(2, 1, 3)),
        replace(REQUEST, ids=(1 + (2 << 32), 3)),
        replace(REQUEST, ids=()),
        replace(REQUEST, seed=5),
        with_sampling(temperature=0.7),
        with_sampling(temperature=0),
        with_sampling(top_p=0.9),
        with_sampling(max_new_tokens=11),
    ]
    identities = [
        {**IDENTITY, "weights": "abd"},
        {**IDENTITY, "dtype": "bfloat16"},
        {**IDENTITY, "engine": {"max_num_seqs": 5}},
        {**IDENTITY, "backend": "other"},
        {key: value for key, value in IDENTITY.items() if key != "engine"},
    ]
    keys = [request_key(request, IDENTITY) for request in requests] + [request_key(REQUEST, i) for i in identities]
    assert len(set(keys)) == len(keys)


def test_every_value_of_every_row_changes_the_key() -> None:
    embeds = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
    soft = [embeds, embeds[::-1], embeds[:, ::-1], embeds[:1], np.zeros_like(embeds)]
    for index in np.ndindex(embeds.shape):
        other = embeds.copy()
        other[index] = np.nextafter(other[index], np.float32(2))
        soft.append(other)
    keys = [request_key(replace(REQUEST, embeds=each), IDENTITY) for each in soft]
    assert len({*keys, request_key(REQUEST, IDENTITY)}) == len(soft) + 1
    assert request_key(replace(REQUEST, embeds=np.asfortranarray(embeds)), IDENTITY) == keys[0]


def test_a_soft_prompt_is_kept_for_reading(tmp_path: Path) -> None:
    store = RequestStore(tmp_path / "requests.sqlite")
    request = replace(REQUEST, embeds=np.ones((1, 4), np.float32))
    key = request_key(request, IDENTITY)
    store.put(key, Prompt("be brief", ("user ", Slot("his", (np.ones(3, np.float32),)), "!")), ANSWER)
    assert store.get(key) == ANSWER
    assert store.prompt(key) == Prompt("be brief", "user <his>!")
    assert store.get(request_key(REQUEST, IDENTITY)) is None


def test_the_order_of_an_identity_is_nothing() -> None:
    assert request_key(REQUEST, dict(reversed(IDENTITY.items()))) == request_key(REQUEST, IDENTITY)


def test_the_name_of_a_stage_is_no_ingredient() -> None:
    assert request_key(replace(REQUEST, stage="review"), IDENTITY) == request_key(REQUEST, IDENTITY)


def test_greedy_answers_do_not_depend_on_the_seed() -> None:
    greedy = with_sampling(temperature=0)
    assert request_key(greedy, IDENTITY) == request_key(replace(greedy, seed=99), IDENTITY)


def test_the_identity_of_an_engine_follows_weights_dtype_and_determinism(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEP_BENCH_HOME", str(tmp_path / "home"))
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (tmp_path / name).write_text("{}" if name == "config.json" else name)
    encoder = EncoderConfig("none", "mean", False, 8)
    profile = Profile(
        name="p", title="", llm=str(tmp_path), dtype="float32", metrics=(), retrieval_encoder=encoder, embedder=encoder
    )

    def key(profile: Profile, *, deterministic: bool = False) -> str:
        return request_key(REQUEST, TransformersGenerator(profile, deterministic=deterministic).identity())

    first = key(profile)
    assert key(profile.model_copy(update={"title": "another", "k": 3, "metrics": ("rouge",)})) == first
    others = {key(profile.model_copy(update={"dtype": "bfloat16"})), key(profile, deterministic=True)}
    (tmp_path / "model.safetensors").write_text("other weights")
    others.add(key(profile))
    assert len(others | {first}) == 4


def fill(path: Path, seed: int) -> None:
    store = RequestStore(path)
    for number in range(40):
        store.put(f"k{number}", PROMPT, replace(ANSWER, text=f"{number}", seconds=float(seed)))
    store.close()


def test_several_processes_may_make_and_fill_one_store(tmp_path: Path) -> None:
    path = tmp_path / "requests.sqlite"
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=fill, args=(path, seed)) for seed in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    store = RequestStore(path)
    assert len(store) == 40
    found = [store.get(f"k{number}") for number in range(40)]
    assert [answer.text for answer in found if answer] == [str(number) for number in range(40)]
    assert sorted(file.name for file in tmp_path.iterdir() if file.is_dir()) == []


def test_keys_and_answers_are_the_same_in_another_process(tmp_path: Path) -> None:
    path = tmp_path / "requests.sqlite"
    RequestStore(path).put(request_key(REQUEST, IDENTITY), PROMPT, ANSWER)
    script = (
        "import json, sys\n"
        "from pathlib import Path\n"
        "from bench.generate.store import RequestStore\n"
        "from tests.generate.test_store import IDENTITY, REQUEST, request_key\n"
        "answer = RequestStore(Path(sys.argv[1])).get(request_key(REQUEST, IDENTITY))\n"
        "print(json.dumps([answer.text, answer.ids]))"
    )
    run = subprocess.run([sys.executable, "-c", script, path], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == [ANSWER.text, list(ANSWER.ids)]


def one_line(error: pytest.ExceptionInfo[UserError]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be opened") as error:
        RequestStore(tmp_path / "file" / "below" / "requests.sqlite")
    assert str(tmp_path / "file") in one_line(error)


@pytest.mark.parametrize("content", [b"", b"this is no database, but long enough to look at" * 9])
def test_a_file_that_is_no_store_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "requests.sqlite"
    path.write_bytes(content)
    with pytest.raises(UserError, match="cannot be opened") as error:
        RequestStore(path)
    assert str(path) in one_line(error)


def test_a_store_that_fails_later_is_named(tmp_path: Path) -> None:
    path = tmp_path / "requests.sqlite"
    store = RequestStore(path)
    with sqlite3.connect(path) as db:
        db.execute("DROP TABLE completions")
    for use in (lambda: store.get("k"), lambda: store.put("k", PROMPT, ANSWER), lambda: store.prompt("k")):
        with pytest.raises(UserError, match="cannot be used: no such table") as error:
            use()
        assert str(path) in one_line(error)
