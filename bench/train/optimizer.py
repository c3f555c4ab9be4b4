"""AdamW on the module's parameters, on one device or sharded over several by DeepSpeed ZeRO-1.

All ranks hold the whole module and compute the same gradient (bench.train.trainer), so ZeRO-1 changes only where the
optimizer's state is kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from bench.config import TrainConfig
from bench.train.ranks import Ranks

MOMENTS = ("exp_avg", "exp_avg_sq")
_UNDECAYED = re.compile(r"bias|layernorm|rmsnorm|(?:^|\.)norm(?:$|\.)|_norm(?:$|\.)")


class Optimizer(Protocol):
    """Steps along the gradient of an objective. Its state can be saved and restored whole, by name."""

    def step(self, objective: Tensor, lr: float) -> float:
        """The gradient's norm before clipping."""
        ...

    def state(self) -> dict[str, Tensor]:
        """moment.parameter -> tensor of the parameter's shape. All ranks call it, though only one saves it."""
        ...

    def restore(self, state: Mapping[str, Tensor], steps: int) -> None: ...


def create(module: nn.Module, config: TrainConfig, ranks: Ranks) -> Optimizer:
    return Zero1(module, config) if ranks.size > 1 else OneDevice(module, config)


def groups(module: nn.Module, config: TrainConfig) -> list[dict[str, Any]]:
    """AdamW's parameter groups, as transformers' Trainer makes them: biases and norms do not decay, all else does.

    All else includes parameters that belong to no layer, such as PPlug's v.
    """
    norms = tuple(f"{name}." for name, layer in module.named_modules() if isinstance(layer, nn.LayerNorm))
    named = [(name, value) for name, value in module.named_parameters() if value.requires_grad]
    decays = {name for name, _ in named if not name.startswith(norms) and not _UNDECAYED.search(name.lower())}
    return [
        {"params": [value for name, value in named if (name in decays) == decayed], "weight_decay": weight_decay}
        for decayed, weight_decay in ((True, config.weight_decay), (False, 0.0))
    ]


def _adamw(module: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    found = [group for group in groups(module, config) if group["params"]]
    return torch.optim.AdamW(found, lr=config.lr, foreach=False)


class OneDevice:
    """An `Optimizer` in plain PyTorch."""

    def __init__(self, module: nn.Module, config: TrainConfig) -> None:
        self._named = {name: value for name, value in module.named_parameters() if value.requires_grad}
        self._adamw = _adamw(module, config)
        self._clip = config.clip

    def step(self, objective: Tensor, lr: float) -> float:
        self._adamw.zero_grad(set_to_none=True)
        objective.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self._named.values(), self._clip)
        for group in self._adamw.param_groups:
            group["lr"] = lr
        self._adamw.step()
        return float(norm)

    def state(self) -> dict[str, Tensor]:
        found = {}
        for name, parameter in self._named.items():
            for moment in MOMENTS:
                value = self._adamw.state.get(parameter, {}).get(moment)
                found[f"{moment}.{name}"] = torch.zeros_like(parameter) if value is None else value
        return found

    def restore(self, state: Mapping[str, Tensor], steps: int) -> None:
        for name, parameter in self._named.items():
            moments = {moment: state[f"{moment}.{name}"].to(parameter) for moment in MOMENTS}
            self._adamw.state[parameter] = {"step": torch.tensor(float(steps)), **moments}


class Zero1:
    """An `Optimizer` in DeepSpeed: the state is fp32 and has one shard for each rank."""

    def __init__(self, module: nn.Module, config: TrainConfig) -> None:
        import deepspeed

        self._named = {name: value for name, value in module.named_parameters() if value.requires_grad}
        settings = {
            "train_micro_batch_size_per_gpu": 1,
            "gradient_accumulation_steps": 1,
            "gradient_clipping": config.clip,
            "zero_optimization": {"stage": 1},
            "zero_allow_untested_optimizer": True,
        }
        self._linked = False
        self._engine: Any
        self._engine, *_ = deepspeed.initialize(model=module, optimizer=_adamw(module, config), config=settings)

    def step(self, objective: Tensor, lr: float) -> float:
        self._engine.backward(objective)
        for group in self._engine.optimizer.param_groups:
            group["lr"] = lr
        self._engine.step()
        self._link()
        return float(self._engine.get_global_grad_norm() or 0.0)

    def _link(self) -> None:
        """DeepSpeed links the shards' states when the first group has stepped, and so misses those of later groups."""
        if not self._linked:
            zero = self._engine.optimizer
            zero._hp_optimizer_states_linked = False
            zero._lazy_init_hp_params_optimizer_state()
            self._linked = True

    def state(self) -> dict[str, Tensor]:
        from deepspeed.utils import safe_get_full_optimizer_state

        found = {}
        for name, parameter in self._named.items():
            for moment in MOMENTS:
                value = safe_get_full_optimizer_state(parameter, moment)
                found[f"{moment}.{name}"] = torch.zeros_like(parameter) if value is None else value
        return found

    def restore(self, state: Mapping[str, Tensor], steps: int) -> None:
        from deepspeed.utils import safe_set_full_optimizer_state

        # A first step creates the shards' states. With rate 0 and gradient 0 it changes no parameter.
        self.step(
            sum((value.sum() * 0 for value in self._named.values()), torch.zeros((), device=self._engine.device)),
            lr=0.0,
        )
        for name, parameter in self._named.items():
            for moment in MOMENTS:
                safe_set_full_optimizer_state(parameter, state[f"{moment}.{name}"].to(parameter), moment)
        for shard in self._engine.optimizer.optimizer.state.values():
            shard["step"].fill_(steps)
