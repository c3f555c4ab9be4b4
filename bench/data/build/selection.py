"""The reviews of one category on their way through the filters: counts after every step, and why none is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.data.build import queries
from bench.data.build.broken_lines import Broken
from bench.data.build.database import Database
from bench.data.build.report import Step
from bench.data.build.rules import Rules
from bench.data.time_column import SAME_TIME, TIES, Times
from bench.errors import UserError


@dataclass(slots=True)
class Selection:
    """The tables of one category in the database, with the counts of the steps so far and notes for the reader."""

    database: Database
    category: str
    rules: Rules
    broken: Broken
    order: str = ""  # what newest first is by: timestamp, source_order or file
    steps: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def record(self, step: str, query: str, *thresholds: str) -> None:
        """Counts the reviews that a step left. `query` gives (user, item) of each; `thresholds` name rules.

        Raises UserError where the step left none.
        """
        counts = f"SELECT count(*), count(DISTINCT who), count(DISTINCT what) FROM ({query}) AS left_over(who, what)"
        (found,) = self.database.rows(counts)
        self.steps.append(Step(step, *found))
        if not self.steps[-1].reviews:
            before = self.steps[-2].reviews if len(self.steps) > 1 else 0
            why, cure = self._why_empty(step, thresholds)
            raise UserError(
                f"{self.category}: step '{step}' left none of {before} reviews{why}; {cure} "
                "and run `bench data build` again"
            )

    def note_leaks(self, dropped: int) -> None:
        """Counts what is left without the targets that a method could copy. Raises UserError where none is left."""
        self.record("targets that no method can copy", "SELECT person, item FROM final", "drop_leaked")
        if dropped:
            self.notes.append(f"targets left out: {dropped} whose text is in their own history or in a peer's review")
        if not self.database.one("SELECT count(place) FROM final"):
            raise UserError(
                f"{self.category}: the texts of all {dropped} targets are in their history or in peers' reviews; check "
                "the review files, or add --no-drop-leaked and run `bench data build` again"
            )

    def note_kept(self, leaked: Mapping[str, int]) -> None:
        """Notes how many targets of each split a method could copy, which `drop_leaked` would have left out."""
        if leaked:
            said = ", ".join(f"{split} {n}" for split, n in leaked.items())
            self.notes.append(
                f"targets kept that a method can copy: {sum(leaked.values())} ({said}), whose text is in their own "
                "history or in a peer's review"
            )

    def note_files(self, *, timed: bool) -> None:
        """Notes what the raw files lack. `timed` says whether any review has a timestamp."""
        if self.broken.count:
            self.notes.append(f"{self.broken.count} broken lines left out, first {'; '.join(self.broken.first)}")
        untimed = "lacks = '' AND timestamp IS NULL" if timed else "false"
        reasons = f"CASE WHEN {untimed} THEN 'without a timestamp' ELSE lacks END"
        if lacking := self.database.reasons(
            f"SELECT {reasons} AS why, count(*) FROM raw_reviews WHERE why <> '' GROUP BY why"
        ):
            self.notes.append(f"reviews left out: {lacking}")
        if lacking := self._lacking_items():
            self.notes.append(f"items left out: {lacking}")
        self._note_types(timed=timed)

    def note_times(self, times: Times) -> None:
        """Notes how times were read. With `strict`, raises UserError where any are odd."""
        for note in times.odd("reviews"):
            self._odd(note)
        self.notes += times.plain("reviews")

    def note_ties(self, ties: int) -> None:
        """Notes that many of the dataset's reviews have the time of another review by the same user."""
        if ties >= TIES * self.steps[-1].reviews:
            self._odd(f"{ties} of {self.steps[-1].reviews} reviews {SAME_TIME}")

    def _odd(self, note: str) -> None:
        if self.broken.strict:
            raise UserError(f"{self.category}: {note}; correct the files, or build without --strict")
        self.notes.append(note)

    def note_ratings(self) -> None:
        """Notes ratings of another scale than 1 to 5."""
        if odd := self.database.one("SELECT count(*) FROM review_texts WHERE rating NOT BETWEEN 1 AND 5"):
            self.notes.append(f"{odd} ratings are outside 1 to 5, which prompts show as they are")

    def _note_types(self, *, timed: bool) -> None:
        for name in queries.TEXTS:
            if odd := self._mistyped(name):
                self.notes.append(f"{odd} reviews whose {name} is no text: read as without one")
        if not timed:
            by = "source_order" if self.order == "source_order" else "place in the file"
            self.notes.append(f"no review has a timestamp: newest first is by {by}")

    def _mistyped(self, field: str) -> int:
        """Reviews in which this field has another type than it should."""
        place = list(queries.TYPED).index(field) + 1
        return int(self.database.one(f"SELECT count(*) FROM raw_reviews WHERE mistyped[{place}]"))

    def _lacking_items(self) -> str:
        return self.database.reasons("SELECT lacks, count(*) FROM raw_items WHERE lacks <> '' GROUP BY lacks")

    def _why_empty(self, step: str, thresholds: Sequence[str]) -> tuple[str, str]:
        """Why a step left nothing, as far as the files tell, and what to do."""
        loosen = f"loosen {self.rules.shown(*thresholds)}"
        if step == "read":
            return f" ({self.broken.most('raw_reviews') or 'the files are empty'})", "check the review files"
        if step == "review rules":
            return self._why_no_reviews()
        if step == "item rules":
            why, wrong_files = self._why_no_items()
            return f" ({why})", "check the metadata files" if wrong_files else loosen
        return "", loosen

    def _why_no_reviews(self) -> tuple[str, str]:
        counts = dict(
            self.database.rows("SELECT lacks, count(*) FROM raw_reviews GROUP BY lacks ORDER BY count(*) DESC")
        )
        counts["without a timestamp"] = counts.pop("", 0)
        why = ", ".join(f"{count} {reason}" for reason, count in counts.items() if count)
        odd = self._mistyped("rating")
        if odd:
            why += f"; {odd} have a rating that is no number"
        cures = {
            "characters": f"loosen {self.rules.shown('min_chars')}",
            "a rating": "write ratings as numbers, like 5.0" if odd else "check the field 'rating'",
            "a title": f"give {self.rules.shown('require_review_title')}",
            "a timestamp": "check the field 'timestamp'",
        }
        found = [cure for end, cure in cures.items() if any(n and name.endswith(end) for name, n in counts.items())]
        return f" ({why})", ", ".join(found)

    def _why_no_items(self) -> tuple[str, bool]:
        """Why no item is left, and whether the files are to blame rather than the rules."""
        database = self.database
        if not database.count("raw_items"):
            return f"0 items were read: {self.broken.most('raw_items') or 'the metadata files are empty'}", True
        if not database.one("SELECT count(*) FROM raw_reviews SEMI JOIN raw_items USING (item_id)"):
            query = "SELECT min(raw_items.item_id), min(raw_reviews.item_id) FROM raw_items, raw_reviews"
            there, here = database.rows(query)[0]
            return f"no item id of the metadata, like {there!r}, occurs in the reviews, like {here!r}", True
        lacking = self._lacking_items() or "those that are reviewed are missing"
        wrong = database.one(f"SELECT bool_and(lacks = '{queries.REVIEWS_INSTEAD}') FROM raw_items")
        return f"of {database.count('raw_items')} items {lacking}", bool(wrong)
