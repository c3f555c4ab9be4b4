"""A dataset, a profile and an engine that cost nothing, shared by the tests of the pipeline."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from bench.config import Profile
from bench.data.corpus import Corpus, load
from bench.data.folder import jsonl
from bench.errors import EngineError, SampleFailure
from bench.generate.engine.echo import EchoGenerator
from bench.record import runs
from bench.record.runs import RunFolder
from bench.types import Completion, Request
from tests.paths import ROOT

CATEGORIES = ("Books", "Films")
USERS = 3
REVIEWS = 5
CANARY = "xylophonic"  # stands in the texts of the test targets and nowhere else

PROFILE = """\
title = "Nothing real"
llm = "none"
k = 2
input_budget = 200
max_new_tokens = 12
metrics = ["rouge", "bleu"]

[retrieval_encoder]
model = "none"
pooling = "mean"
normalize = false
max_tokens = 16

[embedder]
model = "none"
pooling = "mean"
normalize = true
max_tokens = 16
"""


def tables() -> dict[str, list[dict[str, Any]]]:
    """2 categories of 3 users with 5 reviews each: newest test, next val, the rest history. 6 test samples.

    Every user reviews all five items, each in another order: whoever compares users meets others' targets.
    """
    rows: dict[str, list[dict[str, Any]]] = {"items": [], "reviews": [], "samples": []}
    for category in CATEGORIES:
        for i in range(REVIEWS):
            item = {"item_id": f"i{i}", "title": f"{category} thing {i}", "description": f"what {category} {i} is"}
            rows["items"].append({"category": category, **item})
        for u in range(USERS):
            ids = [f"{category}/u{u}/r{number}" for number in reversed(range(REVIEWS))]
            items = [f"i{(u + number) % REVIEWS}" for number in reversed(range(REVIEWS))]
            who = {"category": category, "user_id": f"u{u}"}
            for place, review_id in enumerate(ids):
                number = REVIEWS - 1 - place
                rows["reviews"].append(
                    {
                        "review_id": review_id,
                        **who,
                        "item_id": items[place],
                        "rating": float(1 + (u + number) % 5),
                        "title": f"title {u}-{number}",
                        "text": f"{CANARY} secret of u{u}" if place == 0 else f"u{u} wrote this as number {number}",
                        "timestamp": 1_000_000 * number,
                    }
                )
            for place, split in enumerate(("test", "val")):
                known = {"item_id": items[place], "review_id": ids[place], "history": ids[place + 1 :]}
                rows["samples"].append({"sample_id": ids[place], "split": split, **who, **known})
    return rows


def dataset(folder: Path) -> Path:
    """Writes the dataset; its path."""
    manifest = {"name": "toy", "title": "a toy", "synthetic": True, "categories": list(CATEGORIES)}
    jsonl.write(folder, manifest, tables())
    return folder


def corpus(folder: Path) -> Corpus:
    return load(str(dataset(folder)))


def profile_file(folder: Path, text: str = PROFILE) -> Path:
    path = folder / "fake.toml"
    path.write_text(text)
    return path


@dataclass
class Plan:
    """What the fake engine does wrong. Counts are over all engines that follow this plan."""

    die_after: int | None = None
    kill_after: int | None = None
    cannot_start: bool = False
    refuse: str = ""  # requests whose prompt has this word fail
    hang: str = ""  # requests whose prompt has this word are never answered
    seconds: float = 0.0
    gate: asyncio.Event | None = None  # nothing is answered before it is set
    started: int = 0
    closed: int = 0
    requests: list[Request] = field(default_factory=list)
    finished: int = 0


class FakeGenerator(EchoGenerator):
    """Echo, by the class's `plan`. Deaths of the whole process are asked for by environment variables."""

    plan: ClassVar[Plan] = Plan()

    def __init__(self, profile: Profile, *, deterministic: bool = False, log: Path | None = None) -> None:
        super().__init__(profile, deterministic=deterministic, log=log)
        if "FAKE_KILL_AFTER" in os.environ:
            self.plan.kill_after = int(os.environ["FAKE_KILL_AFTER"])
        self.plan.seconds = float(os.environ.get("FAKE_SECONDS", self.plan.seconds))
        self.plan.hang = os.environ.get("FAKE_HANG", self.plan.hang)

    def identity(self) -> Mapping[str, Any]:
        return {"backend": "fake", "version": "1"}

    async def start(self) -> None:
        self.plan.started += 1
        await asyncio.sleep(0)
        if self.plan.cannot_start:
            raise EngineError("the fake engine cannot start")

    async def generate(self, request: Request) -> Completion:
        plan = self.plan
        plan.requests.append(request)
        await asyncio.sleep(plan.seconds)
        if plan.gate is not None:
            await plan.gate.wait()
        if plan.kill_after is not None and plan.finished >= plan.kill_after:
            os.kill(os.getpid(), signal.SIGKILL)
        if plan.die_after is not None and plan.finished >= plan.die_after:
            raise EngineError("the fake engine died")
        words = [self.encoder.words[number] for number in request.ids]
        if plan.hang and plan.hang in words:
            await asyncio.Event().wait()
        if plan.refuse and plan.refuse in words:
            raise SampleFailure(f"the fake engine refuses {plan.refuse!r}")
        plan.finished += 1
        return await super().generate(request)

    async def close(self) -> None:
        self.plan.closed += 1


FAKE = "tests.fakes:FakeGenerator"


def bench(*words: object) -> int:
    """The exit code of the command `bench` in this process. Output is for pytest's capfd."""
    from bench.cli import main

    before, sys.argv = sys.argv, ["bench", *map(str, words)]
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.argv = before
    raise AssertionError("main() must end the process")


def in_a_process(words: list[str], **environment: str) -> subprocess.Popen[str]:
    """The command `bench` with the fake engine in a process of its own."""
    script = (
        # A shell starts what it puts in the background with Ctrl-C ignored; the test suite may be such.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from bench import registry; from tests.fakes import FAKE; from bench.cli import main\n"
        "registry.BUILTIN['generator']['fake'] = FAKE\n"
        "main()"
    )
    command = [sys.executable, "-c", script, *words]
    env = {**os.environ, **environment}
    return subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@dataclass
class World:
    """A dataset, a profile and an output folder; `run` is `bench run` on them."""

    path: Path
    out: Path = field(init=False)

    def __post_init__(self) -> None:
        self.out = self.path / "runs"
        self.data = dataset(self.path / "data")
        self.profile = profile_file(self.path)

    def words(self, *words: object, method: str = "nonperso") -> list[str]:
        given = ["--data", self.data, "--profile", self.profile, "--generator", "fake", "--out", self.out]
        return [str(word) for word in ("run", "--method", method, *given, *words)]

    def run(self, *words: object, method: str = "nonperso") -> int:
        return bench(*self.words(*words, method=method))

    def folders(self) -> dict[str, RunFolder]:
        """label without the identity -> folder"""
        return {found.path.name.rpartition("-")[0]: found for found in runs.find(self.out)}

    def folder(self) -> RunFolder:
        (folder,) = self.folders().values()
        return folder

    def rows(self) -> list[dict[str, Any]]:
        """What a row says of the text, without what it cost."""
        costs = ("stages", "began", "seconds")
        return [{key: row[key] for key in row if key not in costs} for row in self.folder().rows(runs.SAMPLES)]
