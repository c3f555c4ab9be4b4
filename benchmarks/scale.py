"""Retrieval and scoring at the paper's size, against the plain libraries: `make bench-scale`.

3,996 made-up samples with 40 past reviews each: BM25 for all of them, its scores compared with `rank_bm25`'s. Then
ROUGE, METEOR and BLEU of 4,000 pairs of texts in one process, as the libraries do it, and by `bench.score.scoring` as
`bench score` does it; the values compared. Prints seconds and ratios.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from collections.abc import Sequence

import nltk
import numpy as np
from nltk.corpus import wordnet
from nltk.translate.meteor_score import single_meteor_score
from numpy.typing import NDArray
from rank_bm25 import BM25Okapi
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU

from bench.config import load_profile
from bench.data.corpus import load
from bench.models import assets
from bench.score import scoring
from bench.types import Item, Review, Sample
from retrievers.bm25 import Bm25
from retrievers.fields import document, query

N_SAMPLES, N_HISTORY, N_PAIRS = 3996, 40, 4000


def words(rng: random.Random, low: int, high: int) -> str:
    """Text of a vocabulary with a long tail."""
    return " ".join(f"w{int(rng.paretovariate(0.6)) % 20_000}" for _ in range(rng.randint(low, high)))


def samples() -> list[Sample]:
    """Titles of 2 to 8 words; descriptions of 100 to 2,000 characters, as the thresholds of DPL have them."""
    rng = random.Random(5)
    items = [Item("Books", f"i{n}", words(rng, 2, 8), words(rng, 25, 450)) for n in range(6000)]
    found = []
    for number in range(N_SAMPLES):
        own = rng.sample(items, N_HISTORY + 1)
        history = tuple(
            Review(f"r{number}/{n}", f"u{number}", item, 4.0, words(rng, 2, 8), "text", 10_000 - n)
            for n, item in enumerate(own[1:])
        )
        found.append(Sample(f"s{number}", "test", f"u{number}", own[0], 4.0, words(rng, 2, 8), 20_000, history))
    return found


def bm25(found: Sequence[Sample]) -> None:
    retriever = Bm25()
    begin = time.perf_counter()
    for sample in found:
        retriever.rank(sample, 8, None)  # type: ignore[arg-type]  # it asks for nothing
    seconds = time.perf_counter() - begin
    begin = time.perf_counter()
    theirs = [_rank_bm25(sample) for sample in found]
    plain = time.perf_counter() - begin
    ours = (retriever.scores(sample, sample.history) for sample in found)
    worst = max(float(np.abs(one - other).max()) for one, other in zip(ours, theirs, strict=True))
    print(
        f"BM25, {len(found):,} samples x {N_HISTORY} reviews: {seconds:.1f} s (rank_bm25 {plain:.1f} s); "
        f"largest difference of a score {worst:.1e}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores",
        flush=True,
    )


def _rank_bm25(sample: Sample) -> NDArray[np.float64]:
    index = BM25Okapi([document(review, "dpl").split() for review in sample.history])
    scores: NDArray[np.float64] = index.get_scores(query(sample, "dpl").split())
    return scores


def metrics(n: int) -> None:
    """English of the bundled corpus, about 250 words; a prediction shares some half of its words with the reference."""
    rng = random.Random(6)
    english = [review.text.split() for review in load("bundled").reviews()]
    references = [" ".join(word for text in rng.choices(english, k=5) for word in text) for _ in range(n)]
    texts = [_like(rng, reference, english) for reference in references]
    chosen = scoring.create(load_profile("tiny"), ["rouge", "meteor", "bleu"])
    nltk.data.path.insert(0, str(assets.nltk_path()))
    plainly([("a warm-up", "it loads what is loaded once")])
    begin = time.perf_counter()
    plain = plainly(list(zip(texts, references, strict=True)))
    alone = time.perf_counter() - begin
    begin = time.perf_counter()
    scored = scoring.score(chosen, [str(number) for number in range(n)], texts, references)
    together = time.perf_counter() - begin
    same = list(map(list, zip(*(scored[name] for name in ("rouge", "meteor", "bleu")), strict=True))) == plain
    print(
        f"ROUGE, METEOR and BLEU of {n:,} pairs: plain libraries {alone:.1f} s, bench.score.scoring {together:.1f} s: "
        f"{alone / together:.2f} times faster, values {'equal' if same else 'DIFFERENT'}; "
        f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores",
        flush=True,
    )


def plainly(texts: Sequence[tuple[str, str]]) -> list[list[object]]:
    """The three metrics' rows of (prediction, reference) by the libraries' own calls, one pair after the other."""
    scorer = RougeScorer(["rouge1", "rougeL"], use_stemmer=False)
    bleu = BLEU(tokenize="13a", effective_order=True)
    rows: list[list[object]] = []
    for prediction, reference in texts:
        rouge = scorer.score(target=reference, prediction=prediction)
        tokens = [nltk.word_tokenize(reference), nltk.word_tokenize(prediction)]
        counts = bleu.sentence_score(prediction, [reference])
        rows.append(
            [
                {name: score.fmeasure for name, score in rouge.items()},
                {"meteor": single_meteor_score(*tokens, wordnet=wordnet, alpha=0.9, beta=3.0, gamma=0.5)},
                {"bleu": [*counts.counts, *counts.totals, counts.sys_len, counts.ref_len]},
            ]
        )
    return rows


def _like(rng: random.Random, text: str, english: Sequence[Sequence[str]]) -> str:
    return " ".join(word if rng.random() < 0.5 else rng.choice(rng.choice(english)) for word in text.split())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["bm25", "metrics"], help="one of the two parts")
    parser.add_argument("--pairs", type=int, default=N_PAIRS)
    options = parser.parse_args()
    if options.only != "metrics":
        bm25(samples())
    if options.only != "bm25":
        metrics(options.pairs)


if __name__ == "__main__":
    main()
