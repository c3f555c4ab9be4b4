"""The part of a run's summary that is not scores."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from bench import registry
from bench.config import fingerprint, variant
from bench.data.corpus import Corpus
from bench.record.contents import FORMAT
from bench.score.written import Written
from bench.types import StageCost


def describe(run: Written, corpus: Corpus) -> dict[str, Any]:
    """What tables show besides scores: method, data, model, counts, failures, costs."""
    config, rows, samples = run.config, run.rows, run.samples
    stages: dict[str, StageCost] = {}
    for row in rows:
        for stage, cost in row["stages"].items():
            stages.setdefault(stage, StageCost()).add(StageCost(**cost))
    generator, sources = run.about["generator"], run.about["sources"]
    return {
        "format": FORMAT,
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
        "stage_input_budget": config.profile.stage_budget,
        "deterministic": config.deterministic,
        "commit": run.commit,
        "trained": run.about.get("trained"),
        "n": {category: sum(sample.category == category for sample in samples) for category in corpus.categories},
        "users": len({(sample.category, sample.user_id) for sample in samples}),
        "failed": sum(row["error"] is not None for row in rows),
        "empty": sum(row["error"] is None and not row["text"] for row in rows),
        "shortened": sum(any(row["dropped"].values()) for row in rows),
        "shortened_before": sum(any(row["dropped_before"].values()) for row in rows),
        "dropped": {key: sum(row["dropped"][key] for row in rows) for key in rows[0]["dropped"]},
        "stages": {stage: asdict(cost) for stage, cost in stages.items()},
    }
