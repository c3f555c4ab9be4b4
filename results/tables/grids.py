"""Tables on a terminal whose numbers are never cut, however narrow it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDEST = 4000  # columns


def grid(title: str, words: int, heads: list[str]) -> Table:
    """An empty table. The first columns, `words` of them, are words on the left; all others numbers on the right."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    made = Table(
        title=escape(title), box=box.SIMPLE, title_justify="left", pad_edge=False, padding=(0, 1), collapse_padding=True
    )
    for place, head in enumerate(heads):
        made.add_column(escape(head), justify="left" if place < words else "right", no_wrap=True)
    return made


def show(console: Console, made: Table) -> None:
    """At its own width: rich would shorten numbers where a terminal has no room, which breaks the lines instead."""
    from rich.measure import Measurement

    made.width = Measurement.get(console, console.options.update(width=WIDEST), made).maximum
    console.print(made, crop=False, soft_wrap=True)
