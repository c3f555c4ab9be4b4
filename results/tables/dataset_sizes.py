"""The sizes of a dataset, like the paper's table 4, in every format of the other tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from bench.data.corpus import Corpus
from bench.data.statistics import Size, sizes
from bench.record import runs
from results.tables import paper_tables
from results.tables.formats import html as hypertext
from results.tables.formats import latex as tex
from results.tables.formats import markdown as marked

if TYPE_CHECKING:
    from rich.console import Console

HEADS = ("Categories", "#data", "Profile size", "Output length")
NOTE = (
    "Profile size in reviews, output length in characters: mean ± standard deviation. "
    "Training: the newest training sample of each user."
)


def title(corpus: Corpus) -> str:
    """The dataset's name and title."""
    return corpus.title if corpus.title.startswith(f"{corpus.name}:") else f"{corpus.name} · {corpus.title}"


def rows(corpus: Corpus, *, paper: bool = False) -> list[Size]:
    """The sizes of a dataset; with `paper`, followed by the rows that the paper printed."""
    printed = paper_tables.tables()[4]["rows"] if paper else ()
    return [
        *sizes(corpus),
        *(Size(f"paper: {row['name']}", row["samples"], row["profile"], row["output"]) for row in printed),
    ]


def show(console: Console, title: str, rows: Sequence[Size]) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    grid = Table(title=escape(title), box=box.SIMPLE, title_justify="left", pad_edge=False)
    grid.add_column(HEADS[0], no_wrap=True)
    for head in HEADS[1:]:
        grid.add_column(head, justify="right")
    for row in rows:
        grid.add_row(*map(escape, _cells(row)))
    console.print(grid)
    console.print(NOTE, style="dim")


def markdown(title: str, rows: Sequence[Size]) -> str:
    return marked.table(title, HEADS, [[marked.text(cell) for cell in _cells(row)] for row in rows], [NOTE])


def latex(title: str, rows: Sequence[Size]) -> str:
    lines = [tex.line(map(tex.text, cells)) for cells in (HEADS, *map(_cells, rows))]
    return tex.table("lrrr", [lines[0], r"\midrule", *lines[1:]], [f"{title}.", NOTE])


def html(title: str, rows: Sequence[Size]) -> str:
    return hypertext.document([hypertext.plain(title, HEADS, list(map(_cells, rows)), [NOTE])])


def as_csv(title: str, rows: Sequence[Size]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["table", "name", "samples", "profile", "profile/sd", "output", "output/sd"])
    writer.writerows([title, row.name, row.samples, *row.profile, *row.output] for row in rows)
    return out.getvalue()


def as_json(title: str, rows: Sequence[Size]) -> str:
    return runs.dump({"title": title, "rows": [asdict(row) for row in rows], "notes": [NOTE]}, indent=2) + "\n"


FORMATS: dict[str, Callable[[str, Sequence[Size]], str]] = {
    "markdown": markdown,
    "latex": latex,
    "csv": as_csv,
    "json": as_json,
    "html": html,
}


def _cells(row: Size) -> list[str]:
    profile, output = (f"{mean:.2f} ± {deviation:.2f}" for mean, deviation in (row.profile, row.output))
    return [row.name, f"{row.samples:,}", profile, output]
