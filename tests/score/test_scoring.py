"""Scoring spread over processes: the same rows to the last bit, plug-ins from files included."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bench import config, plugins, registry
from bench.errors import PluginError, UserError
from bench.models import assets
from bench.protocols import Metric
from bench.score import scoring
from metrics import meteor
from tests.fakes import profile_file

PLUGIN = '''
"""Counts letters."""
from dataclasses import dataclass
from bench.types import Column

@dataclass(frozen=True)
class Letters:
    per_pair = True
    columns = (Column("letters", "Let."),)
    step: int = 1

    def score(self, predictions, references):
        if "bad" in predictions:
            raise ValueError("a bug of the plug-in's")
        return [{"letters": len(text) / self.step} for text in predictions]

    def aggregate(self, rows):
        return {"letters": sum(row["letters"] for row in rows) / len(rows)}

    def versions(self):
        return {"letters": "1"}
'''
WORDS = [
    "the", "a", "song", "album", "it's", "good,", "bad!", "movie", "film", "car", "auto", "素晴らしい", "альбом",
    "loved", "loves", "10.5",
]  # fmt: skip


@pytest.fixture
def letters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(registry, "_from_files", {})
    monkeypatch.setattr(plugins, "_loaded", [])
    path = tmp_path / "my_letters.py"
    path.write_text(PLUGIN)
    plugins.load([str(path)])
    yield path
    sys.modules.pop("my_letters", None)


Samples = tuple[list[str], list[str], list[str]]  # ids, texts, references


def samples(n: int) -> Samples:
    rng = random.Random(n)
    texts = [" ".join(rng.choices(WORDS, k=rng.randrange(30))) for _ in range(2 * n)]
    return [f"s{i}" for i in range(n)], texts[:n], texts[n:]


def metrics(tmp_path: Path, names: list[str]) -> dict[str, Metric]:
    return scoring.create(config.load_profile(str(profile_file(tmp_path))), names, options={"letters": {"step": 3}})


@pytest.mark.slow
@pytest.mark.slow
@pytest.mark.models
def test_any_number_of_processes_gives_the_same_rows(
    tmp_path: Path, letters: Path, require_assets: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    require_assets("wordnet", "punkt")
    monkeypatch.setattr(scoring, "CHUNK", 7)
    chosen = metrics(tmp_path, ["rouge", "meteor", "bleu", "letters"])
    given = samples(60)
    alone = scoring.score(chosen, *given, processes=1)
    assert alone.keys() == {"rouge", "meteor", "bleu", "letters"}
    assert {len(rows) for rows in alone.values()} == {60}
    assert scoring.score(chosen, *given, processes=2) == alone


def test_rows_say_of_whom_they_are_and_tables_what_they_need(tmp_path: Path, letters: Path) -> None:
    facts = [{"sample_id": name, "category": "c", "user_id": "u", "properties": {"words": 2}} for name in ("a", "b")]
    rows, values = scoring.evaluate(metrics(tmp_path, ["letters"]), ["one", ""], ["two", "three"], facts)
    assert [{key: row[key] for key in fact} for row, fact in zip(rows, facts, strict=True)] == facts
    assert values["scores"]["c"]["letters"] == sum(row["letters"]["letters"] for row in rows) / 2
    assert values["metric_versions"].keys() == {"letters"}
    assert [column["key"] for column in values["columns"]] == ["letters"]


@pytest.mark.slow
@pytest.mark.models
def test_cells_scored_at_once_get_the_rows_of_cells_scored_alone(
    tmp_path: Path, require_assets: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    require_assets("wordnet", "punkt")
    monkeypatch.setattr(
        sys.modules[__name__], "WORDS", ["give", "take", "set", "run", "make", "break", "cut", "turn", "play", "light"]
    )
    chosen = metrics(tmp_path, ["meteor"])
    tasks = [samples(n) for n in range(10, 18)]
    alone = [scoring.score(chosen, *task, processes=1) for task in tasks]
    meteor._meteor.cache_clear()
    meteor._meteor(assets.nltk_path())  # one new reader for all threads, which has read no word yet
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # so that threads do meet in the reader
    try:
        with ThreadPoolExecutor(len(tasks)) as pool:
            together = list(pool.map(lambda task: scoring.score(chosen, *task, processes=1), tasks))
    finally:
        sys.setswitchinterval(interval)
    assert together == alone


def test_a_few_samples_start_no_process(tmp_path: Path, letters: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "ProcessPoolExecutor", None)
    given = samples(scoring.SPREAD_FROM - 1)
    assert len(scoring.score(metrics(tmp_path, ["letters"]), *given)["letters"]) == scoring.SPREAD_FROM - 1


def test_an_error_in_a_process_is_raised_here(tmp_path: Path, letters: Path) -> None:
    ids, texts, references = samples(3)
    texts[1] = "bad"
    says = rf"^metric 'letters' of {letters} failed on sample s1: ValueError: a bug of the plug-in's$"
    with pytest.raises(PluginError, match=says):
        scoring.score(metrics(tmp_path, ["letters"]), ids, texts, references, processes=2)


def test_a_user_s_mistake_in_a_process_stays_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEP_BENCH_HOME", str(tmp_path / "empty"))
    with pytest.raises(UserError, match="model 'wordnet' is not on this machine; run `bench models pull`"):
        scoring.score(metrics(tmp_path, ["meteor"]), *samples(3), processes=2)
