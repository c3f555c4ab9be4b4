"""`bench import predictions`: a run that is scored, tabled, compared and verified, and says what is not known."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bench.errors import UserError
from bench.record import contents, runs
from bench.record.runs import RunFolder
from metrics.rouge import Rouge
from results.checks import verify as verification
from results.tables import compare, finished_runs
from results.tables.assemble import leaderboards
from results.tables.finished_runs import FinishedRun, find_finished
from results.tables.special_notes import NOT_KNOWN
from tests.exchange.elsewhere import bring_in, export, save, written
from tests.fakes import World, bench
from tests.generate.fake_server import FakeServer, Reply, completed, serving


@pytest.fixture
def theirs(world: World) -> Path:
    return save(world.path / "theirs.jsonl", written(export(world)))


def folder(world: World, start: str = "data-imported-") -> RunFolder:
    (found,) = [one for name, one in world.folders().items() if name.startswith(start)]
    return found


def boards(world: World, **options: Any) -> Any:
    return leaderboards(find_finished([world.out]), **options)


def test_scores_are_those_of_the_texts(world: World, theirs: Path) -> None:
    assert bring_in(world, theirs) == 0
    rows = list(folder(world).rows(runs.SAMPLES))
    texts = {json.loads(line)["sample_id"]: json.loads(line)["text"] for line in theirs.read_text().splitlines()}
    assert {row["sample_id"]: row["text"] for row in rows} == texts
    references = [f"xylophonic secret of u{u}" for u in range(3)]
    expected = Rouge().aggregate(Rouge().score([row["text"] for row in rows[:3]], references))
    scores = folder(world).summary()["scores"]["Books"]
    assert {key: scores[key] for key in expected} == expected
    assert set(scores) > {"rouge1", "bleu"}


def test_it_stands_in_the_table_of_the_same_samples_and_says_what_is_not_known(world: World, theirs: Path) -> None:
    assert world.run() == 0
    assert bring_in(world, theirs) == 0
    (board,) = boards(world, baseline="nonperso")
    assert [row.label for row in board.rows] == ["Non-Perso", "Copier (imported)"]
    assert [row.imported for row in board.rows] == [False, True]
    assert f"Imported, texts made elsewhere: Copier (imported). {NOT_KNOWN}" in board.notes
    assert board.title.startswith("toy · ") and "imported" not in board.title
    summary = folder(world).summary()
    assert summary["model"] == summary["engine"] == summary["dtype"] == "-"
    assert [summary[key] for key in contents.OF_A_MODEL] == [None] * len(contents.OF_A_MODEL)


def test_several_tables_of_the_same_data_have_it_each_and_names_stay_clear(world: World, theirs: Path) -> None:
    assert world.run() == 0
    assert world.run("--set", "temperature=0") == 0
    assert world.run("--limit", 2) == 0
    assert bring_in(world, theirs) == 0
    assert [[row.label for row in board.rows] for board in boards(world)] in (
        [["Non-Perso", "Copier (imported)"], ["Non-Perso", "Copier (imported)"], ["Non-Perso"]],
        [["Non-Perso"], ["Non-Perso", "Copier (imported)"], ["Non-Perso", "Copier (imported)"]],
        [["Non-Perso", "Copier (imported)"], ["Non-Perso"], ["Non-Perso", "Copier (imported)"]],
    )
    with pytest.raises(UserError, match="'nonperso' matches 2 rows"):
        compare.compare("nonperso", "copier", world.out)
    sides = [one for one in find_finished([world.out]) if one.summary["data"]["limit"] is None and not one.imported]
    found = compare.compare("copier", sides[0].folder.path.name, world.out)
    assert (found.a, found.b) == ("Copier (imported)", sides[0].folder.path.name)
    assert found.imported == (f"Imported, texts made elsewhere: Copier (imported). {NOT_KNOWN}",)


def test_it_has_a_table_of_its_own_where_metrics_or_samples_differ(world: World, theirs: Path) -> None:
    assert world.run("--limit", 2) == 0
    assert bring_in(world, theirs) == 0
    titles = {board.title: [row.label for row in board.rows] for board in boards(world)}
    assert titles["toy · imported texts"] == ["Copier (imported)"]
    assert len(titles) == 2
    with pytest.raises(UserError, match="differ in their data"):
        compare.compare("copier", "nonperso", world.out)


def test_what_is_not_known_is_a_dash_and_never_0(world: World, theirs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert world.run() == 0
    assert bring_in(world, theirs) == 0
    capfd.readouterr()
    assert bench("table", world.out, "--costs", "--no-intervals") == 0
    (line,) = [one for one in capfd.readouterr().out.splitlines() if one.startswith("Copier")]
    assert line.split()[-10:] == ["6", "0", *["-"] * 8]
    assert bench("table", world.out, "--format", "json") == 0
    row = json.loads(capfd.readouterr().out)[0]["rows"][1]
    assert row["k"] is None and set(row["cost"].values()) == {None}
    assert bench("table", world.out, "--format", "csv") == 0
    head, _, line = (one.split(",") for one in capfd.readouterr().out.splitlines())
    of_it = dict(zip(head, line, strict=True))
    assert {of_it[key] for key in ("k", "requests", "new_tokens", "engine_seconds", "wall_seconds")} == {""}
    assert bench("show", folder(world).path) == 0
    shown = capfd.readouterr().out
    assert "not known: -" in shown and "wall seconds" not in shown and "input_budget" not in shown
    assert bench("show", folder(world).path, "--sample", "Books/u0/r4") == 0
    shown = capfd.readouterr().out
    assert "- (the text was made elsewhere, by Copier)" in shown and "Retrieved reviews, best first" not in shown


def test_verify_checks_what_can_be_checked_and_says_what_cannot(
    world: World, theirs: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert bring_in(world, theirs) == 0
    assert bench("verify", "--out", world.out) == verification.UNKNOWN == 1
    shown = capfd.readouterr().out
    assert re.findall(r"^  (\w+) +(\w+)", shown, re.M) == [
        ("ok", "files"), ("ok", "data"), ("ok", "samples"), ("ok", "identity"), ("unknown", "texts"), ("ok", "scores"),
        ("ok", "summary"),
    ]  # fmt: skip
    assert "made elsewhere by Copier: how, and that no held-out text was read for it, cannot be checked" in shown
    assert "not proved" in shown
    one = folder(world)
    one.write_rows(runs.SAMPLES, [{**row, "text": row["text"] + "!"} for row in one.rows(runs.SAMPLES)])
    assert bench("score", one.path) == 0  # digests and scores are those of the new texts
    capfd.readouterr()
    assert bench("verify", "--out", world.out) == verification.DISPROVED
    shown = capfd.readouterr().out
    assert re.findall(r"^  WRONG +(\w+) +(.*)$", shown, re.M) == [
        ("identity", "not the texts, name, seed and samples that were imported")
    ]


def test_texts_that_are_the_real_reviews_are_told(
    world: World, theirs: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from bench.data.corpus import load

    long = "a real review that is long enough to be nobody's by chance"
    file = world.data / "reviews.jsonl"
    file.write_text(file.read_text().replace("xylophonic secret of u0", long))
    manifest = world.data / "dataset.json"
    about = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({key: value for key, value in about.items() if key != "fingerprint"}))
    corpus = load(str(world.data))
    rows = [{"sample_id": s.sample_id, "text": corpus.reference(s.sample_id)} for s in corpus.samples("test")]
    assert bring_in(world, save(theirs, rows)) == 0
    assert "WARNING: 2 texts are the real review word for word" in capfd.readouterr().err
    assert bench("verify", "--out", world.out) == 1
    assert "; 2 of 6 are the real review word for word" in capfd.readouterr().out


def test_missing_samples_fail_score_0_and_stay_in_n(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    rows = written(export(world))
    assert bring_in(world, save(world.path / "all.jsonl", rows), name="All") == 0
    assert bring_in(world, save(world.path / "some.jsonl", rows[1:]), "--allow-missing", name="Some") == 0
    assert "1 without a text count as failed" in capfd.readouterr().err
    whole, some = folder(world, "data-imported-all"), folder(world, "data-imported-some")
    assert some.summary()["failed"] == 1 and some.summary()["n"] == {"Books": 3, "Films": 3}
    first = [next(one.rows(runs.SCORES))["rouge"]["rouge1"] for one in (whole, some)]
    assert first[0] > 0 and first[1] == 0
    means = [one.summary()["scores"]["Books"]["rouge1"] for one in (whole, some)]
    assert means[1] == pytest.approx(means[0] - first[0] / 3)
    (board,) = boards(world)
    assert board.rows[1].failed == 1
    assert "Some (imported): samples without a text, counted as failed: 1." in board.notes


def test_several_files_are_the_seeds_of_one_row(world: World, theirs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rows = [json.loads(line) for line in theirs.read_text().splitlines()]
    other = save(world.path / "other.jsonl", [{**row, "text": "secret of u1"} for row in rows])
    assert bring_in(world, theirs, other, "--seed", "3,5") == 0
    (board,) = boards(world)
    (row,) = board.rows
    assert (row.seeds, row.n, row.label) == ((3, 5), 6, "Copier (imported)")
    cell = ("Books", "rouge1")
    assert row.values[cell] == pytest.approx(sum(row.by_seed[cell]) / 2) and len(set(row.by_seed[cell])) == 2
    capfd.readouterr()
    assert bring_in(world, theirs, other, "--seed", "1") == 2
    assert "2 files and 1 seeds; give a seed for each file" in capfd.readouterr().err


def test_the_same_texts_are_one_run_and_others_of_its_name_are_refused(
    world: World, theirs: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert bring_in(world, theirs) == 0
    finished = folder(world).summary()["finished"]
    assert bring_in(world, theirs) == 0
    assert "has these texts already" in capfd.readouterr().err
    assert folder(world).summary()["finished"] == finished
    rows = [json.loads(line) for line in theirs.read_text().splitlines()]
    save(theirs, [{**row, "text": "another"} for row in rows])
    assert bring_in(world, theirs) == 2
    line = capfd.readouterr().err
    assert f"{folder(world).path} has other texts of 'Copier', seed 0; give these another --name or --seed" in line
    assert bring_in(world, theirs, "--seed", 1) == 0
    assert bring_in(world, theirs, name="Copier 2") == 0
    assert bench("rm", folder(world, "data-imported-copier-seed0").path, "--yes") == 0
    assert bring_in(world, theirs) == 0


@pytest.mark.parametrize("name", ["", "  ", "two\nlines", "x" * 61])
def test_a_name_that_no_table_can_show_is_refused(
    world: World, theirs: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert bring_in(world, theirs, name=name) == 2
    assert "a name of 1 to 60 letters on one line is expected" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("name", "whose"),
    [
        ("Anchor: peer", "how tables name rows of real texts"),
        ("RAG_soft", "the name of a method"),
        ("non-perso", "the label of a method"),
    ],
)
def test_a_name_of_other_rows_is_refused(
    world: World, theirs: Path, name: str, whose: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert bring_in(world, theirs, name=name) == 2
    assert f"--name '{name}' is {whose}; give the system a name of its own" in capfd.readouterr().err
    assert not world.folders()


def test_names_that_make_the_same_folder_name_are_two_rows(world: World, theirs: Path) -> None:
    for name in ("GPT 5", "gpt-5", "素"):
        assert bring_in(world, theirs, name=name) == 0
    (board,) = boards(world)
    assert [row.label for row in board.rows] == ["GPT 5 (imported)", "gpt-5 (imported)", "素 (imported)"]


def test_scoring_slices_and_the_report_take_it_like_any_run(
    world: World, theirs: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert world.run() == 0
    assert bring_in(world, theirs, "--metric", "rouge") == 0
    one = folder(world)
    assert set(one.summary()["metric_versions"]) == {"rouge"}
    (board,) = boards(world)
    assert any("not scored with bleu: Copier (imported)" in note for note in board.notes)
    assert bench("score", one.path, "--metric", "bleu") == 0
    assert set(one.summary()["metric_versions"]) == {"rouge", "bleu"}
    assert bench("table", world.out, "--by", "rating", "--baseline", "copier") == 0
    page = world.path / "page.html"
    assert bench("report", world.out, "--to", page) == 0
    assert "Copier (imported)" in page.read_text()
    assert bench("plot", "costs", world.out, "--to", world.path / "costs.svg") == 0
    assert "Non-Perso" in (drawn := (world.path / "costs.svg").read_text()) and "Copier" not in drawn
    assert bench("ls", "runs", "--out", world.out) == 0


def test_a_summary_of_a_run_of_ours_may_not_lack_what_is_known(world: World) -> None:
    assert world.run() == 0
    one = world.folder()
    one.write(runs.SUMMARY, {**one.summary(), "sampling": None})
    with pytest.raises(UserError, match="sampling: found null, which only an imported run has"):
        one.summary()


def test_an_imported_run_disagrees_where_its_metric_does(world: World, theirs: Path) -> None:
    """Another version of a metric: a table of its own, and in no other."""
    assert world.run() == 0
    assert bring_in(world, theirs) == 0
    one = folder(world)
    other = {**one.summary(), "metric_versions": {**one.summary()["metric_versions"], "rouge": {"rouge-score": "0"}}}
    found = [run for run in find_finished([world.out]) if not run.imported]
    groups = finished_runs.comparable([*found, FinishedRun(one, other)])
    assert [[run.imported for run in group] for group in groups] == [[False], [True]]


def test_a_judge_reads_it_and_verify_finds_the_answers(
    world: World, theirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    with serving(FakeServer()) as server:
        server.cards[0]["id"] = "gpt-judge"
        server.answer = lambda n, body: Reply(body=completed("Score: 7"))
        assert bring_in(world, theirs) == 0
        of_judge = ["--set", f"judge.base_url={server.address}", "--set", "judge.model=gpt-judge"]
        assert bench("score", folder(world).path, "--metric", "judge", *of_judge) == 0
        assert folder(world).summary()["scores"]["Books"]["judge"] == 7.0
        with verification.Verifier() as verifier:
            found = {check.name: check.holds for check in verifier.verify(folder(world))}
    assert found["texts"] is None and found["scores"] is found["summary"] is found["identity"] is True
