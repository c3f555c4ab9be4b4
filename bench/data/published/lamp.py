"""LaMP and LongLaMP: their text-generation tasks in the published layout.

LaMP: `SPLIT_questions.json`, a list of {id, input, profile: [{id, ...}]}, and `SPLIT_outputs.json`, {task, golds:
[{id, output}]}, for train, dev and test; dev becomes our val. LongLaMP: a list of samples a split, as `SPLIT*.json`,
`.jsonl` or Parquet, each with its own fields and a profile of the same fields.

Neither has item ids, so every text gets an item of its own and nobody has peers. Tasks without ratings get rating 0.
LaMP names no users, so each sample is a user. Profiles without dates are read as oldest first, as LongLaMP's code
does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench.data.published.files import naming_sample, read_json, rows_of
from bench.data.published.report import ImportReport
from bench.data.published.tables import Published, Tables, Written, write
from bench.data.time_column import Times
from bench.errors import UserError, unknown
from bench.types import Split

Layout = Literal["lamp", "longlamp"]
SPLITS: dict[Split, tuple[str, ...]] = {"train": ("train",), "val": ("val", "dev", "validation"), "test": ("test",)}


@dataclass(frozen=True, slots=True)
class Task:
    """The published field that becomes each field of ours. `user` is a field of LongLaMP's samples.

    `text` is the text to write. `prefix` is the instruction before the input of a LaMP question, up to its colon.
    """

    text: str
    description: str = ""
    item_title: str = ""
    title: str = ""
    rating: str = ""
    user: str = ""
    prefix: str = ""


LAMP = {
    "LaMP_4": Task(text="title", description="text", prefix="Generate a headline for the following article:"),
    "LaMP_5": Task(
        text="title", description="abstract", prefix="Generate a title for the following abstract of a paper:"
    ),
    "LaMP_6": Task(text="title", description="text", prefix="Generate a subject for the following email:"),
    "LaMP_7": Task(
        text="text", prefix="Paraphrase the following tweet without any explanation before or after it:"
    ),
}  # fmt: skip
LONGLAMP = {
    "product_review": Task(
        text="reviewText", description="description", title="summary", rating="overall", user="reviewerId"
    ),
    "abstract_generation": Task(text="abstract", item_title="title", user="name"),
    "topic_writing": Task(text="content", description="summary", user="author"),
}


@dataclass(frozen=True, slots=True)
class Dated:
    """A task, and how the times of its files are read."""

    fields: Task
    times: Times


# Split -> its rows as published, and the files that hold them.
Read = dict[Split, tuple[list[Mapping[str, Any]], list[Path]]]


def load(folder: Path, out: Path, layout: Layout, *, category: str | None = None, strict: bool = False) -> ImportReport:
    """Writes one task's samples into `out` as a category, which by default has the task's name.

    Raises UserError for a folder in another layout, for LaMP's tasks that write no text, and with `strict` for odd
    times.
    """
    read = _read(folder, layout)
    name = _task_name(read, layout, folder)
    times = Times.of(_spelled(one) for rows, _ in read.values() for row in rows for one in (row, *_profile(row)))
    tables, report = Tables(category or name), ImportReport(out, strict=strict)
    report.note_times(tables.category, times)
    for split, (rows, _) in read.items():
        for number, row in enumerate(rows, 1):
            with naming_sample(f"{folder} {split}, sample {number}"):
                task = Dated(LAMP[name] if layout == "lamp" else LONGLAMP[name], times)
                tables.add(_asked(row, split, task) if layout == "lamp" else _written(row, split, task))
    files = [(path.name, path) for _, paths in read.values() for path in paths]
    report.add(tables, write(out, tables, files=files, split="as published; dev is val", published={"task": name}))
    report.note_peers()
    if not any(counts["test"] for counts in report.counts.values()):
        report.notes.append("no test sample has a published text: `bench run --split val` uses the others")
    if not (LAMP | LONGLAMP)[name].rating:
        report.notes.append("this task has no ratings: prompts show 0")
    return report


def _read(folder: Path, layout: Layout) -> Read:
    """The splits that are there. Raises UserError where none is."""
    read: Read = {}
    for split, names in SPLITS.items():
        rows, files = _lamp(folder, names) if layout == "lamp" else _longlamp(folder, names)
        if files:
            read[split] = list(rows), files
    if not read:
        expected = "train_questions.json and train_outputs.json" if layout == "lamp" else "train.json"
        raise UserError(f"{folder} has no file of the layout '{layout}', e.g. {expected}; check the folder")
    return read


def _lamp(folder: Path, names: Sequence[str]) -> tuple[Iterator[Mapping[str, Any]], list[Path]]:
    """Questions joined with their outputs. A split without published outputs is left out."""
    for name in names:
        questions, outputs = folder / f"{name}_questions.json", folder / f"{name}_outputs.json"
        if questions.is_file() and outputs.is_file():
            try:
                outputs_file = json.loads(outputs.read_text("utf-8-sig"))
                golds = {str(gold["id"]): gold["output"] for gold in outputs_file["golds"]}
                task = str(outputs_file["task"])
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise UserError(f"{outputs} is no outputs file of LaMP: task and golds are expected in it") from error
            rows = read_json(questions)
            joined = ({**row, "task": task, "output": golds.get(str(row.get("id")), "")} for row in rows)
            return joined, [questions, outputs]
    return iter(()), []


def _longlamp(folder: Path, names: Sequence[str]) -> tuple[Iterator[Mapping[str, Any]], list[Path]]:
    for name in names:
        try:
            return rows_of(folder, name)
        except UserError:
            if any(folder.glob(f"{name}*")):
                raise
    return iter(()), []


def _task_name(read: Read, layout: Layout, folder: Path) -> str:
    first = next((row for rows, _ in read.values() for row in rows), {})
    if layout == "lamp":
        name = str(first.get("task", "")).replace("-", "_")
        if name not in LAMP:
            raise unknown("text-generation task of LaMP", name, LAMP)
        return name
    for name, task in LONGLAMP.items():
        if {task.user, task.text, "profile"} <= set(first):
            return name
    expected = "; ".join(f"{name}: {task.user}, {task.text}, profile" for name, task in LONGLAMP.items())
    raise UserError(f"{folder}: a sample has none of LongLaMP's tasks' fields ({expected}); check the files")


def _asked(row: Mapping[str, Any], split: Split, task: Dated) -> Published:
    """A question of LaMP."""
    user = str(row["id"])
    asked = str(row["input"]).removeprefix(task.fields.prefix).strip()
    target = Written(user, f"{user}/target", "", asked, 0.0, "", row["output"], task.times.ms(_spelled(row)))
    return Published(split, target, _history(row, user, task))


def _written(row: Mapping[str, Any], split: Split, task: Dated) -> Published:
    """A sample of LongLaMP."""
    user = str(row[task.fields.user])
    target = _entry(row, user, task)
    history = [past for past in _history(row, user, task) if past.item_id != target.item_id]
    return Published(split, target, history)


def _history(row: Mapping[str, Any], user: str, task: Dated) -> list[Written]:
    """The profile, newest first."""
    return [_entry(past, user, task) for past in reversed(row["profile"] or ())]


def _entry(values: Mapping[str, Any], user: str, task: Dated) -> Written:
    fields = task.fields
    text = str(values[fields.text] or "")
    return Written(
        user_id=user,
        item_id=_item_id(values, user, text),
        item_title=_text(values, fields.item_title),
        description=_text(values, fields.description),
        rating=float(values[fields.rating]) if fields.rating else 0.0,
        title=_text(values, fields.title),
        text=text,
        timestamp=task.times.ms(_spelled(values)),
    )


def _item_id(values: Mapping[str, Any], user: str, text: str) -> str:
    """An item of the text's own: its published id, else a hash of the text."""
    from hashlib import sha256

    return f"{user}/{values.get('id') or sha256(text.encode()).hexdigest()[:16]}"


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values[name] if name else ""
    return " ".join(map(str, value)) if isinstance(value, list) else str(value or "")


def _profile(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The past texts, as far as there are any; a profile of another type is reported with its sample."""
    found = row.get("profile")
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def _spelled(values: Mapping[str, Any]) -> Any:
    """The `date` of a text, such as 2016-05-21, or its `year`."""
    date = values.get("date")
    return values.get("year") if date in (None, "") else date
