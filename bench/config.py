"""Profiles (TOML: models, budgets, sampling) and the resolved configuration of one cell.

Both are frozen and take no unknown key: a typo is an error that names the key, and is never silently ignored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError, field_validator

from bench import registry
from bench.errors import UserError, matches, mistake, no_file, only, secrets, shown
from bench.record import files
from bench.types import Sampling, Split


@dataclass(frozen=True)
class EncoderConfig:
    """A text encoder; none without a `model`. `max_tokens` counts the special tokens; longer texts lose their end.

    `dtype` is what a GPU computes in. A CPU computes in float32, and vectors are kept in it. `whitening` is a file
    with a linear map of the vectors, or the name of a shipped one (bench/models/whitening); empty: none.
    """

    model: str
    pooling: Literal["mean", "bge-m3"]
    normalize: bool
    max_tokens: int
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    whitening: str = ""


NO_ENCODER = EncoderConfig("", "mean", normalize=False, max_tokens=1)


class TrainConfig(BaseModel):
    """How soft-prompt modules are trained (docs/training.md): `[train]` of a profile, `--set train.lr=1e-4`.

    The last three change no result: the tokens of one pass through the language model, the minutes between saved
    states, and the number of training processes (0: one per GPU).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    k: int | None = Field(None, ge=0)  # retrieved reviews; None: K of the profile
    epochs: int = Field(5, ge=1)
    lr: float = Field(1e-5, gt=0)
    weight_decay: float = Field(0.025, ge=0)
    warmup: float = Field(0.01, ge=0, le=1)  # share of all steps; then the rate falls linearly to 0
    batch: int = Field(16, ge=1)  # samples per step
    clip: float = Field(1.0, gt=0)  # maximal gradient norm
    limit: int | None = Field(None, ge=1)  # training samples, drawn as by --limit
    val_limit: int | None = Field(512, ge=1)  # validation samples of all categories together
    micro_tokens: int = Field(4096, ge=1)
    save_minutes: float = Field(10.0, ge=0)
    processes: int = Field(0, ge=0)

    def what(self) -> dict[str, Any]:
        """The settings that decide the weights: all but validation and the last three."""
        return self.model_dump(exclude={"val_limit", "micro_tokens", "save_minutes", "processes"})


PLAIN = "plain"  # the chat template of models that have none: texts with blank lines between them
# Names that the tokenizer itself takes; a template sees none of them, or we give them.
_NOT_THE_TEMPLATE_S = {
    "conversation", "messages", "chat_template", "add_generation_prompt", "continue_final_message", "tokenize",
    "padding", "truncation", "max_length", "return_tensors", "return_dict", "return_assistant_tokens_mask",
    "tokenizer_kwargs", "strftime_now", "bos_token", "eos_token",
}  # fmt: skip


def _several(value: Any) -> Any:
    """One text stands for a list of it."""
    return [value] if isinstance(value, str) else value


class Profile(BaseModel):
    """Models and budgets. `bench/profiles/*.toml`, or a TOML file of the user's.

    `chat_template` is a template's text, or "plain"; a file names a file. `fitted` are the keys whose values no file
    gives, and which `load_profile` chose for the machine.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    title: str
    llm: str
    revision: str | None = None
    dtype: Literal["float32", "bfloat16", "float16", "auto"] = "auto"
    k: int = Field(8, ge=0)
    input_budget: int = Field(2048, ge=1)  # tokens of the prompt that writes the text, chat template included
    stage_input_budget: int | None = Field(None, ge=1)  # of the prompts of the stages before it; None: input_budget
    max_new_tokens: int = Field(2048, ge=1)
    temperature: float = Field(0.8, ge=0)
    top_p: float = Field(0.95, gt=0, le=1)
    system_role: Literal["own", "merge"] = "own"  # merge: the system text opens the user message
    reasoning: Literal["strip", "keep"] = "strip"  # what a model thinks before it answers
    date: str | None = Field(None, pattern=r"^\d{4}-\d\d-\d\d$")  # for templates that print it; None: the first day
    chat_template: str | None = Field(None, min_length=1)  # None: the model's own
    chat_kwargs: dict[str, JsonValue] = {}  # for the template, as enable_thinking = false
    stop: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_several)] = ()  # end an answer
    fitted: tuple[str, ...] = ()
    metrics: tuple[str, ...]
    retrieval_encoder: EncoderConfig = NO_ENCODER  # what compares vectors is then refused
    embedder: EncoderConfig = NO_ENCODER
    options: dict[str, dict[str, JsonValue]] = {}
    engine: dict[str, JsonValue] = {}
    train: TrainConfig = TrainConfig()

    @field_validator("engine")
    @classmethod
    def _engine(cls, given: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if not isinstance(given.get("trust_remote_code", False), bool):
            raise ValueError("trust_remote_code is true or false")
        return given

    @field_validator("chat_kwargs")
    @classmethod
    def _chat_kwargs(cls, given: dict[str, JsonValue]) -> dict[str, JsonValue]:
        for name in given.keys() & _NOT_THE_TEMPLATE_S:
            raise ValueError(f"{name} is none of the template's own variables; leave it out")
        return given

    @field_validator("engine", "options", "chat_kwargs")
    @classmethod
    def _no_secrets(cls, given: dict[str, Any]) -> dict[str, Any]:
        for name in secrets(given):
            cure = "set HF_TOKEN" if name == "hf_token" else "give a secret"
            raise ValueError(f"{name} would be kept with every run; {cure} in the environment instead")
        return given

    @property
    def trusts_code(self) -> bool:
        """Whether code in the language model's folder may run. Only the user's own setting allows it."""
        return self.engine.get("trust_remote_code") is True

    @property
    def chat(self) -> dict[str, Any]:
        """How the model is spoken to, as far as the profile says: a template by its name or digest, its values, stops.

        A profile that says nothing has nothing here, so that the keys of what it answered stay the same.
        """
        template = self.chat_template
        name = template if template in (None, PLAIN) else hashlib.sha256(template.encode()).hexdigest()
        found = {"chat_template": name, "chat_kwargs": dict(self.chat_kwargs), "stop": list(self.stop)}
        return {key: value for key, value in found.items() if value}

    @property
    def stage_budget(self) -> int:
        """The input budget of intermediate stages, in tokens."""
        return self.stage_input_budget or self.input_budget

    @property
    def sampling(self) -> Sampling:
        return Sampling(temperature=self.temperature, top_p=self.top_p, max_new_tokens=self.max_new_tokens)


class RunConfig(BaseModel):
    """One cell of a grid, resolved: everything that decides its result.

    `retriever` is None, and k is 0, for methods without a retriever. The options of method and retriever include
    defaults, so that a changed default is a changed run.
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
    history: Literal["own", "swapped"] = "own"  # swapped: another user's, bench/data/swap.py
    seed: int = 0
    generator: str = "vllm"
    generator_options: dict[str, Any] = {}
    deterministic: bool = False
    profile: Profile
    changed: dict[str, JsonValue] = {}  # bench.settings: key -> the profile's own value, where --set gave another one

    @property
    def label(self) -> str:
        """The readable part of the run folder's name."""
        retriever = f"-{self.retriever}-k{self.k}" if self.retriever else ""
        history = "" if self.history == "own" else f"-{self.history}"
        return f"{Path(self.data).name}-{self.method}{retriever}{history}-seed{self.seed}"


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
    name = name if Path(name).exists() else only("profile", name, matches(name, shipped) or [name])
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
