"""Makes up raw reviews and item metadata of any size: `python -m benchmarks.raw_reviews 1000000 FOLDER`.

They have the layout of Amazon Reviews 2023 and its long tails: most users write a review or two and few write hundreds;
most items have a handful and few have thousands. Lengths of texts are log-normal, and four in ten are shorter than
DPL's 200 characters. Some texts are repeated, some items have no description. The same size gives the same bytes. The
text means nothing: it is there to measure speed and memory.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CHUNK = 100_000
REVIEWS_PER_ITEM = 7  # of the tail's length; Books has 29.5 M reviews of 4.4 M items
REVIEWS_PER_USER = 2.9
USER_TAIL, ITEM_TAIL = 0.75, 0.8  # exponents of the ranks' weights
SYLLABLES = "ba ce di fo gu ha jeki lo muna pe qui ro suta vewi xo zen ing".split()  # noqa: SIM905


def make(n_reviews: int, folder: Path) -> tuple[Path, Path]:
    """Writes reviews.jsonl and meta.jsonl. Returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(20260101)
    sentences = _sentences(random.Random(1))
    n_users, n_items = round(n_reviews / REVIEWS_PER_USER) + 1, round(n_reviews / REVIEWS_PER_ITEM) + 1
    reviews, meta = folder / "reviews.jsonl", folder / "meta.jsonl"
    with meta.open("w", encoding="ascii") as file:
        file.writelines(_items(rng, n_items, sentences))
    users, items = _tail(n_users, USER_TAIL), _tail(n_items, ITEM_TAIL)
    with reviews.open("w", encoding="ascii") as file:
        for start in range(0, n_reviews, CHUNK):
            size = min(CHUNK, n_reviews - start)
            chosen = _drawn(rng, users, size), _drawn(rng, items, size)
            file.writelines(_reviews(rng, *chosen, sentences))
    return reviews, meta


def _tail(n: int, exponent: float) -> NDArray[np.float64]:
    """Cumulative weights of ranks 1..n, shuffled so that an id does not give its rank."""
    weights = np.arange(1, n + 1) ** -exponent
    np.random.default_rng(n).shuffle(weights)
    total = np.cumsum(weights)
    shares: NDArray[np.float64] = total / total[-1]
    return shares


def _drawn(rng: np.random.Generator, tail: NDArray[np.float64], size: int) -> list[int]:
    drawn: list[int] = np.searchsorted(tail, rng.random(size)).tolist()
    return drawn


def _sentences(rng: random.Random) -> list[str]:
    """5,000 sentences, escaped for JSON."""
    words = ["".join(rng.choices(SYLLABLES, k=rng.randint(1, 4))) for _ in range(4000)]
    ends = [".", ".", ".", "!", "?", ".  ", "...", ".\\n", '.\\"', ", \\u00fcber"]
    return [" ".join(rng.choices(words, k=rng.randint(4, 18))).capitalize() + rng.choice(ends) for _ in range(5000)]


def _items(rng: np.random.Generator, n_items: int, sentences: list[str]) -> Iterator[str]:
    for number, length in enumerate(rng.integers(0, 6, n_items).tolist()):
        first = number * 7 % (len(sentences) - 8)
        parts = ", ".join(f'"{sentence}"' for sentence in sentences[first : first + length])
        yield (
            f'{{"main_category": "Books", "title": "Thing {number}", "average_rating": 4.2, '
            f'"rating_number": {number % 90}, "features": [], "description": [{parts}], "price": null, '
            f'"images": [], "categories": ["Books"], "parent_asin": "B{number:09d}"}}\n'
        )


def _reviews(rng: np.random.Generator, users: list[int], items: list[int], sentences: list[str]) -> Iterator[str]:
    size = len(users)
    titles = [sentence.split("\\")[0].rstrip(" .!?,") for sentence in sentences[:997]]
    lengths = np.clip(rng.lognormal(1.35, 0.9, size), 1, 60).astype(int).tolist()
    firsts = rng.integers(0, len(sentences) - 61, size).tolist()
    times = rng.integers(1_000_000_000_000, 1_690_000_000_000, size).tolist()
    ratings = rng.choice([1, 2, 3, 4, 5], size, p=[0.06, 0.05, 0.09, 0.2, 0.6]).tolist()
    for user, item, length, first, time, rating in zip(users, items, lengths, firsts, times, ratings, strict=True):
        yield (
            f'{{"rating": {rating}.0, "title": "{titles[first % len(titles)]}", "text": "'
            f'{" ".join(sentences[first : first + length])}", "images": [], "asin": "B{item:09d}"'
            f', "parent_asin": "B{item:09d}", "user_id": "A{user:027d}", "timestamp": {time}'
            f', "helpful_vote": 0, "verified_purchase": true}}\n'
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reviews", type=int)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    print(json.dumps([str(path) for path in make(options.reviews, options.folder)]))


if __name__ == "__main__":
    main()
