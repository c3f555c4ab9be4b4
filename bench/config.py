"""The resolved configuration of one cell and what makes two runs the same; profiles from their files.

A configuration is frozen and takes no unknown key, as a profile (`bench.profile`) does.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from bench import registry
from bench.errors import UserError, full, mistake, no_file, shown
from bench.profile import PLAIN
from bench.profile import EncoderConfig as EncoderConfig
from bench.profile import Profile as Profile
from bench.profile import TrainConfig as TrainConfig
from bench.record import files
from bench.types import BY_VECTORS, History, Split

IMPORTED = "imported"  # stands where the method of texts that were made elsewhere is not known


class RunConfig(BaseModel):
    """One cell of a grid, resolved: everything that decides its result.

    `retriever` is None, and k is 0, for methods without a retriever. The options of method and retriever include
    defaults, so that a changed default is a changed run. `imported` names the system that made the texts elsewhere
    (bench/exchange): then the method is `IMPORTED`, and of the profile only metrics and a judge's model count.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    method_options: dict[str, Any] = {}
    retriever: str | None = None
    retriever_options: dict[str, Any] = {}
    k: int = Field(ge=0)
    data: str
    data_fingerprint: str
    split: Split = "test"
    limit: int | None = Field(None, ge=1)
    limit_seed: int = 0
    history: History = "own"  # another user's: bench/data/swap.py
    seed: int = 0
    generator: str = "vllm"
    generator_options: dict[str, Any] = {}
    deterministic: bool = False
    profile: Profile
    changed: dict[str, JsonValue] = {}  # bench.settings: key -> the profile's own value, where --set gave another one
    imported: str | None = None

    @property
    def label(self) -> str:
        """The readable part of the run folder's name."""
        if self.imported is not None:
            name = re.sub("[^a-z0-9]+", "-", self.imported.lower()).strip("-")[:40] or "texts"
            return f"{Path(self.data).name}-{IMPORTED}-{name}-seed{self.seed}"
        retriever = f"-{self.retriever}-k{self.k}" if self.retriever else ""
        history = "" if self.history == "own" else f"-{self.history}"
        return f"{Path(self.data).name}-{self.method}{retriever}{history}-seed{self.seed}"

    @property
    def chooses_by_vectors(self) -> bool:
        """Whether vectors of the embedder decide whose history a sample shows."""
        return self.history in BY_VECTORS


def fingerprint(value: Mapping[str, Any]) -> str:
    """sha256 of a mapping's canonical JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def identity(config: RunConfig, *, generator: Mapping[str, Any], sources: Mapping[str, str]) -> str:
    """sha256 of everything that can change a text: configuration, engine, weights and source code.

    The profile's name, title, metrics and K (the cell has its own) change no text. Nor do the names of encoders and the
    training settings: `sources` has the weights of the encoders and checkpoints that the run uses.
    """
    cell = config.model_dump(mode="json")
    unset = {"chat_template", "chat_kwargs", "stop"} - config.profile.chat.keys()
    for key in ("name", "title", "fitted", "metrics", "options", "k", "embedder", "retrieval_encoder", "train", *unset):
        cell["profile"].pop(key)
    for key in (
        "data",
        "generator_options",
        "changed",
    ):  # data_fingerprint, `generator` and the values themselves count instead
        cell.pop(key)
    if config.history == "own":  # as before there was another
        cell.pop("history")
    cell.pop("imported")  # None: the texts of imported runs are their identity (bench.exchange.imported)
    return fingerprint({"cell": cell, "generator": generator, "sources": sources})


def profiles() -> dict[str, Path]:
    """name -> file of each shipped profile."""
    folder = Path(str(resources.files("bench"))) / "profiles"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def load_profile(
    name: str, overrides: Mapping[str, Any] | None = None, *, fitting: Mapping[str, Any] | None = None
) -> Profile:
    """A shipped profile by name, or a TOML file by path; `overrides` by dotted keys (`engine.max_num_seqs`).

    A file may name its `base`. `fitting` has values by dotted keys for what neither file nor overrides give. Raises
    UserError for a file, base or template that is missing or damaged, and for bases in a circle.
    """
    shipped = profiles()
    name = name if Path(name).exists() else full("profile", name, shipped)
    path = shipped.get(name) or Path(name)
    which = name if name in shipped else str(path)
    if not name or not path.exists():
        raise no_file("profile", name, shipped)
    values = _with_base(path, _read(path), seen=(path.resolve(),))
    for key, value in (overrides or {}).items():
        _override(values, key, _template(value, Path()) if key == "chat_template" else value)
    fitted = {key: value for key, value in (fitting or {}).items() if not _has(values, key)}
    for key, value in fitted.items():
        _override(values, key, value)
    try:
        return Profile(name=path.stem, fitted=tuple(fitted), **values)
    except ValidationError as error:
        raise UserError(f"profile {which}, {mistake(error)}") from error
    except TypeError as error:
        raise UserError(f"profile {which}: {error}") from error


def _read(path: Path) -> dict[str, Any]:
    """A profile's file, with the text of the chat template that it names."""
    values = files.toml(path, "profile")
    if "chat_template" in values:
        values["chat_template"] = _template(values["chat_template"], path.parent)
    return values


def _template(given: Any, folder: Path) -> Any:
    """The text of a chat template that is given as it is, by the name "plain", or as a file in this folder."""
    if not isinstance(given, str) or given == PLAIN or "{{" in given or "{%" in given or not given:
        return given
    file = folder / given
    try:
        return file.read_text("utf-8")
    except (OSError, ValueError) as error:
        why = "does not exist" if isinstance(error, FileNotFoundError) else "cannot be read"
        raise UserError(
            f'chat_template {shown(given)}: {file} {why}; name a file, give the template itself, or "{PLAIN}"'
        ) from error


def _has(values: Mapping[str, Any], key: str) -> bool:
    """Whether there is a value under a dotted key."""
    head, _, tail = key.partition(".")
    if not tail:
        return head in values
    inner = values.get(head, {})
    return not isinstance(inner, dict) or _has(inner, tail)


def _with_base(path: Path, values: dict[str, Any], *, seen: tuple[Path, ...]) -> dict[str, Any]:
    """The profile's values on top of those of its `base`: a shipped profile, or a file beside it.

    A table is added to the base's, key by key; so are the options of a metric. `seen`: the files on the way here.
    """
    base = values.pop("base", None)
    if base is None:
        return values
    shipped = profiles()
    if not isinstance(base, str) or not base:
        raise UserError(f"profile {path}: base = {shown(base)}; give the name of a profile, or of a file beside it")
    found = shipped.get(base) or path.parent / base
    if not found.is_file():
        known = ", ".join(sorted(shipped))
        raise UserError(
            f"profile {path}: base = {shown(base)} is no file beside it and none of {known}; name one that is there"
        )
    if found.resolve() in seen:
        way = " -> ".join(one.name for one in (*seen, found))
        raise UserError(f"profile {path}: base = {shown(base)} leads back to itself ({way}); leave out one of these")
    own = _with_base(found, _read(found), seen=(*seen, found.resolve()))
    return {**own, **{key: _added(own.get(key), value, deep=key == "options") for key, value in values.items()}}


def _added(below: Any, above: Any, *, deep: bool) -> Any:
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return {
        **below,
        **{key: _added(below.get(key), value, deep=False) if deep else value for key, value in above.items()},
    }


def _override(values: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    table = values
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise UserError(
                f"--set {key}={shown(value)}: '{parent}' is a value, not a table; leave out what follows it"
            )
    table[last] = value


def variant(config: RunConfig) -> str:
    """The history and the options that differ from the defaults, as on the command line: `rag.order=chronological`."""
    parts = [f"history={config.history}"] if config.history != "own" else []
    for kind, name, options in (
        ("method", config.method, config.method_options),
        ("retriever", config.retriever, config.retriever_options),
    ):
        if name:
            defaults = registry.options_of(kind, name)  # type: ignore[arg-type]
            # Compared as JSON: a configuration from a file has lists where the defaults are tuples.
            parts += [f"{name}.{k}={v}" for k, v in options.items() if json.dumps(v) != json.dumps(defaults.get(k))]
    return ", ".join(parts)
