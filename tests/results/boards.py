"""One table of every kind that `bench table` prints, from invented finished runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from results.tables import paper_tables, slices
from results.tables.assemble import leaderboards
from results.tables.finished_runs import FinishedRun
from results.tables.leaderboard import Leaderboard
from tests.results import scored
from tests.results.tables.test_leaderboard import summary

NASTY = (
    r"50% & <b>R_A$G</b> #1 {x} ~ ^ \ ± Δ 素 – · | [y] *z* _w_ `v` &amp; "
    + "\n"
    + "".join(map(chr, range(0xA1, 0x100)))
)
LABELS = {
    "nonperso": "Non-Perso", "rag": "RAG", "pag": "PAG", "dpl": "DPL", "soft": "Soft", "rag_soft": "RAG + soft",
    "pplug": "PPlug", "dep": "DEP",
}  # fmt: skip
TRAINED_ALONE = ("nonperso", "soft", "pplug")
ABLATIONS = ("", "dep.embeddings=his, dep.text=False", "dep.refinement=none", "dep.guidance=False")
TINY = {"users": 8, "each": 1}


def made(out: Path, cells: Sequence[dict[str, Any]]) -> list[FinishedRun]:
    """A finished run a cell; each writes a little better than the one before."""
    return [
        scored.finished(out / str(number), cell, scored.rows(0.2 + 0.6 * number / len(cells), **TINY))
        for number, cell in enumerate(cells)
    ]


def cell(method: str, **changes: Any) -> dict[str, Any]:
    alone = method in TRAINED_ALONE
    return summary(method, **{"label": LABELS[method], "retriever": None if alone else "recency", **changes})


def with_anchors(board: Leaderboard) -> Leaderboard:
    """Below the rows two of real texts; the first lacks some samples and the values of one column."""
    first, last = board.rows[0], board.rows[-1]
    some = {cell: value for cell, value in first.values.items() if cell[1] != board.columns[0].key}
    anchors = (
        replace(first, label="Anchor: peer", method="peer", values=some, kind="anchor", missing=2, n=first.n - 2),
        replace(last, label="Anchor: reference", method="reference", kind="anchor"),
    )
    return replace(board, rows=(*board.rows, *anchors))


def every_kind(out: Path) -> dict[str, Leaderboard]:
    """name -> board. All of one category that the paper has (Books) and one that it lacks."""
    suites = {
        "table1": [cell(method) for method in LABELS],
        "retrievers": [cell("rag", retriever=one) for one in ("random", "bm25", "contriever", "recency")],
        "ablations": [cell("nonperso"), *(cell("dep", variant=variant) for variant in ABLATIONS)],
        "k-sweep": [cell(method, k=k) for method in ("rag", "dep") for k in (0, 4, 8)],
        "nasty": [cell("nonperso"), cell("rag", label=f"* {NASTY}", failed=3, variant="rag.order=chronological")],
    }
    found = {name: made(out / name, cells) for name, cells in suites.items()}
    firsts = {name: leaderboards(runs, intervals=False)[0].rows[0].label for name, runs in found.items()}
    boards = {name: leaderboards(runs, baseline=firsts[name])[0] for name, runs in found.items()}
    boards["paper"] = paper_tables.beside(boards["table1"])
    boards["anchors"] = with_anchors(boards["table1"])
    boards["all columns"] = leaderboards(found["table1"], all_columns=True)[0]
    boards["bare"] = leaderboards(found["table1"], intervals=False)[0]
    for by in ("history:3", "rating"):
        boards[by] = leaderboards(found["table1"], slice_by=slices.parse(by), baseline="nonperso")[0]
    return boards
