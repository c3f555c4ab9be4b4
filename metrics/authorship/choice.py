"""The scorers by name, and what metrics that choose among them share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import UserError, unknown
from bench.types import UserTarget
from metrics.authorship.delta import Delta
from metrics.authorship.encoder import Cosine
from metrics.authorship.lambdag import LambdaG
from metrics.authorship.scorer import Case, Encoder, Scorer, Space

if TYPE_CHECKING:
    from metrics.authorship.scorer import Array

LABELS = {"delta": "Delta", "lambdag": "LambdaG", "embedder": "emb.", "model": "model"}
SPACES = ("delta", "embedder", "model")  # those that know distances
ENCODERS = ("embedder", "model")


def named(scorers: str, model: str) -> tuple[str, ...]:
    """Those of a comma list, in the order of `LABELS`; "model" joins them where one is named. Raises UserError."""
    wanted = [one.strip() for one in scorers.split(",") if one.strip()]
    for one in wanted:
        if one not in LABELS:
            raise unknown("scorer", one, LABELS)
    if "model" in wanted and not model:
        raise UserError("scorer 'model' needs the option model=NAME: an encoder's name on the hub, or its folder")
    if not (wanted or model):
        raise UserError(f"no scorer is named; known: {', '.join(LABELS)}")
    return tuple(one for one in LABELS if one in wanted or (one == "model" and model))


@dataclass
class Chosen:
    """Scorers that are made once, so that the runs of one command share what they have computed.

    The caller sets `encoders` ("embedder", "model") before anything is scored, as `bench.score.judging` does.
    """

    names: tuple[str, ...]
    encoders: Mapping[str, Encoder] = field(default_factory=dict)
    _kept: dict[str, Scorer] = field(default_factory=dict)

    def scores(self, cases: Sequence[Case | None], targets: Sequence[UserTarget]) -> Iterator[tuple[int, str, Array]]:
        """(place, scorer, (texts, candidates) scores) of each case that is one. Each category by its own users."""
        places: dict[str, list[int]] = {}
        for place, (case, target) in enumerate(zip(cases, targets, strict=True)):
            if case is not None:
                places.setdefault(target.sample.category, []).append(place)
        for some in places.values():
            asked, users = [case for place in some if (case := cases[place])], targets[some[0]].users
            for name in self.names:
                for place, found in zip(some, self._of(name).scores(asked, users), strict=True):
                    yield place, name, found

    def space(self) -> Space:
        """The one that was chosen, which is of `SPACES`."""
        return self._of(self.names[0])  # type: ignore[return-value]

    def _of(self, name: str) -> Scorer:
        if name in ENCODERS:
            if name not in self.encoders:
                raise ValueError(f"scorer '{name}' needs an encoder: set `encoders` before `score`")
            return Cosine(self.encoders[name])
        if name not in self._kept:
            self._kept[name] = Delta() if name == "delta" else LambdaG()
        return self._kept[name]

    def release(self) -> None:
        self._kept.clear()

    @property
    def uses_gpu(self) -> bool:
        """Whether an encoder goes to a GPU, where an engine at work leaves no room for it."""
        return any(name in ENCODERS for name in self.names) and Path("/dev/nvidiactl").exists()

    def versions(self) -> dict[str, str]:
        """Raises UserError for a model that is not on this machine."""
        return {f"scorer {name}": self._of(name).version() for name in self.names}
