"""Names to classes: built-in ones as "module:Class" strings, third parties' by entry points.

Nothing is imported until it is used, so that `bench ls` and `bench --help` stay instant. An installed
package adds a method with

    [project.entry-points."dep_bench.method"]
    mine = "my_package.mine:Mine"
"""

from __future__ import annotations

import dataclasses
import importlib
import math
from collections.abc import Mapping
from importlib import metadata
from typing import Any, Literal, cast, get_type_hints

from bench.errors import UserError, unknown

Kind = Literal["method", "retriever", "metric", "generator"]

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
        "vllm": "bench.generate.vllm:VllmGenerator",
        "openai": "bench.generate.openai:OpenAIGenerator",
        "transformers": "bench.generate.transformers:TransformersGenerator",
        "echo": "bench.generate.echo:EchoGenerator",
    },
}


def names(kind: Kind) -> dict[str, str]:
    """name -> "module:Class" of everything installed. Built-in names cannot be taken over."""
    plugins = {point.name: point.value for point in metadata.entry_points(group=f"dep_bench.{kind}")}
    return {**plugins, **BUILTIN[kind]}


def load(kind: Kind, name: str) -> type:
    """The class behind a name. Raises UserError for an unknown name or one that cannot be imported."""
    known = names(kind)
    if name not in known:
        raise unknown(kind, name, known)
    module, _, attribute = known[name].partition(":")
    try:
        return cast(type, getattr(importlib.import_module(module), attribute))
    except (ImportError, AttributeError) as error:
        raise UserError(f"{kind} '{name}' ({known[name]}) cannot be loaded: {error}; see `bench doctor`") from error


def options_of(kind: Kind, name: str) -> dict[str, Any]:
    """option -> default of a registered dataclass. Raises UserError for what is none, or lacks a default."""
    cls = load(kind, name)
    if not dataclasses.is_dataclass(cls):
        raise UserError(f"{kind} '{name}' ({names(kind)[name]}) is no dataclass; see bench/protocols.py")
    return {field.name: _default(kind, name, field) for field in dataclasses.fields(cls) if field.init}


def _default(kind: Kind, name: str, field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    if field.default is dataclasses.MISSING:
        raise UserError(f"{kind} '{name}' ({names(kind)[name]}): its option '{field.name}' needs a default")
    return field.default


def create(kind: Kind, name: str, options: Mapping[str, Any] | None = None) -> Any:
    """An instance with these options, each checked and converted to its field's type.

    Values may be strings, as the command line gives them. Raises UserError that names the option.
    """
    from pydantic import TypeAdapter, ValidationError

    cls = load(kind, name)
    hints = get_type_hints(cls)
    known = options_of(kind, name)
    values: dict[str, Any] = {}
    for key, value in (options or {}).items():
        if key not in known:
            raise unknown(f"option of {kind} '{name}'", key, known)
        try:
            values[key] = TypeAdapter(hints[key]).validate_python(value)
        except ValidationError as error:
            raise UserError(f"{name}.{key}={value!r}: {error.errors()[0]['msg']}") from error
        if isinstance(values[key], float) and not math.isfinite(values[key]):
            raise UserError(f"{name}.{key}={value!r}: a finite number is expected")
    return cls(**values)
