"""What the files of a run hold, as far as it is read again. What else is in them is shown, or kept for people."""

from __future__ import annotations

from dataclasses import fields

from bench.record.shapes import (
    ANYTHING,
    COUNTS,
    FLAG,
    NUMBER,
    NUMBERS,
    OBJECT,
    TEXT,
    TEXTS,
    WHOLE,
    Each,
    Every,
    Has,
    Is,
    Maybe,
)  # fmt: skip
from bench.types import Dropped, StageCost

_COST = Has({key.name: NUMBER for key in fields(StageCost)}, only=True)
_INTEGER = Is("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool))

# config.json; `config` itself is a RunConfig.
CONFIG = Has(
    {
        "identity": TEXT,
        "generator": Has({"backend": TEXT, "version": ANYTHING}),
        "sources": TEXTS,
        "config": OBJECT,
    },
    {"trained": Maybe(Has({"epoch": WHOLE}))},
)
# provenance.json
PROVENANCE = Has(
    {"command": Every(TEXT), "generator": OBJECT},
    {"git": Has({}, {"commit": TEXT}), "continued": Every(OBJECT)},
)
# A row of samples.jsonl.
SAMPLE = Has(
    {
        "sample_id": TEXT,
        "category": TEXT,
        "user_id": TEXT,
        "text": TEXT,
        "error": Maybe(TEXT),
        "retrieved": Every(TEXT),
        "dropped": Has({key.name: WHOLE for key in fields(Dropped)}),
        "stages": Each(_COST),
        "requests": Every(Every(TEXT, length=2)),
    }
)
# A row of scores.jsonl: what stands under a metric is that metric's.
SCORE = Has(
    {"sample_id": TEXT, "category": TEXT, "user_id": TEXT},
    {"properties": Each(Maybe(NUMBER))},
    rest=OBJECT,
)
# training.json of a checkpoint.
TRAINING = Has(
    {
        "epochs": Every(OBJECT),
        "space": Has({"vector_size": WHOLE, "hidden_size": WHOLE}),
        "trainable": WHOLE,
        "samples": WHOLE,
        "steps": WHOLE,
        "seconds": NUMBER,
    }
)
# A row of steps.jsonl: losses have the names that the method gives them.
STEP = Has({"step": WHOLE, "epoch": WHOLE, "tokens": WHOLE, "seconds": NUMBER}, rest=Maybe(NUMBER))
# summary.json
SUMMARY = Has(
    {
        "method": TEXT,
        "label": TEXT,
        "retriever": Maybe(TEXT),
        "k": WHOLE,
        "seed": _INTEGER,
        "variant": TEXT,
        "data": Has({"name": TEXT, "title": TEXT, "synthetic": FLAG, "split": TEXT, "limit": Maybe(WHOLE)}),
        "profile": Has({"name": TEXT}),
        "model": TEXT,
        "engine": TEXT,
        "generator": TEXT,
        "encoders": TEXTS,
        "dtype": TEXT,
        "sampling": Has({"temperature": NUMBER, "top_p": NUMBER, "max_new_tokens": WHOLE}),
        "input_budget": WHOLE,
        "deterministic": FLAG,
        "n": COUNTS,
        "users": WHOLE,
        "failed": WHOLE,
        "shortened": WHOLE,
        "stages": Each(_COST),
        "columns": Every(
            Has({"key": TEXT, "label": TEXT, "digits": WHOLE, "higher_is_better": FLAG, "main": FLAG}, only=True)
        ),
        "scores": Each(NUMBERS),
        "metric_versions": Each(OBJECT),
        "finished": ANYTHING,  # `bench score` keeps it as it is
    },
    {"commit": TEXT, "files": TEXTS, "metric_options": Each(OBJECT)},
)
