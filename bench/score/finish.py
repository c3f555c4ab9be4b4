"""From a folder of written samples to scores.jsonl and, last of all, summary.json. Writes no sample's text."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from bench import plugins, registry
from bench.config import RunConfig, fingerprint, variant
from bench.data.corpus import Corpus
from bench.errors import UserError, WrongContent
from bench.protocols import Metric
from bench.record import provenance, runs
from bench.record.runs import RunFolder
from bench.score import matrix, scoring
from bench.score.judging import Judges
from bench.types import EngineUse, Sample, StageCost

EARLIER = ".summary.json.earlier"  # the summary of a run that is being scored again


def read_config(folder: RunFolder) -> RunConfig:
    """The resolved configuration of a run folder. Raises UserError where it is damaged."""
    from pydantic import ValidationError

    try:
        return RunConfig.model_validate(folder.read(runs.CONFIG)["config"])
    except (ValidationError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{folder.path / runs.CONFIG} is not a configuration of this version: {reason}") from error


@dataclass(frozen=True)
class Written:
    """A completely written run as it was read: all that scores and summary are made of."""

    name: str
    config: RunConfig
    about: Mapping[str, Any]  # config.json
    origin: Mapping[str, Any]  # provenance.json; empty where it is missing
    samples: Sequence[Sample]
    rows: scoring.Rows  # of samples.jsonl

    @classmethod
    def of(cls, folder: RunFolder, config: RunConfig, samples: Sequence[Sample], rows: scoring.Rows) -> Written:
        origin = folder.read(runs.PROVENANCE) if (folder.path / runs.PROVENANCE).is_file() else {}
        return cls(folder.path.name, config, folder.read(runs.CONFIG), origin, samples, rows)


def read(folder: RunFolder, corpus: Corpus) -> Written:
    """With the rows in the samples' order, whatever order they were written in.

    Raises UserError where rows are missing, a file is damaged or the data has changed.
    """
    config = read_config(folder)
    if corpus.fingerprint != config.data_fingerprint:
        raise UserError(f"data '{config.data}' has changed since {folder.path.name} was written; run the cell again")
    samples = corpus.samples(config.split, limit=config.limit, limit_seed=config.limit_seed)
    written = {row["sample_id"]: row for row in folder.rows(runs.SAMPLES)}
    missing = sum(sample.sample_id not in written for sample in samples)
    if missing:
        again = f"delete its {runs.SUMMARY} and run its command again" if folder.done else "run its command again"
        raise UserError(f"{folder.path.name} lacks {missing} of {len(samples)} samples; {again}")
    return Written.of(folder, config, samples, [written[sample.sample_id] for sample in samples])


def score_folder(
    folder: RunFolder,
    corpus: Corpus,
    *,
    metrics: Sequence[str] | None = None,
    engine: EngineUse | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    judges: Judges | None = None,
) -> dict[str, Any]:
    """Reads a completely written run, scores its rows, and keeps scores and summary; returns the summary.

    `metrics` None means the profile's; `options` (metric -> option -> value) go before the profile's. `judges`
    are handed in to be shared by folders. Raises what `read` raises, PluginError where a plug-in's metric fails,
    EngineError where a judge's engine dies.
    """
    run = read(folder, corpus)
    with ExitStack() as stack:
        stack.enter_context(plugins.traced(folder.path))
        asked = judges or stack.enter_context(Judges())
        chosen = asked.metrics(run.config, metrics, options=options, out=folder.path.parent)
        scores, values = score_rows(chosen, run.rows, run.samples, corpus)
    summary = {
        **describe(run, corpus),
        **values,
        "metric_options": {name: dict(values) for name, values in (options or {}).items()},
        "engine_use": asdict(engine) | {"tokens_per_second": engine.tokens_per_second} if engine else None,
        "finished": provenance.now(),
    }
    return _keep(folder, run, scores, summary)


def _keep(folder: RunFolder, run: Written, scores: scoring.Rows, summary: dict[str, Any]) -> dict[str, Any]:
    """The summary last of all. A run that is scored again keeps when, and how fast, it was finished."""
    earlier = _set_aside(folder)
    folder.write_rows(runs.SAMPLES, run.rows)
    folder.write_rows(runs.SCORES, scores)
    matrix.build(folder, scores)
    summary |= {key: earlier[key] for key in ("engine_use", "finished") if key in earlier}
    summary["files"] = digests(folder)
    summary["digest"] = digest(summary)
    folder.write(runs.SUMMARY, summary)
    (folder.path / EARLIER).unlink(missing_ok=True)
    return summary


def with_those_before(
    folder: RunFolder, names: Iterable[str], options: Mapping[str, Mapping[str, Any]]
) -> tuple[list[str], dict[str, Mapping[str, Any]]]:
    """`metrics` and `options` for `score_folder` that add to what a finished run has been scored with.

    A summary that cannot be read adds nothing: scoring again is what mends it.
    """
    try:
        summary = folder.read(EARLIER) if interrupted(folder) else folder.summary()
    except WrongContent:
        return list(names), dict(options)
    before = {name: values for name, values in summary["metric_options"].items() if name not in options}
    return list(dict.fromkeys([*summary["metric_versions"], *names])), {**before, **options}


def interrupted(folder: RunFolder) -> bool:
    """Whether a finished run is unfinished only because scoring it again was cut off."""
    return not folder.done and (folder.path / EARLIER).is_file()


def _set_aside(folder: RunFolder) -> dict[str, Any]:
    """Takes the summary out of the way of other scores than its own, and returns it: a kill leaves no mixture.

    Also what such a kill left. Empty for a run that is scored for the first time.
    """
    if folder.done:
        earlier = folder.read(runs.SUMMARY)
        (folder.path / runs.SUMMARY).replace(folder.path / EARLIER)
        return earlier
    return folder.read(EARLIER) if interrupted(folder) else {}


def score_rows(
    metrics: Mapping[str, Metric], rows: scoring.Rows, samples: Sequence[Sample], corpus: Corpus
) -> tuple[scoring.Rows, dict[str, Any]]:
    """(a row of scores for each written row, what tables say of them). KeyError for an unknown sample.

    What scores are sliced by is the corpus's, whatever the written row says.
    """
    known = {sample.sample_id: sample for sample in samples}
    texts = [row["text"] or "" for row in rows]
    facts = [about(known[row["sample_id"]], corpus) for row in rows]
    return scoring.evaluate(metrics, texts, [corpus.reference(fact["sample_id"]) for fact in facts], facts)


def about(sample: Sample, corpus: Corpus) -> dict[str, Any]:
    """What a row of scores says of its sample: who, where, and the numbers that tables may be sliced by."""
    properties = {
        "rating": sample.rating,
        "history": len(sample.history),
        "peers": fmean(len(corpus.peers(review)) for review in sample.history) if sample.history else 0.0,
        "words": len(corpus.reference(sample.sample_id).split()),
    }
    who = {"sample_id": sample.sample_id, "category": sample.category, "user_id": sample.user_id}
    return {**who, "properties": properties}


def digest(summary: Mapping[str, Any]) -> str:
    """sha256 of all else that a summary says."""
    return fingerprint({key: value for key, value in summary.items() if key != "digest"})


def digests(folder: RunFolder) -> dict[str, str]:
    """sha256 of the files that a run's row rests on, as far as they are there."""
    names = (runs.CONFIG, runs.PROVENANCE, runs.SAMPLES, runs.SCORES)
    files = {name: folder.path / name for name in names}
    return {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files.items() if file.is_file()}


def describe(run: Written, corpus: Corpus) -> dict[str, Any]:
    """What tables say of a run besides its scores: who, on what, how many, how many failed, at what cost."""
    config, rows, samples = run.config, run.rows, run.samples
    stages: dict[str, StageCost] = {}
    for row in rows:
        for stage, cost in row["stages"].items():
            stages.setdefault(stage, StageCost()).add(StageCost(**cost))
    generator, sources = run.about["generator"], run.about["sources"]
    return {
        "run": run.name,
        "method": config.method,
        "label": registry.load("method", config.method).label,  # type: ignore[attr-defined]
        "retriever": config.retriever,
        "k": config.k,
        "seed": config.seed,
        "variant": variant(config),
        "data": {
            "name": corpus.name,
            "title": corpus.title,
            "synthetic": corpus.synthetic,
            "fingerprint": corpus.fingerprint,
            "split": config.split,
            "limit": config.limit,
            "limit_seed": config.limit_seed,
        },
        "profile": {"name": config.profile.name, "title": config.profile.title},
        "model": generator.get("model", config.profile.llm),
        "engine": f"{generator['backend']} {generator['version']}",
        "generator": fingerprint(generator),
        "encoders": {name: sources[name] for name in ("encoder", "embedder") if name in sources},
        "dtype": config.profile.dtype,
        "sampling": asdict(config.profile.sampling),
        "input_budget": config.profile.input_budget,
        "deterministic": config.deterministic,
        "commit": _commit(run.origin),
        "trained": run.about.get("trained"),
        "n": {category: sum(sample.category == category for sample in samples) for category in corpus.categories},
        "users": len({(sample.category, sample.user_id) for sample in samples}),
        "failed": sum(row["error"] is not None for row in rows),
        "empty": sum(row["error"] is None and not row["text"] for row in rows),
        "shortened": sum(any(row["dropped"].values()) for row in rows),
        "dropped": {key: sum(row["dropped"][key] for row in rows) for key in rows[0]["dropped"]},
        "stages": {stage: asdict(cost) for stage, cost in stages.items()},
    }


def _commit(origin: Mapping[str, Any]) -> str:
    """The commit that wrote the run, short; "" where it is not known."""
    git = origin.get("git", {})
    changed = " with local changes" if git.get("dirty") else ""
    return f"{git['commit'][:10]}{changed}" if git.get("commit") else ""
