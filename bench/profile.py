"""What a profile holds: models, budgets, sampling, how the model is spoken to, training; `bench.config` reads it.

It is frozen and takes no unknown key: a typo is an error that names the key, and is never silently ignored.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, field_validator

from bench.errors import secrets
from bench.types import Sampling


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
