"""Where tests find things. `SHARED` (real reviews) is not part of the project: tests skip without it."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
