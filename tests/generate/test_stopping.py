from __future__ import annotations

import pytest

from bench.generate.stopping import cut


@pytest.mark.parametrize(
    ("text", "stop", "expected"),
    [
        ("one two three", (), "one two three"),
        ("one two three", ("four",), "one two three"),
        ("one two three", ("three", "two"), "one "),
        ("one", ("one",), ""),
    ],
)
def test_a_text_ends_before_the_first_stop_string(text: str, stop: tuple[str, ...], expected: str) -> None:
    assert cut(text, stop) == expected
