from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from retrievers.contriever import Contriever
from tests.retrievers.samples import Context, ids, random_sample, review, sample


def hashed(text: str) -> Sequence[float]:
    """A vector that depends on the text alone; dots are spread well beyond rounding."""
    seed = sum(ord(character) * (place + 1) for place, character in enumerate(text))
    return [float(value) for value in np.random.default_rng(seed).normal(size=16)]


@pytest.mark.parametrize("seed", range(40))
def test_top_k_is_the_plain_order_of_dot_products(seed: int) -> None:
    target = random_sample(seed)
    texts = [" ".join(f"{past.title} {past.item.description}".split()) for past in target.history]
    vectors = np.array([hashed(text) for text in texts], np.float32)
    query = np.array(hashed(" ".join(f"{target.title} {target.item.description}".split())), np.float32)
    newest = sorted(range(len(texts)), key=lambda i: -(target.history[i].timestamp or 0))
    order = np.argsort(-(vectors @ query)[newest].round(4), kind="stable")
    expected = [f"r{newest[i]}" for i in order]
    assert ids(Contriever().rank(target, 99, Context(encode=hashed))) == expected
    assert ids(Contriever().rank(target, 3, Context(encode=hashed))) == expected[:3]


def test_length_of_a_vector_counts() -> None:
    vectors = {"query": [1.0, 0.0], "near": [1.0, 0.0], "long": [3.0, 4.0], "against": [-9.0, 0.0]}
    past = [review(i, title=title) for i, title in enumerate(["against", "near", "long"])]
    target = sample(*past, title="query")
    assert ids(Contriever().rank(target, 3, Context(encode=vectors.__getitem__))) == ["r2", "r1", "r0"]


@pytest.mark.parametrize("copies", [2, 5, 9, 33])
def test_equal_documents_tie_exactly_wherever_they_stand(copies: int) -> None:
    past = [review(i, title="twin" if i % 2 else f"other {i}", when=100 - i) for i in range(2 * copies)]
    found = ids(Contriever().rank(sample(*past, title="q"), 99, Context(encode=hashed)))
    twins = [name for name in found if int(name[1:]) % 2]
    assert twins == [f"r{i}" for i in range(1, 2 * copies, 2)]


def test_announces_every_text_that_it_asks_for() -> None:
    targets = [random_sample(seed) for seed in range(10)] + [sample(title="without history")]
    for fields in ("dpl", "full"):
        retriever = Contriever(fields=fields)
        context = Context(encode=hashed)
        for target in targets:
            retriever.rank(target, 4, context)
        assert set(retriever.texts(targets)) == set(context.asked)


def test_k_0_and_an_empty_history_embed_nothing() -> None:
    context = Context(encode=hashed)
    assert Contriever().rank(random_sample(0, n=4), 0, context) == ()
    assert Contriever().rank(sample(title="t"), 4, context) == ()
    assert context.asked == []
