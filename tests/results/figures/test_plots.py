"""Figures from finished runs: what is drawn, from which values, their captions, and errors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.collections import FillBetweenPolyCollection
from matplotlib.container import ErrorbarContainer

from bench.errors import UserError
from results.figures import drawing, plots
from results.tables import slices
from results.tables.assemble import leaderboards
from results.tables.finished_runs import FinishedRun
from tests.results import scored
from tests.results.tables.test_leaderboard import summary


@pytest.fixture
def found(tmp_path: Path) -> list[FinishedRun]:
    out = tmp_path / "runs"
    sweep = [
        scored.finished(out / f"rag-{k}", summary("rag", k=k, retriever="recency"), scored.rows(0.3 + k / 10, seed=k))
        for k in (0, 4, 2)
    ]
    return [*sweep, scored.finished(out / "nonperso", summary("nonperso"), scored.rows(0.3))]


def test_k_sweep_draws_values_and_intervals_in_order_of_k(found: list[FinishedRun]) -> None:
    (figure,) = plots.draw("k-sweep", found, ["bleu"])
    assert [ax.get_title() for ax in figure.axes] == ["Books", "Films"]
    ax = figure.axes[0]
    line, reference = ax.get_lines()
    assert list(line.get_xdata()) == [0, 2, 4]
    values = {run.summary["k"]: run.summary["scores"]["Books"]["bleu"] for run in found[:3]}
    assert list(line.get_ydata()) == [values[k] for k in (0, 2, 4)]
    assert reference.get_label() == "Non-Perso"
    assert any(isinstance(one, FillBetweenPolyCollection) for one in ax.collections)


def test_k_sweep_draws_how_many_reviews_were_kept_on_a_second_axis(tmp_path: Path) -> None:
    kept = {0: 0.0, 4: 2.7, 2: 2.0, 8: None}  # at 8 no prompt was fitted
    found = [
        scored.finished(
            tmp_path / f"rag-{k}",
            summary("rag", k=k, retriever="recency", kept=None if n is None else {"mean": n, "full": 0.5, "n": 4}),
            scored.rows(0.3 + k / 20),
        )
        for k, n in kept.items()
    ]
    (figure,) = plots.draw("k-sweep", found, ["bleu"])
    assert len(figure.axes) == 4  # two categories, a second axis each
    twin = figure.axes[-1]
    every, line = twin.get_lines()
    assert (list(every.get_xdata()), list(every.get_ydata())) == ([0, 8], [0, 8])
    assert (list(line.get_xdata()), list(line.get_ydata())) == ([0, 2, 4], [0.0, 2.0, 2.7])
    assert "kept" in twin.get_ylabel()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["RAG"]


def test_ablations_draw_a_point_for_each_row(found: list[FinishedRun]) -> None:
    (figure,) = plots.draw("ablations", found, ["rouge1"])
    labels = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert labels == ["Non-Perso", "RAG · K=0", "RAG · K=2", "RAG · K=4"]
    assert len(figure.axes[0].containers) == 4


def test_costs_are_tokens_a_sample(found: list[FinishedRun]) -> None:
    (figure,) = plots.draw("costs", found, ())
    written = figure.axes[0].containers[2]
    assert [bar.get_width() for bar in written] == pytest.approx([50 / 120] * 4)


def test_uniqueness_draws_a_bar_for_each_method(found: list[FinishedRun], monkeypatch: pytest.MonkeyPatch) -> None:
    halves = slices.parse("history:2")
    monkeypatch.setattr("results.tables.slices.parse", lambda text: halves)
    (figure,) = plots.draw("uniqueness", found, ["rouge1"])
    assert [ax.get_title() for ax in figure.axes] == ["Books", "Films"]
    bars = [one for one in figure.axes[0].containers if hasattr(one, "patches")]
    assert [len(one) for one in bars] == [2, 2, 2, 2]


def test_files_are_the_same_every_time_and_numbered(found: list[FinishedRun], tmp_path: Path) -> None:
    figures = plots.draw("ablations", found, ["rouge1"])
    (first,) = plots.save(figures, tmp_path / "a.svg")
    (again,) = plots.save(plots.draw("ablations", found, ["rouge1"]), tmp_path / "b.svg")
    assert first.read_bytes() == again.read_bytes()
    assert [path.name for path in plots.save(figures * 2, tmp_path / "c.png")] == ["c.png", "c-2.png"]


@pytest.mark.parametrize("kind", ["ablations", "k-sweep", "costs", "uniqueness"])
def test_a_caption_speaks_of_intervals_where_some_are_drawn(
    found: list[FinishedRun], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    halves = slices.parse("history:2")
    monkeypatch.setattr("results.tables.slices.parse", lambda text: halves)
    (figure,) = plots.draw(kind, found, ["rouge1"])
    assert figure.get_suptitle() == "ROUGE-1 · toy · smollm · 95 % intervals over users"


def test_intervals_of_other_columns_are_not_those_of_the_figure(found: list[FinishedRun]) -> None:
    (board,) = leaderboards(found)
    row = replace(board.rows[0], intervals={("Books", "bleu"): (0.1, 0.2)})
    bare = replace(board, rows=(row,))
    assert drawing.has_intervals([bare], ["rouge1", "bleu"])
    assert not drawing.has_intervals([bare], ["rouge1"])


def test_missing_intervals_are_not_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ratings = slices.parse("rating")
    monkeypatch.setattr("results.tables.slices.parse", lambda text: ratings)
    runs = [scored.finished(tmp_path / str(k), summary("rag", k=k), scored.rows(0.3, users=1, each=1)) for k in (2, 4)]
    for kind in ("uniqueness", "ablations"):  # costs join the categories, and with them two users
        (figure,) = plots.draw(kind, runs, ["rouge1"])
        assert figure.get_suptitle() == "ROUGE-1 · toy · smollm"
        drawn = [one for ax in figure.axes for one in ax.containers if isinstance(one, ErrorbarContainer)]
        assert not any(one.has_xerr or one.has_yerr for one in drawn)
    (figure,) = plots.draw("k-sweep", runs, ["rouge1"])
    (band,) = (one for one in figure.axes[0].collections if isinstance(one, FillBetweenPolyCollection))
    assert not any(len(path.vertices) for path in band.get_paths())


def test_a_row_that_lacks_the_metric_has_no_point(tmp_path: Path) -> None:
    """Without being asked, figures show what all rows have."""
    cells: list[tuple[str, int, tuple[str, ...]]] = [
        ("nonperso", 0, ("rouge",)),
        ("rag", 2, ("rouge", "bleu")),
        ("rag", 4, ("rouge", "bleu")),
        ("rag", 8, ("rouge",)),
    ]
    runs = [
        scored.finished(tmp_path / f"{method}-{k}", summary(method, k=k), scored.rows(0.5), metrics=metrics)
        for method, k, metrics in cells
    ]
    (figure,) = plots.draw("k-sweep", runs, ())
    assert figure.get_suptitle().startswith("ROUGE-1 · ")
    (figure,) = plots.draw("k-sweep", runs, ["BLEU"])
    assert figure.get_suptitle().startswith("BLEU · toy")
    (line,) = figure.axes[0].get_lines()  # no line of Non-Perso
    assert list(line.get_xdata()) == [2, 4]
    for kind in ("ablations", "costs"):
        (figure,) = plots.draw(kind, runs, ["bleu"])
        assert figure.get_suptitle().startswith("BLEU · toy")
    (figure,) = plots.draw("k-sweep", runs, ["rouge", "rougeL"])
    assert figure.get_suptitle().startswith("ROUGE-1, R-L · toy")


def test_an_unknown_column_is_named_before_other_errors(found: list[FinishedRun]) -> None:
    with pytest.raises(UserError, match="no metric or column 'blue'; did you mean 'bleu'"):
        plots.draw("k-sweep", found[2:], ["blue"])  # no runs at several K


def test_a_title_is_inert_and_captions_distinguish_figures(
    found: list[FinishedRun], tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    data = {**summary()["data"], "limit": 4}
    pair = [
        scored.finished(tmp_path / f"{method}-4", summary(method, data=data, engine="echo 1"), scored.rows(0.3))
        for method in ("rag", "nonperso")
    ]
    other = [FinishedRun(run.folder, {**run.summary, "engine": "echo 1"}) for run in found]
    figures = plots.draw("ablations", [*pair, *other], ["rouge1"], title="a\x1b[31mb\tc")
    above = [figure.get_suptitle().split("\n") for figure in figures]
    assert [lines[0] for lines in above] == ["a\\x1b[31mb c"] * 2
    assert all(lines[1].startswith("ROUGE-1 · toy · echo, not a model · ") for lines in above)
    assert [lines[2] for lines in above] == ["limit 4", "no limit"]
    plots.save(figures, tmp_path / "a.png")
    assert [str(one.message) for one in recwarn.list] == []


@pytest.mark.parametrize(
    ("kind", "metric", "message"),
    [
        ("k-sweeep", (), "no plot 'k-sweeep'; did you mean 'k-sweep'?"),
        ("ablations", ("blue",), "no metric or column 'blue'; did you mean 'bleu'?"),
    ],
)
def test_what_cannot_be_drawn(found: list[FinishedRun], kind: str, metric: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError) as error:
        plots.draw(kind, found, metric)
    assert str(error.value).startswith(message)
    with pytest.raises(UserError, match="nothing to plot: no method has runs at several K; `bench grid k-sweep`"):
        plots.draw("k-sweep", found[2:], ())
    with pytest.raises(UserError, match=r"--to x.gif: a name that ends in .svg, .png or .pdf"):
        plots.save([], Path("x.gif"))
