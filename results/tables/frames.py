"""Finished runs as plain rows for programs: a list of dicts, which pandas and Polars make data frames of."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.errors import UserError
from bench.record import runs
from results.tables.finished_runs import FinishedRun
from results.tables.formats import csv_json
from results.tables.leaderboard import Leaderboard

if TYPE_CHECKING:
    import pandas
    import polars

# What a row says of texts that were made elsewhere: all else is not known.
OF_A_TEXT = (
    "sample_id", "category", "user_id", "item_id", "rating", "title", "history", "text", "error",
)  # fmt: skip
OF_A_RUN = ("method", "retriever", "k", "seed", "variant", "model", "generator")


class Rows(list[dict[str, Any]]):
    """Dicts with the same keys in the same order, None where a row has no value."""

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        given = list(rows)
        keys = dict.fromkeys(key for row in given for key in row)
        super().__init__({key: row.get(key) for key in keys} for row in given)

    def to_pandas(self) -> pandas.DataFrame:
        """Raises UserError where pandas is not installed."""
        try:
            import pandas
        except ImportError:
            raise _not_here("pandas") from None
        return pandas.DataFrame(list(self))

    def to_polars(self) -> polars.DataFrame:
        """Raises UserError where Polars is not installed."""
        try:
            import polars
        except ImportError:
            raise _not_here("polars") from None
        # All rows decide a column's type; a plug-in's notes may be numbers here and texts there.
        return polars.DataFrame(list(self), infer_schema_length=None, strict=False)


def _not_here(package: str) -> UserError:
    return UserError(
        f"{package} is not installed; `pip install {package}`, or use the rows as they are, a list of dicts"
    )


def scores(found: Sequence[FinishedRun]) -> Rows:
    """One row for each run, category and column of a metric."""
    return Rows(
        {**_about(run), "category": category, "n": run.summary["n"][category], "column": column, "value": value}
        for run in found
        for category, values in run.summary["scores"].items()
        for column, value in values.items()
    )


def samples(found: Sequence[FinishedRun]) -> Rows:
    """One row for each sample of each run: samples.jsonl, and the values of metrics that have one for each sample."""
    return Rows(row for run in found for row in _samples(run))


def _samples(run: FinishedRun) -> Iterator[dict[str, Any]]:
    columns = {column["key"] for column in run.summary["columns"]}
    scored = {row["sample_id"]: row for row in run.folder.rows(runs.SCORES)}
    for row in run.folder.rows(runs.SAMPLES):
        of_metrics = [one for one in scored.get(row["sample_id"], {}).values() if isinstance(one, dict)]
        # BLEU has counts there, and no value for a sample.
        values = {
            key: one[key] for one in of_metrics for key in one if key in columns and not isinstance(one[key], list)
        }
        known = {key: row[key] for key in OF_A_TEXT} if run.imported else row
        yield {**_about(run), **dict(_flat(known)), **values}


def board(boards: Sequence[Leaderboard]) -> Rows:
    """One row for each row of these tables, with the values of `bench table --format json`."""
    return Rows(row for one in json.loads(csv_json.as_json(boards)) for row in _board(one))


def _board(board: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for row in board["rows"]:
        values: dict[str, Any] = {}
        for category, of_category in row["values"].items():
            for column, found in of_category.items():
                values[f"{category}/{column}"] = found["value"]
                values |= {f"{category}/{column}/{key}": found[key] for key in ("low", "high", "significance")}
        about = {key: value for key, value in row.items() if key not in ("values", "cost")}
        yield {"table": board["title"], **dict(_flat({**about, "cost": row["cost"]})), **values}


def _about(run: FinishedRun) -> dict[str, Any]:
    summary = run.summary
    names = {"data": summary["data"]["name"], "profile": summary["profile"]["name"]}
    return {"run": run.folder.path.name, **{key: summary[key] for key in OF_A_RUN}, **names}


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Nested values by dotted names. A list stays one if it holds plain values, else it is JSON text."""
    for key, value in values.items():
        name = f"{above}.{key}" if above else key
        if isinstance(value, Mapping):
            yield from _flat(value, name)
        elif isinstance(value, list) and any(isinstance(one, list | dict) for one in value):
            yield name, runs.dump(value)
        else:
            yield name, value
