"""Trains the micro model from seeds: `bench models make micro`.

A Llama of about a million parameters. The loss is over the user message, lightly, which teaches it to copy, and over
the answer. Sequences are padded on the right, where causal attention needs no mask, and batched by length.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from bench.generate.prompts.chat import ChatEncoder
from bench.micro import lessons, tokenizer
from bench.types import Prompt, Slot

ABOUT = "training"  # a folder beside the model's files, which no fingerprint of the model covers


@dataclass(frozen=True)
class Recipe:
    """`tokens`: of a step, with padding. `light`: the weight of a token of the user message; an answer's is 1."""

    seed: int = 20261127
    vocabulary: int = 4096
    width: int = 128
    hidden: int = 384
    layers: int = 4
    heads: int = 4
    positions: int = 4096
    steps: int = 4400
    tokens: int = 6144
    lr: float = 4e-3
    warmup: int = 100
    light: float = 0.2
    for_tokenizer: int = 4000


@dataclass(frozen=True)
class Encoded:
    """A lesson as ids, the weight of each id as a target, and the places of slots that hold random embeddings."""

    ids: list[int]
    weights: list[float]
    slots: list[int]


def encoded(lesson: lessons.Lesson, encoder: ChatEncoder, light: float) -> Encoded:
    parts = lesson.prompt.parts if lesson.rows else tuple(p for p in lesson.prompt.parts if not isinstance(p, Slot))
    prompt = Prompt(lesson.prompt.system, parts)
    system = len(encoder.encode(Prompt(prompt.system, "")))
    ids = list(encoder.encode(prompt))
    answer = list(encoder.target(lesson.answer, 1 << 20))
    weights = [0.0] * system + [light] * (len(ids) - system) + [1.0] * len(answer)
    slots = [place for place, token in enumerate(ids) if token == encoder.slot_id]
    for place in slots:
        weights[place] = 0.0
    return Encoded(ids + answer, weights, slots)


def batches(found: Iterator[Encoded], tokens: int, seed: int) -> Iterator[list[Encoded]]:
    """Batches of lessons of similar length, of at most `tokens` with padding, in random order."""
    rng = random.Random(seed)
    while True:
        pool = sorted(islice(found, 512), key=lambda one: len(one.ids))
        groups: list[list[Encoded]] = [[]]
        for one in pool:
            if groups[-1] and len(one.ids) * (len(groups[-1]) + 1) > tokens:
                groups.append([])
            groups[-1].append(one)
        rng.shuffle(groups)
        yield from groups


def model(recipe: Recipe, end: int) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=recipe.vocabulary,
        hidden_size=recipe.width,
        intermediate_size=recipe.hidden,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        max_position_embeddings=recipe.positions,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=0,
    )
    torch.manual_seed(recipe.seed)
    return LlamaForCausalLM(config)


def loss_of(lm: Any, batch: Sequence[Encoded], generator: Any) -> tuple[Any, float]:
    """(weighted cross entropy, that of answers alone)"""
    import torch
    from torch.nn.functional import cross_entropy

    longest = max(len(one.ids) for one in batch)
    ids = torch.zeros(len(batch), longest, dtype=torch.long)
    weights = torch.zeros(len(batch), longest)
    for number, one in enumerate(batch):
        ids[number, : len(one.ids)] = torch.tensor(one.ids)
        weights[number, : len(one.ids)] = torch.tensor(one.weights)
    embeds = lm.get_input_embeddings()(ids)
    scale = embeds.detach().std()
    for number, one in enumerate(batch):
        if one.slots:
            rows = torch.randn(len(one.slots), embeds.shape[-1], generator=generator) * scale
            embeds = embeds.index_put((torch.full((len(rows),), number), torch.tensor(one.slots)), rows)
    states = lm.model(inputs_embeds=embeds, use_cache=False).last_hidden_state
    wanted = weights[:, 1:] > 0
    losses = cross_entropy(lm.lm_head(states[:, :-1][wanted]), ids[:, 1:][wanted], reduction="none")
    by_weight = weights[:, 1:][wanted]
    answers = losses.detach()[by_weight == 1].mean()
    return (losses * by_weight).sum() / by_weight.sum(), float(answers)


def optimizers(lm: Any, recipe: Recipe) -> list[Any]:
    """Muon for the matrices of the layers, AdamW for the rest."""
    import torch

    matrices = [p for name, p in lm.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in lm.named_parameters() if not (p.ndim == 2 and "embed" not in name)]
    muon = torch.optim.Muon(matrices, lr=recipe.lr, weight_decay=0.01, adjust_lr_fn="match_rms_adamw")
    return [muon, torch.optim.AdamW(others, lr=recipe.lr, betas=(0.9, 0.95), weight_decay=0.0)]


def rate(step: int, recipe: Recipe) -> float:
    """Share of the highest rate: a linear rise, a plateau, and a linear fall to 0 over the last 40 %."""
    fall = (recipe.steps - step) / (0.4 * recipe.steps)
    return min(1.0, (step + 1) / recipe.warmup, fall)


def train(folder: Path, recipe: Recipe, *, say: Callable[[str], None], seconds: float = math.inf) -> None:
    """Writes the model, in float16, and `training/` with recipe and curve. `seconds` ends a trial early."""
    import torch
    from transformers import GenerationConfig

    about = folder / ABOUT
    about.mkdir(parents=True, exist_ok=True)
    sample = islice(lessons.endless(recipe.seed), recipe.for_tokenizer)
    texts = (part for one in sample for part in (one.prompt.system, one.prompt.text, one.answer))
    tokenizer.make(folder, texts, vocabulary=recipe.vocabulary, positions=recipe.positions)
    encoder = ChatEncoder(str(folder))
    lm = model(recipe, encoder.turn_end)
    found = (encoded(one, encoder, recipe.light) for one in lessons.endless(recipe.seed))
    stream = batches(found, recipe.tokens, recipe.seed)
    chosen = optimizers(lm, recipe)
    generator = torch.Generator().manual_seed(recipe.seed)
    (about / "recipe.json").write_text(json.dumps(asdict(recipe), indent=1) + "\n")
    started, recent, n = time.perf_counter(), [], 0
    with (about / "curve.jsonl").open("w") as curve:
        for step in range(recipe.steps):
            batch = next(stream)
            loss, answers = loss_of(lm, batch, generator)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(lm.parameters(), 1.0)
            for optimizer in chosen:
                for group in optimizer.param_groups:
                    group["lr"] = recipe.lr * rate(step, recipe)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            n += sum(len(one.ids) for one in batch)
            recent.append(answers)
            if step % 50 == 49:
                row = {"step": step + 1, "tokens": n, "loss": round(sum(recent) / len(recent), 4)}
                passed = time.perf_counter() - started
                print(json.dumps(row), file=curve, flush=True)
                say(f"step {step + 1} of {recipe.steps}, loss of answers {row['loss']}, {n / passed:.0f} tokens/s")
                recent = []
                if passed > seconds:
                    break
    lm.generation_config = GenerationConfig(eos_token_id=encoder.turn_end, pad_token_id=0)
    lm.to(torch.float16).save_pretrained(folder)
