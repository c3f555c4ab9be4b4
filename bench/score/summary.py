"""The part of a run's summary that is not scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from statistics import fmean
from typing import Any

from bench import registry, settings
from bench.config import IMPORTED, fingerprint, variant
from bench.data import caveats
from bench.data.corpus import Corpus
from bench.record.contents import FORMAT, OF_A_MODEL
from bench.score import echoes, lengths
from bench.score.written import Rows, Written
from bench.types import StageCost

UNKNOWN = "-"  # of a model elsewhere

# Settings that have keys of their own in a summary.
_NAMED = ("dtype", "temperature", "top_p", "max_new_tokens", "input_budget", "stage_input_budget")
# Keys of a generator's identity that have: the rest of it is settings of the generator.
_GENERATOR = ("backend", "version", "model", "dtype", "engine", "deterministic")


def describe(run: Written, corpus: Corpus, *, metrics: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, Any]:
    """What tables show besides scores: method, data, model, settings, counts, failures, costs.

    `metrics`: metric -> the options that it is scored with (`bench.settings.of_metrics`).
    """
    config, rows, samples = run.config, run.rows, run.samples
    stages: dict[str, StageCost] = {}
    for row in rows:
        for stage, cost in row["stages"].items():
            stages.setdefault(stage, StageCost()).add(StageCost(**cost))
    return {
        "format": FORMAT,
        "run": run.name,
        "method": config.method,
        "retriever": config.retriever,
        "seed": config.seed,
        "data": {
            "name": corpus.name,
            "title": corpus.title,
            "synthetic": corpus.synthetic,
            "fingerprint": corpus.fingerprint,
            "split": config.split,
            "limit": config.limit,
            "limit_seed": config.limit_seed,
        },
        "metric_settings": dict(metrics or {}),
        "changed": settings.with_metrics(config, metrics or {}),
        "commit": run.commit,
        "trained": run.about.get("trained"),
        "n": {category: sum(sample.category == category for sample in samples) for category in corpus.categories},
        "users": len({(sample.category, sample.user_id) for sample in samples}),
        "failed": sum(row["error"] is not None for row in rows),
        "empty": sum(row["error"] is None and not row["text"] for row in rows),
        "uncompared": dict(Counter(row["uncompared"] for row in rows if row["uncompared"])),
        "kept": _kept(rows) if config.retriever else None,
        "caveats": caveats.of(config, corpus),
        "echoed": echoes.count(run.texts),
        "references": lengths.of(run.references, rows),
        "stages": {stage: asdict(cost) for stage, cost in stages.items()},
        **(_made_here(run) if config.imported is None else _made_elsewhere(run)),
    }


def _made_here(run: Written) -> dict[str, Any]:
    """How the texts were made: method, model, settings, what the budget took out of prompts, time."""
    config, rows, generator, sources = run.config, run.rows, run.about["generator"], run.about["sources"]
    engine = {key: value for key, value in generator.get("engine", {}).items() if key not in settings.ONLY_SPEED}
    return {
        "label": registry.load("method", config.method).label,  # type: ignore[attr-defined]
        "k": config.k,
        "variant": variant(config),
        "profile": {"name": config.profile.name, "title": config.profile.title},
        "model": generator.get("model", config.profile.llm),
        "engine": f"{generator['backend']} {generator['version']}",
        "generator": fingerprint({**generator, "engine": engine}),
        "encoders": {name: sources[name] for name in ("encoder", "embedder") if name in sources},
        "dtype": config.profile.dtype,
        "sampling": asdict(config.profile.sampling),
        "input_budget": config.profile.input_budget,
        "stage_input_budget": config.profile.stage_budget,
        "deterministic": config.deterministic,
        "settings": {
            **{key: value for key, value in settings.of(config).items() if key not in _NAMED},
            **{f"generator.{key}": value for key, value in generator.items() if key not in _GENERATOR},
        },
        "source": fingerprint({key: sources[key] for key in ("method", "retriever") if key in sources}),
        "shortened": sum(any(row["dropped"].values()) for row in rows),
        "shortened_before": sum(any(row["dropped_before"].values()) for row in rows),
        "dropped": {key: sum(row["dropped"][key] for row in rows) for key in rows[0]["dropped"]},
        "wall_seconds": _wall_seconds(rows),
    }


def _made_elsewhere(run: Written) -> dict[str, Any]:
    """The same keys, of texts of which only the name of their system is known."""
    return {
        "label": f"{run.config.imported} ({IMPORTED})",
        "variant": "",
        "profile": {"name": UNKNOWN, "title": UNKNOWN},
        **dict.fromkeys(("model", "engine", "generator", "dtype", "source"), UNKNOWN),
        "encoders": {},
        "settings": {},
        "dropped": None,
        "commit": "",
        **dict.fromkeys(OF_A_MODEL),
        "imported": run.about["imported"],
    }


def _wall_seconds(rows: Rows) -> float:
    """The time in which at least one sample was being written. Pauses between commands that went on do not count."""
    total, end = 0.0, 0.0
    for began, ended in sorted((row["began"], row["began"] + row["seconds"]) for row in rows):
        total += max(0.0, ended - max(began, end))
        end = max(end, ended)
    return round(total, 3)


def _kept(rows: Rows) -> dict[str, Any] | None:
    """Past reviews in the prompts that wrote the texts: their mean, and the share of prompts with all that were
    retrieved, over the n samples that have such a prompt. None where no sample has one.
    """
    fitted = [row for row in rows if row["kept"] is not None]
    if not fitted:
        return None
    full = sum(row["kept"] >= len(row["retrieved"]) for row in fitted)
    return {"mean": fmean(row["kept"] for row in fitted), "full": full / len(fitted), "n": len(fitted)}
