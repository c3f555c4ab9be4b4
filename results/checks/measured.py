"""What `bench regress` compares of a row: values in groups.

    a category     the columns of the table
    all            the same columns over all samples
    run            what the run did, a sample: past reviews in its prompt ("kept"), how far back in the history the
                   retrieved ones stand ("place", the newest 1); requests, tokens of prompts and new tokens by stage;
                   and of a trained method its last epoch's losses, gradient norms and updates ("train"), and how
                   many soft prompt embeddings it sent, how large, and what they were made from ("soft")

Two runs of the same code with other seeds write other texts, and values of `all` differ by little; values of `run` by
less, or nothing. So faults show in `run` that no score can tell from noise.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean
from typing import TYPE_CHECKING, Any

from bench.data.corpus import Corpus, load
from bench.data.swap import samples_of
from bench.record import runs
from bench.score.written import read_config
from results.tables.finished_runs import FinishedRun

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

ALL, RUN = "all", "run"
COSTS = ("requests", "prompt_tokens", "new_tokens")
SOFT_USE = ("slots", "vectors", "features")
TRAIN, SOFT = "train ", "soft "  # begin the keys of a training and of soft prompt embeddings
LOG = "log "  # begins the name of a size that is compared by its logarithm, as seeds make it some times as large
SMALLEST = 1e-12  # what a size of 0 counts as
SIZES = ("grad_norm", "update")  # of a training's epoch
NOT_COMPARED = ("epoch", "seconds", "loss")  # of an epoch's row; `loss` is the weighted sum of the others


@dataclass(frozen=True)
class Measured:
    """A value of one run. `samples`: (n,) where it is a mean over samples; NaN for a sample without one."""

    value: float
    samples: Array | None = None


def relative(group: str, key: str) -> bool:
    """Whether noise of this value is in proportion to it: what runs did, but for logarithms."""
    return group == RUN and LOG not in key


def values(row: Sequence[FinishedRun], groups: Collection[str]) -> dict[str, dict[str, float]]:
    """Group -> key -> mean over the row's seeds. A value that one seed lacks is left out."""
    found: dict[str, dict[str, float]] = {group: {} for group in groups}
    for (group, key), seeds in by_seed(row, groups).items():
        found[group][key] = fmean(one.value for one in seeds)
    return found


def by_seed(row: Sequence[FinishedRun], groups: Collection[str]) -> dict[tuple[str, str], list[Measured]]:
    """(group, key) -> the value of each seed."""
    seeds = [{(group, key): one for group in groups for key, one in _of(run, group).items()} for run in row]
    return {name: [one[name] for one in seeds] for name in seeds[0] if all(name in one for one in seeds)}


def _of(run: FinishedRun, group: str) -> dict[str, Measured]:
    shown = [column["key"] for column in run.summary["columns"] if column["main"]]
    if group == RUN:
        return _of_run(run)
    if group == ALL:
        return _over_all(run, shown)
    scores = run.summary["scores"].get(group, {})
    return {key: Measured(scores[key]) for key in shown if key in scores}


def _over_all(run: FinishedRun, shown: Sequence[str]) -> dict[str, Measured]:
    import numpy as np

    from bench.score import score_arrays

    found: dict[str, Measured] = {}
    if run.scores is None:
        return found
    for metric, keys in run.scores.keys.items():
        numbers = run.scores.statistics(metric)
        each = score_arrays.values(metric, numbers, keys) if keys else {}
        for key, value in score_arrays.values(metric, numbers.sum(axis=0), keys).items():
            if key in shown and np.isfinite(value):
                found[key] = Measured(float(value), each.get(key))
    return found


def _of_run(run: FinishedRun) -> dict[str, Measured]:
    rows = list(run.folder.rows(runs.SAMPLES))
    stages = dict.fromkeys(stage for row in rows for stage in row["stages"])
    found = {f"{key} {stage}": _mean([_cost(row, stage, key) for row in rows]) for stage in stages for key in COSTS}
    if run.summary["retriever"]:
        found |= {"kept": _mean([row["kept"] for row in rows]), "place": _mean(_places(run, rows))}
    trained = run.folder.read(runs.CONFIG).get("trained") or {}
    last = (trained.get("epochs") or [{}])[-1]
    found |= {f"{TRAIN}{key}": Measured(float(one)) for key, one in last.items() if key not in (*NOT_COMPARED, *SIZES)}
    found |= {f"{TRAIN}{LOG}{key}": _size(last[key]) for key in SIZES if key in last}
    return found | _soft(rows)


def _size(value: float) -> Measured:
    return Measured(math.log(max(value, SMALLEST)))


def _soft(rows: Sequence[dict[str, Any]]) -> dict[str, Measured]:
    """What the vectors are is the same with every seed, sample by sample. What a training makes of them is not."""
    found: dict[str, Measured] = {}
    for name in dict.fromkeys(name for row in rows for name in row["soft"]):
        used = [row["soft"].get(name, {}) for row in rows]
        found |= {f"{SOFT}{name} {key}": _mean([one.get(key) for one in used]) for key in SOFT_USE}
        found[f"{SOFT}{name} {LOG}embeds"] = _size(_mean([one.get("embeds") for one in used]).value)
    return found


def _mean(each: Sequence[float | None]) -> Measured:
    import numpy as np

    samples = np.array(each, np.float64)  # None becomes NaN
    return Measured(float(np.nanmean(samples)) if np.isfinite(samples).any() else 0.0, samples)


def _cost(row: dict[str, Any], stage: str, key: str) -> float:
    return float(row["stages"].get(stage, {}).get(key, 0))


def _places(run: FinishedRun, rows: Sequence[dict[str, Any]]) -> list[float | None]:
    """Of each sample the mean place of its retrieved reviews in the history that it was shown, the newest 1."""
    config = read_config(run.folder)
    shown = {sample.sample_id: sample.history for sample in samples_of(config, _corpus(config.data), run.folder)}
    found: list[float | None] = []
    for row in rows:
        ids = [review.review_id for review in shown.get(row["sample_id"], ())]
        places = [ids.index(one) + 1 for one in row["retrieved"] if one in ids]
        found.append(fmean(places) if places else None)
    return found


@cache
def _corpus(data: str) -> Corpus:
    return load(data)
