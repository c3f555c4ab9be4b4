"""Every spelling of a time is read, or counted as unreadable; none raises, and no locale or clock decides."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.time_column import Times
from bench.data.times import read

TEN = 1551780000000  # 2019-03-05 10:00 UTC
DAY = TEN - 10 * 3_600_000

INSTANTS: list[Any] = [
    # ISO 8601, as databases, dataframes and dumps write it
    "2019-03-05T10:00:00", "2019-03-05T10:00:00Z", "2019-03-05t10:00:00z", "2019-03-05 10:00:00", "2019-03-05 10:00",
    "2019-03-05T15:30:00+0530", "2019-03-05T15:30:00+05:30", "2019-03-05T05:00-05", "2019-03-05 10:00:00.0",
    "2019-03-05T10:00:00.000000000Z", "2019-03-05 10:00:00,000", "20190305T100000", "2019-03-05 10:00:00+00:00",
    "2019-03-05 10:00:00 UTC", "2019-03-05T10:00:00Z[UTC]", "2019/03/05 10:00:00", "2019-W10-2T10:00:00",
    # words
    "Tue, 05 Mar 2019 10:00:00 GMT", "Tue Mar  5 10:00:00 2019", "Tue Mar 05 10:00:00 +0000 2019", "05 Mar 2019 10:00",
    "March 5, 2019 10:00 AM", "5 March 2019, 10:00:00", "05/Mar/2019:10:00:00 +0000", "MARCH 5, 2019 10:00 a.m.",
    # numbers, as such and as texts
    1551780000, 1551780000.0, 1551780000000, 1551780000000000, 1551780000000000000, "1551780000", "1551780000000",
    "1551780000.0", "1.55178e9", " 1551780000 ", "'1551780000'", '"2019-03-05T10:00:00Z"', "١٥٥١٧٨٠٠٠٠",
    # objects of dumps, and of Python
    {"$date": "2019-03-05T10:00:00Z"}, {"$date": {"$numberLong": "1551780000000"}}, '{"$date": 1551780000000}',
    {"seconds": 1551780000, "nanos": 0}, {"_seconds": 1551780000, "_nanoseconds": 0}, [2019, 3, 5, 10, 0],
    {"$timestamp": {"t": 1551780000, "i": 1}}, "/Date(1551780000000)/", datetime(2019, 3, 5, 10),
    datetime(2019, 3, 5, 10, tzinfo=UTC), b"2019-03-05T10:00:00",
]  # fmt: skip
DAYS: list[Any] = [
    "2019-03-05", "2019-3-5", "2019/03/05", "2019.3.5", "20190305", 20190305, "March 5, 2019", "Mar. 5th, 2019",
    "03 5, 2019", "5 Mar 2019", "5-Mar-2019", "Tuesday, March 5, 2019", date(2019, 3, 5),
]  # fmt: skip
NO_TIMES: list[Any] = [
    True, False, "true", "yesterday", [], {}, "[]", "{}", {"a": 1}, [1], "2019-13-01", "2019-02-30", "25:00",
    "10:00:00", "03/05/19", "2019-03-05 25:00", "\x00", "a" * 1000, "[" * 1000, b"\xff", "1e400", float("inf"),
    "March 35, 2019", "Foo 5, 2019", {"$date": None, "x": 1}, {"seconds": "x"}, [2019, 13, 1], "13 PM",
]  # fmt: skip
OUTSIDE: list[Any] = [
    0, -1, "0", 1, 43529, "43529.4", "9999-12-31", "1900-01-01", "0001-01-01T00:00:00", 10**30, -(10**30), 253402300799,
    -62135596800000, 12345678,
]  # fmt: skip
NONE: list[Any] = [None, "", " ", "NaN", "NaT", "None", "null", "<NA>", "N/A", float("nan")]


@pytest.mark.parametrize("value", INSTANTS, ids=repr)
def test_an_instant_in_any_spelling(value: Any) -> None:
    assert Times.of([value]).ms(value) == TEN


@pytest.mark.parametrize("value", DAYS, ids=repr)
def test_a_day_in_any_spelling_is_its_midnight_in_utc(value: Any) -> None:
    assert Times.of([value]).ms(value) == DAY


@pytest.mark.parametrize(("values", "kind"), [(NO_TIMES, "unreadable"), (OUTSIDE, "outside"), (NONE, "missing")])
def test_what_is_no_time_is_counted(values: list[Any], kind: str) -> None:
    assert [value for value in values if read(value).kind != kind] == []
    times = Times.of([*values, TEN])
    assert {times.ms(value) for value in values} == {None}
    assert times.counts[kind] == len(values)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(), st.lists))
def test_nothing_raises(value: Any) -> None:
    assert read(value).ms is None or isinstance(read(value).ms, int)
    assert read(str(value)).kind


@given(st.datetimes(datetime(1990, 1, 2), datetime(2099, 12, 30)))
def test_what_is_written_is_read_again(moment: datetime) -> None:
    ms = round((moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000 - 0.5)
    assert abs((read(moment.isoformat()).ms or 0) - ms) <= 1
    assert abs((read(moment.strftime("%d/%m/%Y %H:%M:%S.%f")).other or ms) - ms) <= 1
    assert read(ms).ms == ms
    assert read(ms // 1000).ms == ms // 1000 * 1000
    assert read(ms * 1_000_000).ms == ms


def test_the_column_decides_between_day_and_month() -> None:
    for others, expected, note in (
        (["25/12/2018"], "2019-05-03", "1 dates that may be day or month first are read day first, as the others must"),
        (["12/25/2018"], "2019-03-05", "read month first"),
    ):
        times = Times.of(["03/05/2019", *others])
        assert times.ms("03/05/2019") == read(expected).ms
        assert note in times.plain("reviews")[0]
        assert times.odd("reviews") == []
    for others in ([], ["25/12/2018", "12/25/2018"]):
        times = Times.of(["03/05/2019", *others])
        assert times.ms("03/05/2019") is None
        assert "1 dates that may be day or month first, like '03/05/2019': these reviews" in times.odd("reviews")[0]
    assert Times.of(["05/05/2019"]).ms("05/05/2019") == read("2019-05-05").ms


def test_units_that_are_mixed_are_each_read_and_noted() -> None:
    times = Times.of([TEN, TEN // 1000, TEN // 1000 + 1])
    assert [times.ms(value) for value in (TEN, TEN // 1000)] == [TEN, TEN]
    assert times.odd("reviews") == [
        "times of reviews in several units, each read in its own: 1 in milliseconds, 2 in seconds"
    ]
    assert Times.of([TEN // 1000]).plain("reviews") == ["times of reviews are in seconds"]
    assert Times.of([TEN]).plain("reviews") == Times.of([TEN]).odd("reviews") == []


def test_numbers_that_are_no_dates_keep_their_order() -> None:
    times = Times.of([3, 1, 2, None])
    assert [times.ms(value) for value in (3, 1, 2, None)] == [3, 1, 2, None]
    assert "their numbers order them, and are no dates" in times.odd("reviews")[0]
    assert [Times.of([5, 2019, 7]).ms(value) for value in (5, 2019)] == [5, 2019]
    assert Times.of(["2009", 2019]).ms("2009") == read("2009-01-01").ms


def test_a_time_in_the_future_is_noted_and_kept() -> None:
    times = Times.of([TEN, "2099-01-01"])
    assert times.odd("reviews") == ["1 times of reviews are in the future"]
    assert times.ms("2099-01-01") == read("2099-01-01").ms


def test_a_value_of_json_is_read_as_its_text() -> None:
    """The database hands numbers and objects on as JSON."""
    for value in INSTANTS:
        if isinstance(value, int | float | list | dict):
            assert read(json.dumps(value)).ms == TEN
