"""Names to classes: the built-in components, those of installed packages (entry points), those of `--plugin` files.

Nothing is imported until it is used, so that `bench ls` and `bench --help` stay instant. The module of an entry point
is not imported before somebody asks for its name: installing a package runs none of its code. A package adds a method
with

    [project.entry-points."dep_bench.method"]
    mine = "my_package.mine:Mine"

and a file adds its components by `--plugin my.py` (`bench.plugins`).
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib import metadata
from typing import Any, Literal, NoReturn, cast, get_type_hints

from bench.errors import UserError, matches, only, shown, unknown
from bench.types import Column

Kind = Literal["method", "retriever", "metric", "generator", "data"]

BUILTIN: dict[Kind, dict[str, str]] = {
    "method": {
        "nonperso": "methods.nonperso:NonPerso",
        "rag": "methods.rag:Rag",
        "pag": "methods.pag:Pag",
        "dpl": "methods.dpl:Dpl",
        "soft": "methods.soft:Soft",
        "rag_soft": "methods.soft:RagSoft",
        "pplug": "methods.pplug:PPlug",
        "dep": "methods.dep:Dep",
        "oracle": "methods.oracle:Oracle",
    },
    "retriever": {
        "recency": "retrievers.recency:Recency",
        "random": "retrievers.random:Random",
        "bm25": "retrievers.bm25:Bm25",
        "contriever": "retrievers.contriever:Contriever",
    },
    "metric": {
        "rouge": "metrics.rouge:Rouge",
        "meteor": "metrics.meteor:Meteor",
        "bleu": "metrics.bleu:Bleu",
        "bertscore": "metrics.bertscore:BertScore",
        "judge": "metrics.judge:Judge",
        "aspects": "metrics.aspects:Aspects",
        "habits": "metrics.habits:Habits",
        "length": "metrics.length:Length",
        "equal": "metrics.equal:Equal",
        "copying": "metrics.copying:Copying",
        "distinct": "metrics.distinct:Distinct",
        "identify": "metrics.identify:Identify",
        "peers": "metrics.peers:Peers",
        "responsive": "metrics.responsive:Responsive",
    },
    "generator": {
        "vllm": "bench.generate.engine.vllm:VllmGenerator",
        "openai": "bench.generate.server.openai:OpenAIGenerator",
        "transformers": "bench.generate.engine.transformers:TransformersGenerator",
        "echo": "bench.generate.engine.echo:EchoGenerator",
    },
    "data": {},  # bench.data.corpus knows the shipped datasets
}
SHIPPED: dict[Kind, tuple[str, ...]] = {
    "data": ("bundled", "plain", "drifting", "contextual", "fashionable", "mixed"),
}

WORLDS_ONLY = ("oracle",)  # methods that `all` leaves out: they read what a planted world knows

_from_files: dict[Kind, dict[str, str]] = {}


def names(kind: Kind) -> dict[str, str]:
    """name -> "module:Class" of all components of a kind. A plug-in cannot take a built-in name."""
    return {**installed(kind), **ours(kind)}


@cache
def installed(kind: Kind) -> dict[str, str]:
    """The entry points of other packages. Read once: this takes longer than the rest of a command's start."""
    return {point.name: point.value for point in metadata.entry_points(group=f"dep_bench.{kind}")}


def ours(kind: Kind) -> dict[str, str]:
    """The components that `all` and lists may import without being asked by name: built-in, or of a named file."""
    return {**_from_files.get(kind, {}), **BUILTIN[kind]}


def add(kind: Kind, name: str, target: str) -> bool:
    """Adds a component of a plug-in file. False where a built-in component or another file has the name."""
    if name in {*BUILTIN[kind], *_from_files.get(kind, {}), *SHIPPED.get(kind, ())}:
        return False
    _from_files.setdefault(kind, {})[name] = target
    return True


def load(kind: Kind, name: str) -> type:
    """The class behind a name. Raises UserError for an unknown name or one that cannot be imported."""
    known = names(kind)
    if name not in known:
        raise _unknown(kind, name)
    module, _, attribute = known[name].partition(":")
    try:
        return cast(type, getattr(importlib.import_module(module), attribute))
    except Exception as error:
        if name in BUILTIN[kind] and not isinstance(error, (ImportError, AttributeError)):
            raise  # a bug of ours
        raise UserError(f"{named(kind, name)} cannot be loaded: {error}; see `bench doctor`") from error


def meant(kind: Kind, word: str) -> str:
    """The component that a word of the command line means, in any case and by the start of its name.

    Files of runs and suites have whole names. Raises UserError for an unknown name, and for a start of several.
    """
    found = matches(word, names(kind))
    if not found:
        raise _unknown(kind, word)
    return only(kind, word, found)


def _unknown(kind: Kind, name: str) -> UserError:
    return UserError(f"{unknown(kind, name, names(kind))}; one of a plug-in is known with --plugin FILE")


def named(kind: Kind, name: str) -> str:
    """`method 'mine' (my_package.mine:Mine)`, as messages say it."""
    return f"{kind} '{name}' ({names(kind)[name]})"


def origin(kind: Kind, name: str) -> str:
    """The file of a loaded component; "module:Class" where it has none."""
    target = names(kind).get(name, name)
    return getattr(sys.modules.get(target.partition(":")[0]), "__file__", None) or target


def options_of(kind: Kind, name: str) -> dict[str, Any]:
    """option -> default: the fields of the dataclass. Raises UserError for another class or a missing default."""
    cls = load(kind, name)
    if not dataclasses.is_dataclass(cls):
        raise UserError(f"{named(kind, name)} is no dataclass; see bench/protocols.py")
    return {field.name: _default(kind, name, field) for field in dataclasses.fields(cls) if field.init}


def _default(kind: Kind, name: str, field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        try:
            return field.default_factory()
        except Exception as error:
            if name in BUILTIN[kind]:
                raise
            said = f"{type(error).__name__}: {error}"
            raise UserError(f"{named(kind, name)}: the default of '{field.name}': {said}") from error
    if field.default is dataclasses.MISSING:
        raise UserError(f"{named(kind, name)}: its option '{field.name}' needs a default")
    return field.default


def create(kind: Kind, name: str, options: Mapping[str, Any] | None = None) -> Any:
    """An instance with these options, each checked and converted to its field's type.

    Values may be strings, as the command line gives them. Raises UserError that names the wrong option, or what a
    plug-in lacks.
    """
    cls = load(kind, name)
    known = options_of(kind, name)
    if lacking := [attribute for attribute, _, _ in NEEDED.get(kind, ()) if not hasattr(cls, attribute)]:
        raise UserError(f"{named(kind, name)} lacks {', '.join(lacking)}; see bench/protocols.py")
    values = _converted(kind, name, cls, known, options or {})
    try:
        made = cls(**values)
    except ValueError as error:  # __post_init__ refuses the options
        raise UserError(f"{kind} '{name}': {error}") from error
    except Exception as error:
        if name in BUILTIN[kind]:
            raise
        said = f"{type(error).__name__}: {error}"
        raise UserError(f"{named(kind, name)} cannot be made: {said}") from error
    if name not in BUILTIN[kind]:
        _check(kind, name, made)
    return made


def _converted(kind: Kind, name: str, cls: type, known: Iterable[str], options: Mapping[str, Any]) -> dict[str, Any]:
    """The given options, converted to the types of their fields."""
    from pydantic import TypeAdapter, ValidationError

    try:
        hints = get_type_hints(cls)
    except NameError as error:
        raise UserError(f"{named(kind, name)}: the type of an option: {error}") from error
    values: dict[str, Any] = {}
    for key, value in options.items():
        if key not in known:
            raise unknown(f"option of {kind} '{name}'", key, known)
        try:
            values[key] = TypeAdapter(hints[key]).validate_python(value)
        except ValidationError as error:
            raise UserError(f"{name}.{key}={shown(value)}: {error.errors()[0]['msg']}") from error
        if isinstance(values[key], float) and not math.isfinite(values[key]):
            raise UserError(f"{name}.{key}={shown(value)}: a finite number is expected")
    return values


def _check(kind: Kind, name: str, made: Any) -> None:
    """Raises UserError where a plug-in breaks its protocol: now, and not hours later when the attribute is used."""
    for attribute, expected, fits in NEEDED.get(kind, ()):
        # The class itself is asked for some of them, and it does not have the value of a property.
        found = getattr(type(made), attribute) if attribute in OF_THE_CLASS else _read(kind, name, made, attribute)
        if not fits(found):
            _refuse(kind, name, attribute, found, expected)
    if kind == "method" and made.uses_embeddings and not callable(getattr(made, "texts", None)):
        _refuse(kind, name, "texts", None, "a method, as uses_embeddings is true,")
    if kind == "metric" and getattr(made, "sees_users", False):
        held_out = getattr(made, "held_out", None)
        if not isinstance(held_out, tuple) or not set(held_out) <= set(HELD_OUT):
            _refuse(kind, name, "held_out", held_out, f"a tuple of {' and '.join(HELD_OUT)}, as sees_users is true,")
    if kind in ("method", "retriever"):  # they are written into the run's configuration
        for option in options_of(kind, name):
            value = _read(kind, name, made, option)
            if not _is_json(value):
                _refuse(kind, name, f"the option '{option}'", value, "a JSON value")


def _read(kind: Kind, name: str, made: Any, attribute: str) -> Any:
    try:
        return getattr(made, attribute)
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise UserError(f"{named(kind, name)}: reading {attribute} raises {said}") from error


def _refuse(kind: Kind, name: str, attribute: str, found: Any, expected: str) -> NoReturn:
    said = f"{attribute} is {shown(found)}, but {expected} is expected"
    raise UserError(f"{named(kind, name)}: {said}; see bench/protocols.py")


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _are_columns(value: Any) -> bool:
    if not isinstance(value, tuple | list) or not value or not all(isinstance(one, Column) for one in value):
        return False
    keys = [one.key for one in value]
    valid = all(_is_text(one.key) and _is_text(one.label) and type(one.digits) is int for one in value)
    valid &= all(isinstance(one.higher_is_better, bool | None) and isinstance(one.main, bool) for one in value)
    return valid and len(set(keys)) == len(keys)


# What a class of each kind must have: attribute, what is expected of it, whether a value fits.
_FLAG = "true or false as an attribute of the class"
NEEDED: dict[Kind, tuple[tuple[str, str, Callable[[Any], bool]], ...]] = {
    "method": (
        ("label", "a text as an attribute of the class", _is_text),
        ("uses_retriever", _FLAG, _is_bool),
        ("uses_embeddings", _FLAG, _is_bool),
        ("write", "a method", callable),
    ),
    "retriever": (
        ("uses_embeddings", _FLAG, _is_bool),
        ("texts", "a method", callable),
        ("rank", "a method", callable),
    ),
    "metric": (
        ("columns", "a tuple of bench.types.Column with a key of its own each", _are_columns),
        ("score", "a method", callable),
        ("aggregate", "a method", callable),
        ("versions", "a method", callable),
    ),
    "data": (("folder", "a method", callable),),
}
HELD_OUT = ("peers", "others")  # what a metric that sees users may ask to read
OF_THE_CLASS = ("label", "uses_retriever", "uses_embeddings")
