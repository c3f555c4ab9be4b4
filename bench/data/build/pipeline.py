"""Builds a dataset from raw Amazon Reviews 2023 files by DPL's rules (docs/data.md), in a fixed amount of memory.

The files are read twice. The first reading keeps ids, times and verdicts; the filters choose among these; the second
reading takes the texts of the chosen reviews and items.

Newest first is by timestamp; equal times keep the order of the file. Three things differ from the released script: it
removes duplicate texts anew in every round instead of once before the first, it breaks ties of time one way when it
removes duplicates and the other way when it splits, and it collapses white space in the review texts only, not in
titles and descriptions. A fourth is of ours: targets that a method could copy are dropped (`bench.data.build.leaks`).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.console.meter import Meter
from bench.data.build import clock, export, filters, leaks, queries, scan, where
from bench.data.build.broken_lines import Broken
from bench.data.build.database import Database, open_database
from bench.data.build.raw_files import Source, sources
from bench.data.build.report import BuildReport
from bench.data.build.rules import Rules
from bench.data.build.selection import Selection
from bench.data.build.where import Condition
from bench.data.folder import merge
from bench.data.folder.manifest import split_definition
from bench.data.folder.writing import scratch_folder
from bench.errors import UserError, unknown

# Fields that metadata of Amazon Reviews 2023 may have, also where the first lines of a file have none.
AMAZON = {
    "main_category", "title", "subtitle", "average_rating", "rating_number", "features", "description", "price",
    "images", "videos", "store", "categories", "details", "author", "bought_together", "parent_asin", "asin",
}  # fmt: skip


def build(
    *,
    reviews: Sequence[Path],
    meta: Sequence[Path],
    category: str,
    out: Path,
    rules: Rules,
    strict: bool = False,
    progress: Meter | None = None,
) -> BuildReport:
    """Writes the dataset of one category into `out`, beside the other categories that are there already.

    The same files and rules give the same bytes. Lines that cannot be read are counted, and the notes name the first
    ten; with `strict` the first one raises. Raises UserError for a file or folder that cannot be used, and for rules
    that leave nothing, naming the step that left none.
    """
    others = merge.check_category(out, category)
    if not reviews or not meta:
        raise UserError(f"no {'metadata' if reviews else 'review'} file given for {category}; name at least one")
    item_files, review_files, progress = sources(meta), sources(reviews), progress or Meter()
    _check_fields(item_files, rules)
    conditions = Conditions.of(rules, review_files, item_files)
    with scratch_folder(out) as scratch, open_database(scratch) as database:
        selection = Selection(database, category, rules, Broken(strict))
        _read(selection, item_files, review_files, conditions, progress)
        _filter(selection)
        _read_texts(database, item_files, review_files, progress)
        leaked: dict[str, int] = {}
        if rules.drop_leaked:
            selection.note_leaks(leaks.drop(database))
        else:
            leaked = leaks.find(database)
            selection.note_kept(leaked)
        digests = export.write(database, scratch, category, progress)
        samples = dict(database.rows("SELECT split, count(*) FROM samples GROUP BY split ORDER BY min(place)"))
        entries = _manifest_entries(selection, [*review_files, *item_files], digests, leaked)
        selection.note_ties(clock.ties(database))
        fingerprint = merge.add_category(out, category, scratch, entries)
        selection.note_ratings()
    if others:
        selection.notes.append(f"added beside what {out} already held: {', '.join(others)}")
    return BuildReport(out, category, fingerprint, tuple(selection.steps), samples, tuple(selection.notes))


def _check_fields(item_files: Sequence[Source], rules: Rules) -> None:
    """Finds a misspelt field of `require` before hours of reading.

    A field of Amazon's that the first lines lack is accepted: it may appear further down.
    """
    there = {name for source in item_files for name in source.fields()}
    for name in rules.require:
        if there and name not in there and name not in AMAZON:
            raise unknown("field of the metadata", name, there)


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions on raw rows, checked before hours of reading."""

    reviews: Condition | None
    items: Condition | None

    @classmethod
    def of(cls, rules: Rules, review_files: Sequence[Source], item_files: Sequence[Source]) -> Conditions:
        reviews = where.checked("--where", rules.where, review_files)
        return cls(reviews, where.checked("--where-meta", rules.where_meta, item_files))


def _read(
    selection: Selection,
    item_files: Sequence[Source],
    review_files: Sequence[Source],
    conditions: Conditions,
    progress: Meter,
) -> None:
    """The first reading of all files."""
    database, rules, broken = selection.database, selection.rules, selection.broken
    progress.start("reading items", sum(source.size for source in item_files))
    with conditions.items.computing() if conditions.items else nullcontext():
        scan.read(database, queries.judged_items(rules, conditions.items), item_files, broken, progress.advance)
    progress.start("reading reviews", sum(source.size for source in review_files))
    with conditions.reviews.computing() if conditions.reviews else nullcontext():
        reading = queries.judged_reviews(rules, conditions.reviews)
        scan.read(database, reading, review_files, broken, progress.advance)
    progress.start("filtering")


def _filter(selection: Selection) -> None:
    database, rules, record = selection.database, selection.rules, selection.record
    record("read", "SELECT user_id, item_id FROM raw_reviews")
    if rules.where:
        database.run("DELETE FROM raw_reviews WHERE NOT chosen")
        record(f"where {' '.join(rules.where.split())}", "SELECT user_id, item_id FROM raw_reviews", "where")
    selection.note_times(clock.settle(database))
    timed = bool(database.one("SELECT bool_or(timestamp IS NOT NULL) FROM raw_reviews"))
    ordered = bool(database.one("SELECT bool_or(source_order <> 0) FROM raw_reviews"))
    selection.order = "timestamp" if timed else "source_order" if ordered else "file"
    selection.note_files(timed=timed)
    timestamp = "AND timestamp IS NOT NULL" if timed else ""
    complete = f"SELECT user_id, item_id FROM raw_reviews WHERE lacks = '' {timestamp}"
    record("review rules", complete, "min_chars", "require_review_title")
    filters.number(database, timed=timed)
    record("item rules", "SELECT person, item FROM candidates", "require", "min_description", "max_description")
    filters.unique(database, by_text=rules.dedupe_text)
    step = "one review per item and text" if rules.dedupe_text else "one review per item"
    record(step, "SELECT person, item FROM distinct_reviews")
    filters.core(database, rules)
    record("core", "SELECT person, item FROM core", "min_item_users", "min_user_reviews", "max_user_reviews")
    filters.divide(database, rules)
    thresholds = ("min_profile_item_users", "min_profile_reviews", "train_inputs")
    record("profile", "SELECT person, item FROM final", *thresholds)


def _read_texts(
    database: Database, item_files: Sequence[Source], review_files: Sequence[Source], progress: Meter
) -> None:
    """The second reading: texts, titles and descriptions of the chosen reviews and items."""
    database.run("""CREATE TABLE used AS SELECT item, origin[1] AS file, origin[2] AS number
        FROM item_numbers SEMI JOIN final USING (item)""")
    progress.start("collecting items", sum(source.size for source in item_files))
    scan.reread(database, queries.CHOSEN_ITEMS, item_files, chosen="used", first="raw_items", advance=progress.advance)
    progress.start("collecting reviews", sum(source.size for source in review_files))
    scan.reread(
        database, queries.CHOSEN_REVIEWS, review_files, chosen="final", first="raw_reviews", advance=progress.advance
    )


def _manifest_entries(
    selection: Selection, files: Sequence[Source], digests: dict[str, str], leaked: dict[str, int]
) -> dict[str, Any]:
    """What dataset.json says of this category."""
    return {
        "counts": export.counts(selection.database),
        "steps": [asdict(step) for step in selection.steps],
        "thresholds": asdict(selection.rules),
        "order": selection.order,
        "copyable": leaked,
        "sources": [export.source(file) for file in files],
        "split": split_definition(selection.rules.train_inputs),
        "digests": digests,
    }
