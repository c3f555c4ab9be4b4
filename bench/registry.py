"""Names to classes: built-in ones as "module:Class" strings, third parties' by entry points or from a file.

Nothing is imported until it is used, so that `bench ls` and `bench --help` stay instant; an entry point's module not
before its name is asked for, so that installing a package runs none of its code. A package adds a method with

    [project.entry-points."dep_bench.method"]
    mine = "my_package.mine:Mine"

and `--plugin my.py` adds every plug of a file, under the names of its classes in lower case.
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
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NoReturn, cast, get_type_hints

from bench.errors import UserError, shown, unknown
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
    },
    "generator": {
        "vllm": "bench.generate.engine.vllm:VllmGenerator",
        "openai": "bench.generate.server.openai:OpenAIGenerator",
        "transformers": "bench.generate.engine.transformers:TransformersGenerator",
        "echo": "bench.generate.engine.echo:EchoGenerator",
    },
    "data": {},  # bench.data.corpus knows the shipped ones
}
SHIPPED: dict[Kind, tuple[str, ...]] = {"data": ("bundled",)}

# What makes a class of a plug-in file one of a kind: the method of bench.protocols that no other kind has.
CONTRACT: dict[str, Kind] = {"write": "method", "rank": "retriever", "aggregate": "metric", "folder": "data"}
# What a class of a kind must have: missed now, and not after hours by who uses it.
NEEDED: dict[Kind, tuple[str, ...]] = {
    "method": ("label", "uses_retriever", "uses_embeddings", "write"),
    "retriever": ("uses_embeddings", "texts", "rank"),
    "metric": ("columns", "score", "aggregate", "versions"),
    "data": ("folder",),
}

_files: list[str] = []
_from_files: dict[Kind, dict[str, str]] = {}


def names(kind: Kind) -> dict[str, str]:
    """name -> "module:Class" of everything installed or plugged in. Built-in names cannot be taken over."""
    return {**installed(kind), **ours(kind)}


@cache
def installed(kind: Kind) -> dict[str, str]:
    """What other packages offer by entry points. Read once: it takes longer than all the rest of a command's start."""
    return {point.name: point.value for point in metadata.entry_points(group=f"dep_bench.{kind}")}


def ours(kind: Kind) -> dict[str, str]:
    """Those that may be imported unasked, as `all` and lists do: built in, or of a file that was named."""
    return {**_from_files.get(kind, {}), **BUILTIN[kind]}


def load_plugins(files: Iterable[str]) -> None:
    """Adds the plugs of these files: dataclasses that have what bench.protocols asks of a kind.

    Raises UserError for a file that is none, that cannot be imported, or that holds no plug.
    """
    for file in files:
        path = Path(file).resolve()
        if str(path) in _files:
            continue
        module = _import(path)
        found = [
            (kind, cls)
            for cls in vars(module).values()
            if isinstance(cls, type) and cls.__module__ == module.__name__ and dataclasses.is_dataclass(cls)
            for needed, kind in CONTRACT.items()
            if callable(getattr(cls, needed, None))
        ]
        if not found:
            needed = ", ".join(f"{name} ({kind})" for name, kind in CONTRACT.items())
            raise UserError(f"--plugin {file} holds no plug: a dataclass with one of {needed}; see bench/protocols.py")
        for kind, cls in found:
            if cls.__name__.lower() in {*BUILTIN[kind], *_from_files.get(kind, {}), *SHIPPED.get(kind, ())}:
                raise UserError(
                    f"--plugin {file}: class {cls.__name__} would be {kind} '{cls.__name__.lower()}', "
                    "which is there already; rename the class"
                )
            _from_files.setdefault(kind, {})[cls.__name__.lower()] = f"{module.__name__}:{cls.__name__}"
        _files.append(str(path))


def plugin_files() -> tuple[str, ...]:
    """The files that were plugged in, for a process that must know them too."""
    return tuple(_files)


def _import(path: Path) -> ModuleType:
    """The module of a file, under the file's own name, so that it can be found and pickled by that name."""
    name = path.stem
    spec = spec_from_file_location(name, path) if path.is_file() and path.suffix == ".py" else None
    if spec is None or spec.loader is None or not name.isidentifier():
        raise UserError(f"--plugin {path} is no Python file; name one, like --plugin my_method.py")
    if name in sys.modules or find_spec(name) is not None:
        raise UserError(f"--plugin {path}: a module '{name}' is there already; rename the file")
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise UserError(f"--plugin {path} cannot be imported: {type(error).__name__}: {error}") from error
    return module


def load(kind: Kind, name: str) -> type:
    """The class behind a name. Raises UserError for an unknown name or one that cannot be imported."""
    known = names(kind)
    if name not in known:
        raise UserError(f"{unknown(kind, name, known)}; one of a plug-in is known with --plugin FILE")
    module, _, attribute = known[name].partition(":")
    try:
        return cast(type, getattr(importlib.import_module(module), attribute))
    except Exception as error:
        if name in BUILTIN[kind] and not isinstance(error, (ImportError, AttributeError)):
            raise  # a bug of ours
        raise UserError(f"{kind} '{name}' ({known[name]}) cannot be loaded: {error}; see `bench doctor`") from error


def origin(kind: Kind, name: str) -> str:
    """The file of a loaded plug, as far as it is known."""
    target = names(kind).get(name, name)
    return getattr(sys.modules.get(target.partition(":")[0]), "__file__", None) or target


def options_of(kind: Kind, name: str) -> dict[str, Any]:
    """option -> default of a registered dataclass. Raises UserError for what is none, or lacks a default."""
    cls = load(kind, name)
    if not dataclasses.is_dataclass(cls):
        raise UserError(f"{kind} '{name}' ({names(kind)[name]}) is no dataclass; see bench/protocols.py")
    return {field.name: _default(kind, name, field) for field in dataclasses.fields(cls) if field.init}


def _default(kind: Kind, name: str, field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        try:
            return field.default_factory()
        except Exception as error:
            if name in BUILTIN[kind]:
                raise
            said = f"{type(error).__name__}: {error}"
            raise UserError(f"{kind} '{name}' ({names(kind)[name]}): the default of '{field.name}': {said}") from error
    if field.default is dataclasses.MISSING:
        raise UserError(f"{kind} '{name}' ({names(kind)[name]}): its option '{field.name}' needs a default")
    return field.default


def create(kind: Kind, name: str, options: Mapping[str, Any] | None = None) -> Any:
    """An instance with these options, each checked and converted to its field's type.

    Values may be strings, as the command line gives them. Raises UserError that names the option.
    """
    cls = load(kind, name)
    known = options_of(kind, name)
    if lacking := [need for need in NEEDED.get(kind, ()) if not hasattr(cls, need)]:
        raise UserError(f"{kind} '{name}' ({names(kind)[name]}) lacks {', '.join(lacking)}; see bench/protocols.py")
    values = _converted(kind, name, cls, known, options or {})
    try:
        made = cls(**values)
    except ValueError as error:  # what a class of options refuses
        raise UserError(f"{kind} '{name}': {error}") from error
    except Exception as error:
        if name in BUILTIN[kind]:
            raise
        said = f"{type(error).__name__}: {error}"
        raise UserError(f"{kind} '{name}' ({names(kind)[name]}) cannot be made: {said}") from error
    if name not in BUILTIN[kind]:
        _check(kind, name, made)
    return made


def _converted(kind: Kind, name: str, cls: type, known: Iterable[str], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are given, as their fields' types."""
    from pydantic import TypeAdapter, ValidationError

    try:
        hints = get_type_hints(cls)
    except NameError as error:
        raise UserError(f"{kind} '{name}' ({names(kind)[name]}): the type of an option: {error}") from error
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
    """Raises UserError for what of a plug-in would be missed or misread only when something has been generated."""
    for attribute, expected, fits in SHAPES.get(kind, ()):
        # Some are asked of the class, which has no property's value.
        found = getattr(type(made), attribute) if attribute in OF_THE_CLASS else _read(kind, name, made, attribute)
        if not fits(found):
            _refuse(kind, name, attribute, found, expected)
    if kind == "method" and made.uses_embeddings and not callable(getattr(made, "texts", None)):
        _refuse(kind, name, "texts", None, "a method, as uses_embeddings is true,")
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
        raise UserError(f"{kind} '{name}' ({names(kind)[name]}): reading {attribute} raises {said}") from error


def _refuse(kind: Kind, name: str, attribute: str, found: Any, expected: str) -> NoReturn:
    raise UserError(
        f"{kind} '{name}' ({names(kind)[name]}): {attribute} is {shown(found)}, but {expected} is expected; "
        f"see bench/protocols.py"
    )


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
    shapes = all(_is_text(one.key) and _is_text(one.label) and type(one.digits) is int for one in value)
    return shapes and len(set(keys)) == len(keys)


# attribute, what is expected of it, whether it fits
Shape = tuple[str, str, Callable[[Any], bool]]
_FLAG = "true or false as an attribute of the class"
SHAPES: dict[Kind, tuple[Shape, ...]] = {
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
OF_THE_CLASS = ("label", "uses_retriever", "uses_embeddings")
