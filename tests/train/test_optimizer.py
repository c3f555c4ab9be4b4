"""Rates and parameter groups are those of transformers' Trainer, step for step and name for name."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bench.config import TrainConfig
from bench.protocols import Space
from bench.registry import create
from bench.train.optimizer import create as optimizer
from bench.train.optimizer import groups
from bench.train.ranks import Ranks
from bench.train.trainer import rate

SPACE = Space(8, 12, np.zeros(12, np.float32), np.ones(12, np.float32), 1.0)


@pytest.mark.parametrize("warmup", [0.0, 0.01, 0.05, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("steps", [1, 2, 3, 10, 99, 100, 1250])
def test_every_step_has_the_rate_of_transformers_schedule(steps: int, warmup: float) -> None:
    from transformers import TrainingArguments, get_linear_schedule_with_warmup

    config = TrainConfig(lr=1e-3, warmup=warmup)
    theirs = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=config.lr)
    n_warmup = TrainingArguments("unused", warmup_steps=warmup, use_cpu=True).get_warmup_steps(steps)
    if warmup < 1:  # transformers takes a whole number for steps
        assert n_warmup == math.ceil(steps * warmup)
    schedule = get_linear_schedule_with_warmup(theirs, math.ceil(steps * warmup), steps)
    for step in range(1, steps + 1):
        assert rate(step, steps, config) == pytest.approx(schedule.get_last_lr()[0], rel=1e-12, abs=0)
        theirs.step()
        schedule.step()


class Everything(nn.Module):
    """Parameters of every kind that the rule names."""

    def __init__(self) -> None:
        super().__init__()
        self.own = nn.Parameter(torch.ones(2))
        self.bias = nn.Parameter(torch.ones(2))
        self.layer = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2), nn.Linear(2, 2, bias=False))
        self.norm = nn.Linear(2, 2)
        self.input_norm = nn.Linear(2, 2)
        self.normal = nn.Linear(2, 2)
        self.frozen = nn.Parameter(torch.ones(2), requires_grad=False)


def modules() -> list[tuple[str, nn.Module]]:
    trained: list[tuple[str, dict[str, Any]]] = [
        ("dep", {}), ("dep", {"refinement": "none"}), ("pplug", {}), ("pplug", {"original": True}), ("soft", {}),
        ("rag_soft", {}),
    ]  # fmt: skip
    made: list[Any] = [create("method", name, options) for name, options in trained]
    return [
        ("everything", Everything()),
        *((name, one.module(SPACE)) for (name, _), one in zip(trained, made, strict=True)),
    ]


@pytest.mark.parametrize(("name", "module"), modules())
def test_what_decays_is_what_transformers_trainer_decays(name: str, module: nn.Module) -> None:
    from transformers import Trainer

    names = {id(value): key for key, value in module.named_parameters()}
    decayed, plain = groups(module, TrainConfig(weight_decay=0.5))
    ours = {names[id(value)] for value in decayed["params"]}
    trainable = {key for key, value in module.named_parameters() if value.requires_grad}
    theirs = set(Trainer.get_decay_parameter_names(None, module))  # type: ignore[arg-type]
    assert ours == theirs & trainable
    assert {names[id(value)] for value in plain["params"]} == trainable - theirs
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.5, 0.0)
    assert any("bias" in key for key in trainable - ours)


def test_biases_stay_where_weights_decay() -> None:
    module = nn.Linear(2, 2)
    nn.init.ones_(module.weight)
    nn.init.ones_(module.bias)
    made = optimizer(module, TrainConfig(lr=0.1, weight_decay=0.5), Ranks(0, 1, torch.device("cpu")))
    made.step(sum(value.sum() * 0 for value in module.parameters()), 0.1)  # type: ignore[arg-type]
    assert torch.allclose(module.weight, torch.full((2, 2), 1 - 0.1 * 0.5))
    assert torch.equal(module.bias, torch.ones(2))
