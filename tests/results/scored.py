"""Finished runs with invented scores: the summary of test_leaderboard with a matching scores.jsonl."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.record import contents, runs
from bench.record.runs import RunFolder
from metrics.bleu import Bleu
from metrics.rouge import Rouge
from results.tables.finished_runs import FinishedRun

METRICS: dict[str, Any] = {"rouge": Rouge(), "bleu": Bleu()}
VERSIONS = {"rouge": {"rouge-score": "0.1.2"}, "bleu": {"sacrebleu": "2"}}
WORDS = ["good", "bad", "song", "album", "sound", "voice", "band", "great", "poor", "fine"]
COLUMNS = [
    {"metric": "rouge", "key": "rouge1", "label": "R-1", "digits": 4, "higher_is_better": True, "main": True},
    {"metric": "rouge", "key": "rougeL", "label": "R-L", "digits": 4, "higher_is_better": True, "main": False},
    {"metric": "bleu", "key": "bleu", "label": "BL.", "digits": 2, "higher_is_better": True, "main": True},
]


def rows(skill: float, *, users: int = 30, each: int = 2, seed: int = 0) -> list[dict[str, Any]]:
    """Samples of two categories; `skill` is the share of the real words that a text keeps."""
    made: list[dict[str, Any]] = []
    texts, references = [], []
    for category in ("Books", "Films"):
        for user in range(users):
            for number in range(each):
                name = f"{category}/u{user}/{number}"
                real = random.Random(name).choices(WORDS, k=12)
                rng = random.Random(f"{name} {skill} {seed}")
                texts.append(" ".join(word if rng.random() < skill else "x" for word in real))
                references.append(" ".join(real))
                properties = {"rating": float(1 + user % 5), "history": user, "peers": user / 2, "words": 12}
                who = {"sample_id": name, "category": category, "user_id": f"u{user}"}
                made.append({**who, "properties": properties})
    for name, metric in METRICS.items():
        for row, scores in zip(made, metric.score(texts, references), strict=True):
            row[name] = scores
    return made


def finished(
    folder: Path, summary: dict[str, Any], scores: list[dict[str, Any]], *, metrics: Sequence[str] = tuple(METRICS)
) -> FinishedRun:
    """Writes a run folder; the summary's scores, counts and columns are those of the rows, and of these metrics."""
    folder.mkdir(parents=True)
    scores = [{key: row[key] for key in row if key not in METRICS or key in metrics} for row in scores]
    categories = list(dict.fromkeys(row["category"] for row in scores))
    of = {category: [row for row in scores if row["category"] == category] for category in categories}
    values = {
        category: {
            key: value
            for name in metrics
            for key, value in METRICS[name].aggregate([row[name] for row in mine]).items()
        }
        for category, mine in of.items()
    }
    counts = {category: len(mine) for category, mine in of.items()}
    run = RunFolder(folder)
    run.write(runs.CONFIG, {"format": contents.FORMAT, "config": {}})
    run.write_rows(runs.SCORES, scores)
    columns = [column for column in COLUMNS if column["metric"] in metrics]
    whole = {**summary, "run": folder.name, "scores": values, "n": counts, "columns": columns}
    versions = {"metric_versions": {name: VERSIONS[name] for name in metrics}}
    run.write(
        runs.SUMMARY,
        {**whole, **versions, "metric_settings": {name: summary["metric_settings"].get(name, {}) for name in metrics}},
    )
    return FinishedRun(run, run.read(runs.SUMMARY))
