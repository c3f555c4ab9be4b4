"""DEP's trained part: a sparse autoencoder and projectors into the language model's input space.

Equations 5, 6 and 8 to 11 of the paper, with the sizes of its appendix C.2.1. It differs from the released code in
three ways: the decoder is linear, because GELU cannot give the negative half of a vector (`decoder_gelu` restores it);
his and diff each have a loss term; and a mean activation outside (0, 1) still has a gradient.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log

import torch
from torch import Tensor, nn
from torch.nn.functional import smooth_l1_loss

from bench.protocols import Space
from bench.types import Slot
from methods.modules import features_of, in_order, linear, projector

# Below this mean activation the KL divergence continues as its tangent. The released code clamps at 1e-6, where the
# slope is -50,000: one or two such units would dominate a clipped gradient, and half of all units start there, because
# the means of GELUs are around 0. At 1e-3 the slope is -49.
EDGE = 1e-3


def divergence(means: Tensor, rho: float) -> Tensor:
    """KL(rho || mean) of each unit's mean activation (paper, equation 10), finite everywhere, 0 where mean = rho.

    Exact inside [EDGE, 1 - EDGE]. Outside it continues along the tangent at the edge, because there the divergence is
    infinite or undefined (a mean of GELUs may be negative or above 1). The tangent's slope leads back to the inside; a
    clamp alone has no slope.
    """
    inside = means.clamp(EDGE, 1 - EDGE)
    exact = rho * (log(rho) - inside.log()) + (1 - rho) * (log(1 - rho) - (-inside).log1p())
    slope = ((1 - rho) / (1 - inside) - rho / inside).detach()
    return exact + slope * (means - inside)


class DepModule(nn.Module):
    """Slots "his" and "diff" have one feature, (d_e,); "his_start", "his_end", "diff_start", "diff_end" are markers.

    `kinds` are those of "his" and "diff" that the prompt has. With `latent` None there is no autoencoder, and the
    projectors take the vectors themselves. With `rho` None it is a plain autoencoder. Losses: "recon" with an
    autoencoder, "sparse" with rho.
    """

    def __init__(
        self,
        space: Space,
        *,
        kinds: Sequence[str],
        latent: int | None,
        rho: float | None,
        decoder_gelu: bool,
        loss_weights: Mapping[str, float],
    ) -> None:
        super().__init__()
        self.space, self.kinds, self.rho, self.loss_weights = space, tuple(kinds), rho, dict(loss_weights)
        self.encoder = self.decoder = None
        if latent is not None:
            self.encoder = nn.Sequential(linear(space.vector_size, latent), nn.GELU())
            decode = linear(latent, space.vector_size)
            self.decoder = nn.Sequential(decode, nn.GELU()) if decoder_gelu else nn.Sequential(decode)
        self.projectors = nn.ModuleDict(
            {kind: projector(latent or space.vector_size, space.hidden_size) for kind in self.kinds}
        )
        for kind in self.kinds:
            for end in ("start", "end"):
                self.register_buffer(f"{kind}_{end}", _like_a_token(space))

    def forward(self, slots: Sequence[Slot]) -> tuple[Tensor, dict[str, Tensor]]:
        embeds: dict[str, Tensor] = {}
        losses: dict[str, list[Tensor]] = {name: [] for name in self.loss_weights}
        for kind in self.kinds:
            vectors = features_of(slots, kind, self.space.vector_size, like=next(self.parameters()))
            latent = vectors
            if self.encoder is not None and self.decoder is not None:
                latent = self.encoder(vectors)
                losses["recon"].append(_reconstruction(self.decoder(latent), vectors))
                if self.rho is not None:
                    losses["sparse"].append(_sparsity(latent, self.rho))
            embeds[kind] = self.projectors[kind](latent)
            embeds |= {name: self.get_buffer(name) for name in (f"{kind}_start", f"{kind}_end")}
        return in_order(slots, embeds), {name: torch.stack(terms).sum() for name, terms in losses.items()}


def _reconstruction(decoded: Tensor, vectors: Tensor) -> Tensor:
    """Smooth L1, the mean over the elements of (n, d_e); 0 for n = 0."""
    return smooth_l1_loss(decoded, vectors, reduction="sum") / max(vectors.numel(), 1)


def _sparsity(latent: Tensor, rho: float) -> Tensor:
    """(n, units) -> the mean over units of the divergence of their mean activation over n; 0 for n = 0."""
    return divergence(latent.mean(0), rho).mean() if len(latent) else latent.sum()


def _like_a_token(space: Space) -> Tensor:
    """(hidden size,): drawn with the mean and spread of the language model's token embeddings in each coordinate."""
    return torch.tensor(space.mean) + torch.tensor(space.std) * torch.randn(space.hidden_size)
