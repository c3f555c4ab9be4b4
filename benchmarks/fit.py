"""What it costs to fit prompts into their budgets: `make bench-fit`.

Users with eight past reviews each, of items that six of them reviewed, at the paper's lengths and budgets: reviews of
1,600 characters, descriptions of 700; 2,048 input tokens, 8,192 for the stages before the last. Every method writes a
review of every user two ways:

    whole    a prompt is tokenized whole for each number of reviews that is tried
    blocks   each block is tokenized once, and lengths are added (bench.generate.prompts.pieces)

No model answers. Prints milliseconds a sample and their ratio, of each method alone and of a grid, whose methods share
one encoder; and checks that both ways make the same token ids.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np

from bench import registry
from bench.config import load_profile
from bench.context.context import CellResources, SampleContext
from bench.data.corpus import load
from bench.generate.prompts.chat import ChatEncoder
from bench.models import assets
from bench.seeds import derive
from bench.types import Completion, Item, Prompt, Request, Review, Sample, Sampling, Slot

K, REVIEWERS = 8, 6
REVIEW, DESCRIPTION, TITLE, ANSWER = 1600, 700, 40, 900  # characters


class WholeEncoder:
    """The way before: no count without encoding, no text in pieces."""

    def __init__(self, folder: str) -> None:
        self.chat = ChatEncoder(folder)
        self.encode: Callable[[Prompt], tuple[int, ...]] = lru_cache(maxsize=1024)(self._whole)

    def _whole(self, prompt: Prompt) -> tuple[int, ...]:
        before, between, after = (self.chat._constant(part, False) for part in self.chat._frame)
        ids = [*before, *self.chat._constant(prompt.system, True), *between]
        for part in prompt.parts:
            ids += (self.chat.slot_id,) if isinstance(part, Slot) else self.chat._encode(part, True)
        return (*ids, *after)


class Writer:
    """Text of the bundled reviews' sentences, in an order and with numbers of its own."""

    def __init__(self) -> None:
        corpus = load("bundled")
        texts = [review.text for sample in corpus.samples("test") for review in sample.history]
        self.sentences = re.findall(r"[^.!?]+[.!?]+", " ".join(texts))
        self.random = random.Random(0)

    def text(self, length: int) -> str:
        found = ""
        while len(found) < length:
            found += f"{self.random.choice(self.sentences).strip()} {self.random.randrange(10**6)} "
        return found[:length].strip()

    def item(self, name: str) -> Item:
        return Item("c", name, self.text(TITLE), self.text(DESCRIPTION))

    def review(self, user: str, item: Item) -> Review:
        return Review(f"{user} {item.item_id}", user, item, 4.0, self.text(TITLE), self.text(REVIEW), 1)

    def world(self, users: int) -> tuple[list[Sample], dict[str, tuple[Review, ...]]]:
        """(a sample for each user, item id -> its reviews). User u reviews the items u K, ... of a circle."""
        items = [self.item(f"i{number}") for number in range(-(-users * K // REVIEWERS))]
        samples = []
        for user in range(users):
            own = (items[(user * K + place) % len(items)] for place in range(K))
            history = tuple(self.review(f"u{user}", item) for item in own)
            target = self.item(f"t{user}")
            samples.append(Sample(f"s{user}", "test", f"u{user}", target, 5.0, self.text(TITLE), 2, history))
        reviews: dict[str, list[Review]] = defaultdict(list)
        for review in (review for sample in samples for review in sample.history):
            reviews[review.item.item_id].append(review)
        return samples, {item: tuple(found) for item, found in reviews.items()}


class Answers:
    """A `bench.generate.service.Completer` that answers at once, and keeps what it was asked."""

    def __init__(self, encoder: Any, told: Sequence[str]) -> None:
        self.generator: Any = SimpleNamespace(encoder=encoder)
        self.told = told
        self.asked: list[tuple[int, ...]] = []

    async def complete(self, prompt: Prompt, request: Request) -> tuple[Completion, bool, str]:
        self.asked.append(request.ids)
        answer = self.told[request.seed % len(self.told)]
        return Completion(answer, (0,), "stop", n_prompt=len(request.ids)), False, ""


class Vectors:
    """A vector a text."""

    def embed(self, texts: Sequence[str]) -> Any:
        made = [np.random.default_rng(derive(0, text)).normal(size=16) for text in texts]
        return np.array(made, np.float32)


def peers(reviews: Mapping[str, tuple[Review, ...]]) -> Any:
    """The part of a corpus that methods see."""

    def of(review: Review, *, before: int | None) -> tuple[Review, ...]:
        return tuple(one for one in reviews[review.item.item_id] if one.user_id != review.user_id)

    return SimpleNamespace(peers=of)


def write(
    method: str, world: tuple[Sequence[Sample], Mapping[str, tuple[Review, ...]]], told: Sequence[str], encoder: Any
) -> tuple[float, list[tuple[int, ...]]]:
    """(milliseconds a sample, the ids of all requests). `told`: the answers of stages."""
    profile = load_profile("paper-7b")
    samples, reviews = world
    answers = Answers(encoder, told)
    cell = CellResources(
        corpus=peers(reviews),
        service=answers,
        retrieved={sample.sample_id: sample.history for sample in samples},
        vectors=Vectors(),
        sampling=Sampling(),
        input_budget=profile.input_budget,
        stage_budget=profile.stage_budget,
        seed=0,
    )
    component = registry.create("method", method, {})
    started = time.perf_counter()
    for sample in samples:
        asyncio.run(component.write(sample, SampleContext(sample, cell)))
    return (time.perf_counter() - started) / len(samples) * 1000, answers.asked


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=60)
    parser.add_argument("--model", default="smollm2-135m-instruct", help="whose tokenizer")
    options = parser.parse_args()
    folder = assets.resolve(options.model)
    writer = Writer()
    world = writer.world(options.samples)
    told = [writer.text(ANSWER) for _ in range(997)]
    write("dpl", world, told, ChatEncoder(folder))  # clusters the vectors, which is no part of fitting
    print(f"{options.samples} samples, K = {K}, milliseconds a sample")
    methods = ("rag", "pag", "dpl")
    for group in (*((method,) for method in methods), methods):
        before, after = WholeEncoder(folder), ChatEncoder(folder)
        ways = [(write(method, world, told, before), write(method, world, told, after)) for method in group]
        whole, blocks = (sum(way[side][0] for way in ways) for side in (0, 1))
        same = all(theirs[1] == ours[1] for theirs, ours in ways)
        name, ids = group[0] if len(group) == 1 else "grid", "the same ids" if same else "OTHER IDS"
        print(f"  {name:4} whole {whole:7.1f}  blocks {blocks:6.1f}  whole / blocks {whole / blocks:5.1f}   {ids}")
        if not same:
            raise SystemExit(1)


if __name__ == "__main__":
    main()
