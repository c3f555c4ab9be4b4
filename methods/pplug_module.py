"""PPlug's trained part: the instruction row I and the user row P (spec, PPlug; paper, appendix B).

I = M_inst(v)                     v trained, from U[0, 1)
w = softmax_j(h_j . x / tau)      over the user's real reviews only
P = sum_j w_j M_his(h_j)          projected, then averaged: M is not linear
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

from bench.protocols import Space
from bench.types import Slot
from methods.modules import in_order, projector

# Directions on which a new projector's length of rows is measured.
PROBES = 256


class InstructionModule(nn.Module):
    """Slot "instruction", without a feature: one row that is the same for everybody, I."""

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.loss_weights: Mapping[str, float] = {}
        self.instruction = nn.Parameter(torch.rand(space.vector_size))
        self.project_instruction = projector(space.vector_size, space.hidden_size)

    def forward(self, slots: Sequence[Slot]) -> tuple[Tensor, dict[str, Tensor]]:
        return in_order(slots, {"instruction": self.project_instruction(self.instruction)}), {}


class PPlugModule(nn.Module):
    """Slots "instruction" and "user"; a user's features are (n, d_e) of the reviews, n >= 1, and (d_e,) of the query.

    `shared`: one projector for both. `match_norm`: rows are scaled, each kind by one factor found before training, to
    the mean length of the language model's own. `padded_to`: histories are filled up with zeros that count as reviews.
    """

    def __init__(
        self, space: Space, *, temperature: float, shared: bool, match_norm: bool, padded_to: int | None
    ) -> None:
        super().__init__()
        self.loss_weights: Mapping[str, float] = {}
        self.space, self.temperature, self.padded_to = space, temperature, padded_to
        self.instruction = nn.Parameter(torch.rand(space.vector_size))
        self.project_user = projector(space.vector_size, space.hidden_size)
        # None where shared: a module that is there twice would be twice in a checkpoint.
        self.project_instruction = None if shared else projector(space.vector_size, space.hidden_size)
        self.register_buffer("scales", self._matching(space.norm) if match_norm else torch.ones(2))

    def forward(self, slots: Sequence[Slot]) -> tuple[Tensor, dict[str, Tensor]]:
        user, instruction = self.get_buffer("scales")
        made = {"instruction": instruction * self._instruction(), "user": user * self._users(slots)}
        return in_order(slots, made), {}

    def _instruction(self) -> Tensor:
        project = self.project_user if self.project_instruction is None else self.project_instruction
        row: Tensor = project(self.instruction)
        return row

    def _users(self, slots: Sequence[Slot]) -> Tensor:
        """(users, rows)"""
        found = [slot.features for slot in slots if slot.name == "user"]
        if not found:
            return self.project_user(self.instruction.new_zeros(0, self.space.vector_size))  # type: ignore[no-any-return]
        histories, queries = zip(*([torch.tensor(part) for part in features] for features in found), strict=True)
        if self.padded_to is not None:
            histories = tuple(pad(history, (0, 0, 0, self.padded_to - len(history))) for history in histories)
        real = pad_sequence([torch.ones(len(history), dtype=torch.bool) for history in histories], batch_first=True)
        padded = pad_sequence(list(histories), batch_first=True)
        device = self.instruction.device
        return self.attended(padded.to(device), torch.stack(queries).to(device), real.to(device))

    def attended(self, histories: Tensor, queries: Tensor, real: Tensor) -> Tensor:
        """(B, n, d_e), (B, d_e), (B, n) bool -> (B, rows): each user's P. What stands in rows not real does not count.

        Every user has a real row.
        """
        scores = torch.einsum("bnd,bd->bn", histories, queries) / self.temperature
        weights = scores.masked_fill(~real, -torch.inf).softmax(dim=1)
        projected = self.project_user(histories[real])  # (real rows, rows)
        values = projected.new_zeros(*real.shape, self.space.hidden_size).masked_scatter(real.unsqueeze(2), projected)
        return torch.einsum("bn,bnr->br", weights, values)

    @torch.no_grad()
    def _matching(self, norm: float) -> Tensor:
        """(2,): what makes rows of users, and the instruction's, as long as the language model's are on average."""
        probes = nn.functional.normalize(torch.randn(PROBES, self.space.vector_size), dim=1)
        lengths = (self.project_user(probes).norm(dim=1).mean(), self._instruction().norm())
        return norm / torch.stack(lengths)
