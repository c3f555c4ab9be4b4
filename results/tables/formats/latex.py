r"""A leaderboard as a LaTeX table. It needs only \usepackage{booktabs}."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from results.tables.formats import shared
from results.tables.leaderboard import Leaderboard

STYLES = {1: r"\textbf{{{}}}", 2: r"\underline{{{}}}", 0: "{}"}
DAGGERS = {"†": r"$^\dagger$", "‡": r"$^\ddagger$", "": ""}
SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "·": r"$\cdot$", "±": r"$\pm$", "†": r"\dag{}", "‡": r"\ddag{}", "–": "--", "Δ": r"$\Delta$",
    "|": r"\textbar{}", "[": "{[}", "*": "{*}", "«": r"$\ll$", "»": r"$\gg$", **dict.fromkeys("ÐðÞþ", "?"),
    **dict.fromkeys(map(chr, (*range(32), 127)), " "),
}  # fmt: skip


def latex(board: Leaderboard, *, costs: bool = False) -> str:
    """A `table*` with the notes as its caption. Letters that plain LaTeX lacks become question marks."""
    per_group = len(board.columns)
    heads = shared.heads(board, costs=costs)
    groups = [rf"\multicolumn{{{per_group}}}{{c}}{{{text(name)}}}" for name in board.categories]
    rules = [
        rf"\cmidrule(lr){{{2 + place * per_group}-{1 + (place + 1) * per_group}}}"
        for place in range(len(board.categories))
    ]
    labels = [text(column.label) for _ in board.categories for column in board.columns]
    lines = [
        line(["", *groups, *[""] * len(heads)]),
        "".join(rules),
        line(["Method", *labels, *map(text, heads)]),
        r"\midrule",
    ]
    for row in board.rows:
        if shared.begins_anchors(board, row):
            lines.append(r"\midrule")
        cells = [_cell(value) for value in shared.values(board, row)]
        lines.append(line([text(row.label), *cells, *map(text, shared.tail(board, row, costs=costs))]))
    return table("l" + "r" * (len(labels) + len(heads)), lines, [f"{board.title}.", *shared.notes(board, costs=costs)])


def table(columns: str, lines: Iterable[str], caption: Sequence[str]) -> str:
    """`lines` are LaTeX. The sentences of `caption` are plain text and are escaped here."""
    return "\n".join(
        [
            r"\begin{table*}[t]",
            r"\centering\small\setlength{\tabcolsep}{3pt}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            rf"\caption{{{' '.join(map(text, caption))}}}",
            r"\end{table*}",
            "",
        ]
    )


def _cell(value: shared.Value) -> str:
    half = rf" {{\tiny$\pm${value.half[1:]}}}" if value.half else ""
    number = "--" if value.number == "-" else value.number.replace("-", "$-$")
    return STYLES[value.rank].format(number) + DAGGERS[value.dagger] + half


def line(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def text(value: str) -> str:
    """Plain text as LaTeX. Letters that plain LaTeX lacks become question marks."""
    escaped = "".join(SPECIAL.get(letter, letter) for letter in value)
    return "".join(letter if letter.isascii() or "\u00a1" <= letter <= "\u00ff" else "?" for letter in escaped)
