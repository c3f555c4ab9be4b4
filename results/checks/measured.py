"""What a gate compares of a row: `values`, in groups. Each is a mean over the row's seeds.

    a category     the columns of the table
    all            the same columns over all samples
    run            what the run did, a sample: past reviews in its prompt ("kept"), how far back in the history the
                   retrieved ones stand ("place", the newest 1); requests, tokens of prompts and new tokens by stage;
                   and the last epoch's training losses of a trained method

Two runs of the same code with other seeds write other texts, and values of `all` differ by little; values of `run` by
less, or nothing. So faults show in `run` that no score can tell from noise.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from functools import cache
from statistics import fmean

from bench.data.corpus import Corpus, load
from bench.data.swap import samples_of
from bench.record import runs
from bench.score.written import read_config
from results.tables.finished_runs import FinishedRun

Values = dict[str, dict[str, float]]
ALL, RUN = "all", "run"
COSTS = ("requests", "prompt_tokens", "new_tokens")
NO_LOSSES = ("epoch", "seconds", "loss")  # of an epoch's row; `loss` is the weighted sum of the others


def values(row: Sequence[FinishedRun], groups: Collection[str]) -> Values:
    """Group -> key -> value, for the runs of a row's seeds. A value that one seed lacks is left out."""
    seeds = [_of(run, groups) for run in row]
    return {
        group: {
            key: fmean(one[group][key] for one in seeds) for key in found if all(key in one[group] for one in seeds)
        }
        for group, found in seeds[0].items()
    }


def by_seed(row: Sequence[FinishedRun]) -> dict[tuple[str, str], list[float]]:
    """(group, key) -> the value of each seed, of the groups that a gate compares."""
    seeds = [_of(run, (ALL, RUN)) for run in row]
    names = [(group, key) for group, found in seeds[0].items() for key in found]
    return {
        (group, key): [one[group][key] for one in seeds]
        for group, key in names
        if all(key in one[group] for one in seeds)
    }


def _of(run: FinishedRun, groups: Collection[str]) -> Values:
    summary = run.summary
    shown = [column["key"] for column in summary["columns"] if column["main"]]
    found: Values = {}
    for group in groups:
        if group == ALL:
            found[group] = _over_all(run, shown)
        elif group == RUN:
            found[group] = _of_run(run)
        else:
            scores = summary["scores"].get(group, {})
            found[group] = {key: scores[key] for key in shown if key in scores}
    return found


def _over_all(run: FinishedRun, shown: Sequence[str]) -> dict[str, float]:
    from bench.score import score_arrays

    found: dict[str, float] = {}
    if run.scores is None:
        return found
    for metric, keys in run.scores.keys.items():
        sums = run.scores.statistics(metric).sum(axis=0)
        found |= {key: float(one) for key, one in score_arrays.values(metric, sums, keys).items() if key in shown}
    return {key: one for key, one in found.items() if math.isfinite(one)}


def _of_run(run: FinishedRun) -> dict[str, float]:
    summary = run.summary
    n = sum(summary["n"].values())
    found = {f"{key} {stage}": cost[key] / n for stage, cost in summary["stages"].items() for key in COSTS}
    if summary["kept"]:
        found["kept"] = summary["kept"]["mean"]
    if summary["retriever"] and (places := _places(run)):
        found["place"] = fmean(places)
    epochs = (run.folder.read(runs.CONFIG).get("trained") or {}).get("epochs") or []
    last = epochs[-1] if epochs else {}
    return found | {f"loss {key}": float(loss) for key, loss in last.items() if key not in NO_LOSSES}


def _places(run: FinishedRun) -> list[int]:
    """Of every retrieved review its place in the history that the sample was shown, the newest 1."""
    config = read_config(run.folder)
    shown = {sample.sample_id: sample.history for sample in samples_of(config, _corpus(config.data))}
    return [
        place
        for row in run.folder.rows(runs.SAMPLES)
        for place, review in enumerate(shown.get(row["sample_id"], ()), start=1)
        if review.review_id in row["retrieved"]
    ]


@cache
def _corpus(data: str) -> Corpus:
    return load(data)
