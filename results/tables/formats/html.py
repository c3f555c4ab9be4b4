"""Leaderboards as HTML: a table with two header rows. Half intervals are in small print, their ends in the tooltip."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from results.tables.formats import shared
from results.tables.leaderboard import Cell, Leaderboard, Row

TAGS = {1: "<b>{}</b>", 2: "<u>{}</u>", 0: "{}"}
STYLE = """\
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 100rem; padding: 0 1rem; color: #1a1a1a }
table.board { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums }
.board caption { text-align: left; font-weight: 600; font-size: 1.1rem; padding-bottom: .4rem }
.board th, .board td { padding: .25rem .55rem; text-align: right; white-space: nowrap }
.board th:first-child, .board td:first-child { text-align: left }
.board thead tr:first-child th { border-top: 2px solid #333; text-align: center }
.board thead tr:last-child th { border-bottom: 1px solid #333; font-weight: 600 }
.board tbody tr:last-child td { border-bottom: 2px solid #333 }
.board tbody tr:hover { background: #f4f4f0 }
.board small { color: #666; display: block; font-size: .75em }
.board .paper, .board .difference { color: #777 }
.board .anchor td { color: #555; font-style: italic }
.board tr:not(.anchor) + tr.anchor td { border-top: 1px solid #999 }
.notes { color: #444; font-size: .85rem; margin: 0 0 2.5rem; padding-left: 1.2rem }
"""


def page(boards: Sequence[Leaderboard], *, costs: bool = False) -> str:
    return document(table(board, costs=costs) for board in boards)


def document(tables: Iterable[str]) -> str:
    body = "\n".join(tables)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>dep-bench</title>\n'
        f"<style>\n{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def table(board: Leaderboard, *, costs: bool = False) -> str:
    """A table and a list of its notes."""
    heads = shared.heads(board, costs=costs)
    groups = "".join(
        f'<th colspan="{len(board.columns)}" scope="colgroup">{escape(name)}</th>' for name in board.categories
    )
    labels = "".join(_head(column.label) for _ in board.categories for column in board.columns)
    rows = "\n".join(_row(board, row, costs=costs) for row in board.rows)
    head = (
        f'<tr><td></td>{groups}<td colspan="{len(heads)}"></td></tr>\n'
        f'<tr><th scope="col">Method</th>{labels}{"".join(map(_head, heads))}</tr>'
    )
    return _whole(board.title, head, rows, shared.notes(board, costs=costs))


def plain(title: str, heads: Iterable[str], rows: Iterable[Sequence[str]], notes: Iterable[str]) -> str:
    """A table of plain texts."""
    lines = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
    head = f"<tr>{''.join(map(_head, heads))}</tr>"
    return _whole(title, head, "\n".join(f"<tr>{line}</tr>" for line in lines), notes)


def _whole(title: str, head: str, body: str, notes: Iterable[str]) -> str:
    said = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return (
        f'<table class="board">\n<caption>{escape(title)}</caption>\n<thead>\n{head}\n</thead>\n'
        f'<tbody>\n{body}\n</tbody>\n</table>\n<ul class="notes">{said}</ul>'
    )


def _head(text: str) -> str:
    return f'<th scope="col">{escape(text)}</th>'


def _row(board: Leaderboard, row: Row, *, costs: bool) -> str:
    cells = "".join(_cell(board, row, cell) for cell in board.cells())
    tail = "".join(f"<td>{text}</td>" for text in shared.tail(board, row, costs=costs))
    return f'<tr class="{row.kind}"><td>{escape(row.label)}</td>{cells}{tail}</tr>'


def _cell(board: Leaderboard, row: Row, cell: Cell) -> str:
    value = shared.value(board, row, cell)
    ends = row.intervals.get(cell)
    title = f' title="95 % interval {ends[0]:.5g} to {ends[1]:.5g}"' if ends else ""
    half = f"<small>{value.half}</small>" if value.half else ""
    return f"<td{title}>{TAGS[value.rank].format(value.number)}{value.dagger}{half}</td>"
