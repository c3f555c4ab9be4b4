"""The processes that train together.

One process needs no launcher. torchrun, accelerate and deepspeed start several and give each its place by the same
environment variables.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Ranks:
    """This process's place among `size` processes."""

    rank: int
    size: int
    device: torch.device

    @property
    def first(self) -> bool:
        return self.rank == 0

    def sum(self, value: Tensor) -> Tensor:
        """The sum over all ranks, on all ranks."""
        if self.size > 1:
            torch.distributed.all_reduce(value)
        return value

    def agree(self, answer: bool) -> bool:
        """The first rank's answer, on all ranks."""
        if self.size == 1:
            return answer
        value = torch.tensor(int(answer), device=self.device)
        torch.distributed.broadcast(value, 0)
        return bool(value)

    def any(self, answer: bool) -> bool:
        """Whether any rank says so, on all ranks."""
        if self.size == 1:
            return answer
        return bool(self.sum(torch.tensor(float(answer), device=self.device)) > 0)

    def wait(self) -> None:
        if self.size > 1:
            torch.distributed.barrier()

    def close(self) -> None:
        if self.size > 1:
            torch.distributed.destroy_process_group()


def join() -> Ranks:
    """Joins the ranks that the launcher's environment variables name: NCCL between GPUs, gloo between CPU processes."""
    rank, size, local = (
        int(os.environ.get(name, default))
        for name, default in (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0"))
    )
    gpu = torch.cuda.is_available()
    device = torch.device("cuda", local) if gpu else torch.device("cpu")
    if gpu:
        torch.cuda.set_device(device)
    if size > 1:
        import deepspeed

        deepspeed.init_distributed(dist_backend="nccl" if gpu else "gloo")
    return Ranks(rank, size, device)
