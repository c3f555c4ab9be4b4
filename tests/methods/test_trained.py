"""All trained methods: their contract, their sizes, and a gradient for every tensor."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from bench import registry
from bench.protocols import SoftModule, SoftPromptMethod, Space
from bench.registry import create
from bench.types import Slot
from tests.methods.context import Context, past, peer, sample
from tests.paths import ROOT

HISTORY = (past(1, "one"), past(2, "two"), past(3, "three"))
SAMPLE = sample(*HISTORY)
PEERS = {"i1": (peer(1, "ann", "ann"), peer(1, "bob", "bob")), "i2": (peer(2, "ann", "ann"),)}
TEXTS = ("one", "two", "three", "ann", "bob", "Desk Lamp\nA lamp for desks.\n5.0\nBright!")
EVERY = [
    ("soft", {}),
    ("rag_soft", {}),
    ("pplug", {}),
    ("pplug", {"original": True}),
    ("pplug", {"shared_projector": True}),
    ("pplug", {"compat_unmasked_padding": True, "history_cap": 16}),
    ("dep", {}),
    ("dep", {"embeddings": "his"}),
    ("dep", {"embeddings": "diff", "text": False}),
    ("dep", {"refinement": "none"}),
    ("dep", {"refinement": "ae"}),
    ("dep", {"decoder_gelu": True}),
]


def space(vectors: int, hidden: int) -> Space:
    return Space(vectors, hidden, np.zeros(hidden, np.float32), np.ones(hidden, np.float32), 2.0)


def made(name: str, options: dict[str, Any]) -> Any:
    torch.manual_seed(0)
    return create("method", name, options).module(space(6, 16))


def slots(name: str, options: dict[str, Any]) -> tuple[Slot, ...]:
    generator = np.random.default_rng(0)
    ctx = Context(HISTORY, PEERS, {text: generator.normal(size=6) for text in TEXTS})
    found: tuple[Slot, ...] = create("method", name, options).prompt(SAMPLE, ctx).slots
    return found


def backward(module: Any, batch: tuple[Slot, ...]) -> dict[str, torch.Tensor]:
    """The gradients of the trainer's objective, with a random gradient at the embeddings."""
    embeds, losses = module(batch)
    assert embeds.shape == (len(batch), 16)
    assert losses.keys() == module.loss_weights.keys()
    objective = (embeds * torch.randn_like(embeds)).sum()
    (objective + sum(module.loss_weights[name] * loss for name, loss in losses.items())).backward()
    return {name: value.grad for name, value in module.named_parameters()}


def test_the_order_of_methods_is_that_of_the_tables() -> None:
    ours = ["nonperso", "rag", "pag", "dpl", "soft", "rag_soft", "pplug", "dep"]
    assert list(registry.BUILTIN["method"]) == [*ours, "oracle"]


@pytest.mark.parametrize(
    ("name", "label", "retrieves", "embeds"),
    [
        ("soft", "Soft prompt", False, False),
        ("rag_soft", "RAG + soft prompt", True, False),
        ("pplug", "PPlug", False, True),
        ("dep", "DEP", True, True),
    ],
)
def test_the_contract(name: str, label: str, retrieves: bool, embeds: bool) -> None:
    method = create("method", name)
    assert isinstance(method, SoftPromptMethod)
    assert (method.label, method.uses_retriever, method.uses_embeddings) == (label, retrieves, embeds)
    assert (dict(method.training), method.varies) == ({}, False)
    assert bool(list(method.texts(SAMPLE, Context(HISTORY, PEERS)))) == embeds
    module: SoftModule = method.module(space(6, 16))
    assert isinstance(module, torch.nn.Module)
    assert {value.dtype for value in module.state_dict().values()} == {torch.float32}


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        # Autoencoder 1024 -> 512 -> 1024, two projectors 512 -> 3584 -> 3584, each with biases.
        ("dep", {}, 30_424_576),
        ("dep", {"embeddings": "his"}, 1_050_112 + 14_687_232),
        ("dep", {"refinement": "none"}, 2 * 16_522_240),
        ("pplug", {}, 33_045_504),  # two projectors 1024 -> 3584 -> 3584 and a vector
        ("pplug", {"shared_projector": True}, 16_522_240 + 1024),
        ("soft", {}, 16_522_240 + 1024),
        ("rag_soft", {}, 16_522_240 + 1024),
    ],
)
def test_trainable_parameters_at_the_7b_model_s_size(name: str, options: dict[str, Any], count: int) -> None:
    with torch.device("meta"):
        module = create("method", name, options).module(space(1024, 3584))
    assert sum(value.numel() for value in module.parameters() if value.requires_grad) == count


@pytest.mark.parametrize(("name", "options"), EVERY)
def test_a_gradient_reaches_every_trainable_tensor(name: str, options: dict[str, Any]) -> None:
    gradients = backward(made(name, options), slots(name, options))
    assert all(value is not None and value.isfinite().all() and value.any() for value in gradients.values())


@pytest.mark.parametrize(("name", "options"), EVERY)
def test_a_batch_without_slots_can_be_stepped_on(name: str, options: dict[str, Any]) -> None:
    module = made(name, options)
    _, losses = module(())
    assert {loss.item() for loss in losses.values()} <= {0.0}
    gradients = [value for value in backward(module, ()).values() if value is not None]
    assert gradients
    assert not any(value.any() for value in gradients)  # NaN would be true


@pytest.mark.parametrize(("name", "options"), EVERY)
def test_a_saved_module_loads_without_the_language_model_s_statistics(name: str, options: dict[str, Any]) -> None:
    """A checkpoint is enough: loading does not need the token embeddings' mean, spread and norm."""
    trained = made(name, options)
    nothing = np.zeros(16, np.float32)
    loaded = create("method", name, options).module(Space(6, 16, nothing, nothing, 1.0))
    loaded.load_state_dict(trained.state_dict())
    batch = slots(name, options)
    torch.testing.assert_close(loaded(batch)[0], trained(batch)[0], rtol=0, atol=0)
    storages = [value.untyped_storage().data_ptr() for value in trained.state_dict().values()]
    assert len(set(storages)) == len(storages)  # safetensors refuses tensors that share one


@pytest.mark.parametrize("name", ["soft", "rag_soft", "pplug", "dep"])
def test_a_method_and_its_prompts_need_no_torch(name: str) -> None:
    program = (
        f"import sys; from bench.registry import create; create('method', {name!r}); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
