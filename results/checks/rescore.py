"""Checks `scores` and `summary`: the texts are scored again, and the summary is made again from all rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench import settings
from bench.config import RunConfig
from bench.data.corpus import Corpus
from bench.errors import BenchError, UserError
from bench.record import runs
from bench.record.runs import RunFolder
from bench.score import score_arrays, scoring
from bench.score.judging import AskingMetric, Judges
from bench.score.summary import describe
from bench.score.written import Written
from results.checks.check import Check, differing_keys, differing_rows, listed, without

if TYPE_CHECKING:
    from bench.types import Sample

# Keys of a summary that cannot be computed again.
NOT_COMPUTED = ("files", "digest", "engine_use", "finished", "metric_options")


def checks(
    folder: RunFolder,
    config: RunConfig,
    corpus: Corpus,
    rows: list[dict[str, Any]],
    samples: Sequence[Sample],
    summary: Mapping[str, Any],
    judges: Judges,
) -> Iterator[Check]:
    """`judges` ask no model (`results.checks.stand_ins.StoredAnswers`)."""
    names = list(dict.fromkeys([*summary["metric_versions"], *config.profile.metrics]))
    kept = list(folder.rows(runs.SCORES))
    try:
        scores, computed = _score(folder, config, corpus, rows, samples, names, summary.get("metric_options"), judges)
    except BenchError as error:
        yield Check("scores", None, str(error))
        return
    yield _scores(folder, kept, scores, names)
    yield _summary(folder, config, summary, computed)


def _score(
    folder: RunFolder,
    config: RunConfig,
    corpus: Corpus,
    rows: list[dict[str, Any]],
    samples: Sequence[Sample],
    names: Sequence[str],
    options: Mapping[str, Mapping[str, Any]] | None,
    judges: Judges,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows of scores and the facts of the summary, as `bench score` would write them. A judge is not asked."""
    metrics = scoring.create(config.profile, names, options=options)
    answers = folder.path.parent / ".store" / "requests.sqlite"
    if not answers.is_file() and any(isinstance(metric, AskingMetric) for metric in metrics.values()):
        raise UserError(f"{answers} is missing, and with it all answers of a judge")
    metrics = judges.metrics(config, names, options=options, out=folder.path.parent)
    run = Written.of(folder, config, samples, rows, corpus)
    scores, values = scoring.evaluate(metrics, run.texts, run.references, run.facts, targets=run.targets)
    given = settings.of_metrics(config.profile, names, options)
    return runs.plain(scores), runs.plain({**describe(run, corpus, metrics=given), **values})


def _scores(
    folder: RunFolder, kept: list[dict[str, Any]], computed: list[dict[str, Any]], names: Sequence[str]
) -> Check:
    wrong = [
        *([f"{len(kept)} rows of scores for {len(computed)} texts"] if len(kept) != len(computed) else []),
        *differing_rows(zip(kept, computed, strict=False)),
        *([f"{score_arrays.FILE} holds others: delete it"] if kept and not score_arrays.agrees(folder) else []),
    ]
    return Check("scores", not wrong, "; ".join(wrong) or f"{', '.join(names)} computed again, equal to the last bit")


def _summary(folder: RunFolder, config: RunConfig, summary: Mapping[str, Any], computed: Mapping[str, Any]) -> Check:
    """Every fact of the summary that can be computed. The run folder may have been renamed since."""
    first_name = f"{config.label}-{folder.read(runs.CONFIG)['identity'][:8]}"
    kept = without(NOT_COMPUTED, summary)
    lacking = computed.keys() - kept.keys()
    name = {"run": first_name} if kept.get("run") == first_name else {}
    changed = differing_keys(kept, without(lacking, {**computed, **name}))
    if changed:
        return Check("summary", False, f"does not follow from the rows: {listed(changed)}")
    if lacking:
        return Check("summary", None, f"lacks {listed(sorted(lacking))}; `bench score` writes it anew")
    return Check("summary", True, f"{len(kept)} facts computed again, all equal")
