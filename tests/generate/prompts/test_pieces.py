"""Pieces give the ids of the whole text, by tokenizers of every family, and each is tokenized once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench.generate.prompts.chat import ChatEncoder
from bench.generate.prompts.pieces import PieceEncoder
from bench.models import assets
from bench.types import Prompt, Slot
from tests.generate.folders import SMOLLM

CL100K = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LINES = [
    "[User's Past Reviews]:\n- [Review 1]:\n  - [Item Title]: Blue Train\n- [Review Text]: It's it.\n- [Review 2]:",
    "the end.\nThe start of the next\n\nAnd more!!!\n??? \n \nx\r\ny\n\tz\n1990\n12",
]
TEXT = st.text(st.sampled_from("ab1.,]:- \n\n\n\r\t[é日👍\u0301\u200b"), max_size=60)


@cache
def tokenizer(family: str) -> Any:
    """A tokenizer of one family, trained on text in which every line break would be worth a merge."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.decoder = decoders.ByteLevel()
    if family == "gpt2":
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    elif family == "qwen2":
        made.normalizer = normalizers.NFC()
        split = pre_tokenizers.Split(Regex(CL100K), "isolated")
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        made.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    elif family == "gemma":  # no border that a merge may not cross
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    elif family == "llama2":  # a space before every text
        alphabet = sorted(set("".join(LINES)) | set("ab1.,]:- \n\r\t[é日👍\u0301\u200b▁"))
        made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
    trainer = trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(LINES * 50, trainer)
    return made


def whole(family: str) -> Callable[[str], list[int]]:
    return lambda text: list(tokenizer(family).encode(text, add_special_tokens=False).ids)


@pytest.mark.parametrize("family", ["gpt2", "qwen2", "gemma", "llama2"])
@given(text=TEXT)
@example(text=LINES[0])
@example(text=LINES[1])
def test_pieces_give_the_ids_of_the_whole_text(family: str, text: str) -> None:
    encode = whole(family)
    pieces = PieceEncoder(encode)
    assert "".join(pieces.pieces(text)) == text
    assert pieces.ids(text) == tuple(encode(text))
    n = len(encode(text))
    assert pieces.count(text, limit=n) == n
    if n:
        assert pieces.count(text, limit=n - 1) > n - 1


@pytest.mark.parametrize(("family", "pieces"), [("gpt2", 4), ("qwen2", 4), ("gemma", 1), ("llama2", 1)])
def test_a_text_is_cut_only_where_its_tokenizer_cuts(family: str, pieces: int) -> None:
    assert len(list(PieceEncoder(whole(family)).pieces(LINES[0]))) == pieces


def test_a_block_is_tokenized_once_and_none_beyond_the_limit() -> None:
    asked: list[str] = []

    def encode(text: str) -> list[int]:
        asked.append(text)
        return [ord(letter) for letter in text]

    blocks = [f"- block {n} {'x' * 90}\n" for n in range(6)]
    pieces = PieceEncoder(encode)
    for n in range(6, 0, -1):
        pieces.count("".join(blocks[:n]), limit=250)
    assert [asked.count(block) for block in blocks] == [1, 1, 1, 0, 0, 0]
    pieces.ids("".join(blocks[:2]))
    assert max(asked.count(block) for block in blocks) == 1


@pytest.mark.models
def test_a_prompt_s_count_is_the_number_of_its_ids(require_assets: Callable[..., None]) -> None:
    require_assets(SMOLLM)
    encoder = ChatEncoder(str(assets.path(SMOLLM)))
    for user in (LINES[0], (LINES[1], Slot("his"), "\n", Slot("diff"), LINES[0]), "", "\ud800\nlone"):
        prompt = Prompt("Write.", user)
        n = len(encoder.encode(prompt))
        assert encoder.count(prompt, limit=n) == n == encoder.count(prompt, limit=10**9)
        assert all(encoder.count(prompt, limit=limit) > limit for limit in range(n))
        plain = "".join(part for part in prompt.parts if isinstance(part, str))
        assert tuple(encoder._encode_plain(plain)) == encoder._encode(plain, True)
