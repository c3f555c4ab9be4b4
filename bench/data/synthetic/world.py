"""A world whose truth is known: users with planted habits, in any size, from one seed.

    bench data world NAME --out FOLDER        the named worlds of worlds.toml
    bench data world --set drift=0.5 ...      one of your own

Knobs plant effects, each of which one part of a method exists for:
    drift     habits are redrawn as time goes by, so that recent reviews tell more (recency)
    context   habits hang on the kind of the item, so that reviews of similar items tell more (BM25, Contriever)
    fashion   an item has habits of its own that its reviewers take on, so that one's own review misleads and only the
              difference to others' reviews of the same item tells (DPL, DEP)
    content   the share of what can be said of an item that everybody says of it in the same words

It measures implementations. It says nothing of real users, and ranks no methods for papers.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
import re
import tomllib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from bench.data.folder import jsonl
from bench.data.folder.manifest import counts, split_definition
from bench.data.folder.rows import TABLES
from bench.data.synthetic.bundled import (
    DAY,
    NEWEST,
    PHRASES,
    TRAIN_INPUTS,
    draw_quality,
    is_choice,
    samples_of,
)
from bench.data.synthetic.prose import LOUD, Habits, Impression, Phrases, compose_text, compose_title, draw_habits, rate
from bench.errors import UserError, unknown
from bench.models import assets
from bench.record import files
from bench.types import Truth

HERE = Path(__file__).parent
NAMES, WORLDS = HERE / "names.toml", HERE / "worlds.toml"
KEY = "key.json"
_SOURCES = (PHRASES, NAMES, *(HERE / f"{part}.py" for part in ("world", "prose")))
CATEGORIES = ("Board_Games", "Coffee", "Headphones")
# What `context` makes hang on the kind of an item and `drift` redraws, and what an item's fashion has.
PLANTED = ("length", "punctuation", "opening", "signoff", "catchphrase")
FASHIONABLE = ("length", "punctuation", "opening", "signoff")
YEAR = 365.25 * DAY
BOUNDS = {"seed": (0, 2**62), "categories": (1, 3), "users": (1, 100_000), "items": (8, 1000), "reviews": (6, 100)}

Row = dict[str, Any]


@dataclass(frozen=True)
class Knobs:
    """`users`, `items` and `reviews` (a user's mean) are of one category. `training`: the micro model's names."""

    seed: int = 1
    categories: int = 3
    users: int = 350
    items: int = 400
    reviews: int = 14
    drift: float = 0.0
    context: float = 0.0
    fashion: float = 0.0
    content: float = 0.5
    training: bool = False

    def __post_init__(self) -> None:
        """Raises UserError for the first knob out of its range."""
        for name, (least, most) in BOUNDS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise UserError(f"{name}={value}: a whole number from {least} to {most} is expected")
        for name in ("drift", "context", "fashion", "content"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                raise UserError(f"{name}={value}: a number from 0 to 1 is expected")
        if not isinstance(self.training, bool):
            raise UserError(f"training={self.training}: true or false is expected")
        if self.items < self.reviews + 2:
            raise UserError(f"items={self.items}: at least {self.reviews + 2} for {self.reviews} reviews a user")


def named() -> dict[str, Knobs]:
    """The worlds of worlds.toml."""
    return {name: Knobs(**values) for name, values in tomllib.loads(WORLDS.read_text()).items()}


def knobs(name: str | None, changes: Mapping[str, Any]) -> Knobs:
    """The knobs of a named world, or the defaults, with changes. Raises UserError for an unknown name or value."""
    worlds = named()
    if name is not None and name not in worlds:
        raise unknown("world", name, worlds)
    known = [field.name for field in dataclasses.fields(Knobs)]
    for key in changes:
        if key not in known:
            raise unknown("knob of a world", key, known)
    return replace(worlds[name] if name else Knobs(), **changes)


@dataclass(frozen=True, slots=True)
class WorldItem:
    """An item: its kind, the hidden quality of each aspect, -1..1, its fashion, and how it is spoken of."""

    row: Row
    fact: str
    kind: str
    quality: Mapping[str, float]
    fashion: Mapping[str, str]
    phrases: Phrases


@dataclass(frozen=True, slots=True)
class Period:
    """From `start` (seconds since 1970) on a user has these habits: `usual`, but for items of some kinds `special`."""

    start: float
    usual: Habits
    special: Mapping[str, Habits]

    def of(self, kind: str) -> Habits:
        return self.special.get(kind, self.usual)


def write(folder: Path, found: Knobs, *, name: str) -> None:
    """Writes the dataset, and beside it key.json, which no method and no retriever reads. Raises UserError."""
    tables, key = make(found)
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (PHRASES, NAMES)}
    sources = [{"file": name, "sha256": digest} for name, digest in digests.items()]
    categories = CATEGORIES[: found.categories]
    own = {"thresholds": {}, "sources": sources, "split": split_definition(TRAIN_INPUTS)}
    manifest = {
        "name": name,
        "title": title(name, found),
        "synthetic": True,
        "categories": list(categories),
        "world": asdict(found),
        "counts": counts(tables),
        **{entry: dict.fromkeys(categories, value) for entry, value in own.items()},
    }
    jsonl.write(folder, manifest, tables)
    files.write(folder / KEY, f"{json.dumps(key)}\n")


def title(name: str, found: Knobs) -> str:
    """What tables say of a world."""
    effects = [f"{knob} {value:g}" for knob in ("drift", "context", "fashion") if (value := getattr(found, knob))]
    planted = ", ".join([*(effects or ["no effect"]), f"seed {found.seed}"])
    return f"planted world '{name}' ({planted}): it measures implementations and ranks no methods"


def kept(name: str) -> Path:
    """The folder of a named world in the cache, made when it is first asked for. Raises UserError if it cannot be."""
    found = named()[name]
    made_from = [json.dumps(asdict(found)).encode(), *(path.read_bytes() for path in _SOURCES)]
    folder = assets.home() / "worlds" / f"{name}-{hashlib.sha256(b''.join(made_from)).hexdigest()[:12]}"
    with files.locked(folder.with_suffix(".lock")):
        if not (folder / KEY).is_file():  # which is written last
            write(folder, found, name=name)
    return folder


def make(found: Knobs) -> tuple[dict[str, list[Row]], dict[str, Any]]:
    """(tables, key). The key has the habits that each user has at each review, and those that show in its text."""
    rng = random.Random(found.seed)
    phrases = tomllib.loads(PHRASES.read_text())
    tables: dict[str, list[Row]] = {table: [] for table in TABLES}
    key: dict[str, Any] = {"has": {}, "shown": {}, "vocabulary": vocabulary(phrases)}
    for category in CATEGORIES[: found.categories]:
        items = list(_items(rng, category, phrases, found))
        tables["items"] += [item.row for item in items]
        for number in range(1, found.users + 1):
            reviews = list(_reviews(rng, category, number, items, phrases, found, key))
            tables["reviews"] += reviews
            tables["samples"] += samples_of(reviews)
    return tables, key


def vocabulary(phrases: Phrases) -> dict[str, list[str]]:
    """What detectors need to know of a world's phrases."""
    pool = phrases["habits"]
    loud = re.findall(r"[a-z]+", LOUD.pattern.replace(r"\b", ""))
    return {"opening": pool["openings"], "signoff": pool["signoffs"], "catchphrase": pool["catchphrases"], "loud": loud}


@cache
def truths(folder: Path) -> Mapping[str, Truth]:
    """review id -> the truth of a world in this folder. Raises UserError where its key is missing or damaged."""
    file = folder / KEY
    try:
        key = json.loads(file.read_text("utf-8"))
        known = {kind: tuple(values) for kind, values in key["vocabulary"].items()}
        return {name: Truth(habits, known) for name, habits in key["has"].items()}
    except FileNotFoundError:
        raise UserError(f"{folder} has no {KEY}, which says what is planted; make the world again") from None
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise UserError(f"{file} is no key of a world ({error}); make the world again") from error


def kinds(phrases: Phrases) -> list[str]:
    """The kinds of a category's items, as their descriptions name them."""
    return list(phrases["choice"])


def _items(rng: random.Random, category: str, phrases: Phrases, found: Knobs) -> Iterator[WorldItem]:
    pool, names, of_kinds = phrases[category], _names(category, training=found.training), kinds(phrases[category])
    for number, name in enumerate(rng.sample(names, found.items), 1):
        quality = draw_quality(rng, pool["aspects"])
        fact, kind = rng.choice(pool["things"])[1], rng.choice(of_kinds)
        words = {key: rng.choice(values) for key, values in pool.items() if is_choice(values)}
        # The last description names the kind, in every category.
        sentences = [pool["descriptions"][-1] if "{choice}" in pool["descriptions"][-1] else pool["descriptions"][0]]
        sentences += rng.sample(pool["details"], rng.randrange(3))
        text = " ".join(sentences).format_map({**words, "choice": kind, "name": name, "fact": fact})
        row = {"category": category, "item_id": f"i{number:04}", "title": name, "description": text}
        drawn = draw_habits(rng, phrases["habits"], list(pool["aspects"]))
        fashion = {habit: value for habit in FASHIONABLE if (value := getattr(drawn, habit)) is not None}
        yield WorldItem(row, fact, kind, quality, fashion, _spoken_of(rng, pool, found.content))


@cache
def _names(category: str, *, training: bool) -> list[str]:
    """Half of all names: the micro model's items are no item of another world."""
    parts = tomllib.loads(NAMES.read_text())[category]
    whole = [f"{first} {second}" for first in parts["first"] for second in parts["second"] if first != second]
    return [name for name in whole if zlib.crc32(name.encode()) % 2 == training]


def _spoken_of(rng: random.Random, pool: Phrases, content: float) -> Phrases:
    """The phrases for one item: for a share of aspects and verdicts everybody uses the same one."""

    def some(choices: Sequence[str]) -> Sequence[str]:
        return [rng.choice(choices)] if rng.random() < content else choices

    aspects = {name: {level: some(said) for level, said in levels.items()} for name, levels in pool["aspects"].items()}
    verdicts = {level: some(said) for level, said in pool["verdicts"].items()}
    return {**pool, "aspects": aspects, "verdicts": verdicts, "contexts": some(pool["contexts"])}


def _reviews(
    rng: random.Random,
    category: str,
    number: int,
    items: Sequence[WorldItem],
    phrases: Phrases,
    found: Knobs,
    key: dict[str, Any],
) -> Iterator[Row]:
    """One user's reviews, newest first; what they plant goes into `key`."""
    n = found.reviews + rng.randint(-2, 2)
    times = [NEWEST - rng.randrange(300 * DAY)]
    for _ in range(n - 1):
        times.append(times[-1] - rng.randrange(20 * DAY, 160 * DAY))
    periods = _periods(rng, category, phrases, found, times[-1], times[0])
    for time, item in zip(times, rng.sample(items, n), strict=True):
        period = next(one for one in reversed(periods) if one.start <= time)
        own = period.of(item.kind)
        taken: dict[str, Any] = {habit: value for habit, value in item.fashion.items() if rng.random() < found.fashion}
        habits = replace(own, **taken)
        felt = {aspect: quality + rng.uniform(-0.3, 0.3) for aspect, quality in item.quality.items()}
        words = {"name": item.row["title"], "fact": item.fact, "who": own.companion, "very": own.adverb}
        impression = Impression(felt, rate(own, felt), words)
        written = compose_text(rng, item.phrases, habits, impression)
        review_id = f"{category}/u{number:05}/{item.row['item_id']}"
        key["has"][review_id] = {habit: getattr(own, habit) for habit in PLANTED}
        key["shown"][review_id] = dict(written.shown)
        yield {
            "review_id": review_id,
            "category": category,
            "user_id": f"u{number:05}",
            "item_id": item.row["item_id"],
            "rating": impression.rating,
            "title": compose_title(rng, phrases["titles"], habits, impression),
            "text": written.text,
            "timestamp": time * 1000,
        }


def _periods(
    rng: random.Random, category: str, phrases: Phrases, found: Knobs, first: float, last: float
) -> list[Period]:
    """A user's habits from the first review to the last. With `drift` each is redrawn with that probability a year."""
    pool, aspects = phrases["habits"], list(phrases[category]["aspects"])

    def drawn() -> Habits:
        return draw_habits(rng, pool, aspects)

    usual = drawn()
    hanging = [habit for habit in PLANTED if rng.random() < found.context]
    special = {kind: _with(usual, drawn(), hanging) for kind in kinds(phrases[category])} if hanging else {}
    periods = [Period(first, usual, special)]
    month = YEAR / 12
    time, chance = first + month, 1 - (1 - found.drift) ** (1 / 12)
    while found.drift and time < last:
        changed = [habit for habit in PLANTED if rng.random() < chance]
        if changed:
            before = periods[-1]
            usual = _with(before.usual, drawn(), changed)
            fixed = [habit for habit in changed if habit not in hanging]
            loose = [habit for habit in changed if habit in hanging]
            special = {kind: _with(_with(one, usual, fixed), drawn(), loose) for kind, one in before.special.items()}
            periods.append(Period(time, usual, special))
        time += month
    return periods


def _with(habits: Habits, other: Habits, names: Sequence[str]) -> Habits:
    """`habits` with these of another's."""
    return replace(habits, **{name: getattr(other, name) for name in names})
