"""What metrics could not read is counted from rows. A plug-in need not say it, and says it in the form asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import plugins, registry
from bench.errors import PluginError
from bench.score import scoring
from metrics.rouge import WHY, Rouge

PLUGIN = '''
"""Reads vowels."""
from dataclasses import dataclass
from bench.types import Column

@dataclass(frozen=True)
class Vowels:
    columns = (Column("vowels", "Vow."),)

    def score(self, predictions, references):
        return [{"vowels": 0.0, "text": text} for text in references]

    def aggregate(self, rows):
        return {"vowels": 0.0}

    def versions(self):
        return {}
'''


def facts(n: int) -> list[dict[str, Any]]:
    return [{"sample_id": f"s{place}", "category": "Books", "user_id": "u"} for place in range(n)]


def evaluate(metric: Any, name: str, texts: list[str], references: list[str]) -> dict[str, Any]:
    _, values = scoring.evaluate({name: metric}, texts, references, facts(len(texts)))
    return values


def test_counts_are_of_texts_and_every_text_stays_in_the_mean() -> None:
    values = evaluate(Rouge(), "rouge", ["good", "", "хорошо", "good"], ["good", "плохо", "好", "плохо a"])
    nothing, most = WHY["none"], WHY["most"]
    assert values["unread"] == {"rouge": {"reference": {nothing: 2, most: 1}, "prediction": {nothing: 1}}}
    assert values["scores"]["Books"]["rouge1"] == 0.25  # 1, 0, 0, 0
    assert evaluate(Rouge(), "rouge", ["good"], ["good"])["unread"] == {}


@pytest.fixture
def vowels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Loads the plug-in with these more lines, and makes the metric."""
    monkeypatch.setattr(registry, "_from_files", {})
    monkeypatch.setattr(plugins, "_loaded", [])

    def load(more: str) -> Any:
        file = tmp_path / "my_vowels.py"
        file.write_text(PLUGIN + more)
        plugins.load([str(file)])
        return registry.create("metric", "vowels")

    yield load
    sys.modules.pop("my_vowels", None)


def test_a_plug_in_without_it_is_not_asked(vowels: Any) -> None:
    assert evaluate(vowels(""), "vowels", ["a"], ["b"])["unread"] == {}


def test_a_plug_in_says_it_in_its_own_words(vowels: Any) -> None:
    said = """
    def unread(self, row):
        return {} if set(row["text"]) & set("aeiou") else {"reference": ["have no vowel"]}
"""
    values = evaluate(vowels(said), "vowels", ["x"] * 3, ["a", "b", "c"])
    assert values["unread"] == {"vowels": {"reference": {"have no vowel": 2}}}


@pytest.mark.parametrize(
    ("given", "says"),
    [("3", "int, not a dict"), ('{"text": []}', "'reference' and 'prediction'"), ('{"reference": "no"}', "not a list")],
)
def test_a_wrong_answer_of_a_plug_in_is_one_line(vowels: Any, given: str, says: str) -> None:
    with pytest.raises(PluginError, match=rf"at unread\(\): .*{says}"):
        evaluate(vowels(f"\n    def unread(self, row):\n        return {given}\n"), "vowels", ["x"], ["b"])
