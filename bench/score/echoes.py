"""Texts that repeat labels of their prompt, as `[Item Title]`: the model continued the prompt instead of answering it.

The labels are read from prompts of all methods of ours, made for an example.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache

from bench.types import Item, Prompt, Review, Sample

SHORTEST_CUT = 5  # characters of a label that the end of a text cuts off: '[Item' is one
_LABEL = re.compile(r"\[([^\[\]\n]+)\]")


def count(texts: Iterable[str]) -> int:
    """How many of the texts hold a label, or end within one."""
    return sum(map(holds, texts))


def holds(text: str) -> bool:
    found = (one.casefold() for one in _LABEL.findall(_numbered(text)))
    return any(label in labels() for label in found) or _ends_within(text)


def _ends_within(text: str) -> bool:
    _, opened, tail = _numbered(text.rstrip()).rpartition("[")
    cut = len(opened) + len(tail) >= SHORTEST_CUT
    return bool(opened) and cut and any(label.startswith(tail.casefold()) for label in labels())


def _numbered(text: str) -> str:
    """`[Review 12]` and `[Review 1]` are one label."""
    return re.sub(r"\d+", "1", text)


@cache
def labels() -> frozenset[str]:
    """In lower case, without the brackets."""
    said = "\n".join(map(_text, _examples()))
    return frozenset(label.casefold() for label in _LABEL.findall(_numbered(said)))


def _text(prompt: Prompt) -> str:
    return "\n".join([prompt.system, *(part for part in prompt.parts if isinstance(part, str))])


def _examples() -> Iterator[Prompt]:
    """A prompt of every stage that shows blocks, with a text in every field."""
    from methods import dep, dpl, nonperso, pag, rag

    item = Item("category", "item", "title", "description")
    review = Review("review", "user", item, 5.0, "title", "text")
    sample = Sample("sample", "test", "user", item, 5.0, "title", None, (review,))
    yield nonperso.prompt(sample)
    yield rag.Rag().prompt(sample, (review,))
    yield pag.profile_prompt(sample, (review,))
    yield pag.review_prompt(sample, (review, review))
    yield dpl.difference_prompt(sample, (review, review))
    yield dpl.summary_prompt((review,), (review,))
    yield Prompt("", "\n".join(dep.LABELS.values()))
