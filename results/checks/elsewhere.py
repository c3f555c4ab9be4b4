"""Checks `identity` and `texts` of an imported run: that its texts are those that were imported is all one can know.

How they were made, and whether a held-out text was read for it, nothing in the run can show.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.config import RunConfig
from bench.data.corpus import Corpus
from bench.exchange import imported
from bench.record import runs
from bench.record.runs import RunFolder
from results.checks.check import Check


def checks(folder: RunFolder, config: RunConfig, corpus: Corpus, rows: Sequence[Mapping[str, Any]]) -> Iterator[Check]:
    texts = {row["sample_id"]: row["text"] if row["error"] is None else None for row in rows}
    same = imported.identity(config, texts) == folder.read(runs.CONFIG)["identity"]
    yield Check("identity", same, f"{'the' if same else 'not the'} texts, name, seed and samples that were imported")
    copied = imported.copied(texts, corpus)
    odd = f"; {copied} of {len(texts)} are the real review word for word" if copied else ""
    says = f"made elsewhere by {config.imported}: how, and that no held-out text was read for it, cannot be checked"
    yield Check("texts", None, f"{says}{odd}")
