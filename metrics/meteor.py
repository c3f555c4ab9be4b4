"""METEOR by the package nltk: its word tokenizer, WordNet 3.0, mean over samples."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bench.models import assets
from bench.types import Column
from metrics import reading
from metrics.pairs import blank, mean, pairs

WHY = {
    reading.RUNS: "are mostly in a script without spaces: its words are not told apart, and only whole runs can match"
}
CACHED_WORDS = 100_000  # stems and synonyms kept: most words of a text occur in earlier texts too


@dataclass(frozen=True)
class Meteor:
    """Rows: {"meteor": f}, 0..1. Exact, then Porter-stem, then WordNet matches; alpha .9, beta 3, gamma .5.

    nltk has three habits that the paper's numbers share: it looks synonyms up by stem, so that a word which is not its
    own stem ("movie") has none; repeated words pair up from the end; a single word scores .5 against itself, because
    one match in one chunk has the full fragmentation penalty.
    """

    per_pair = True
    columns = (Column("meteor", "MET.", higher_is_better=True),)

    def score(self, predictions: Sequence[str], references: Sequence[str]) -> list[dict[str, Any]]:
        """Raises UserError where WordNet or Punkt is missing or damaged, ValueError for lists of different length."""
        compared = pairs(predictions, references)
        meteor = _meteor(assets.nltk_path())
        rows: list[dict[str, Any]] = [{"meteor": 0.0 if blank(*pair) else meteor(*pair)} for pair in compared]
        return [reading.add(row, _unread, *pair) for row, pair in zip(rows, compared, strict=True)]

    def unread(self, row: Mapping[str, Any]) -> Mapping[str, Sequence[str]]:
        return reading.words(row, WHY)

    def aggregate(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        return {"meteor": mean(rows, "meteor")}

    def versions(self) -> dict[str, str]:
        """Raises UserError where WordNet or Punkt is missing or damaged."""
        assets.nltk_path()
        return {
            "nltk": version("nltk"),
            "wordnet": f"3.0 {assets.record('wordnet')['tree'][:12]}",
            "punkt_tab": assets.record("punkt")["tree"][:12],
        }


def _unread(text: str) -> list[str]:
    """nltk's tokenizer drops no letter, and splits at spaces and punctuation only."""
    return [reading.RUNS] if reading.unspaced(text) else []


@cache
def _meteor(data: Path) -> Callable[[str, str], float]:
    import nltk
    from nltk.corpus.reader import WordNetCorpusReader
    from nltk.stem import PorterStemmer
    from nltk.translate.meteor_score import single_meteor_score

    # nltk reads below these folders only. Ours is first, so that no other copy of the data is used.
    nltk.data.path.insert(0, str(data))
    with warnings.catch_warnings():
        # The reader warns that the multilingual WordNet is missing, which METEOR does not use.
        warnings.simplefilter("ignore")
        wordnet = WordNetCorpusReader(str(data / "corpora" / "wordnet"), None)

    stemmer, synonyms = PorterStemmer(), SimpleNamespace(synsets=lru_cache(CACHED_WORDS)(wordnet.synsets))
    stemmer.stem = lru_cache(CACHED_WORDS)(stemmer.stem)

    def meteor(prediction: str, reference: str) -> float:
        hypothesis, target = nltk.word_tokenize(prediction), nltk.word_tokenize(reference)
        return float(
            single_meteor_score(target, hypothesis, stemmer=stemmer, wordnet=synonyms, alpha=0.9, beta=3.0, gamma=0.5)
        )

    return meteor
