"""What a command takes where nothing is said. Imports nothing, as `bench --help` shows it."""

from __future__ import annotations

DATA = "mixed"  # a planted world
WORLDS_MODEL = "micro"  # the language model that was taught on planted worlds, and the profile that uses it
PROFILE_SAID = "micro for planted worlds, else tiny"


def profile(*, world: bool) -> str:
    """The profile of a dataset where none is named: the model of `micro` knows planted worlds alone."""
    return WORLDS_MODEL if world else "tiny"
