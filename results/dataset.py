"""Sizes of a dataset as the paper's table 4 has them: samples, profile size and output length, mean ± deviation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import TYPE_CHECKING

from bench.data.corpus import Corpus
from bench.types import Sample
from results import published

if TYPE_CHECKING:
    from rich.table import Table

VALIDATION = 512  # the paper draws as many


@dataclass(frozen=True)
class Size:
    """One line. `profile` in reviews, `output` in characters: mean and standard deviation of the population."""

    name: str
    samples: int
    profile: tuple[float, float]
    output: tuple[float, float]


def sizes(corpus: Corpus) -> list[Size]:
    """Training (the newest sample a user), validation, and test by category."""
    validation = corpus.samples("val", limit=VALIDATION)
    named = [("Training", corpus.training_samples()), ("Validation", validation)]
    test = corpus.samples("test")
    named += [(category, [one for one in test if one.category == category]) for category in corpus.categories]
    return [_size(name, samples, corpus) for name, samples in named if samples]


def _size(name: str, samples: Sequence[Sample], corpus: Corpus) -> Size:
    profiles = [len(sample.history) for sample in samples]
    outputs = [len(corpus.reference(sample.sample_id)) for sample in samples]
    return Size(name, len(samples), (fmean(profiles), pstdev(profiles)), (fmean(outputs), pstdev(outputs)))


def table(corpus: Corpus, *, paper: bool) -> Table:
    """For rich; with `paper`, the paper's own lines below."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    grid = Table(title=escape(f"{corpus.name} · {corpus.title}"), box=box.SIMPLE, title_justify="left", pad_edge=False)
    grid.add_column("", no_wrap=True)
    for head in ("#data", "Profile size", "Output length"):
        grid.add_column(head, justify="right")
    for size in sizes(corpus):
        grid.add_row(escape(size.name), f"{size.samples:,}", _pm(size.profile), _pm(size.output))
    for row in published.tables()[4]["rows"] if paper else ():
        cells = (f"  paper: {row['name']}", f"{row['samples']:,}", _pm(row["profile"]), _pm(row["output"]))
        grid.add_row(*cells, style="dim")
    return grid


def _pm(values: Sequence[float]) -> str:
    return f"{values[0]:.2f} ± {values[1]:.2f}"
