"""PPlug's trained part: the instruction's embedding I and the user's embedding P (paper, appendix B).

I = M_inst(v)                     v is trained and starts from U[0, 1)
w = softmax_j(h_j . x / tau)      over the user's real reviews only
P = sum_j w_j M_his(h_j)          projected, then averaged, because M is not linear
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

# Random directions on which the length of a new projector's embeddings is measured.
PROBES = 256


class InstructionModule(nn.Module):
    """Slot "instruction", without a feature: one embedding, I, equal for all users."""

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.loss_weights: Mapping[str, float] = {}
        self.instruction = nn.Parameter(torch.rand(space.vector_size))
        self.project_instruction = projector(space.vector_size, space.hidden_size)

    def forward(self, slots: Sequence[Slot]) -> tuple[Tensor, dict[str, Tensor]]:
        return in_order(slots, {"instruction": self.project_instruction(self.instruction)}), {}


class PPlugModule(nn.Module):
    """Slots "instruction" and "user"; a user's features are (n, d_e) of the reviews, n >= 1, and (d_e,) of the query.

    `shared`: one projector for both. `match_norm`: the two kinds of embeddings are scaled, each by one factor measured
    before training, to the mean length of the language model's token embeddings. `padded_to`: histories are padded to
    this length with zeros that count as reviews.
    """

    def __init__(
        self, space: Space, *, temperature: float, shared: bool, match_norm: bool, padded_to: int | None
    ) -> None:
        super().__init__()
        self.loss_weights: Mapping[str, float] = {}
        self.space, self.temperature, self.padded_to = space, temperature, padded_to
        self.instruction = nn.Parameter(torch.rand(space.vector_size))
        self.project_user = projector(space.vector_size, space.hidden_size)
        # None where shared: a module with two names would be in a checkpoint twice.
        self.project_instruction = None if shared else projector(space.vector_size, space.hidden_size)
        self.register_buffer("scales", self._matching(space.norm) if match_norm else torch.ones(2))

    def forward(self, slots: Sequence[Slot]) -> tuple[Tensor, dict[str, Tensor]]:
        user, instruction = self.get_buffer("scales")
        embeds = {"instruction": instruction * self._instruction(), "user": user * self._users(slots)}
        return in_order(slots, embeds), {}

    def _instruction(self) -> Tensor:
        project = self.project_user if self.project_instruction is None else self.project_instruction
        embed: Tensor = project(self.instruction)
        return embed

    def _users(self, slots: Sequence[Slot]) -> Tensor:
        """(users, hidden size)"""
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
        """(B, n, d_e), (B, d_e), (B, n) bool -> (B, hidden size): each user's P. Vectors not `real` do not count.

        Every user has at least one real vector.
        """
        scores = torch.einsum("bnd,bd->bn", histories, queries) / self.temperature
        weights = scores.masked_fill(~real, -torch.inf).softmax(dim=1)
        projected = self.project_user(histories[real])  # (real vectors, hidden size)
        values = projected.new_zeros(*real.shape, self.space.hidden_size).masked_scatter(real.unsqueeze(2), projected)
        return torch.einsum("bn,bnr->br", weights, values)

    @torch.no_grad()
    def _matching(self, norm: float) -> Tensor:
        """(2,): the factors that give users' embeddings, and the instruction's, the token embeddings' mean length."""
        probes = nn.functional.normalize(torch.randn(PROBES, self.space.vector_size), dim=1)
        lengths = (self.project_user(probes).norm(dim=1).mean(), self._instruction().norm())
        return norm / torch.stack(lengths)
