"""Prompts of the bundled corpus with made-up soft prompt embeddings, which look like rows of the model's table."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.generate.engine.transformers import TransformersGenerator
from bench.generate.prompts.chat import ChatEncoder
from bench.generate.server import prompt_embeds
from bench.types import Completion, Prompt, Request, Sampling, Slot
from tests.engine.test_engine import NEAR_TIE, prompts

N_SLOTS = 6


@cache
def table(folder: str) -> NDArray[np.float32]:
    values: NDArray[np.float32] = prompt_embeds.read(Path(folder)).float().numpy()
    return values


def with_slots(prompt: Prompt) -> Prompt:
    """Slots with text between them, most of the prompt before them: the prefix cache keeps whole blocks."""
    assert isinstance(prompt.user, str)
    at = 3 * len(prompt.user) // 4
    middle: list[str | Slot] = []
    for number in range(N_SLOTS):
        middle += [Slot(f"s{number}"), "\n" if number % 2 else " and "]
    return Prompt(prompt.system, (prompt.user[:at], *middle, prompt.user[at:]))


def soft_embeds(folder: str, user: int) -> NDArray[np.float32]:
    """Mixtures of a few words' embeddings, as long as one of them."""
    words = table(folder)
    random = np.random.default_rng(user)
    mixed = words[random.integers(0, len(words), (N_SLOTS, 4))].mean(axis=1)
    lengths = np.linalg.norm(mixed, axis=1, keepdims=True)
    return np.asarray(mixed * np.linalg.norm(words, axis=1).mean() / lengths, dtype=np.float32)


def soft_requests(encoder: ChatEncoder, n: int, sampling: Sampling, *, user: int) -> list[Request]:
    """n prompts, each with its own soft prompt embeddings. Other users have the same ids and other embeddings."""
    ids = [encoder.encode(with_slots(prompt)) for prompt in prompts(n)]
    embeds = [soft_embeds(encoder.folder, 100 * user + i) for i in range(n)]
    return [Request(one, sampling, seed=0, embeds=its) for one, its in zip(ids, embeds, strict=True)]


def as_embeds(encoder: ChatEncoder, request: Request) -> Request:
    """The same prompt, every third id of it by its embedding."""
    ids = np.array(request.ids)
    embeddings = table(encoder.folder)[ids[1::3]]
    ids[1::3] = encoder.slot_id
    return Request(tuple(ids.tolist()), request.sampling, request.seed, embeds=embeddings)


def gap(model: Any, slot_id: int, request: Request, ours: Completion, theirs: Completion) -> float:
    """`test_engine.gap_of_first_difference`, also for a prompt with soft prompt embeddings."""
    import torch

    at = next(i for i, (a, b) in enumerate(zip(ours.ids, theirs.ids, strict=False)) if a != b)
    with torch.inference_mode():
        embeds = model.get_input_embeddings()(torch.tensor([[*request.ids, *theirs.ids[:at]]]))
        if request.embeds is not None:
            places = np.flatnonzero(np.array(request.ids) == slot_id)
            embeds[0, torch.from_numpy(places)] = torch.from_numpy(request.embeds)
        logits = model(inputs_embeds=embeds).logits[0, -1]
    return float((logits[theirs.ids[at]] - logits[ours.ids[at]]).abs())


def check_equal(
    what: str, local: TransformersGenerator, wanted: list[Request], ours: list[Completion], theirs: list[Completion]
) -> None:
    """Greedy answers are equal up to near-ties, by the logits of `local`, and hardly one is not."""
    different = [i for i in range(len(wanted)) if ours[i].ids != theirs[i].ids]
    if different and local._model is None:
        local._model = local._load()
    gaps = [gap(local._model, local.encoder.slot_id, wanted[i], ours[i], theirs[i]) for i in different]
    print(f"{what}: {len(wanted) - len(different)} of {len(wanted)} equal; logit gaps where not: {gaps}")
    assert all(distance < NEAR_TIE for distance in gaps)
    assert len(different) <= len(wanted) // 6
