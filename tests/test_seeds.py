from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bench.seeds import derive

PARTS = st.lists(st.one_of(st.text(st.characters(), max_size=6), st.integers()), max_size=4)


def test_borders_types_and_order_count() -> None:
    assert derive("a", "bc") != derive("ab", "c")
    assert derive("a", "") != derive("a") != derive("", "a")
    assert derive("1") != derive(1)
    assert derive(1, 2) != derive(2, 1) != derive(12)


def test_parts_cannot_imitate_the_encoding() -> None:
    assert derive("a", "b") != derive("astr1:b")
    assert derive("\ud83d\ude00") != derive("\U0001f600")


def test_values_are_pinned() -> None:
    # sha256sum of "int1:0str6:random" and of nothing. Another encoding would change every stored number.
    assert derive(0, "random") == 0x80429D131DEF80F9 >> 1
    assert derive() == 0xE3B0C44298FC1C14 >> 1


@given(PARTS, PARTS)
def test_different_parts_give_different_seeds_of_63_bits(one: list[str | int], other: list[str | int]) -> None:
    assert 0 <= derive(*one) < 2**63
    assert (derive(*one) == derive(*other)) == (one == other)
