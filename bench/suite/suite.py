"""Suites: TOML files that name the cells of a whole table or figure.

    title = "..."
    data = "bundled"                    # all of these are optional; the command line overrides them
    limit = 12
    metrics = ["rouge", "bleu"]
    by = "uniqueness"                   # how `bench table SUITE` slices
    [[cells]]                           # a block: every combination of its lists
    methods = ["rag", "dep"]
    retrievers = ["recency"]            # [default: recency]
    ks = [0, 4, 8]                      # [default: the profile's]
    seeds = [0, 1]                      # [default: 0]
    profiles = ["paper-7b"]             # [default: micro for planted worlds, else tiny]
    data = ["mixed"]                    # [default: the suite's]
    histories = ["own", "random"]       # [default: own]; also similar, dissimilar
    set = { "dep.text" = [false, true], temperature = 0 }     # a list is one more axis; options go to their owners
    [quick]                             # what `bench grid SUITE --quick` runs instead: only these data, seeds, samples
    data = ["mixed"]
    [[claims]]                          # what must come out; results/tables/claims.py tests and prints it
    says = "recent reviews tell more than random ones"
    data = ["drifting"]
    better = { method = "rag" }
    worse = { method = "rag", retriever = "random" }

Blocks become cells by `bench.suite.grid.expand`, as the words of `bench run` do.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator, model_validator

from bench import defaults, registry
from bench.config import RunConfig, variant
from bench.data.corpus import Corpus, holds_world, resolve
from bench.errors import UserError, full, mistake, no_file
from bench.record import files
from bench.suite import grid
from bench.types import History, Split

ANY_PROFILE = "tiny"  # where only names and options count

Number = Annotated[int, Field(ge=0)]
Name = Annotated[str, Field(pattern=r"^[^\x00]+$")]


class Block(BaseModel):
    """Refuses empty lists: a block without cells is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    methods: tuple[str, ...] = Field(min_length=1)
    retrievers: tuple[str, ...] = Field(("recency",), min_length=1)
    ks: tuple[Number, ...] | None = Field(None, min_length=1)
    seeds: tuple[Number, ...] = Field((0,), min_length=1)
    profiles: tuple[str, ...] | None = Field(None, min_length=1)
    data: tuple[Name, ...] | None = Field(None, min_length=1)
    histories: tuple[History, ...] = Field(("own",), min_length=1)
    set: dict[str, JsonValue] = {}
    quick: bool = True  # part of what --quick runs

    @field_validator("set")
    @classmethod
    def _no_empty_axis(cls, values: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if empty := [key for key, value in values.items() if value == []]:
            raise ValueError(f"{empty[0]} has an empty list, which leaves no cell")
        return values


class Side(BaseModel):
    """One side of a claim: the run of this method, or of each of the claim's `methods` in turn, on its dataset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str | None = None
    retriever: str = "recency"  # of a method that uses one
    history: History = "own"
    set: dict[str, JsonValue] = {}  # options of the method: {"dep.embeddings": "his"}


class Claim(BaseModel):
    """`better` has more of `value` than `worse`; with `at_most`, it has no more than that much more."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    says: str
    data: tuple[Name, ...] = Field(min_length=1)
    better: Side
    worse: Side
    methods: tuple[str, ...] = ()
    value: str = "habits"
    at_most: float | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _has_methods(self) -> Claim:
        open_sides = [side for side in (self.better, self.worse) if side.method is None]
        if bool(open_sides) != bool(self.methods):
            raise ValueError("a side without a method needs methods = [...] in its claim, and only such a side does")
        return self


class Quick(BaseModel):
    """A part of a suite in minutes: only these datasets and seeds, so many samples, and `set` for all cells."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: tuple[Name, ...] = Field(min_length=1)
    seeds: tuple[Number, ...] = Field((0,), min_length=1)
    limit: int = Field(ge=1)
    set: dict[str, JsonValue] = {}


class Suite(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    data: Name = "bundled"
    split: Split = "test"
    limit: int | None = Field(None, ge=1)
    metrics: tuple[str, ...] = ()
    by: str = ""
    shows: Literal["table", "statistics"] = "table"
    cells: tuple[Block, ...] = ()
    quick: Quick | None = None
    claims: tuple[Claim, ...] = ()

    def quickened(self) -> Suite:
        """The part that `quick` names. Raises UserError for a suite without one."""
        if self.quick is None:
            raise UserError(f"suite '{self.name}' has no [quick] part; run it without --quick")
        wanted, seeds, by_all = self.quick.data, self.quick.seeds, self.quick.set
        cells = (
            block.model_copy(
                update={
                    "data": _both(block.data or (self.data,), wanted),
                    "seeds": seeds,
                    "set": {**block.set, **by_all},
                }
            )
            for block in self.cells
            if block.quick
        )
        claims = (claim.model_copy(update={"data": _both(claim.data, wanted)}) for claim in self.claims)
        return self.model_copy(
            update={
                "limit": self.quick.limit,
                "cells": tuple(block for block in cells if block.data),
                "claims": tuple(claim for claim in claims if claim.data),
                "quick": None,
            }
        )


def _both(ours: tuple[str, ...], wanted: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in ours if name in wanted)


@dataclass(frozen=True)
class Given:
    """What the command line overrides. None: as in the suite."""

    data: str | None = None
    limit: int | None = None
    profile: str | None = None
    seeds: tuple[int, ...] | None = None
    set_values: Mapping[str, Any] | None = None
    generator: str = "vllm"
    generator_options: Mapping[str, Any] | None = None
    deterministic: bool = False


@dataclass(frozen=True)
class Failure:
    """Cells that cannot run, and why."""

    what: str
    reason: str


def suites() -> dict[str, Path]:
    """name -> file of the shipped suites."""
    folder = Path(str(resources.files("bench"))) / "suite" / "shipped"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def load(name: str) -> Suite:
    """A shipped suite by name, or a TOML file by path. Raises UserError naming the file and key."""
    shipped = suites()
    name = name if Path(name).exists() else full("suite", name, shipped)
    path = shipped.get(name) or Path(name)
    if not name or not path.exists():
        raise no_file("suite", name, shipped)
    values = files.toml(path, "suite")
    try:
        found = Suite(name=path.stem, **values)
    except ValidationError as error:
        raise UserError(f"suite {path}, {_mistake(error)}; bench/suite/suite.py says what a suite holds") from error
    except TypeError as error:
        raise UserError(f"suite {path}: {error}") from error
    if found.shows == "table" and not found.cells:
        raise UserError(f'suite {path} has no cells; add a line [[cells]] and below it methods = ["rag"], or more')
    return found


def _mistake(error: ValidationError) -> str:
    """A misspelt or misplaced key if there is one, else the first mistake."""
    for one in error.errors(include_url=False):
        if one["type"] != "extra_forbidden":
            continue
        *above, key = map(str, one["loc"])
        if not above and key in Block.model_fields and key not in Suite.model_fields:
            return f"{key}: it belongs below a line [[cells]]"
        close = difflib.get_close_matches(key, (Block if above else Suite).model_fields, n=1)
        if close:
            return f"{'.'.join([*above, key])}: no such key; did you mean '{close[0]}'?"
    return mistake(error)


def expand(suite: Suite, corpora: Callable[[str], Corpus], given: Given) -> tuple[list[RunConfig], list[Failure]]:
    """(the configurations in order, equal ones once; the failures). A method that fails does not stop the others.

    `corpora` opens a dataset by the name or folder that the suite or the command line gives.
    """
    found: dict[str, RunConfig] = {}
    failures: dict[Failure, None] = {}
    for block, data, method, profile, values in _choices(suite, given):
        corpus = corpora(data)
        profile = profile or defaults.profile(world=corpus.is_world)
        try:
            configs = _configs(suite, corpus, given, block, data=data, method=method, profile=profile, values=values)
        except UserError as error:
            options = "".join(f" {key}={value}" for key, value in values.items())
            failures[Failure(f"{method}{options} ({profile})", str(error))] = None
            continue
        found.update((config.model_dump_json(), config) for config in configs)
    return list(found.values()), list(failures)


def _choices(suite: Suite, given: Given) -> Iterator[tuple[Block, str, str, str, dict[str, Any]]]:
    for block in suite.cells:
        names = (given.data,) if given.data else block.data or (suite.data,)
        profiles = (given.profile,) if given.profile else block.profiles or ("",)
        for name, profile, method, values in itertools.product(
            names, profiles, block.methods, _combinations(block.set)
        ):
            yield block, name, method, profile, values


def _combinations(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """{"a": [1, 2], "b": 3} -> [{"a": 1, "b": 3}, {"a": 2, "b": 3}]"""
    axes = [value if isinstance(value, list) else [value] for value in values.values()]
    return [dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*axes)]


def _configs(
    suite: Suite,
    corpus: Corpus,
    given: Given,
    block: Block,
    *,
    data: str,
    method: str,
    profile: str,
    values: Mapping[str, Any],
) -> Sequence[RunConfig]:
    registry.load("method", method)  # so that an unknown method is reported as such, not by its unknown settings
    metrics = {"metrics": list(suite.metrics)} if suite.metrics else {}
    by_hand = {key: value for key, value in (given.set_values or {}).items() if _concerns(key, method, block)}
    return [
        config
        for history in block.histories
        for config in grid.expand(
            corpus,
            data=resolve(data),
            methods=[method],
            retrievers=block.retrievers,
            ks=block.ks,
            seeds=block.seeds if given.seeds is None else given.seeds,
            profile=profile,
            set_values={**metrics, **_fitting(values, method, block), **by_hand},
            split=suite.split,
            limit=suite.limit if given.limit is None else given.limit,
            history=history,
            generator=given.generator,
            generator_options=given.generator_options,
            deterministic=given.deterministic,
        )
    ]


def _fitting(values: Mapping[str, Any], method: str, block: Block) -> dict[str, Any]:
    """The block's settings without the options of its other methods and retrievers, as `bench run` applies them.

    An option that concerns no method of the block stays, to be refused.
    """
    known = registry.names("method")
    others = [other for other in block.methods if other in known]
    return {
        key: value
        for key, value in values.items()
        if _concerns(key, method, block) or not any(_concerns(key, other, block) for other in others)
    }


def _concerns(key: str, method: str, block: Block) -> bool:
    """Whether a setting concerns this method: `dep.text` does not concern RAG, nor `bm25.fields` Non-Perso."""
    head = key.partition(".")[0]
    others = {*registry.names("method"), *registry.names("retriever")} - {method}
    used = set(block.retrievers) if registry.load("method", method).uses_retriever else set()  # type: ignore[attr-defined]
    return head not in others - used


Key = tuple[str, str | None, str, int | None]


def keys(suite: Suite) -> set[Key]:
    """(method, retriever, changed options, K) of every cell, whatever its profile. K None: the profile's."""
    return set(own(suite, profile=ANY_PROFILE))


def own(suite: Suite, *, profile: str | None = None) -> dict[Key, list[RunConfig]]:
    """The cells of the suite without the command line, by key: one for each profile and changed setting."""
    found: dict[Key, list[RunConfig]] = {}
    for block in suite.cells:
        one = suite.model_copy(update={"cells": (block,)})
        configs, _ = expand(
            one, lambda name: cast(Corpus, _AnyData(holds_world(name))), Given(profile=profile, seeds=(0,))
        )
        for config in configs:
            k = config.k if block.ks is not None or config.retriever is None else None
            found.setdefault((config.method, config.retriever, variant(config), k), []).append(config)
    return found


@dataclass(frozen=True)
class _AnyData:
    """The part of a corpus that `grid.expand` needs."""

    is_world: bool
    fingerprint: str = ""
