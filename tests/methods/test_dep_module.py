"""DEP's losses and embeddings against values worked out by hand, with weights set by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from bench.protocols import Space
from bench.registry import create
from bench.types import Slot
from methods.dep_module import divergence

# The divergence from rho = 0.05 at 0, along the tangent at 0.001. At 0.001 its value is .05 ln 50 + .95 ln(.95 / .999)
# = .1478230, and its slope is .95 / .999 - .05 / .001 = -49.0490490.
AT_ZERO = 0.1478230 + 0.0490490


def space(vectors: int, hidden: int) -> Space:
    return Space(vectors, hidden, np.zeros(hidden, np.float32), np.ones(hidden, np.float32), 1.0)


def made(vectors: int, hidden: int, **options: Any) -> Any:
    torch.manual_seed(0)
    return create("method", "dep", options).module(space(vectors, hidden))


def slot(name: str, *values: float) -> Slot:
    return Slot(name, (np.array(values, np.float32),) if values else ())


def by_hand(weight: Sequence[Sequence[float]], bias: Sequence[float], **options: Any) -> Any:
    """Two dimensions and two units: this encoder without bias, and a decoder that always gives its bias."""
    module = made(2, 2, latent=2, **options)
    with torch.no_grad():
        module.encoder[0].weight.copy_(torch.tensor(weight))
        module.decoder[0].weight.zero_()
        module.decoder[0].bias.copy_(torch.tensor(bias))
    return module


ZERO, ONE = ((0.0, 0.0), (0.0, 0.0)), ((1.0, 0.0), (0.0, 1.0))


# ---------------------------------------------------------------- losses


@pytest.mark.parametrize(
    ("mean", "expected", "slope"),
    [
        (0.05, 0.0, 0.0),
        (0.25, 0.1440974, 1.0666667),  # .05 ln .2 + .95 ln(.95 / .75); .95 / .75 - .05 / .25
        (0.5, 0.4946319, 1.8),  # .05 ln .1 + .95 ln 1.9; .95 / .5 - .05 / .5
        (0.001, 0.1478230, -49.0490490),
        (0.0, AT_ZERO, -49.0490490),
        (-0.1, 5.1017770, -49.0490490),  # .1478230 + .101 * 49.0490490
        (1.5, 482.2888270, 949.9499499),  # at .999: 6.3639023, slope .95 / .001 - .05 / .999; .501 further
    ],
)
def test_the_divergence_is_exact_inside_and_has_a_slope_outside(mean: float, expected: float, slope: float) -> None:
    means = torch.tensor([mean, 0.3], dtype=torch.float64, requires_grad=True)
    found = divergence(means, 0.05)
    assert found[0].item() == pytest.approx(expected, rel=1e-6, abs=1e-6)
    found.sum().backward()
    assert means.grad is not None
    assert means.grad[0].item() == pytest.approx(slope, rel=1e-6, abs=1e-9)


def test_reconstruction_is_a_mean_over_elements_summed_over_his_and_diff() -> None:
    """Decoded is (.5, 2). his (1, 0): .5^2 / 2 and 2 - .5, in the mean .8125. diff (0, 2): .125 and 0, .0625."""
    module = by_hand(ZERO, (0.5, 2.0))
    _, losses = module([slot("his", 1, 0), slot("diff", 0, 2)])
    assert losses["recon"].item() == pytest.approx(0.875)
    _, losses = module([slot("his", 1, 0), slot("his", 0.5, 2), slot("diff", 0, 2)])
    assert losses["recon"].item() == pytest.approx(0.40625 + 0.0625)  # two vectors halve his's mean


def test_sparsity_uses_the_batch_s_mean_activation_separately_for_his_and_diff() -> None:
    """GELU(1) = .8413447 and GELU(-1) = -.1586553: in the mean .3413447, whose divergence is .2519051.

    The other unit is at 0, and so are both of diff.
    """
    module = by_hand(ONE, (0.0, 0.0))
    his = [slot("his", 1, 0), slot("his", -1, 0)]
    _, losses = module(his)
    assert losses["sparse"].item() == pytest.approx((0.2519051 + AT_ZERO) / 2, rel=1e-5)
    _, losses = module([*his, slot("diff", 0, 0)])
    assert losses["sparse"].item() == pytest.approx((0.2519051 + AT_ZERO) / 2 + AT_ZERO, rel=1e-5)


def test_units_that_never_fire_are_pulled_back() -> None:
    """GELU(-1) is negative. With a clamp alone such a unit has no gradient."""
    module = by_hand(ONE, (0.0, 0.0))
    _, losses = module([slot("his", -1, -1)])
    losses["sparse"].backward()
    assert (module.encoder[0].bias.grad != 0).all()


def test_the_released_decoder_ends_in_a_gelu() -> None:
    """GELU(1) = .8413447 misses 1 by .1586553; the linear decoder reaches it."""
    for released, expected in ((False, 0.0), (True, 0.1586553**2 / 2 / 2)):
        _, losses = by_hand(ZERO, (1.0, 0.0), decoder_gelu=released)([slot("his", 1, 0)])
        assert losses["recon"].item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("options", "weights"),
    [
        ({}, {"recon": 100.0, "sparse": 0.1}),
        ({"refinement": "ae"}, {"recon": 100.0}),
        ({"refinement": "none"}, {}),
        ({"recon_weight": 10, "sparse_weight": 0.5}, {"recon": 10.0, "sparse": 5.0}),
    ],
)
def test_losses_and_their_weights(options: dict[str, Any], weights: dict[str, float]) -> None:
    module = made(4, 8, **options)
    assert module.loss_weights == pytest.approx(weights)
    _, losses = module([slot("his", 1, 0, 0, 0), slot("diff", 0, 1, 0, 0)])
    assert losses.keys() == weights.keys()


# ---------------------------------------------------------------- embeddings


def test_every_slot_has_the_embedding_of_its_own_vector_in_any_order() -> None:
    module = made(2, 3)
    slots = [slot("diff", 0, 1), slot("his_end"), slot("his", 1, 0), slot("diff", 2, 2), slot("his", 3, 0)]
    embeds, _ = module(slots)
    assert embeds.shape == (5, 3)
    for place, one in enumerate(slots):
        alone, _ = module([one])
        torch.testing.assert_close(embeds[place], alone[0])
    assert len({tuple(embed.tolist()) for embed in embeds}) == 5


def test_embeddings_are_projected_latents_and_without_refinement_projected_vectors() -> None:
    module, plain = made(2, 3), made(2, 3, refinement="none")
    vector = torch.tensor([[0.6, 0.8]])
    for kind in ("his", "diff"):
        expected = module.projectors[kind](module.encoder(vector))
        torch.testing.assert_close(module([slot(kind, 0.6, 0.8)])[0], expected)
        torch.testing.assert_close(plain([slot(kind, 0.6, 0.8)])[0], plain.projectors[kind](vector))


def test_markers_are_frozen_saved_and_spread_like_token_embeddings() -> None:
    hidden = 4096
    torch.manual_seed(0)
    table = Space(2, hidden, np.full(hidden, 3, np.float32), np.full(hidden, 0.5, np.float32), 1.0)
    module = create("method", "dep", {"refinement": "none"}).module(table)
    names = {"his_start", "his_end", "diff_start", "diff_end"}
    assert names == {name for name, _ in module.named_buffers()}
    assert names <= module.state_dict().keys()
    for name in names:
        (marker,), _ = module([Slot(name)])
        assert torch.equal(marker, module.state_dict()[name])
        assert (marker.mean().item(), marker.std().item()) == pytest.approx((3, 0.5), abs=0.05)
    assert not torch.equal(module.his_start, module.his_end)


def test_initial_weights_are_xavier_uniform_without_biases() -> None:
    """For 64 -> 32 the bound is sqrt(6 / (64 + 32)) = .25, and the weights fill it."""
    module = made(64, 16, latent=32)
    weight = module.encoder[0].weight
    assert 0.24 < weight.abs().max() <= 0.25
    assert weight.std().item() == pytest.approx(0.25 / 3**0.5, rel=0.05)
    biases = [value for name, value in module.named_parameters() if name.endswith("bias")]
    assert len(biases) == 6
    assert not any(bias.any() for bias in biases)


@pytest.mark.parametrize(("embeddings", "kinds"), [("his", {"his"}), ("diff", {"diff"}), ("both", {"his", "diff"})])
def test_only_the_parts_in_use_exist(embeddings: str, kinds: set[str]) -> None:
    module = made(2, 3, embeddings=embeddings)
    assert set(module.projectors) == kinds
    assert {name.partition("_")[0] for name, _ in module.named_buffers()} == kinds
