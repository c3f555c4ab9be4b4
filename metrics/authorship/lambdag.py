"""LambdaG: how much likelier a text is under a grammar of the author than under grammars of other users.

After Nini et al. 2024, "Grammar as a Behavioral Biometric": lambda = mean over R references of the sum over tokens of
log10 P(token | author's model) - log10 P(token | reference model), with Kneser-Ney n-gram models of the package
`lambdag` (its authors' of 2026). A reference model has as many sentences as the author's, drawn from users who are no
candidates.

Deviations, for two cores: order 3 and 3 references in place of 10 and 100; the first 60 sentences of an author; content
is masked by a list of function words (other words become their shape) in place of POSnoise, which needs a tagger; the
references of one case share their draws, a smaller one being the beginning of a larger one.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from math import log10
from typing import TYPE_CHECKING, Any

from bench.seeds import derive
from bench.types import Author
from metrics.authorship.features import FUNCTION_WORDS
from metrics.authorship.scorer import Candidate, Case

if TYPE_CHECKING:
    from metrics.authorship.scorer import Array

ORDER, REFERENCES, SENTENCES, DISCOUNT = 3, 3, 60, 0.75
KEPT = frozenset(FUNCTION_WORDS)
SENTENCE = re.compile(r"[^.!?\n]+[.!?\n]*")
TOKEN = re.compile(r"\w+(?:'\w+)*|\.\.\.|[^\w\s]")

Sentence = tuple[str, ...]
Text = tuple[Sentence, ...]


def sentences(text: str) -> Text:
    """The masked tokens of each sentence: function words and punctuation stay, other words become their shape."""
    found = (tuple(map(_masked, TOKEN.findall(one))) for one in SENTENCE.findall(text.replace("’", "'")))
    return tuple(one for one in found if one)


def _masked(token: str) -> str:
    lower = token.lower()
    if lower in KEPT or not token[0].isalnum():
        return lower
    if token.isdigit():
        return "0"
    return "WORD" if token.isupper() and len(token) > 1 else "Word" if token[0].isupper() else "word"


@dataclass(frozen=True)
class LambdaG:
    """Each grammar is made once, for all texts that are compared with it, and then let go: it takes megabytes."""

    def scores(self, cases: Sequence[Case], users: Sequence[Author]) -> list[Array]:
        import numpy as np

        pool = {user.user_id: [one for review in user.reviews for one in sentences(review.text)] for user in users}
        known = [[_known(candidate) for candidate in case.candidates] for case in cases]
        texts = [[sentences(text) for text in case.texts] for case in cases]
        own = _by_grammar(known, texts)
        found: list[Array] = []
        for case, theirs, some in zip(cases, known, texts, strict=True):
            sizes = [len(one) for one in theirs]
            drawn = _drawn(case.candidates, max(sizes), pool)
            references = np.mean([_of_references(one, sizes, some) for one in drawn], axis=0)
            likelihoods = np.array([[own[one][text] for text in some] for one in theirs])
            found.append((likelihoods - references).T)
        return found

    def version(self) -> str:
        made = f"order {ORDER}, {REFERENCES} references, {SENTENCES} sentences, masked content"
        return f"LambdaG of lambdag {version('lambdag')} ({made})"


def _known(candidate: Candidate) -> Text:
    """The first sentences of a candidate's texts."""
    return tuple(islice((one for text in candidate.texts for one in sentences(text)), SENTENCES))


def _by_grammar(known: Sequence[Sequence[Text]], texts: Sequence[Sequence[Text]]) -> dict[Text, dict[Text, float]]:
    """what is known of a candidate -> text -> its log10 likelihood, for all texts that are compared with it."""
    asked: dict[Text, dict[Text, None]] = {}
    for theirs, some in zip(known, texts, strict=True):
        for one in theirs:
            asked.setdefault(one, {}).update(dict.fromkeys(some))
    found: dict[Text, dict[Text, float]] = {}
    for one, wanted in asked.items():
        model = _grown(_new(), one)
        found[one] = {text: likelihood(model, text) for text in wanted}
    return found


def _of_references(drawn: Text, sizes: Sequence[int], texts: Sequence[Text]) -> list[list[float]]:
    """(candidates, texts): under a grammar of the first `size` of the drawn sentences, for each candidate's size."""
    model, fitted = _new(), 0
    found: dict[int, list[float]] = {}
    for size in sorted(set(sizes)):
        _grown(model, drawn[fitted:size])
        fitted = size
        found[size] = [likelihood(model, text) for text in texts]
    return [found[size] for size in sizes]


def _drawn(candidates: Sequence[Candidate], size: int, pool: Mapping[str, Sequence[Sentence]]) -> list[Text]:
    """REFERENCES draws of sentences of users who are no candidates; of all users where there are no others.

    The candidates alone decide them.
    """
    names = {one.user_id for one in candidates}
    rest = [one for user, some in pool.items() if user not in names for one in some]
    rest = rest or [one for some in pool.values() for one in some]
    rng = random.Random(derive(0, "lambdag", *sorted(names)))
    return [tuple(rng.sample(rest, min(size, len(rest)))) for _ in range(REFERENCES)]


def _new() -> Any:
    from lambdag.language_models import KneserNeyLanguageModel

    return KneserNeyLanguageModel(ORDER, discount=DISCOUNT)


def _grown(model: Any, more: Text) -> Any:
    for sentence in more:
        model.fit(sentence)
    return model


def likelihood(model: Any, text: Text) -> float:
    """log10 P of a text; 0 under a model of nothing."""
    if not model.total_element_count:
        return 0.0
    return sum(log10(one) for sentence in text for one in model.probabilities(sentence))
