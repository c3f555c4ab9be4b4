"""Seconds of `bench table` on 200 finished runs of 2,000 samples, with and without its kept arrays.

python -m benchmarks.table [--runs 200] [--samples 2000] [--baseline nonperso]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from bench.record import contents, runs
from bench.record.runs import RunFolder
from bench.score import score_arrays

CATEGORIES = ("Books", "Movies_and_TV", "CDs_and_Vinyl")
COLUMNS = (("rouge1", "R-1", 4), ("meteor", "MET.", 4), ("bleu", "BL.", 2), ("bertscore", "BS.", 4))
COST = {
    "requests": 1,
    "from_store": 0,
    "prompt_tokens": 9,
    "cached_tokens": 0,
    "new_tokens": 9,
    "capped": 0,
    "reasoned": 0,
    "engine_seconds": 1.0,
}


def _category(number: int, samples: int) -> str:
    return CATEGORIES[number * len(CATEGORIES) // samples]


def scores(samples: int, seed: int) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    made = []
    for number in range(samples):
        category = _category(number, samples)
        counts = [rng.randrange(1, 60 // order) for order in (1, 2, 3, 4)]
        values = {name: {name: rng.random()} for name in ("meteor", "bertscore")}
        made.append(
            {
                "sample_id": f"{category}/u{number}/r{number}",
                "category": category,
                "user_id": f"u{number}",
                "properties": {"rating": 5.0, "history": 8, "peers": 3.5, "words": 100},
                "rouge": {"rouge1": rng.random(), "rougeL": rng.random()},
                "bleu": {"bleu": [*counts, 120, 119, 118, 117, 120, 130]},
                **values,
            }
        )
    return made


def summary(name: str, number: int, samples: int) -> dict[str, Any]:
    values = {key: 0.1 + number / 1000 for key, _, _ in COLUMNS}
    return {
        "format": contents.FORMAT,
        "run": name,
        "method": "nonperso" if number == 0 else "rag",
        "label": "Non-Perso" if number == 0 else "RAG",
        "retriever": None if number == 0 else "recency",
        "k": number,
        "seed": 0,
        "variant": "",
        "data": {
            "name": "made up",
            "title": "Made up",
            "synthetic": True,
            "split": "test",
            "limit": None,
            "limit_seed": 0,
        },
        "profile": {"name": "none"},
        "model": "none",
        "engine": "none",
        "generator": "none",
        "encoders": {},
        "dtype": "float32",
        "sampling": {"temperature": 0.8, "top_p": 0.95, "max_new_tokens": 128},
        "input_budget": 1024,
        "stage_input_budget": 2048,
        "deterministic": False,
        "settings": {},
        "metric_settings": {"rouge": {}},
        "changed": {},
        "source": "none",
        "unread": {},
        "uncompared": {},
        "wall_seconds": 1.0,
        "kept": None,
        "n": dict(Counter(_category(number, samples) for number in range(samples))),
        "users": samples,
        "failed": 0,
        "shortened": 0,
        "shortened_before": 0,
        "stages": {"review": COST},
        "finished": "2030-01-01",
        "columns": [
            {"metric": "rouge", "key": key, "label": label, "digits": digits, "higher_is_better": True, "main": True}
            for key, label, digits in COLUMNS
        ],
        "scores": dict.fromkeys(CATEGORIES, values),
        "metric_versions": {"rouge": {"rouge-score": "0"}},
    }


def write(out: Path, *, count: int, samples: int) -> None:
    rows = scores(samples, 0)
    for number in range(count):
        folder = RunFolder(out / f"run{number:03}")
        folder.path.mkdir(parents=True)
        folder.write(runs.CONFIG, {"format": contents.FORMAT})
        mine = rows if number % 10 else scores(samples, number)
        folder.write_rows(runs.SCORES, mine)
        folder.write(runs.SUMMARY, summary(folder.path.name, number, samples))
        score_arrays.build(folder, mine)


def timed(out: Path, words: list[str]) -> float:
    command = [sys.executable, "-c", "from bench.cli import main; main()", "table", str(out), *words]
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=Path(__file__).parents[1])
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--baseline", default="nonperso")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), count=given.runs, samples=given.samples)
        result = {
            "runs": given.runs,
            "samples": given.samples,
            "cores": len(os.sched_getaffinity(0)),
            "load": round(os.getloadavg()[0], 2),
            "seconds": min(round(timed(Path(folder), []), 2) for _ in range(3)),
            "seconds_with_baseline": round(timed(Path(folder), ["--baseline", given.baseline]), 2),
            "seconds_by_history": round(timed(Path(folder), ["--by", "history:4"]), 2),
        }
        for kept in Path(folder).glob(f"*/{score_arrays.FILE}"):
            kept.unlink()
        result["seconds_without_arrays"] = round(timed(Path(folder), []), 2)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
