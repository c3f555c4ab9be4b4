"""Turns command-line arguments into the configurations of a grid. Options are checked before anything is loaded."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast, get_args

from bench import defaults, registry
from bench import settings as bench_settings
from bench.config import Profile, RunConfig, load_profile
from bench.data.corpus import Corpus
from bench.errors import UserError, match, shown, unknown
from bench.models import addresses
from bench.protocols import SoftPromptMethod
from bench.types import BY_VECTORS, History, Split

NOT_IN_ALL = {("method", name) for name in registry.WORLDS_ONLY}


def comma_list(text: str) -> list[str]:
    """'a, b' -> ['a', 'b'], without repeats."""
    return list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def named(text: str, kind: registry.Kind) -> list[str]:
    """'RAG,nonp', 'all', or both, 'all,oracle' -> names. `all` leaves out what is installed beside us and ceilings.

    Raises UserError where none is named.
    """
    every = [name for name in registry.ours(kind) if (kind, name) not in NOT_IN_ALL]
    meant = (every if word.casefold() == "all" else [registry.meant(kind, word)] for word in comma_list(text))
    found = list(dict.fromkeys(name for names in meant for name in names))
    if not found:
        raise UserError(f"--{kind} {text!r} names no {kind}; name some, or all: {', '.join(registry.names(kind))}")
    return found


def history(text: str) -> History:
    """'sim' -> 'similar'"""
    if text.casefold() == "swapped":
        raise UserError("--history swapped is called random: give --history random")
    return cast(History, match("history", text, get_args(History)))


def metrics(text: str) -> list[str]:
    """'ROUGE, met' -> ['rouge', 'meteor']"""
    return list(dict.fromkeys(registry.meant("metric", word) for word in comma_list(text)))


def trained(methods: Sequence[str]) -> list[str]:
    """Those that have something to train."""
    return [name for name in methods if isinstance(registry.create("method", name), SoftPromptMethod)]


def integers(text: str, *, option: str) -> list[int]:
    """'0,1' -> [0, 1]. Raises UserError naming the option."""
    try:
        numbers = [int(word) for word in comma_list(text)]
    except ValueError:
        raise UserError(f"{option} {text!r}: whole numbers are expected, like {option} 0,1,2") from None
    if not numbers or min(numbers) < 0:
        raise UserError(f"{option} {text!r}: numbers of at least 0 are expected, like {option} 0,1,2")
    return list(dict.fromkeys(numbers))


def settings(pairs: Sequence[str]) -> dict[str, Any]:
    """['rag.order=rank', 'temperature=0'] -> values; JSON where it reads as JSON, else text."""
    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise UserError(
                f"--set {shown(pair)}: key=value is expected, like --set temperature=0 or --set rag.order=chronological"
            )
        try:
            values[key] = json.loads(value)
        except (ValueError, RecursionError):
            values[key] = value
    return values


def server(generator: str, *, base_url: str, model: str) -> dict[str, str]:
    """Options of the openai generator. Raises UserError for an address that another generator would ignore."""
    generator = registry.meant("generator", generator)
    given = {name: value for name, value in (("base_url", base_url), ("model", model)) if value}
    if given and generator != "openai":
        raise UserError(f"--base-url and --model-name go with --generator openai, not {generator}")
    if base_url:
        addresses.checked(base_url)
    return given


def split_settings(
    values: Mapping[str, Any], components: Mapping[str, registry.Kind]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(overrides of the profile, options by component 'rag' -> {'order': ...}). `components`: the names in this grid.

    Raises UserError for a key that belongs to neither.
    """
    profile: dict[str, Any] = {}
    options: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        head, _, tail = key.partition(".")
        if head in components and tail:
            options.setdefault(head, {})[tail] = value
        elif head in registry.names("metric") and tail:
            profile[f"options.{key}"] = value
        elif head in Profile.model_fields and head not in ("name", "title", "fitted"):
            profile[key] = value
        else:
            raise _no_setting(key, components)
    return profile, options


def _no_setting(key: str, components: Mapping[str, registry.Kind]) -> UserError:
    """Why a key is none: an option of a component of none of the grid's `components`, or a misspelt one."""
    head, _, option = key.partition(".")
    for kind in ("method", "retriever"):
        if option and head in registry.ours(kind) and head not in components:
            known = registry.options_of(kind, head)
            if option not in known:
                return unknown(f"option of {kind} '{head}'", option, known)
            return UserError(f"--set {key} needs --{kind} {head}, which is not in this grid; add it, or leave it out")
    own = [f"{name}.{option}" for name, kind in components.items() for option in registry.options_of(kind, name)]
    return unknown("setting", key, [*Profile.model_fields, *own])


def metric_settings(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """{'judge.model': 'm'} -> {'judge': {'model': 'm'}}. Raises UserError for a key of no metric."""
    options: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        name, _, option = key.partition(".")
        registry.load("metric", name)
        options.setdefault(name, {})[option] = value
    return options


def expand(
    corpus: Corpus,
    *,
    data: str,
    methods: Sequence[str],
    retrievers: Sequence[str],
    ks: Sequence[int] | None,
    seeds: Sequence[int],
    profile: str,
    set_values: Mapping[str, Any],
    split: Split = "test",
    limit: int | None = None,
    history: History = "own",
    generator: str = "vllm",
    generator_options: Mapping[str, Any] | None = None,
    deterministic: bool = False,
) -> list[RunConfig]:
    """Every combination once, in the order given. A method without a retriever appears once a seed.

    `ks` None means the profile's K, and no `profile` the data's default one.

    A method whose options imply a retriever (`dpl.released`) gets that one, whatever `retrievers` says.
    """
    if limit is not None and limit < 1:
        raise UserError(f"--limit {limit} leaves no sample; give at least 1, or no limit for all")
    profile = profile or defaults.profile(world=corpus.is_world)
    generator = registry.meant("generator", generator)
    components: dict[str, registry.Kind] = dict.fromkeys(registry.names("retriever"), "retriever")
    components.update(dict.fromkeys(methods, "method"))
    overrides, options = split_settings(set_values, components)
    fitting = _fitting(generator)
    resolved = load_profile(profile, overrides, fitting=fitting)
    _check_names(resolved, retrievers, generator)
    trained = {method: _profile(method, options.get(method, {}), profile, overrides, fitting) for method in methods}
    wanted = {method: _retrievers(method, options.get(method, {}), retrievers) for method in methods}
    _check_encoders(resolved, wanted, options)
    if history in BY_VECTORS and not resolved.embedder.model:
        raise _no_encoder(f"history '{history}'", resolved, "embedder")
    full = _all_options(wanted, options)
    configs = [
        RunConfig(
            method=method,
            method_options=full[method],
            retriever=retriever,
            retriever_options=full[retriever] if retriever else {},
            k=k,
            data=data,
            data_fingerprint=corpus.fingerprint,
            split=split,
            limit=limit,
            history=history,
            seed=seed,
            generator=generator,
            generator_options=dict(generator_options or {}),
            deterministic=deterministic,
            profile=trained[method],
        )
        for method in methods
        for retriever in wanted[method]
        for k in ((ks or [resolved.k]) if retriever else [0])
        for seed in seeds
    ]
    own = {method: _own(method, options.get(method, {}), profile, fitting) or trained[method] for method in methods}
    return [
        config.model_copy(update={"changed": bench_settings.by_hand(config, own[config.method])}) for config in configs
    ]


def _check_names(profile: Profile, retrievers: Sequence[str], generator: str) -> None:
    """Raises UserError for a retriever, generator or metric that does not exist."""
    for name in retrievers:
        registry.load("retriever", name)
    registry.load("generator", generator)
    for metric in dict.fromkeys((*profile.metrics, *profile.options)):
        registry.load("metric", metric)


def _all_options(
    wanted: Mapping[str, Sequence[str | None]], given: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """component -> all its options, of the methods and retrievers of this grid. `wanted`: method -> its retrievers.

    Raises UserError for options of another component.
    """
    used: dict[str, registry.Kind] = {name: "retriever" for found in wanted.values() for name in found if name}
    used.update(dict.fromkeys(wanted, "method"))
    for name in given:
        if name not in used:
            raise _no_setting(f"{name}.{next(iter(given[name]))}", used)
    return {name: _options(kind, name, given.get(name, {})) for name, kind in used.items()}


def _retrievers(method: str, options: Mapping[str, Any], asked: Sequence[str]) -> Sequence[str | None]:
    """The retrievers of one method: none, the one that its options imply, or those that were asked for."""
    component = registry.create("method", method, options)
    if not component.uses_retriever:
        return [None]
    own: str | None = getattr(component, "retriever", None)
    return [own] if own else asked


def _fitting(generator: str) -> Mapping[str, Any]:
    """What the generator chooses for this machine where a profile says nothing."""
    fitting: Callable[[], Mapping[str, Any]] = getattr(registry.load("generator", generator), "fitting", dict)
    return fitting()


def _check_encoders(
    profile: Profile, wanted: Mapping[str, Sequence[str | None]], options: Mapping[str, Mapping[str, Any]]
) -> None:
    """Raises UserError where a method or retriever needs vectors, and the profile names no encoder for them."""
    for method, retrievers in wanted.items():
        component = registry.create("method", method, options.get(method, {}))
        if (component.uses_embeddings or isinstance(component, SoftPromptMethod)) and not profile.embedder.model:
            raise _no_encoder(f"method '{method}'", profile, "embedder")
        for name in filter(None, retrievers):
            if registry.create("retriever", name).uses_embeddings and not profile.retrieval_encoder.model:
                raise _no_encoder(f"retriever '{name}'", profile, "retrieval_encoder")


def _no_encoder(who: str, profile: Profile, key: str) -> UserError:
    return UserError(
        f"{who} needs vectors, and profile '{profile.name}' names no {key}; add [{key}] to it, or base = \"tiny\" "
        "(docs/gpus.md)"
    )


def _profile(
    method: str,
    options: Mapping[str, Any],
    profile: str,
    overrides: Mapping[str, Any],
    fitting: Mapping[str, Any],
) -> Profile:
    """The profile with the training settings that a method's options imply. Settings by hand go before these."""
    component = registry.create("method", method, options)
    preset = component.training if isinstance(component, SoftPromptMethod) else {}
    implied = {f"train.{key}": value for key, value in preset.items()}
    return load_profile(profile, {**implied, **overrides}, fitting=fitting)


def _own(method: str, options: Mapping[str, Any], profile: str, fitting: Mapping[str, Any]) -> Profile | None:
    """The profile as its file has it; None for a file that needs settings by hand to be complete."""
    try:
        return _profile(method, options, profile, {}, fitting)
    except UserError:
        return None


def _options(kind: registry.Kind, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """All options of a component, defaults included, checked."""
    component = registry.create(kind, name, given)
    return {option: getattr(component, option) for option in registry.options_of(kind, name)}
