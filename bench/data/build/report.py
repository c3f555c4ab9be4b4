"""What a build reports: the counts after every step, the samples, and notes for the reader."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Step:
    """Counts after one step of the build."""

    step: str
    reviews: int
    users: int
    items: int


@dataclass(frozen=True, slots=True)
class BuildReport:
    """A finished build: the counts after every step, the samples per split, and notes for the reader."""

    out: Path
    category: str
    fingerprint: str
    steps: tuple[Step, ...]
    samples: dict[str, int]
    notes: tuple[str, ...]
