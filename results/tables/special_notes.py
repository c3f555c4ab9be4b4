"""Notes below a table that name rows: settings that are not the profile's, training, answers that were cut off, what
retrievers could not compare, and what metrics could not read.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from bench.data import caveats
from bench.score import lengths
from bench.settings import of_row
from bench.types import Column, StageCost
from results.tables import run_settings
from results.tables.finished_runs import FinishedRun, Summary
from results.tables.formats import shared
from results.tables.recovered import FLOOR

Rows = Mapping[str, Sequence[FinishedRun]]  # label -> the runs of its seeds
Shares = Mapping[str, Mapping[str, float]]  # column -> category -> value

NOT_KNOWN = (
    "Their model, prompts, budgets, sampling and costs are not known and may be others than those of the other rows: "
    "a difference is one of texts, and need not be the method's. That they were made without a held-out text cannot be "
    "checked."
)
LET_PASS = {
    "missing": "samples without a text, counted as failed:",
    "unknown": "lines of no such sample, left out:",
    "doubles": "earlier texts of a sample, replaced by a later one:",
}
COPIED = 0.1  # share of 5-grams, above Non-Perso's where the table has it, above which a note names the row
OFTEN = "More than {share} % of the 5-grams stand word for word elsewhere"
OFTENER = "5-grams stand word for word elsewhere, in a category more than {share} points above Non-Perso's share"
COPIES = (
    "{what} (CP-H: past reviews, CP-I: item and title, CP-P: "
    "other users' reviews of the item; range over categories): {rows}. Phrases recur by chance and by habit, as in "
    "Non-Perso, which is shown no review, and in the reference (--anchors): what exceeds both was copied, and the "
    "likeness that it earns is not writing."
)

NO_RANKING = "not which method is better"  # in the title of a profile whose tables rank nothing

SIDES = {"reference": "references", "prediction": "texts"}


def changed(rows: Rows) -> Iterator[str]:
    """One note of all settings that were given by hand, with the profile's own values."""
    runs = [run for seeds in rows.values() for run in seeds]
    of_table = {key: pair for run in runs for key, pair in run_settings.changed(run.summary).items()}
    parts = [_listed(of_table)] if of_table else []
    for said, labels in _by_text(rows, lambda run: _listed(_of_row(run))).items():
        parts.append(f"{', '.join(labels)}: {said}")
    if parts:
        name = f"the own value of profile {runs[0].summary['profile']['name']}"
        own = "the value without it" if runs[0].imported else name
        yield f"Set by hand, {own} in brackets: {'; '.join(parts)}."


def _of_row(run: FinishedRun) -> dict[str, tuple[Any, Any]]:
    own = {key: value for key, value in run.summary["changed"].items() if of_row(key)}
    return {key: (run.facts.get(key), value) for key, value in own.items()}


def _listed(pairs: Mapping[str, tuple[Any, Any]]) -> str:
    return ", ".join(f"{key} {_text(now)} ({_text(own)})" for key, (now, own) in pairs.items())


def _text(value: Any) -> str:
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)


def training(rows: Rows) -> Iterator[str]:
    """How trained methods were trained."""
    for said, labels in _by_text(rows, _trained).items():
        yield f"Trained, {', '.join(labels)}: {said}."


def _trained(run: FinishedRun) -> str:
    found = {key.partition(".")[2]: value for key, value in run.facts.items() if key.startswith("train.")}
    return ", ".join(f"{key.replace('_', ' ')} {_text(value)}" for key, value in found.items())


def _by_text(rows: Rows, say: Any) -> dict[str, list[str]]:
    """text -> the labels of the rows of which it is true, without the rows of which there is nothing to say."""
    found: dict[str, list[str]] = defaultdict(list)
    for label, seeds in rows.items():
        if text := say(seeds[0]):
            found[text].append(label)
    return found


def imported(rows: Rows) -> Iterator[str]:
    """Which rows are of texts that were made elsewhere, what is not known of them, and what their import let pass."""
    found = {label: seeds for label, seeds in rows.items() if seeds[0].imported}
    if found:
        yield f"Imported, texts made elsewhere: {', '.join(found)}. {NOT_KNOWN}"
    for label, seeds in found.items():
        about = [run.summary["imported"] for run in seeds]
        counts = {says: sum(one.get(key, 0) for one in about) for key, says in LET_PASS.items()}
        if said := ", ".join(f"{says} {count}" for says, count in counts.items() if count):
            yield f"{label}: {said}."


def unscored(rows: Rows, shared: Summary, columns: Sequence[Column]) -> Iterator[str]:
    """Which rows lack a metric that the table shows, and the command that adds it."""
    keys = {column.key for column in columns}
    shown = dict.fromkeys(column["metric"] for column in shared["columns"] if column["key"] in keys)
    by_rows: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for metric in shown:
        by_rows[tuple(label for label in rows if not _scored(rows[label], metric))].append(metric)
    for labels, metrics in by_rows.items():
        places = dict.fromkeys(str(run.folder.path.parent) for label in labels for run in rows[label])
        if labels:
            yield (
                f"-: not scored with {', '.join(metrics)}: {', '.join(labels)}; "
                f"`bench score {' '.join(places)} --metric {','.join(metrics)}` adds it."
            )


def _scored(seeds: Sequence[FinishedRun], metric: str) -> bool:
    return all(metric in run.summary["metric_versions"] for run in seeds)


def truncated(rows: Rows) -> Iterator[str]:
    """Which share of each row's answers ended at their limit of new tokens, by stage where there are several."""
    found = {label: cut for label, seeds in rows.items() if (cut := _truncated(seeds))}
    if found:
        said = "; ".join(f"{label} {cut}" for label, cut in found.items())
        references, _ = lengths.said(run.summary for label in found for run in rows[label])
        told = f" {references[0].upper()}{references[1:]}." if references else ""
        yield f"Truncated, answers that ended at their limit of new tokens: {said}.{told}"


def _truncated(seeds: Sequence[FinishedRun]) -> str:
    """'65.0 % (26 of 40)', or '10.0 % (4 of 40: difference 3 of 30, review 1 of 10)'; "" for none."""
    stages: dict[str, StageCost] = {}
    for run in seeds:
        for stage, cost in run.summary["stages"].items():
            stages.setdefault(stage, StageCost()).add(StageCost(**cost))
    total = StageCost()
    for one in stages.values():
        total.add(one)
    if not total.capped:
        return ""
    parts = [f"{stage} {one.capped} of {one.requests}" for stage, one in stages.items() if one.capped]
    by_stage = f": {', '.join(parts)}" if len(stages) > 1 else ""
    return f"{shared.truncated(total)} ({total.capped} of {total.requests}{by_stage})"


def echoed(rows: Rows) -> Iterator[str]:
    """How many texts of each row repeat labels of the prompt."""
    parts = []
    for label, seeds in rows.items():
        if count := sum(run.summary.get("echoed", 0) for run in seeds):
            n = sum(sum(run.summary["n"].values()) for run in seeds)
            parts.append(f"{label} {count} of {n} texts")
    if parts:
        yield f"Labels of the prompt, as [Item Title], stand in texts that repeat it: {'; '.join(parts)}."


def of_data(rows: Rows) -> Iterator[str]:
    """What must be said of the data and the model for it (`bench.data.caveats`), as any of the runs recorded it."""
    found: dict[str, None] = {}
    for run in (run for seeds in rows.values() for run in seeds):
        found.update(dict.fromkeys(caveats.lines(run.summary.get("caveats", {}))))
    for line in found:
        yield f"{line[0].upper()}{line[1:]}."


def of_profile(rows: Rows) -> Iterator[str]:
    """What the title of the profile says its tables do not show."""
    titles = dict.fromkeys(run.summary["profile"].get("title", "") for seeds in rows.values() for run in seeds)
    for sentence in (one for title in titles for one in title.split(". ") if NO_RANKING in one):
        yield f"{sentence.rstrip('.')}."


def uncompared(rows: Rows) -> Iterator[str]:
    """For how many samples each row's retriever had nothing to compare, and why."""
    said: dict[str, list[str]] = defaultdict(list)
    for label, seeds in rows.items():
        n = sum(sum(run.summary["n"].values()) for run in seeds)
        whys = sum((Counter(run.summary["uncompared"]) for run in seeds), Counter[str]())
        if whys:
            parts = ", ".join(f"{why} ({count})" for why, count in whys.items())
            said[f"{whys.total()} of {n} samples: {parts}"].append(label)
    if said:
        listed = "; ".join(f"{', '.join(labels)}: {text}" for text, labels in said.items())
        yield f"Nothing to compare, so that no choice is the retriever's: {listed}."


def copied(rows: Rows, shared: Summary) -> Iterator[str]:
    """Which rows have more than COPIED of a category's 5-grams from elsewhere, word for word, and from where.

    Phrases recur in texts that saw no review too: where the table has Non-Perso, its share of the category is added.
    """
    columns = {one["key"]: one["label"] for one in shared["columns"] if one["metric"] == "copying"}
    shares = {label: _shares([run.summary for run in seeds], columns) for label, seeds in rows.items()}
    without = [shares[label] for label, seeds in rows.items() if seeds[0].summary["method"] == FLOOR]
    floors = [of for of in without if any(of.values())]
    floor = floors[0] if floors else {}
    said = [
        f"{label} {', '.join(parts)}" for label, of in shares.items() if (parts := list(_copied(of, floor, columns)))
    ]
    if said:
        what = (OFTENER if floor else OFTEN).format(share=f"{100 * COPIED:.0f}")
        yield COPIES.format(what=what, rows="; ".join(said))


def _shares(seeds: Sequence[Summary], columns: Iterable[str]) -> Shares:
    """column -> category -> mean over the seeds, where all of them have a value."""
    each = {
        key: {category: [one["scores"][category].get(key) for one in seeds] for category in seeds[0]["scores"]}
        for key in columns
    }
    return {
        key: {category: fmean(values) for category, values in of.items() if None not in values}
        for key, of in each.items()
    }


def _copied(found: Shares, floor: Shares, columns: Mapping[str, str]) -> Iterator[str]:
    """'CP-H 15 to 31 %': from the least to the most of the categories, where one of them is above its limit."""
    for key, label in columns.items():
        limits = floor.get(key, {})
        if any(share > COPIED + limits.get(category, 0.0) for category, share in found[key].items()):
            shares = found[key].values()
            low, high = (f"{100 * share:.0f}" for share in (min(shares), max(shares)))
            yield f"{label} {high} %" if low == high else f"{label} {low} to {high} %"


def unread(rows: Rows, shared: Summary) -> Iterator[str]:
    """What each metric could not read of the references, and of each row's texts."""
    for metric in shared["metric_versions"]:
        said: dict[str, None] = {}
        for label, runs in rows.items():
            seeds = [run.summary for run in runs if metric in run.summary["metric_versions"]]
            for side in SIDES:
                said.update(dict.fromkeys(_unread(seeds, metric, side, label)))
        if said:
            yield f"{_columns(shared, metric)} cannot read everything: {'; '.join(said)}."


def _unread(seeds: Sequence[Summary], metric: str, side: str, label: str) -> Iterator[str]:
    """References are the same in every row and seed, and are said once."""
    of = [summary["unread"].get(metric, {}).get(side, {}) for summary in (seeds[:1] if side == "reference" else seeds)]
    n = sum(sum(summary["n"].values()) for summary in seeds[: len(of)])
    whose = "" if side == "reference" else f" of {label}"
    for why in dict.fromkeys(why for found in of for why in found):
        yield f"{sum(found.get(why, 0) for found in of)} of {n} {SIDES[side]}{whose} {why}"


def _columns(summary: Summary, metric: str) -> str:
    """The labels of the metric's columns in the table."""
    found = [column["label"] for column in summary["columns"] if column["metric"] == metric and column["digits"]]
    return ", ".join(found) or metric
