"""Trains a soft-prompt module through a frozen language model.

One step on an effective batch of samples:
  1. the module makes the soft prompt embeddings of all slots and its auxiliary losses, over the whole batch;
  2. the language model gives the gradient of the token-mean cross entropy at these embeddings, a few samples at a
     time, shared among ranks;
  3. one backward pass through the module uses that gradient and the auxiliary losses, and AdamW steps.
So neither accumulation nor the number of ranks changes the result, and auxiliary losses do not scale with either.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from bench.config import TrainConfig
from bench.errors import BenchError
from bench.seeds import derive
from bench.train.lm import Example, FrozenLM, grouped
from bench.train.optimizer import Optimizer
from bench.train.ranks import Ranks

# All examples of an epoch. A method may vary them from one epoch to the next.
Examples = Callable[[int], Sequence[Example]]


@dataclass(frozen=True)
class Losses:
    """The losses of one effective batch: cross entropy per target token, and the module's own, unweighted."""

    gen: float
    auxiliary: dict[str, float]
    total: float
    tokens: int  # through the language model


@dataclass(frozen=True)
class Step:
    """One step for the log. `step` counts from 1 over all epochs. `norm` is the gradient's before clipping.

    `update`: the length of the step over that of the parameters before it, all parameters as one vector.
    """

    step: int
    epoch: int
    losses: Losses
    norm: float
    update: float
    lr: float
    seconds: float

    def row(self) -> dict[str, Any]:
        speed = self.losses.tokens / max(self.seconds, 1e-9)
        return {
            "step": self.step,
            "epoch": self.epoch,
            "loss": self.losses.total,
            "gen": self.losses.gen,
            **self.losses.auxiliary,
            "grad_norm": self.norm,
            "update": self.update,
            "lr": self.lr,
            "tokens": self.losses.tokens,
            "tokens_per_second": round(speed, 1),
            "seconds": round(self.seconds, 3),
        }


@dataclass
class Trainer:
    """`begin` is the number of steps that a continued training has done before."""

    lm: FrozenLM
    module: Any
    optimizer: Optimizer
    config: TrainConfig
    ranks: Ranks
    seed: int
    begin: int = 0
    say: Callable[[str], None] = field(default=lambda line: None)
    after_step: Callable[[Step], None] = field(default=lambda step: None)
    after_epoch: Callable[[int], None] = field(default=lambda epoch: None)

    def __post_init__(self) -> None:
        self.micro_tokens = self.config.micro_tokens  # becomes smaller where the memory does not hold a pass

    def train(self, examples: Examples, count: int) -> None:
        """All epochs over `count` examples. Raises BenchError where a loss is not finite."""
        per_epoch = -(-count // self.config.batch)
        for epoch in range(1, self.config.epochs + 1):
            if epoch * per_epoch <= self.begin:
                continue
            batches = shuffled(examples(epoch), self.config.batch, derive(self.seed, "order", epoch))
            for number, batch in enumerate(batches, start=(epoch - 1) * per_epoch + 1):
                if number > self.begin:
                    self.after_step(self._step(number, epoch, batch, self.config.epochs * per_epoch))
            self.after_epoch(epoch)

    def _step(self, number: int, epoch: int, batch: Sequence[Example], steps: int) -> Step:
        started = time.perf_counter()
        lr = rate(number, steps, self.config)
        objective, losses = self.objective(batch)
        if not math.isfinite(losses.total):
            raise BenchError(f"the loss of step {number} is {losses.total}; lower --set train.lr={self.config.lr}")
        before = self._parameters()
        norm = self.optimizer.step(objective, lr)
        update = float((self._parameters() - before).norm() / before.norm().clamp(min=1e-12))
        return Step(number, epoch, losses, norm, update, lr, time.perf_counter() - started)

    def _parameters(self) -> Tensor:
        """(all trainable numbers,): a copy of them, fp32."""
        return torch.cat([one.detach().float().flatten() for one in self.module.parameters() if one.requires_grad])

    def objective(self, batch: Sequence[Example]) -> tuple[Tensor, Losses]:
        """A scalar with the total loss's gradient at the module's parameters, and the losses."""
        embeds, auxiliary = self.module([slot for example in batch for slot in example.slots])
        gen, gradient = self._through_lm(batch, embeds)
        terms = (self.module.loss_weights[name] * loss for name, loss in auxiliary.items())
        weighted = sum(terms, embeds.new_zeros(()))
        objective = (embeds * gradient).sum() + weighted
        losses = Losses(
            gen=gen,
            auxiliary={name: float(loss.detach()) for name, loss in auxiliary.items()},
            total=gen + float(weighted.detach()),
            tokens=sum(example.fed for example in batch),
        )
        return objective, losses

    def _through_lm(self, batch: Sequence[Example], embeds: Tensor) -> tuple[float, Tensor]:
        """The batch's token-mean cross entropy and its gradient at `embeds`. Each rank does a part of the groups.

        Where a rank runs out of memory, all ranks do the batch again in smaller passes, from the same embeddings.
        """
        while True:
            try:
                total, gradient, short = *self._passes(batch, embeds), False
            except torch.OutOfMemoryError:
                total, gradient, short = embeds.new_zeros(()), embeds, True
            if not self.ranks.any(short):
                return float(self.ranks.sum(total)), self.ranks.sum(gradient)
            self._shrink(batch)

    def _shrink(self, batch: Sequence[Example]) -> None:
        """Smaller passes, then recomputed activations. Raises BenchError where neither is left."""
        if self.ranks.device.type == "cuda":
            torch.cuda.empty_cache()
        groups = len(grouped(batch, self.micro_tokens))
        if groups < len(batch):
            while len(grouped(batch, self.micro_tokens)) == groups:
                self.micro_tokens = max(1, self.micro_tokens // 2)
            self.say(f"out of memory: passes of at most {self.micro_tokens} tokens from here on; results stay the same")
        elif not self.lm.recomputes:
            self.lm.recompute()
            self.say("out of memory at one sample a pass: activations are computed again; results stay the same")
        else:
            longest = max(example.fed for example in batch)
            what = f"out of memory at one sample of {longest} tokens"
            raise BenchError(f"{what}; lower --set input_budget or train.k, or take a larger GPU")

    def _passes(self, batch: Sequence[Example], embeds: Tensor) -> tuple[Tensor, Tensor]:
        """This rank's part of the loss and of the gradient."""
        leaf = embeds.detach().requires_grad_()
        own = torch.split(leaf, [len(example.slots) for example in batch])
        tokens = sum(len(example.target) for example in batch)
        total = torch.zeros((), device=leaf.device)
        for group in grouped(batch, self.micro_tokens)[self.ranks.rank :: self.ranks.size]:
            loss = self.lm.summed_loss([batch[i] for i in group], [own[i] for i in group]) / tokens
            if loss.requires_grad:
                loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        return total, torch.zeros_like(leaf) if leaf.grad is None else leaf.grad


def shuffled(examples: Sequence[Example], size: int, seed: int) -> list[list[Example]]:
    """Batches of `size`, the last perhaps smaller, in an order that depends on the seed alone."""
    order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(seed)).tolist()
    return [[examples[i] for i in order[start : start + size]] for start in range(0, len(order), size)]


def rate(step: int, steps: int, config: TrainConfig) -> float:
    """Linear warm-up from 0, then linear decay to 0 after the last step, as transformers' Trainer does by default.

    `step` counts from 1. transformers' schedule counts the steps done before, so its first step has rate 0 where there
    is a warm-up.
    """
    warmup, done = math.ceil(steps * config.warmup), step - 1
    if done < warmup:
        return config.lr * done / warmup
    return config.lr * (steps - done) / max(1, steps - warmup)
