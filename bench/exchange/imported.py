"""Texts that were made elsewhere become a run: it is scored, tabled, compared and shown like any other.

Nothing is known of how they were made: no prompt, model, budget, retrieval or cost. The run says so in its
configuration, and tables and `bench verify` repeat it. Its identity is a hash of the texts, the data, the samples and
the name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

from bench import defaults, registry
from bench.config import IMPORTED, RunConfig, fingerprint, load_profile
from bench.data.corpus import Corpus, load, resolve
from bench.errors import UserError, match, shown
from bench.exchange import predictions
from bench.exchange.predictions import Predictions, Rules
from bench.record import contents, provenance, runs
from bench.record.runs import RunFolder
from bench.run.cells import check_truth
from bench.run.writing import facts
from bench.score.finish import score_folder
from bench.score.judging import Judges
from bench.score.written import read_config
from bench.types import Dropped, Sample

LONGEST_NAME = 60
BACKEND = {"backend": IMPORTED, "version": "-"}  # stands where the engine of a run is named
SHORTEST_COPY = 40  # characters of a text that is not a real review by chance

Say = Callable[[str], None]


@dataclass(frozen=True)
class Asked:
    """Options of `bench import predictions`. `metrics`: the profile's where there are none.

    Without a profile, the data's default one.
    """

    name: str
    data: str
    profile: str
    out: Path
    split: str = "test"
    limit: int | None = None
    limit_seed: int = 0
    metrics: Sequence[str] = ()
    rules: Rules = field(default_factory=Rules)


@dataclass(frozen=True)
class Imported:
    """One file as a run. `copied`: how many texts are the real review, word for word."""

    folder: RunFolder
    summary: dict[str, Any]
    predictions: Predictions
    copied: int
    is_new: bool

    @property
    def said(self) -> str:
        """What was let pass, and what is odd, in one line."""
        made, name = self.predictions, self.folder.path
        parts = [
            f"{name}: {len(made.texts):,} samples imported"
            if self.is_new
            else f"{name} has these texts already; `bench score {name} --metric NAME` adds a metric",
            f"{made.missing:,} without a text count as failed" if made.missing else "",
            f"{made.unknown:,} lines of no such sample left out" if made.unknown else "",
            f"{made.doubles:,} earlier texts of a sample replaced" if made.doubles else "",
            f"WARNING: {self.copied:,} texts are the real review word for word" if self.copied else "",
        ]
        return "; ".join(filter(None, parts))


def run(files: Sequence[Path], seeds: Sequence[int], asked: Asked, *, say: Say) -> list[Imported]:
    """A run for each file, scored; the files are the seeds of one row. Nothing is written before all files are right.

    Raises UserError for a wrong file or option, and what `score_folder` raises.
    """
    if len(seeds) != len(files):
        raise UserError(f"{len(files)} files and {len(seeds)} seeds; give a seed for each file, as in --seed 0,1")
    corpus = load(asked.data)
    configs = [_config(asked, corpus, seed) for seed in seeds]
    check_truth(configs[0], corpus)
    samples = corpus.samples(configs[0].split, limit=asked.limit, limit_seed=asked.limit_seed)
    if not samples:
        raise UserError(f"data '{asked.data}' has no samples in split '{asked.split}'")
    read = [predictions.read(file, samples, corpus, asked.rules) for file in files]
    folders = [_folder(config, one.texts, asked.out) for config, one in zip(configs, read, strict=True)]
    found = []
    with Judges(say=say) as judges:
        for file, config, folder, one in zip(files, configs, folders, read, strict=True):
            is_new = not folder.done
            with folder.locked():
                if is_new:
                    _write(folder, config, file, one, samples)
                    say(f"scoring {folder.path.name} ...")
                    score_folder(folder, corpus, judges=judges)
            found.append(Imported(folder, folder.summary(), one, copied(one.texts, corpus), is_new))
    return found


def identity(config: RunConfig, texts: Mapping[str, str | None]) -> str:
    """sha256 of all that the run is. `texts` in the samples' order, None for a missing one."""
    of = ("imported", "data_fingerprint", "split", "limit", "limit_seed", "seed")
    return fingerprint({**{key: getattr(config, key) for key in of}, "texts": list(texts.items())})


def copied(texts: Mapping[str, str | None], corpus: Corpus) -> int:
    """How many texts are the real review word for word, whatever the white space. Very short ones do not count."""
    pairs = ((" ".join((text or "").split()), corpus.reference(sample_id)) for sample_id, text in texts.items())
    return sum(len(text) >= SHORTEST_COPY and text == " ".join(real.split()) for text, real in pairs)


def _config(asked: Asked, corpus: Corpus, seed: int) -> RunConfig:
    name = asked.name.strip()
    if not name or not name.isprintable() or len(name) > LONGEST_NAME:
        raise UserError(f"--name {shown(asked.name)}: a name of 1 to {LONGEST_NAME} letters on one line is expected")
    if whose := _taken(name):
        raise UserError(f"--name {shown(name)} is {whose}; give the system a name of its own")
    return RunConfig(
        method=IMPORTED,
        k=0,
        data=resolve(asked.data),
        data_fingerprint=corpus.fingerprint,
        split=cast("Any", match("split", asked.split, ("test", "val"))),
        limit=asked.limit,
        limit_seed=asked.limit_seed,
        seed=seed,
        profile=load_profile(
            asked.profile or defaults.profile(world=corpus.is_world),
            {"metrics": list(asked.metrics)} if asked.metrics else {},
        ),
        imported=name,
    )


def _taken(name: str) -> str:
    """Which other rows of tables the name would mean, for `--baseline` and `bench compare`; "" for none."""
    word = name.casefold()
    if word.startswith("anchor:"):
        return "how tables name rows of real texts"
    if word in map(str.casefold, registry.names("method")):
        return "the name of a method"
    labels = (str(getattr(registry.load("method", one), "label", "")) for one in registry.ours("method"))
    return "the label of a method" if word in map(str.casefold, labels) else ""


def _folder(config: RunConfig, texts: Mapping[str, str | None], out: Path) -> RunFolder:
    """The run's folder. Raises UserError where one of the same name and seed has other texts: which of them a table
    means could not be told.
    """
    name = identity(config, texts)
    folder = RunFolder(out / f"{config.label}-{name[:8]}")
    same = re.compile(re.escape(config.label) + "-[0-9a-f]{8}")
    for other in runs.find(out):
        if other.path != folder.path and same.fullmatch(other.path.name) and _alike(read_config(other), config):
            raise UserError(
                f"{other.path} has other texts of {shown(config.imported)}, seed {config.seed}; give these another "
                f"--name or --seed, or remove the old ones by `bench rm {other.path}`"
            )
    return folder


def _alike(one: RunConfig, other: RunConfig) -> bool:
    """Whether two imports are the same seed of one row."""
    left_out = {"profile", "changed", "data"}
    return one.model_dump(exclude=left_out) == other.model_dump(exclude=left_out)


def _write(folder: RunFolder, config: RunConfig, file: Path, made: Predictions, samples: Iterable[Sample]) -> None:
    """Configuration, provenance and rows. The texts are all there, so that scoring finishes the run."""
    about = {
        "name": config.imported,
        "file": file.name,
        **{key: getattr(made, key) for key in ("sha256", "missing", "unknown", "doubles")},
    }
    folder.write(
        runs.CONFIG,
        {
            "format": contents.FORMAT,
            "identity": identity(config, made.texts),
            "generator": BACKEND,
            "sources": {},
            "date": "",
            "config": config.model_dump(mode="json"),
            "imported": about,
        },
    )
    folder.write(runs.PROVENANCE, provenance.collect(BACKEND, {}))
    folder.write_rows(runs.SAMPLES, (_row(sample, made.texts[sample.sample_id], file) for sample in samples))


def _row(sample: Sample, text: str | None, file: Path) -> dict[str, Any]:
    """A row of samples.jsonl; what is not known of it is empty or 0, as for a text that asked nothing."""
    nothing = asdict(Dropped())
    return {
        **facts(sample),
        "text": text or "",
        "error": f"no text in {file.name}" if text is None else None,
        "traceback": None,
        **{key: [] for key in ("retrieved", "requests", "finish", "reasoning")},
        **{key: {} for key in ("stages", "soft", "notes")},
        "uncompared": None,
        "kept": None,
        "dropped": nothing,
        "dropped_before": nothing,
        "began": 0.0,
        "seconds": 0.0,
    }
