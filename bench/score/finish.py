"""Scores a run folder whose samples are all written. The summary is written last. Never writes a sample's text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any, Literal

from bench import plugins, settings
from bench.data.corpus import Corpus
from bench.record import provenance
from bench.record.runs import RunFolder
from bench.score import keep, scoring, summary, written
from bench.score.judging import Judges
from bench.types import EngineUse

Again = Literal["all", "named", "changed"]


def score_folder(
    folder: RunFolder,
    corpus: Corpus,
    *,
    metrics: Sequence[str] | None = None,
    engine: EngineUse | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    judges: Judges | None = None,
    again: Again = "all",
) -> dict[str, Any]:
    """Reads a completely written run, scores its rows, and keeps scores and summary; returns the summary.

    `metrics` are added to those that the run has been scored with; None means the profile's. `options` (metric ->
    option -> value) go before the profile's. `judges` are handed in where several folders share them. `again` says what
    is scored of a finished run: all metrics, the named ones (in `metrics` or `options`), or those whose versions have
    changed; the scores of the others stay as they are.
    Raises what `written.read` raises, PluginError where a plug-in's metric fails, EngineError where a judge's engine
    dies.
    """
    run = written.read(folder, corpus)
    names, given = keep.with_those_before(
        folder, run.config.profile.metrics if metrics is None else metrics, options or {}
    )
    with ExitStack() as stack:
        stack.enter_context(plugins.traced(folder.path))
        judges = judges or stack.enter_context(Judges())
        stays = [name for name in names if name not in {*(metrics or ()), *(options or {})}] if again == "named" else []
        chosen = judges.metrics(run.config, names, options=given, out=folder.path.parent, asleep=stays)
        known = keep.kept(folder, stays) if stays else keep.unchanged(folder, chosen) if again == "changed" else {}
        scores, of_metrics = scoring.evaluate(
            chosen, run.texts, run.references, run.facts, known=known, targets=run.targets
        )
    values = {
        **summary.describe(run, corpus, metrics=settings.of_metrics(run.config.profile, names, given)),
        **of_metrics,
        "metric_options": {name: dict(values) for name, values in given.items()},
        "engine_use": _used(engine) if engine else None,
        "finished": provenance.now(),
    }
    return keep.keep(folder, run.rows, scores, values)


def _used(engine: EngineUse) -> dict[str, Any]:
    return {**asdict(engine), "generated": engine.generated, "tokens_per_second": engine.tokens_per_second}
