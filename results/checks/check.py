"""A check of a run, its verdict, and how differences are listed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MOST_KEYS = 5  # that are listed


@dataclass(frozen=True)
class Check:
    """`holds` None: it could not be checked, and `says` why."""

    name: str
    holds: bool | None
    says: str


def without(keys: Iterable[str], values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in keys}


def differing_rows(pairs: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> list[str]:
    """One line, or none if all pairs are equal: how many rows differ, in which keys, and which is the first."""
    compared = [(kept, differing_keys(kept, computed)) for kept, computed in pairs]
    differing = [(kept["sample_id"], keys) for kept, keys in compared if keys]
    if not differing:
        return []
    keys = sorted({key for _, keys in differing for key in keys})
    return [f"{len(differing)} of {len(compared)} rows differ in {listed(keys)}, {differing[0][0]} first"]


def differing_keys(one: Mapping[str, Any], other: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The keys of unequal values, dotted where mappings are nested."""
    found, absent = [], object()
    for key in sorted({**one, **other}):
        left, right = one.get(key, absent), other.get(key, absent)
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            found += differing_keys(left, right, f"{prefix}{key}.")
        elif left != right:
            found.append(f"{prefix}{key}")
    return found


def listed(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - MOST_KEYS} more" if len(keys) > MOST_KEYS else ""
    return f"{', '.join(keys[:MOST_KEYS])}{more}"
