"""DPL's representative peers against the best of all partitions, each computed in exact arithmetic."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
import pytest

from methods.dpl import representatives

Point = tuple[int, ...]


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    """scikit-learn warns if it finds fewer clusters than asked for."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def chosen(own: Sequence[float], peers: Sequence[Sequence[float]], clusters: int = 5) -> list[int]:
    vectors = np.array(peers, np.float32).reshape(len(peers), len(own))
    return representatives(np.array(own, np.float32), vectors, clusters=clusters)


def partitions(n: int, k: int) -> Iterator[list[int]]:
    """Every partition of n things into k non-empty groups, as labels; groups are numbered by their first member."""

    def grow(labels: list[int], used: int) -> Iterator[list[int]]:
        if len(labels) == n:
            if used == k:
                yield labels
            return
        for label in range(min(used + 1, k)):
            yield from grow([*labels, label], max(used, label + 1))

    return grow([], 0)


def centre(points: Sequence[Point]) -> list[Fraction]:
    return [Fraction(sum(axis), len(points)) for axis in zip(*points, strict=True)]


def distance(a: Sequence[Fraction | int], b: Sequence[Fraction | int]) -> Fraction:
    return sum(((Fraction(x) - y) ** 2 for x, y in zip(a, b, strict=True)), Fraction(0))


def spread(points: Sequence[Point], labels: Sequence[int]) -> Fraction:
    """The sum that k-means minimizes: squared distances to the centers."""
    total = Fraction(0)
    for label in set(labels):
        group = [point for point, its in zip(points, labels, strict=True) if its == label]
        total += sum((distance(point, centre(group)) for point in group), Fraction(0))
    return total


def reference(own: Point, peers: Sequence[Point], clusters: int = 5) -> list[int]:
    points = [own, *peers]
    ranked = sorted(
        (spread(points, labels), labels) for labels in partitions(len(points), min(clusters, len({*points})))
    )
    assert len(ranked) == 1 or ranked[0][0] < ranked[1][0], "the points have no one best partition"
    labels = ranked[0][1]
    found = []
    for label in set(labels) - {labels[0]}:
        members = [i for i, its in enumerate(labels) if its == label]
        middle = centre([points[i] for i in members])
        found.append(min(members, key=lambda i: (distance(points[i], middle), i)) - 1)
    return sorted(found)


OWN = (0, 0)
CASES: dict[str, tuple[list[Point], list[int]]] = {
    "one peer": ([(9, 0)], [0]),
    "two": ([(9, 0), (0, 9)], [0, 1]),
    "three": ([(9, 0), (0, 9), (9, 9)], [0, 1, 2]),
    "four, each a cluster": ([(9, 0), (0, 9), (9, 9), (30, 0)], [0, 1, 2, 3]),
    "five, a pair among them: the first of it": ([(9, 0), (0, 9), (90, 90), (30, 0), (91, 90)], [0, 1, 2, 3]),
    "a pair in the other order": ([(91, 90), (0, 9), (90, 90), (30, 0), (9, 0)], [0, 1, 3, 4]),
    "a pair on a slant, where floats may not tie": ([(7, 0), (0, 9), (101, 103), (30, 0), (104, 107)], [0, 1, 2, 3]),
    "of three in a row the middle one": ([(9, 0), (0, 9), (90, 90), (30, 0), (94, 90), (92, 90)], [0, 1, 3, 5]),
    "one shares the user's cluster": ([(1, 0), (50, 0), (0, 50), (50, 50), (90, 90)], [1, 2, 3, 4]),
    "two share it": ([(1, 0), (50, 0), (0, 50), (50, 50), (0, 1), (90, 90)], [1, 2, 3, 5]),
    "the user's twin is not unlike them": ([(0, 0), (9, 0)], [1]),
    "all write as the user": ([(0, 0), (0, 0), (0, 0), (0, 0), (0, 0), (0, 0)], []),
    "twins, two distinct": ([(9, 0), (9, 0), (9, 0), (9, 0), (9, 0)], [0]),
    "twins, three distinct": ([(9, 0), (0, 9), (9, 0), (0, 9), (0, 0), (9, 0)], [0, 1]),
    "more twins than clusters": ([(9, 0), (0, 9), (9, 9), (30, 0), (30, 0), (9, 9)], [0, 1, 2, 3]),
}


@pytest.mark.parametrize("case", CASES)
def test_by_hand_and_by_trying_all_partitions(case: str) -> None:
    peers, expected = CASES[case]
    assert chosen(OWN, peers) == reference(OWN, peers) == expected


@pytest.mark.parametrize(
    "points",
    [
        [(7, 9), (3, 23), (12, 15), (4, 2), (2, 0), (12, 17), (29, 9), (25, 24)],
        [(30, 6), (0, 16), (23, 1), (5, 29), (7, 0), (1, 28), (25, 21), (4, 27)],
        [(16, 13), (25, 9), (30, 11), (9, 5), (24, 22), (22, 17), (21, 8), (3, 29)],
    ],
)
def test_scattered_points_where_one_start_of_k_means_ends_elsewhere(points: list[Point]) -> None:
    assert chosen(points[0], points[1:]) == reference(points[0], points[1:])


def test_no_peers() -> None:
    assert chosen(OWN, []) == []
    assert representatives(np.zeros(0, np.float32), np.empty((0, 0), np.float32)) == []  # of no texts at all


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("clusters", [2, 3, 5])
def test_groups_that_lie_far_apart(clusters: int, seed: int) -> None:
    draw = random.Random(f"{clusters} {seed}")
    corners = draw.sample([(x, y, z) for x in (0, 4000) for y in (0, 4000) for z in (0, 4000)], clusters)
    middles = [*corners, *draw.choices(corners, k=draw.randint(1, 3 if clusters == 5 else 5))]
    points: list[Point] = [tuple(at + draw.randint(0, 300) for at in middle) for middle in middles]
    draw.shuffle(points)
    own, *peers = points
    assert chosen(own, peers, clusters) == reference(own, peers, clusters)


def test_the_order_of_the_peers_changes_nothing_but_their_numbers() -> None:
    draw = random.Random(0)
    peers = [(50, 1), (51, 4), (0, 50), (3, 51), (50, 55), (90, 99), (1, 0)]
    who = {peers[i] for i in chosen(OWN, peers)}
    for _ in range(5):
        draw.shuffle(peers)
        # Of the pairs, the first is chosen: compare by cluster, told apart by the tens.
        assert {(x // 10, y // 10) for x, y in who} == {tuple(v // 10 for v in peers[i]) for i in chosen(OWN, peers)}


def test_the_same_again_on_many_dimensions_and_unit_length() -> None:
    rng = np.random.default_rng(0)
    groups = rng.normal(size=(5, 1024))
    vectors = np.vstack([groups[i % 5] + 0.01 * rng.normal(size=1024) for i in range(15)])
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    first = representatives(vectors[0], vectors[1:])
    assert first == representatives(vectors[0], vectors[1:])
    assert sorted((i + 1) % 5 for i in first) == [1, 2, 3, 4]  # one of every group but the user's, row 0


@pytest.mark.parametrize("seed", range(20))
def test_of_two_in_a_cluster_the_first_is_chosen_despite_rounding(seed: int) -> None:
    """Both are equally far from their mean, but floats usually differ in the last bits."""
    rng = np.random.default_rng(seed)
    own, far, first = rng.normal(size=(3, 384))
    second = first + 0.1 * rng.normal(size=384)
    peers = np.array([far, first, second], np.float32)
    assert representatives(own.astype(np.float32), peers, clusters=3) == [0, 1]


def test_the_same_text_in_another_batch_is_the_same_text() -> None:
    noise = np.array([[0, 0], [1e-8, 0], [0, 1e-8], [0.5, 0.5], [0.5, 0.5 + 1e-8]])
    assert representatives(noise[0].astype(np.float32), noise[1:].astype(np.float32)) == [2]
    # Without rounding, a peer that differs by noise alone would take one of the five clusters.
    near = [(1e-8, 0), (0, 1e-8), (9, 0), (0, 9), (9, 9), (30, 0)]
    assert chosen((0, 0), near) == [2, 3, 4, 5]
