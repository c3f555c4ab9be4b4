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

from bench.data import export, filters, scan, shelf, store
from bench.data.engine import Engine, engine
from bench.data.lines import Source, sources
from bench.data.meter import Meter
from bench.data.raw import Broken
from bench.data.rules import Rules
from bench.errors import UserError


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
            cure = f"loosen {self.rules.shown(*thresholds)}" if thresholds else "check the review files"
            raise UserError(
                f"{self.category}: step '{step}' left none of {before} reviews; {cure} and run `bench data build` again"
            )


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
    others = shelf.check(out, category)
    if not reviews or not meta:
        raise UserError(f"no {'metadata' if reviews else 'review'} file given for {category}; name at least one")
    wares, written, meter = sources(meta), sources(reviews), meter or Meter()
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
        fingerprint = shelf.put(out, category, scratch, own)
    if others:
        selection.notes.append(f"added beside what {out} already held: {', '.join(others)}")
    return BuildReport(out, category, fingerprint, tuple(selection.steps), samples, tuple(selection.notes))


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
        notes.append("no review has a timestamp: newest first is by source_order, else by place in the file")


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
