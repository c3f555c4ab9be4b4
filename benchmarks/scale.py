"""Scoring at the paper's size, against the plain libraries: `make bench-scale`.

ROUGE, METEOR and BLEU of 4,000 pairs of texts: in one process, as the libraries do it, and by `bench.score.scoring` as
`bench score` does it. Prints seconds, their ratio, and whether the values are equal.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from collections.abc import Sequence

import nltk
from nltk.corpus import wordnet
from nltk.translate.meteor_score import single_meteor_score
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU

from bench.config import load_profile
from bench.data.corpus import load
from bench.models import assets
from bench.score import scoring

N_PAIRS = 4000


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
    parser.add_argument("--pairs", type=int, default=N_PAIRS)
    metrics(parser.parse_args().pairs)


if __name__ == "__main__":
    main()
