"""Statistics of datasets against numbers worked out by hand; near-duplicates against all pairs."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from bench.data.corpus import load
from bench.data.duplicates import Shingler, jaccard, near
from bench.data.statistics import peers, sizes
from tests.data.toy import toy_tables, write_toy


def test_table_4_of_the_toy(tmp_path: Path) -> None:
    found = {row.name: row for row in sizes(load(str(write_toy(tmp_path))))}
    assert list(found) == ["Training Dataset", "Validation Dataset", "Test Dataset: A", "Test Dataset: B"]
    assert found["Training Dataset"].samples == 1  # bob's newest train sample
    assert found["Test Dataset: A"].samples == 2
    assert found["Test Dataset: A"].profile == (2.0, 0.0)
    assert found["Test Dataset: A"].output == (len("ann wrote on i3 of A"), 0.0)
    assert found["Validation Dataset"].profile == (1.0, 0.0)


def test_peers_of_the_toy(tmp_path: Path) -> None:
    rows = {(row.category, row.split): row for row in peers(load(str(write_toy(tmp_path))))}
    # ann/i3: i2 has cid (no time) and bob, i1 has cid. bob/i1: i2 has cid; i3 has nobody.
    test = rows["A", "test"]
    assert (test.samples, test.none, test.some_without, test.newer) == (2, 0.0, 0.5, 1.0)
    # ann/i2 at 30: its one review's only peer is from 15.
    val = rows["A", "val"]
    assert (val.samples, val.none, val.some_without, val.newer) == (1, 0.0, 0.0, 0.0)
    assert val.per_review == (1.0, 0.0)
    assert rows["B", "test"].none == 1.0
    assert ("B", "val") not in rows


def test_a_repeated_text_is_seen_in_the_history_and_among_peers(tmp_path: Path) -> None:
    tables = toy_tables()
    words = "one two three four five six seven eight nine ten eleven twelve"
    for row in tables["reviews"]:
        if row["review_id"] in ("A/ann/i3", "A/ann/i1", "A/cid/i2"):
            row["text"] = words.upper() + "!" if row["user_id"] == "cid" else words
    rows = {(row.category, row.split): row for row in peers(load(str(write_toy(tmp_path, tables))))}
    assert (rows["A", "test"].in_history, rows["A", "test"].in_peers) == (0.5, 0.5)
    assert (rows["A", "val"].in_history, rows["A", "val"].in_peers) == (0.0, 0.0)
    assert (rows["B", "test"].in_history, rows["B", "test"].in_peers) == (0.0, 0.0)


def grams(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[place : place + 5]) for place in range(max(1, len(words) - 4))} if words else set()


@pytest.mark.parametrize("threshold", [0.5, 0.8, 1.0])
def test_near_duplicates_are_those_of_all_pairs(threshold: float) -> None:
    rng = random.Random(4)
    vocabulary = [f"w{n}" for n in range(9)]
    texts = {}
    for number in range(120):
        base = [rng.choice(vocabulary) for _ in range(rng.randint(0, 60))]
        texts[f"{number}"] = " ".join(base)
        changed = [word if rng.random() > 0.03 else "other" for word in base]
        texts[f"{number}'"] = ", ".join(changed).title()
    targets = {key: text for key, text in texts.items() if rng.random() < 0.5}
    expected = set()
    for key, text in targets.items():
        for other, words in texts.items():
            one, two = grams(text), grams(words)
            if other != key and one & two and len(one & two) / len(one | two) >= threshold:
                expected.add((key, other))
    assert len(expected) > 20
    assert set(near(targets, texts.items(), threshold=threshold)) == expected


def test_jaccard_by_hand() -> None:
    shingler = Shingler()
    # 5-grams: abcde bcdef / bcdef cdefg: one of three is shared.
    assert jaccard(shingler("a b c d e f"), shingler("B, C; d e f g")) == pytest.approx(1 / 3)
    assert len(shingler("")) == 0
    assert len(shingler("two words")) == 1
