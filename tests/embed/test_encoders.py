from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from bench.config import EncoderConfig
from bench.data.corpus import load
from bench.embed.encoders import Bgem3Encoder, create, precision
from bench.embed.store import CHUNK, StoredEmbedder, VectorStore
from bench.errors import UserError
from bench.micro import whitening
from bench.models.assets import resolve
from retrievers.contriever import Contriever
from tests.embed.folders import write_bert, write_xlm_roberta
from tests.retrievers.samples import ids, review, sample

TEXTS = [
    "a slow book with a good end",
    "",
    "songs",
    "the plot goes nowhere for three hundred pages and then it all comes at once " * 3,
    "a slow book with a good end.",
    "Größe, 日本語 and 😀",
]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> EncoderConfig:
    folder = write_bert(tmp_path_factory.mktemp("models") / "bert")
    return EncoderConfig(str(folder), pooling="mean", normalize=False, max_tokens=64)


@pytest.fixture
def minilm(require_assets: Callable[..., None]) -> EncoderConfig:
    require_assets("all-minilm-l6-v2")
    return EncoderConfig("all-minilm-l6-v2", pooling="mean", normalize=False, max_tokens=512)


@pytest.fixture(scope="session")
def m3(tmp_path_factory: pytest.TempPathFactory) -> EncoderConfig:
    folder = write_xlm_roberta(tmp_path_factory.mktemp("models") / "xlmr")
    return EncoderConfig(str(folder), pooling="bge-m3", normalize=True, max_tokens=62)


@pytest.fixture(params=["tiny", pytest.param("minilm", marks=pytest.mark.models)])
def config(request: pytest.FixtureRequest) -> EncoderConfig:
    chosen: EncoderConfig = request.getfixturevalue(request.param)
    return chosen


@functools.cache
def loaded(folder: str) -> tuple[Any, Any]:
    from transformers import AutoModel, AutoTokenizer

    return AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder, dtype=torch.float32).eval()


def states(config: EncoderConfig, text: str) -> torch.Tensor:
    """(tokens, d) last hidden states of one text alone: no batch, no padding, no mask, cut by hand."""
    tokenizer, model = loaded(resolve(config.model))
    tokens = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"][: config.max_tokens - 2]
    with torch.no_grad():
        output = model(torch.tensor([[tokenizer.cls_token_id, *tokens, tokenizer.sep_token_id]]))
    found: torch.Tensor = output.last_hidden_state[0]
    return found


def test_mean_pooling_is_the_mean_over_all_tokens(config: EncoderConfig) -> None:
    expected = np.stack([states(config, text).mean(0).numpy() for text in TEXTS])
    found = create(config).encode(TEXTS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert np.abs(found[0] - found[2]).max() > 0.01


def test_normalised_vectors_point_the_same_way(config: EncoderConfig) -> None:
    raw = create(config).encode(TEXTS)
    unit = create(replace(config, normalize=True)).encode(TEXTS)
    np.testing.assert_allclose(unit, raw / np.sqrt((raw**2).sum(1, keepdims=True)), rtol=0, atol=1e-6)


def test_batch_composition_and_order_change_nothing(config: EncoderConfig) -> None:
    texts = [TEXTS[i % 6] * (i % 3) + "abc"[: i % 4] for i in range(40)]
    encoder = create(config)
    together = encoder.encode(texts)
    assert np.isfinite(together).all()
    np.testing.assert_allclose(encoder.encode(texts[::-1])[::-1], together, rtol=0, atol=1e-5)
    alone = np.concatenate([encoder.encode([text]) for text in texts[:8]])
    np.testing.assert_allclose(alone, together[:8], rtol=0, atol=1e-5)


def test_a_long_text_is_cut_at_its_end(config: EncoderConfig) -> None:
    words = " ".join("abcdefghij"[i % 10] for i in range(10_000))
    encoder = create(config)
    found = encoder.encode([words, "a b c"])[0]
    np.testing.assert_allclose(found, states(config, words).mean(0).numpy(), rtol=0, atol=1e-5)
    short = create(replace(config, max_tokens=12)).encode([words, " ".join("abcdefghij") + " and more"])
    np.testing.assert_allclose(short[0], short[1], rtol=0, atol=1e-5)


def test_lone_surrogates_are_encoded_as_replacement_characters(config: EncoderConfig) -> None:
    found = create(config).encode(["good \ud83d book", "\ud83d\ude00"])
    expected = create(config).encode(["good \ufffd book", "😀"])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_no_text_gives_no_rows(tiny: EncoderConfig, m3: EncoderConfig) -> None:
    assert create(tiny).encode([]).shape == (0, 32)
    assert create(m3).encode([]).shape == (0, 32)


def test_bge_m3_is_the_unit_cls_vector(m3: EncoderConfig) -> None:
    texts = [*TEXTS, "a" * 500, *("b" * i for i in range(40)), "good \ud83d book"]
    encoder = create(m3)
    assert isinstance(encoder, Bgem3Encoder)
    found = encoder.encode(texts)
    cls = torch.stack([states(m3, text.replace("\ud83d", "\ufffd"))[0] for text in texts]).numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, cls / np.sqrt((cls**2).sum(1, keepdims=True)), rtol=0, atol=1e-5)
    raw = create(replace(m3, normalize=False)).encode(texts[:3])
    np.testing.assert_allclose(raw, cls[:3], rtol=0, atol=1e-5)


def test_identity_names_weights_and_settings_but_not_the_place(tiny: EncoderConfig, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(tiny.model, copy)
    assert create(replace(tiny, model=str(copy))).identity() == create(tiny).identity()
    others = [
        replace(tiny, normalize=True),
        replace(tiny, max_tokens=32),
        replace(tiny, pooling="bge-m3"),
    ]
    (copy / "vocab.txt").write_text("changed")
    identities = {create(other).identity() for other in (tiny, *others, replace(tiny, model=str(copy)))}
    assert len(identities) == 5


def test_more_tokens_than_positions_is_refused(tiny: EncoderConfig, m3: EncoderConfig) -> None:
    with pytest.raises(UserError, match="max_tokens=65 exceeds its 64 positions"):
        create(replace(tiny, max_tokens=65)).encode(["a"])
    with pytest.raises(UserError, match="max_tokens=63 exceeds its 62 positions"):
        create(replace(m3, max_tokens=63)).encode(["a"])


@pytest.mark.parametrize("pooling", ["mean", "bge-m3"])
def test_a_model_that_is_not_here_is_named_once_it_is_needed(
    tmp_path: Path, pooling: Literal["mean", "bge-m3"]
) -> None:
    config = EncoderConfig(str(tmp_path / "nothing"), pooling=pooling, normalize=False, max_tokens=64)
    stored = StoredEmbedder(VectorStore(tmp_path / "vectors.sqlite"), create(config))
    assert stored.embed([]).shape == (0, 0)
    with pytest.raises(UserError, match="nothing"):
        stored.embed(["a"])
    with pytest.raises(UserError, match="nothing"):
        create(config).encode(["a"])


@pytest.mark.parametrize("kind", ["tiny", "m3"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.97])
def test_truncated_weights_are_named(kind: str, share: float, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    config: EncoderConfig = request.getfixturevalue(kind)
    folder = Path(shutil.copytree(config.model, tmp_path / "model"))
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[: int(share * weights.stat().st_size)])
    with pytest.raises(UserError, match=r"model '.*model' cannot be loaded: ") as error:
        create(replace(config, model=str(folder))).encode(["a"])
    assert "\n" not in str(error.value)


def test_weights_are_loaded_for_missing_vectors_only(
    tiny: EncoderConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("weights were loaded")

    store = VectorStore(tmp_path / "vectors.sqlite")
    vectors = StoredEmbedder(store, create(tiny)).embed(TEXTS)
    monkeypatch.setattr("transformers.AutoModel.from_pretrained", refuse)
    again = StoredEmbedder(store, create(tiny)).embed(TEXTS)
    assert vectors.tobytes() == again.tobytes()
    with pytest.raises((AssertionError, UserError), match="weights were loaded"):
        StoredEmbedder(store, create(tiny)).embed(["a text of its own"])


@pytest.mark.models
def test_contriever_ranks_as_dot_products_of_plain_torch_vectors(minilm: EncoderConfig, tmp_path: Path) -> None:
    titles = ["A thrilling detective story", "Soft piano music", "Great hard rock album", "Murder in the manor", "Meh"]
    past = [review(i, title=title, description="sold here", when=i) for i, title in enumerate(titles)]
    target = sample(*past, title="Who killed the butler?", description="a crime novel")
    texts = ["Who killed the butler? a crime novel", *(f"{title} sold here" for title in titles)]
    plain = np.stack([states(minilm, text).mean(0).numpy() for text in texts])
    expected = [f"r{i}" for i in np.argsort(-(plain[1:] @ plain[0]))]

    encoder = create(minilm)
    calls: list[str] = []

    class Counting:
        seed = 0
        identity = encoder.identity

        def encode(self, texts: list[str]) -> np.ndarray:
            calls.extend(texts)
            return encoder.encode(texts)

    counting: Any = Counting()
    context: Any = StoredEmbedder(VectorStore(tmp_path / "vectors.sqlite"), counting)
    context.embed(list(Contriever().texts([target, target])))
    for k in range(6):
        assert ids(Contriever().rank(target, k, context)) == expected[:k]
    assert sorted(calls) == sorted(texts)


HALF = {"float16": 0.9999, "bfloat16": 0.999}  # the smallest cosine that counts as equal


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    found: np.ndarray = (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    return found


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("name", ["minilm", "m3"])
@pytest.mark.models
def test_half_precision_agrees_with_fp32(
    name: str, dtype: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a GPU computes in, on this CPU: real weights and a random bge-m3, on texts of the bundled corpus."""
    texts = [review.text for sample in load("bundled").samples("test")[:20] for review in sample.history[:3]]
    config = request.getfixturevalue(name)
    exact = create(config).encode(texts)
    monkeypatch.setattr("bench.embed.encoders.precision", lambda config: dtype)
    encoder: Any = create(config)
    if name == "m3":  # on a CPU FlagEmbedding goes back to fp32 before every batch, and has no numpy for bfloat16
        model = encoder._loaded.model.to(getattr(torch, dtype))
        monkeypatch.setattr(model, "float", lambda: model)
        monkeypatch.setattr(encoder._loaded, "_convert_to_numpy", lambda found, device=None: found.float().numpy())
    half = encoder.encode(texts)
    assert half.dtype == np.float32
    assert not np.array_equal(exact, half)  # it was computed in another type
    assert cosines(exact, half).min() > HALF[dtype] - (0.001 if name == "m3" else 0)


def test_a_type_counts_where_a_gpu_computes_in_it(tiny: EncoderConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    half = replace(tiny, dtype="float16")
    assert precision(half) == precision(tiny) == "float32"
    assert create(half).identity() == create(tiny).identity()
    assert create(half).chunk == CHUNK  # type: ignore[attr-defined]
    monkeypatch.setattr("bench.embed.encoders._devices", lambda: ["cuda:0", "cuda:1"])
    assert (precision(half), precision(tiny)) == ("float16", "float32")
    assert create(half).identity().endswith(" fp16")
    assert create(half).identity() != create(tiny).identity()
    assert create(half).chunk == 2 * 4096  # type: ignore[attr-defined]


def test_bge_m3_draws_no_bars(m3: EncoderConfig, capfd: pytest.CaptureFixture[str]) -> None:
    encoder = create(m3)
    encoder.encode(["loads the weights, for which transformers has a bar"])
    capfd.readouterr()
    encoder.encode([f"text {n}" for n in range(100)])
    assert capfd.readouterr().err == ""


def test_whitened_vectors_by_hand(tiny: EncoderConfig, tmp_path: Path) -> None:
    plain = create(tiny).encode(TEXTS)
    rng = np.random.default_rng(0)
    mean, whiten = (rng.normal(size=shape).astype(np.float32) for shape in (32, (32, 32)))
    file = tmp_path / "some.safetensors"
    save_file({"mean": mean, "whiten": whiten}, file)
    encoder = create(replace(tiny, whitening=str(file)))
    assert np.allclose(encoder.encode(TEXTS), np.stack([whiten.T @ (one - mean) for one in plain]), atol=1e-5)
    before = encoder.identity()
    assert before.startswith(f"{create(tiny).identity()} whitened ")
    save_file({"mean": mean, "whiten": 2 * whiten}, file)
    assert create(replace(tiny, whitening=str(file))).identity() != before


def test_a_whitening_that_is_none_or_of_another_encoder_is_one_line(tiny: EncoderConfig, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"no whitening 'nosuch' for .*; name a file or a shipped one: all-minilm-l6-v2"
    ):
        create(replace(tiny, whitening="nosuch")).identity()
    with pytest.raises(
        UserError, match=r"whitening 'all-minilm-l6-v2' was fitted on the vectors of all-minilm-l6-v2, not"
    ):
        create(replace(tiny, whitening="all-minilm-l6-v2")).identity()
    save_file({"mean": np.zeros(3, np.float32), "whiten": np.eye(3, dtype=np.float32)}, other := tmp_path / "other")
    with pytest.raises(UserError, match=r"whitens 3 dimensions, and .* has 32"):
        create(replace(tiny, whitening=str(other))).encode(TEXTS)
    (bad := tmp_path / "bad.safetensors").write_bytes(b"no tensors")
    with pytest.raises(UserError, match="is no whitening"):
        create(replace(tiny, whitening=str(bad))).encode(TEXTS)


@pytest.mark.models
def test_the_shipped_whitening_centres_and_spreads_reviews(minilm: EncoderConfig) -> None:
    texts = list(islice(whitening.texts(seed=7), 300))
    raw, white = (
        create(replace(minilm, normalize=True, whitening=name)).encode(texts) for name in ("", "all-minilm-l6-v2")
    )
    assert np.linalg.norm(raw.mean(axis=0)) > 0.4 > 0.25 > np.linalg.norm(white.mean(axis=0))
    assert 0.8 < np.linalg.norm(white, axis=1).mean() < 1.2
    shares = [np.sort(one.var(axis=0))[-20:].sum() / one.var(axis=0).sum() for one in (raw, white)]
    assert shares[1] < shares[0]  # of the dimensions in which texts differ most


def test_a_fitted_whitening_whitens() -> None:
    rng = np.random.default_rng(1)
    vectors = (rng.normal(size=(2000, 6)) @ rng.normal(size=(6, 6)) + 3).astype(np.float32)
    mean, whiten = whitening.fit(vectors)
    assert np.allclose(np.cov(((vectors - mean) @ whiten).T) * 6, np.eye(6), atol=1e-3)
    assert np.allclose(whiten, whiten.T, atol=1e-6)
