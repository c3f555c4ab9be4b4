"""`bench validity`: its numbers by hand, the rule, and which columns tables leave out."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bench.score.score_arrays import ScoreArrays
from bench.types import Column, StageCost
from metrics.identify import COLUMNS, Identify
from results.tables import validity
from results.tables.leaderboard import Leaderboard, Row
from results.tables.validity import ALL, Valid
from tests.fakes import bench
from tests.metrics.authorship.authors import author, target
from tests.metrics.test_identify import Spy


def line(low: float) -> Valid:
    return Valid("c", "delta", ALL, 0.7, low, 0.8, 0.2, 0.1, 0.3, math.nan, math.nan, math.nan, 9, 9)


def test_a_scorer_is_fit_where_its_interval_is_above_the_least() -> None:
    assert line(validity.LEAST + 0.001).fit
    assert not line(validity.LEAST).fit
    assert not line(math.nan).fit


def test_lines_by_hand_and_by_length(monkeypatch: pytest.MonkeyPatch) -> None:
    others = [author(f"u{number}", "theirs") for number in range(4)]
    targets = [
        target(author(f"me{number}", "mine"), " ".join([str(number)] * number), others=others)
        for number in range(1, 10)
    ]
    right = {1, 2, 3, 4, 8, 9}  # whose text is told

    def score(text: str, one: Any) -> bool:
        return one.user_id == "me" + text[:1] and int(text[:1]) in right

    monkeypatch.setattr("metrics.authorship.choice.Delta", lambda: Spy(score))
    lines, nobody = validity.measure(Identify("delta", candidates=5), [*targets, target(author("new"), "0")])
    assert nobody == 1
    assert [(one.words, one.n, one.users) for one in lines] == [
        ("all", 9, 9),
        ("1-3", 3, 3),
        ("4-6", 3, 3),
        ("7-9", 3, 3),
    ]
    assert [one.auc for one in lines] == pytest.approx([(6 + 3 / 2) / 9, 1, 2 / 3, 5 / 6])
    assert [one.top1 for one in lines] == pytest.approx([(6 + 3 / 5) / 9, 1, 7 / 15, 11 / 15])
    assert lines[0].auc_low < lines[0].auc < lines[0].auc_high
    assert math.isnan(lines[0].floor)


def test_the_interval_is_over_users() -> None:
    values, users = np.array([1.0, 1, 0, 0, 1, np.nan]), np.array([0, 0, 0, 0, 1, 2])
    mean, low, high = validity._mean(values, users)
    assert mean == pytest.approx(3 / 5)
    assert (low, high) == (0.5, 1)  # whoever of the two users is drawn twice


def board(*scorers: str) -> Leaderboard:
    columns = (Column("rouge1", "R-1"), *(column for column in COLUMNS.of(scorers) if column.main))
    row = Row("RAG", "rag", None, 0, (0,), 40, 0, {}, StageCost())
    return Leaderboard("t", ("c", "d"), columns, (row,), ("A note.",))


def run(**ceilings: tuple[float, float]) -> Any:
    """A run of 20 users in each of two categories; scorer -> its mean ceiling in each."""
    rng = np.random.default_rng(0)
    rows = []
    for place in range(40):
        row: dict[str, Any] = {}
        for scorer, means in ceilings.items():
            row[COLUMNS.key(scorer, "auc", "_ceiling")] = means[place // 20] + rng.uniform(-0.1, 0.1)
        rows.append(COLUMNS.statistics(row))
    numbers = np.array(rows)
    code = np.repeat([0, 1], 20).astype(np.int32)
    places = {"identify": slice(0, numbers.shape[1])}
    scores = ScoreArrays("s", ("c", "d"), code, np.arange(40, dtype=np.int32), numbers, places, {"identify": ()}, {})
    return type("Run", (), {"scores": scores})()


def keys(board: Leaderboard) -> set[str]:
    return {column.key for column in board.columns}


def test_what_real_texts_have_is_said() -> None:
    before = board("delta")
    after = validity.checked(before, [[run(delta=(0.8, 0.7))]], named=(), every=False)
    assert after.columns == before.columns
    (note,) = after.notes[1:]
    assert re.fullmatch(
        r"Real texts, identified by Delta: the user's own \(ceiling\) and another user's \(floor\) have AUC "
        r"c 0\.(79|80|81)\d \[.*\] and -, d 0\.(69|70|71)\d \[.*\] and -\.",
        note,
    )
    assert validity.checked(replace(before, columns=before.columns[:1]), [[run()]], named=(), every=False).notes == (
        "A note.",
    )


def test_an_unfit_scorer_is_left_out_and_said() -> None:
    before = board("delta", "lambdag")
    after = validity.checked(before, [[run(delta=(0.5, 0.52), lambdag=(0.9, 0.9))]], named=(), every=False)
    assert keys(before) - keys(after) == {"identify_delta_auc", "identify_delta_top1"}
    assert after.notes[2] == (
        "Delta is not shown to tell users in c, d: with these users the ceiling is not certainly above 0.55 "
        "(`bench validity` asks all users of the data). Read nothing from its values there, and its columns are left "
        "out; --all shows them."
    )


@pytest.mark.parametrize(
    ("named", "every", "means", "where"),
    [
        ((), True, (0.5, 0.5), "c, d"),
        (("identify_delta_auc",), False, (0.5, 0.5), "c, d"),
        ((), False, (0.5, 0.9), "c"),
    ],
)
def test_it_stays_where_it_is_asked_for_or_fit_somewhere(
    named: tuple[str, ...], every: bool, means: tuple[float, float], where: str
) -> None:
    before = board("delta", "lambdag")
    after = validity.checked(before, [[run(delta=means, lambdag=(0.9, 0.9))]], named=named, every=every)
    assert keys(after) == keys(before)
    assert after.notes[2] == (
        f"Delta is not shown to tell users in {where}: with these users the ceiling is not certainly above 0.55 "
        "(`bench validity` asks all users of the data). Read nothing from its values there."
    )


def test_a_table_is_never_left_without_a_column() -> None:
    before = replace(board("delta"), columns=board("delta").columns[1:])
    after = validity.checked(before, [[run(delta=(0.5, 0.5))]], named=("identify",), every=False)
    assert after.columns == before.columns
    assert len(after.notes) == len(before.notes) + 2


def test_the_command(capfd: pytest.CaptureFixture[str]) -> None:
    assert bench("validity", "--data", "bundled", "--scorers", "delta", "--json") == 0
    found = json.loads(capfd.readouterr().out)
    assert found["least"] == validity.LEAST
    assert {row["scorer"] for row in found["rows"]} == {"delta"}
    assert all(row["fit"] == (row["auc_low"] > validity.LEAST) for row in found["rows"])
    assert bench("validity", "--data", "bundled", "--scorers", "delta", "--limit", "6") == 0
    assert "another's" in capfd.readouterr().out
    assert bench("validity", "--data", "bundled", "--scorers", "luar") == 2
    assert capfd.readouterr().err.splitlines()[-1].startswith("bench: no scorer 'luar'")


def test_one_user_has_no_interval_in_words_or_json() -> None:
    alone = replace(line(math.nan), auc_high=math.nan)
    assert validity._cells(alone, True)[3] == "0.700"
    (row,) = json.loads(json.dumps(validity.as_json("t", [alone], nobody=0), allow_nan=False))["rows"]
    assert (row["auc"], row["auc_low"], row["floor"]) == (0.7, None, None)
