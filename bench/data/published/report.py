"""What an import reports: counts per category, and notes for the reader."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from bench.data.corpus import NO_PEERS
from bench.data.published.tables import Tables, counts
from bench.data.time_column import Times
from bench.errors import UserError


@dataclass(slots=True)
class ImportReport:
    """An import so far: counts and shared items per category, and notes for the reader."""

    out: Path
    fingerprint: str = ""
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    shared: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    strict: bool = False

    def add(self, tables: Tables, fingerprint: str) -> None:
        """Adds a category that was written."""
        self.fingerprint = fingerprint
        self.counts[tables.category] = counts(tables)
        self.shared[tables.category] = tables.shared_items()
        self.notes += [f"{tables.category}: {n} {what}" for what, n in sorted(tables.noted.items()) if n]

    def note_times(self, category: str, times: Times) -> None:
        """Notes how times were read. With `strict`, raises UserError where any are odd."""
        odd = times.odd("texts")
        if odd and self.strict:
            raise UserError(f"{category}: {odd[0]}; correct the files, or import without --strict")
        self.notes += [f"{category}: {note}" for note in (*odd, *times.plain("texts"))]

    def note_peers(self) -> None:
        """Notes which categories have no shared items."""
        if alone := [name for name, shared in self.shared.items() if not shared]:
            self.notes.append(NO_PEERS.format(", ".join(alone)))
