"""The content of run files: values are checked without conversion, and texts may hold lone surrogates."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

import pytest

from bench import types
from bench.generate.store import StoredAnswer
from bench.record import contents
from bench.record.contents import Content
from bench.record.runs import check
from tests.record.test_runs import row
from tests.results.tables.test_leaderboard import summary

COST = asdict(types.StageCost())
STEP = {"step": 1, "epoch": 1, "tokens": 9, "seconds": 0.5, "loss": 2.5}
SCORE = {"sample_id": "a", "category": "c", "user_id": "u", "rouge": {"rouge1": 0.5}, "properties": {"rating": 4}}
BACKEND = {"backend": "fake", "version": 1}
CONFIG = {"format": contents.FORMAT, "identity": "i", "generator": BACKEND, "sources": {}, "config": {}}

# model, changed values, and the start of the message; None: the values are right
VALUES: list[tuple[type[Content], dict[str, Any], str | None]] = [
    (contents.Sample, {"text": "half of a pair \ud83d", "error": "\udc00"}, None),
    (contents.Sample, {"stages": {"\ud800": COST}, "notes": {"\udc80": ["\ud800"]}, "\ud800": 1}, None),
    (contents.Sample, {"text": b"x"}, "text = b'x': Input should be an instance of str"),
    (contents.Sample, {"stages": {"\ud800": 5}}, "stages.* = 5: Input should be a valid dictionary"),
    (contents.Sample, {"stages": {"x": {**COST, "y": 1}}}, "stages.x.y = 1: Extra inputs are not permitted"),
    (
        contents.Sample,
        {"stages": {"x": {**COST, "engine_seconds": True}}},
        "stages.x.engine_seconds = True: Input",
    ),
    (
        contents.Sample,
        {"stages": {"x": {**COST, "engine_seconds": "5"}}},
        "stages.x.engine_seconds = '5': Input",
    ),
    (contents.Sample, {"stages": {"x": {**COST, "engine_seconds": 5}}}, None),
    (contents.Sample, {"dropped": {"reviews": 0, "text_chars": 0}}, "dropped.description_chars: Field required"),
    (
        contents.Sample,
        {"requests": [["a", "b", "c"]]},
        "requests.0 = ['a', 'b', 'c']: List should have at most 2 items",
    ),
    (contents.Sample, {"retrieved": "ab"}, "retrieved = 'ab': Input should be a valid list"),
    (contents.Step, {"loss": None, "other": 2**62}, None),
    (contents.Step, {"loss": "x"}, "loss = 'x': Input should be a valid number"),
    (contents.Step, {"seconds": float("nan")}, "seconds = nan: Input should be a finite number"),
    (contents.Step, {"seconds": 2.0**63}, "seconds = 9.223372036854776e+18: Input should be less than"),
    (contents.Step, {"seconds": 10**400}, "seconds = 1000"),
    (contents.Step, {"step": True}, "step = True: Input should be a valid integer"),
    (contents.Step, {"step": 1.0}, "step = 1.0: Input should be a valid integer"),
    (contents.Step, {"step": "1"}, "step = '1': Input should be a valid integer"),
    (contents.Step, {"step": -1}, "step = -1: Input should be greater than or equal to 0"),
    (contents.Step, {"step": 2**63}, "step = 9223372036854775808: Input should be less than"),
    (contents.Score, {"rouge": {"\ud800": None}, "properties": {"x": None}}, None),
    (contents.Score, {"\ud800": {}}, "a key = '\\ud800': Input should be a valid string"),
    (contents.Score, {"rouge": 0.5}, "rouge = 0.5: Input should be a valid dictionary"),
    (contents.Score, {"properties": {"x": "1"}}, "properties.x = '1': Input should be a valid number"),
    (contents.Summary, {"deterministic": 1}, "deterministic = 1: Input should be a valid boolean"),
    (contents.Summary, {"scores": {}}, "scores: found [], expected the categories of n"),
    (contents.Summary, {"n": {"Books": 3, "Films": 2, "Games": 0}}, None),
    (contents.Summary, {"engine_use": 5, "finished": None}, None),
    (contents.Config, {"trained": {"epoch": None}}, "trained.epoch = None: Input should be a valid integer"),
    (contents.Config, {"trained": None, "more": 1}, None),
    (contents.Config, {"format": True}, "format = True: Input should be 4"),
]


@pytest.mark.parametrize(("content", "values", "says"), VALUES)
def test_a_wrong_value_is_named_in_one_line(content: type[Content], values: dict[str, Any], says: str | None) -> None:
    whole = {
        contents.Sample: row("a"),
        contents.Step: STEP,
        contents.Score: SCORE,
        contents.Config: CONFIG,
        contents.Summary: summary(),
    }[content]
    check(whole, content)
    if says is None:
        check({**whole, **values}, content)
        return
    with pytest.raises(ValueError) as error:
        check({**whole, **values}, content)
    before, _, after = says.partition("*")
    assert str(error.value).startswith(before) and after in str(error.value)
    assert "\n" not in str(error.value)


def test_a_column_has_the_keys_of_the_dataclass_and_its_metric() -> None:
    assert list(contents.Column.model_fields) == ["metric", *(field.name for field in fields(types.Column))]


@pytest.mark.parametrize(
    ("content", "made"),
    [
        (contents.Cost, types.StageCost),
        (contents.Dropped, types.Dropped),
        (contents.Sampling, types.Sampling),
        (StoredAnswer, types.Completion),
    ],
)
def test_a_file_has_the_keys_of_the_dataclass(content: type[Content], made: Any) -> None:
    assert list(content.model_fields) == [field.name for field in fields(made)]
