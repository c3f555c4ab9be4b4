"""Builds a dataset from raw Amazon Reviews 2023 files by DPL's rules (spec, Data), in a fixed amount of memory.

Newest first is by timestamp; equal times keep the order of the file. Three things differ from the
released script: it removes duplicate texts anew in every round instead of once before the first, it
breaks ties of time one way when it removes duplicates and the other way when it splits, and it
collapses white space in the review texts only, not in titles and descriptions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.console.meter import Meter
from bench.data import categories, store
from bench.data.build import export, filters, scan
from bench.data.build.engine import Engine, engine
from bench.data.build.lines import Source, sources
from bench.data.build.raw import Broken
from bench.data.build.rules import Rules
from bench.errors import UserError, unknown

# Fields that metadata of Amazon Reviews 2023 may have, also where the first lines of a file have none.
AMAZON = {
    "main_category", "title", "subtitle", "average_rating", "rating_number", "features", "description", "price",
    "images", "videos", "store", "categories", "details", "author", "bought_together", "parent_asin", "asin",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """What was left after one step."""

    step: str
    reviews: int
    users: int
    items: int


@dataclass(frozen=True, slots=True)
class BuildReport:
    """How a dataset came about: what every step left, the samples per split, and what a reader should know."""

    out: Path
    category: str
    fingerprint: str
    steps: tuple[Step, ...]
    samples: dict[str, int]
    notes: tuple[str, ...]


@dataclass(slots=True)
class _Selection:
    """One category's reviews on their way through the filters, and what is said of them."""

    engine: Engine
    category: str
    rules: Rules
    broken: Broken
    steps: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def record(self, step: str, query: str, *thresholds: str) -> None:
        """Counts what a step left, a row a review with `user` and `item`. Raises UserError where it left none."""
        counts = f"SELECT count(*), count(DISTINCT who), count(DISTINCT what) FROM ({query}) AS left_over(who, what)"
        (found,) = self.engine.rows(counts)
        self.steps.append(Step(step, *found))
        if not self.steps[-1].reviews:
            before = self.steps[-2].reviews if len(self.steps) > 1 else 0
            why, cure = self._emptied(step, thresholds)
            raise UserError(
                f"{self.category}: step '{step}' left none of {before} reviews{why}; {cure} "
                "and run `bench data build` again"
            )

    def _emptied(self, step: str, thresholds: Sequence[str]) -> tuple[str, str]:
        """Why a step left nothing, as far as the files say it, and what helps."""
        loosen = f"loosen {self.rules.shown(*thresholds)}"
        if step == "read":
            return f" ({self.broken.most('seen') or 'the files are empty'})", "check the review files"
        if step == "review rules":
            return self._reviews_emptied()
        if step == "item rules":
            why, wrong = self._items_emptied()
            return f" ({why})", "check the metadata files" if wrong else loosen
        return "", loosen

    def _reviews_emptied(self) -> tuple[str, str]:
        counts = dict(self.engine.rows("SELECT lacks, count(*) FROM seen GROUP BY lacks ORDER BY count(*) DESC"))
        counts["without a timestamp"] = counts.pop("", 0)
        why = ", ".join(f"{count} {reason}" for reason, count in counts.items() if count)
        odd = self.engine.one("SELECT count(*) FROM seen WHERE mistyped[3]")
        if odd:
            why += f"; {odd} have a rating that is no number"
        cures = {
            "characters": f"loosen {self.rules.shown('min_chars')}",
            "a rating": "write ratings as numbers, like 5.0" if odd else "check the field 'rating'",
            "a title": f"loosen {self.rules.shown('require_review_title')}",
            "a timestamp": "check the field 'timestamp'",
        }
        found = [cure for end, cure in cures.items() if any(n and name.endswith(end) for name, n in counts.items())]
        return f" ({why})", ", ".join(found)

    def _items_emptied(self) -> tuple[str, bool]:
        """What is the matter with the items, and whether it is the files rather than the rules."""
        sql = self.engine
        if not sql.count("wares"):
            return f"0 items were read: {self.broken.most('wares') or 'the metadata files are empty'}", True
        if not sql.one("SELECT count(*) FROM seen SEMI JOIN wares USING (item_id)"):
            there, here = sql.rows("SELECT min(wares.item_id), min(seen.item_id) FROM wares, seen")[0]
            return f"no item id of the metadata, like {there!r}, occurs in the reviews, like {here!r}", True
        lacking = _counted(sql, "SELECT lacks, count(*) FROM wares WHERE lacks <> '' GROUP BY lacks")
        wrong = sql.one(f"SELECT bool_and(lacks = '{scan.REVIEWS_INSTEAD}') FROM wares")
        return f"of {sql.count('wares')} items {lacking or 'those that are reviewed are missing'}", bool(wrong)


def build(
    *,
    reviews: Sequence[Path],
    meta: Sequence[Path],
    category: str,
    out: Path,
    rules: Rules,
    strict: bool = False,
    meter: Meter | None = None,
) -> BuildReport:
    """Writes the dataset of one category into `out`, beside the other categories that are there already.

    The same files and rules give the same bytes. Lines that cannot be read are counted and the first ten
    named; with `strict` the first one raises. Raises UserError for a file or folder that cannot be
    used, and for rules that leave nothing, naming the step that emptied it.
    """
    others = categories.check(out, category)
    if not reviews or not meta:
        raise UserError(f"no {'metadata' if reviews else 'review'} file given for {category}; name at least one")
    wares, written, meter = sources(meta), sources(reviews), meter or Meter()
    _check_fields(wares, rules)
    with store.writing(out) as scratch, engine(scratch) as sql:
        selection = _Selection(sql, category, rules, Broken(strict))
        _read(selection, wares, written, meter)
        _filter(selection, meter)
        _collect(sql, wares, written, meter)
        digests = export.write(sql, scratch, category, meter)
        samples = dict(sql.rows("SELECT split, count(*) FROM samples GROUP BY split ORDER BY min(place)"))
        own = {
            "counts": export.counts(sql),
            "steps": [asdict(step) for step in selection.steps],
            "thresholds": asdict(rules),
            "sources": [export.source(one) for one in (*written, *wares)],
            "split": store.split_definition(rules.train_inputs),
            "digests": digests,
        }
        fingerprint = categories.put(out, category, scratch, own)
        if odd := sql.one("SELECT count(*) FROM texts WHERE rating NOT BETWEEN 1 AND 5"):
            selection.notes.append(f"{odd} ratings are outside 1 to 5, which prompts show as they are")
    if others:
        selection.notes.append(f"added beside what {out} already held: {', '.join(others)}")
    return BuildReport(out, category, fingerprint, tuple(selection.steps), samples, tuple(selection.notes))


def _check_fields(wares: Sequence[Source], rules: Rules) -> None:
    """A misspelt field of `require` says so before hours of reading. A sparse one may first stand far down."""
    there = {name for source in wares for name in source.fields()}
    for name in rules.require:
        if there and name not in there and name not in AMAZON:
            raise unknown("field of the metadata", name, there)


def _read(selection: _Selection, wares: Sequence[Source], written: Sequence[Source], meter: Meter) -> None:
    """The first reading of all files."""
    sql, rules = selection.engine, selection.rules
    meter.start("reading items", sum(source.size for source in wares))
    scan.read(sql, scan.judged_wares(rules), wares, selection.broken, meter.advance)
    meter.start("reading reviews", sum(source.size for source in written))
    scan.read(sql, scan.judged_reviews(rules), written, selection.broken, meter.advance)
    meter.start("filtering")


def _filter(selection: _Selection, meter: Meter) -> None:
    sql, rules, record = selection.engine, selection.rules, selection.record
    record("read", "SELECT user_id, item_id FROM seen")
    timed = bool(sql.one("SELECT bool_or(timestamp IS NOT NULL) FROM seen"))
    _note(selection, timed=timed)
    good = f"SELECT user_id, item_id FROM seen WHERE lacks = '' {'AND timestamp IS NOT NULL' if timed else ''}"
    record("review rules", good, "min_chars", "require_review_title")
    filters.code(sql, timed=timed)
    record("item rules", "SELECT person, item FROM good", "require", "min_description", "max_description")
    filters.unique(sql, by_text=rules.dedupe_text)
    step = "one review per item and text" if rules.dedupe_text else "one review per item"
    record(step, "SELECT person, item FROM distinct_reviews")
    filters.core(sql, rules)
    record("core", "SELECT person, item FROM core", "min_item_users", "min_user_reviews", "max_user_reviews")
    filters.divide(sql, rules)
    thresholds = ("min_profile_item_users", "min_profile_reviews", "train_inputs")
    record("profile", "SELECT person, item FROM final", *thresholds)


def _note(selection: _Selection, *, timed: bool) -> None:
    """What the files lack becomes notes."""
    sql, notes, broken = selection.engine, selection.notes, selection.broken
    if broken.count:
        notes.append(f"{broken.count} broken lines left out, first {'; '.join(broken.first)}")
    untimed = "lacks = '' AND timestamp IS NULL" if timed else "false"
    reasons = f"CASE WHEN {untimed} THEN 'without a timestamp' ELSE lacks END"
    if counted := _counted(sql, f"SELECT {reasons} AS why, count(*) FROM seen WHERE why <> '' GROUP BY why"):
        notes.append(f"reviews left out: {counted}")
    if counted := _counted(sql, "SELECT lacks, count(*) FROM wares WHERE lacks <> '' GROUP BY lacks"):
        notes.append(f"items left out: {counted}")
    for place, name in enumerate(scan.TEXTS, 1):
        if odd := sql.one(f"SELECT count(*) FROM seen WHERE mistyped[{place}]"):
            notes.append(f"{odd} reviews whose {name} is no text: read as without one")
    if not timed:
        odd = sql.one("SELECT count(*) FROM seen WHERE mistyped[4]")
        told = f" ({odd} have one that is no whole number of milliseconds)" if odd else ""
        notes.append(f"no review has a timestamp{told}: newest first is by source_order, else by place in the file")


def _counted(sql: Engine, query: str) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in sorted(sql.rows(query)))


def _collect(sql: Engine, wares: Sequence[Source], written: Sequence[Source], meter: Meter) -> None:
    """The second reading: texts, titles and descriptions of what is left."""
    sql.run("""CREATE TABLE used AS SELECT item, origin[1] AS file, origin[2] AS number
        FROM goods SEMI JOIN final USING (item)""")
    meter.start("collecting items", sum(source.size for source in wares))
    scan.reread(sql, scan.CHOSEN_WARES, wares, chosen="used", mended="wares_mended", advance=meter.advance)
    meter.start("collecting reviews", sum(source.size for source in written))
    scan.reread(sql, scan.CHOSEN_REVIEWS, written, chosen="final", mended="seen_mended", advance=meter.advance)
