"""What `bench ls` lists and `bench models pull` fetches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import config, registry
from bench.data import corpus
from bench.errors import UserError, match, unknown
from bench.models import assets
from bench.record import elsewhere, runs
from bench.suite import suite
from bench.train import checkpoint

KINDS: dict[str, registry.Kind] = {
    "methods": "method",
    "retrievers": "retriever",
    "metrics": "metric",
    "generators": "generator",
}


def rows(what: str, out: Path) -> Iterator[tuple[str, ...]]:
    """A line of strings for each thing. Raises UserError for an unknown kind."""
    what = match("list", what, [*KINDS, *LISTS])
    if what in KINDS:
        return _components(KINDS[what])
    return LISTS[what](out)


def note(what: str, out: Path, *, empty: bool) -> str:
    """What is said beside a list: where other runs are; "" for nothing."""
    if match("list", what, [*KINDS, *LISTS]) != "runs":
        return ""
    others = elsewhere.said(out)
    if empty:
        return f"{out} holds no runs" + (
            f"; there are runs in {others}: `bench ls runs --out FOLDER`" if others else ""
        )
    return f"more runs in {others}: `bench ls runs --out FOLDER`" if others else ""


def _data(out: Path) -> Iterator[tuple[str, ...]]:
    yield from corpus.available().items()
    yield from _components("data")


def _runs(out: Path) -> Iterator[tuple[str, ...]]:
    for folder in runs.find(out):
        yield folder.path.name, "finished" if folder.done else "unfinished"


def _models(out: Path) -> Iterator[tuple[str, ...]]:
    for name, folder in assets.SHIPPED.items():
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        yield (
            name,
            "here",
            f"{size / 1e6:.0f} MB",
            "taught the prompts on planted worlds: measures implementations",
        )
    for name, asset in assets.ASSETS.items():
        yield name, "here" if assets.is_present(name) else "not here", f"{asset.size_mb} MB", asset.description


LISTS: dict[str, Callable[[Path], Iterator[tuple[str, ...]]]] = {
    "data": _data,
    "runs": _runs,
    "checkpoints": lambda out: map(_checkpoint, checkpoint.find(out)),
    "models": _models,
    "profiles": lambda out: ((name, config.load_profile(name).title) for name in config.profiles()),
    "suites": lambda out: ((name, suite.load(name).title) for name in suite.suites()),
}


def _checkpoint(found: checkpoint.Checkpoint) -> tuple[str, ...]:
    """Name, state and description. A damaged checkpoint must not hide the others."""
    try:
        return _described(found)
    except (UserError, KeyError, TypeError, AttributeError) as error:
        return found.path.name, "damaged", f"{type(error).__name__}: {error}"


def _described(found: checkpoint.Checkpoint) -> tuple[str, ...]:
    """Name, state, what it was trained on, its size, and the epochs that its validations chose."""
    spec, config = found.manifest["spec"], found.manifest["config"]
    about = f"{config['profile']['llm']}, {Path(config['data']).name}, K = {spec['train.k']}, seed {spec['seed']}"
    if not found.trained:
        return found.path.name, "unfinished", about
    epochs, size = found.training["epochs"], found.training["trainable"]
    choices = [found.folder.read(file.name) for file in sorted(found.path.glob("selection-*.json"))]
    best = [f"epoch {one['epoch']} of {len(epochs)}, METEOR {one['meteor'][str(one['epoch'])]:.4f}" for one in choices]
    return found.path.name, "trained", about, f"{size:,} parameters", "; ".join(best) or "not validated"


def _components(kind: registry.Kind) -> Iterator[tuple[str, ...]]:
    """Name, what it is, and options with their defaults, of each component of a kind."""
    for name, target in registry.names(kind).items():
        if name not in registry.ours(kind):
            yield name, f"installed: {target}, imported when it is asked for by name", ""
            continue
        try:
            cls = registry.load(kind, name)
            options = {} if kind == "generator" else registry.options_of(kind, name)
        except UserError as error:  # one broken plug-in must not hide the others
            yield name, str(error), ""
            continue
        yield name, _what(kind, name, cls), ", ".join(f"{option}={default!r}" for option, default in options.items())


def _what(kind: registry.Kind, name: str, cls: type) -> str:
    """The first line of the class's docstring; of its file's where it is alone there and is ours, or has none."""
    beside = [one for other in registry.BUILTIN for one in registry.ours(other).values()]
    alone = sum(one.partition(":")[0] == cls.__module__ for one in beside) <= 1
    of_file = _first_line(sys.modules[cls.__module__].__doc__) if alone else ""
    generated = f"{cls.__name__}("  # a dataclass without a docstring gets its signature for one
    own = _first_line(None if (cls.__doc__ or "").startswith(generated) else cls.__doc__)
    return of_file or own if name in registry.BUILTIN[kind] else own or of_file


def _first_line(docstring: str | None) -> str:
    return (docstring or "").strip().partition("\n")[0]


def models_of(profile: str) -> list[str]:
    """Everything that a profile needs: its models, and the data of all metrics."""
    chosen = config.load_profile(profile)
    data = [name for name, asset in assets.ASSETS.items() if asset.kind == "data"]
    metric_models = [str(options["model"]) for options in chosen.options.values() if "model" in options]
    encoders = filter(None, (chosen.embedder.model, chosen.retrieval_encoder.model))
    return list(dict.fromkeys([chosen.llm, *encoders, *metric_models, *data]))


def pull(name: str, profile: str, *, say: Callable[[str], None] | None = None) -> Path:
    """Fetches an asset or a model of the hub, and returns its path. A folder is returned as it is.

    Raises UserError for an unknown name.
    """
    if name in assets.ASSETS:
        return assets.pull(name, say=say)
    if name in assets.SHIPPED:
        return Path(assets.resolve(name))
    if Path(name).is_dir():
        return Path(name)
    if "/" not in name:
        raise unknown("model", name, [*assets.SHIPPED, *assets.ASSETS])
    chosen = config.load_profile(profile)
    return assets.pull_hub(name, revision=chosen.revision if name == chosen.llm else None)
