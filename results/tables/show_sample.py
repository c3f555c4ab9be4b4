"""`bench show RUN --sample ID`: one sample from prompt to scores, for reading on a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.console.terminal import inert
from bench.data.corpus import load
from bench.data.swap import samples_of
from bench.errors import UserError, matches, only, unknown
from bench.generate.store import RequestStore
from bench.record import runs
from bench.record.runs import RunFolder
from bench.score.written import read_config

if TYPE_CHECKING:
    from rich.console import Console

    from bench.types import Review, Sample

INDENT = "  "
LABEL = 12  # letters of a label beside its value
Row = Mapping[str, Any]


def show(console: Console, path: Path, sample_id: str) -> None:
    """Prompts, retrieved reviews, the answer, the reference and the scores. `sample_id` may be the start of one.

    Raises UserError for an unknown sample.
    """
    folder = RunFolder(path)
    config = read_config(folder)  # first: a folder that is no run has no sample either
    rows = {row["sample_id"]: row for row in folder.rows(runs.SAMPLES)}
    meant = matches(sample_id, rows)
    if not meant:
        raise unknown(f"sample of {path.name}", sample_id, list(rows)[:10])
    row = rows[only("sample", sample_id, meant)]
    sample, reference = _of_data(folder, row["sample_id"])
    page = _Page(console)
    page.section(f"Sample {row['sample_id']} of {path.name}")
    page.pairs(_about(row, sample))
    if config.imported is None:
        _how(page, path, row, sample)
    else:
        page.section("Prompt, retrieved reviews")
        page.text(f"- (the text was made elsewhere, by {config.imported})")
    page.section("Answer: failed" if row["error"] else "Answer")
    page.text(row["error"] or row["text"])
    page.section("Reference: what the user really wrote")
    page.text(reference)
    scores, properties = _scores(folder, row["sample_id"])
    page.section("Scores of this sample alone")
    page.pairs(scores)
    if properties:
        page.section("Its numbers that tables are sliced by")
        page.pairs(properties)


def _how(page: _Page, path: Path, row: Row, sample: Sample | None) -> None:
    """How the text was made: prompts and retrieved reviews."""
    for title, text in _prompts(path.parent / ".store" / "requests.sqlite", row):
        page.section(title)
        page.text(text)
    why = f" ({row['uncompared']})" if row["uncompared"] else ""
    page.section(f"Retrieved reviews, best first: {len(row['retrieved'])}{why}")
    past = {review.review_id: review for review in sample.history} if sample else {}
    for place, review_id in enumerate(row["retrieved"], start=1):
        page.review(place, review_id, past.get(review_id))


class _Page:
    """Sections with bold titles; their texts are indented, and wrapped at the width of a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._first = True

    def section(self, title: str) -> None:
        if not self._first:
            self._console.print()
        self._first = False
        self._lines(title, "", style="bold")

    def text(self, text: str, *, indent: str = INDENT) -> None:
        for line in text.splitlines() or [""]:
            own = " " * (len(line) - len(line.lstrip(" ")))  # of a list in a prompt: what follows hangs below it
            self._lines(line.lstrip(" "), indent + own, further=indent + own + (INDENT if own else ""))

    def pairs(self, pairs: Mapping[str, str]) -> None:
        wide = max([LABEL, *(len(label) + 2 for label in pairs)])
        for label, value in pairs.items():
            self._lines(f"{label:{wide}}{value}", INDENT, further=INDENT + " " * wide)

    def review(self, place: int, review_id: str, review: Review | None) -> None:
        head = f"{place}. {review_id}"
        if review is None:
            self._lines(head, INDENT)
            return
        about = [head, f"rated {review.rating:g}", review.item.title, review.title]
        self._lines(" · ".join(filter(None, about)), INDENT, further=INDENT * 2)
        self.text(review.text, indent=INDENT * 2)

    def _lines(self, text: str, indent: str, *, further: str | None = None, style: str = "") -> None:
        """One line of text over as many lines as the terminal needs; as it is in a file or a pipe."""
        from rich.text import Text

        if not self._console.is_terminal:
            self._console.print(f"{indent}{text}", style=style, markup=False)
            return
        further = indent if further is None else further
        room = max(20, self._console.width - max(len(indent), len(further)))
        pieces = Text(inert(text)).wrap(self._console, room)
        for place, piece in enumerate(pieces):
            self._console.print(Text((further if place else indent) + piece.plain.rstrip(), style), soft_wrap=True)


def _of_data(folder: RunFolder, sample_id: str) -> tuple[Sample | None, str]:
    """The sample with its history, and the reference; None and why, where the run's data is not here as it was."""
    config = read_config(folder)
    try:
        corpus = load(config.data)
    except UserError as error:
        return None, f"not known: {error}"
    if corpus.fingerprint != config.data_fingerprint:
        return None, f"not known: data '{config.data}' has changed since"
    found = (sample for sample in samples_of(config, corpus, folder) if sample.sample_id == sample_id)
    return next(found, None), corpus.reference(sample_id)


def _about(row: Row, sample: Sample | None) -> dict[str, str]:
    about = {"category": row["category"], "user": row["user_id"]}
    if sample is not None:
        about |= {
            "item": sample.item.title,
            "rating": f"{sample.rating:g}",
            "title": sample.title,
            "history": f"{len(sample.history)} past reviews{_whose(sample)}",
        }
    return {label: value or "-" for label, value in about.items()}


def _prompts(requests: Path, row: Row) -> Iterator[tuple[str, str]]:
    """(title, text) of each message that the model was sent."""
    store = RequestStore(requests) if requests.is_file() else None
    for (stage, key), (_, ended) in zip(row["requests"], row["finish"], strict=True):
        prompt = store.prompt(key) if store else None
        cut = " (its answer ended at its limit of new tokens)" if ended == "length" else ""
        title = f"Prompt of stage {stage}{cut}"
        if prompt and prompt.system:
            yield f"{title}: system message", prompt.system
            title += ": user message"
        yield title, prompt.text if prompt else "no longer stored"


def _whose(sample: Sample) -> str:
    """' of u2' where the history is another user's."""
    others = {review.user_id for review in sample.history} - {sample.user_id}
    return f" of {', '.join(sorted(others))}" if others else ""


def _scores(folder: RunFolder, sample_id: str) -> tuple[dict[str, str], dict[str, str]]:
    """Every column of every metric, and the sample's properties."""
    found = next((scores for scores in folder.rows(runs.SCORES) if scores["sample_id"] == sample_id), None)
    if found is None:
        return {"none yet": "the run is scored when its last sample is written"}, {}
    shown: dict[str, str] = {}
    for name, value in found.items():
        if isinstance(value, dict) and name != "properties":
            shown |= _values(name, value)
    properties = found.get("properties", {})
    return shown, {name: "-" if value is None else f"{value:g}" for name, value in properties.items()}


def _values(metric: str, row: Row) -> dict[str, str]:
    """The metric's columns for one row; the row as it is kept, where the metric is a plug-in that is not loaded."""
    from bench.score import score_arrays

    numbers, keys = score_arrays.statistics(metric, [row])
    values = score_arrays.values(metric, numbers, keys)
    if not values:
        return {metric: runs.dump(row)}
    each = {key: float(column[0]) for key, column in values.items()}
    known = {key: value for key, value in each.items() if key in row or math.isfinite(value)}  # not of unasked scorers
    return {key: "-" if math.isnan(value) else f"{value:.4f}" for key, value in known.items()}
