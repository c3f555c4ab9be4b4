"""What the files of a run hold, as far as they are read again. What else is in them is shown, or kept for people.

Files may have been edited, merged or cut since they were written. `bench.record.runs` checks each file once, where it
reads it, so that no reader asks whether a key is there. Nothing is converted: "5" is no number, and true is no integer.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, InstanceOf, ValidationInfo, field_validator

FORMAT: Literal[4] = 4  # of a run folder; files of format 1 do not name theirs

Text = InstanceOf[str]  # not pydantic's own str: that refuses lone surrogates, which reviews may hold
Count = Annotated[int, Field(ge=0, lt=2**63)]
Number = Annotated[float, Field(gt=-(2.0**63), lt=2.0**63)]
Object = dict[Text, Any]
Pair = Annotated[list[Text], Field(min_length=2, max_length=2)]


class Content(BaseModel):
    """A JSON object. Models are built when the first file is read."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False, defer_build=True)


# ---------------------------------------------------------------- config.json, provenance.json


class Backend(Content):
    """What the generator says of itself (`Generator.identity`); the rest of it depends on the backend."""

    backend: Text
    version: Any


class Trained(Content):
    """The checkpoint of a trained method: the epoch that its validation chose."""

    epoch: Count


class Config(Content):
    """config.json. `config` is a `RunConfig`, which `bench.score.written.read_config` checks."""

    format: Literal[4]
    identity: Text
    generator: Backend
    sources: dict[Text, Text]
    config: Object
    trained: Trained | None = None
    date: Text = ""  # what the chat template was told
    imported: Object | None = None  # of texts that were made elsewhere: where they are from (bench.exchange.imported)


class Git(Content):
    """The source tree; empty for an installed package."""

    commit: Text = ""


class Provenance(Content):
    """provenance.json (`bench.record.provenance`). `continued` has an entry for every later start."""

    command: list[Text]
    generator: Object
    git: Git = Git()
    continued: list[Object] = []


# ---------------------------------------------------------------- samples.jsonl, scores.jsonl


class Cost(Content):
    """A `bench.types.StageCost`. No other key, as it is made of these again."""

    model_config = ConfigDict(extra="forbid")

    requests: Number
    from_store: Number
    prompt_tokens: Number
    cached_tokens: Number
    new_tokens: Number
    capped: Number
    reasoned: Number
    engine_seconds: Number


class Dropped(Content):
    """A `bench.types.Dropped`."""

    reviews: Count
    description_chars: Count
    text_chars: Count


class Soft(Content):
    """A `bench.types.SoftUse`."""

    slots: Count
    vectors: Count
    features: Number
    embeds: Number


class Sample(Content):
    """A row of samples.jsonl. `error` is null for a sample that was written."""

    sample_id: Text
    category: Text
    user_id: Text
    text: Text
    error: Text | None
    retrieved: list[Text]  # review ids, best first
    uncompared: Text | None  # why the retriever had nothing to compare
    kept: Count | None  # past reviews in the prompt that wrote the text
    dropped: Dropped
    dropped_before: Dropped  # from the prompts of the stages before the one that wrote the text
    stages: dict[Text, Cost]
    requests: list[Pair]  # stage, key in the request store
    finish: list[Pair]  # stage, how the answer ended
    began: Number  # seconds since 1970
    seconds: Number
    soft: dict[Text, Soft]  # of each name of slots


class Score(Content):
    """A row of scores.jsonl. Every other key is a metric, with what its values are made of."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Object]

    sample_id: Text
    category: Text
    user_id: Text
    properties: dict[Text, Number | None] = {}  # by which tables are sliced


# ---------------------------------------------------------------- training.json, steps.jsonl of a checkpoint


class Sizes(Content):
    """The part of a `bench.protocols.Space` that is no array."""

    vector_size: Count
    hidden_size: Count


class Training(Content):
    """training.json, written when a checkpoint is trained to its end."""

    epochs: list[Object]
    space: Sizes
    trainable: Count  # parameters
    samples: Count
    steps: Count
    seconds: Number


class Step(Content):
    """A row of steps.jsonl. Every other key is a loss, by the name that the method gives it."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Number | None]

    step: Count
    epoch: Count
    tokens: Count
    seconds: Number


# ---------------------------------------------------------------- summary.json


class Data(Content):
    """What was written for."""

    name: Text
    title: Text
    synthetic: bool
    split: Text
    limit: Count | None
    limit_seed: int


class ProfileName(Content):
    """The profile, by name."""

    name: Text


class Sampling(Content):
    """A `bench.types.Sampling`."""

    temperature: Number
    top_p: Number
    max_new_tokens: Count


class Column(Content):
    """A `bench.types.Column`, and the metric that reports it. No other key, as it is made of these again."""

    model_config = ConfigDict(extra="forbid")

    metric: Text
    key: Text
    label: Text
    digits: Count
    higher_is_better: bool | None
    main: bool


class Kept(Content):
    """Past reviews in the prompts that wrote the texts: mean, and share of samples with all that were retrieved."""

    mean: Number
    full: Number
    n: Count


class References(Content):
    """Words of the references (`bench.score.lengths`), and new tokens a word of the texts."""

    median: Number
    long: Count
    tokens_per_word: Number | None


class Untimed(Content):
    """Reviews of a category without a time, and what orders them."""

    n: Count
    of: Count
    order: Text


class Caveats(Content):
    """What must be said of data and model (`bench.data.caveats`)."""

    no_world: bool = False
    copyable: dict[Text, dict[Text, Count] | None] = {}  # category -> split -> targets
    untimed: dict[Text, Untimed] = {}


class EngineUse(Content):
    """What `bench run --dry-run` reads of `engine_use`. No part of Summary: `bench score` keeps it, right or wrong."""

    requests: Number = 0
    tokens_per_second: Number = 0


# What is not known of texts that were made elsewhere, and null in the summary of such a run alone.
OF_A_MODEL = (
    "k", "sampling", "input_budget", "stage_input_budget", "deterministic", "shortened", "shortened_before",
    "wall_seconds",
)  # fmt: skip


class Summary(Content):
    """summary.json: what tables ask of a finished run. Counts and scores are by category."""

    format: Literal[4]
    imported: Object | None = None  # as in config.json
    method: Text
    label: Text
    retriever: Text | None
    k: Count | None
    seed: int
    variant: Text
    data: Data
    profile: ProfileName
    model: Text
    engine: Text
    generator: Text
    encoders: dict[Text, Text]
    dtype: Text
    sampling: Sampling | None
    input_budget: Count | None
    stage_input_budget: Count | None
    deterministic: bool | None
    settings: Object  # of `bench.settings`, but for those above
    metric_settings: dict[Text, Object]
    changed: Object  # setting -> the profile's own value, where another one was given
    source: Text
    n: dict[Text, Count]
    users: Count
    failed: Count
    shortened: Count | None
    uncompared: dict[Text, Count]  # why the retriever had nothing to compare -> samples
    kept: Kept | None
    shortened_before: Count | None
    caveats: Caveats = Caveats()
    echoed: Count = 0  # texts that hold labels of the prompt
    references: References | None = None
    stages: dict[Text, Cost]
    wall_seconds: Number | None
    columns: list[Column]
    scores: dict[Text, dict[Text, Number]]
    metric_versions: dict[Text, Object]
    metric_options: dict[Text, Object] = {}
    unread: dict[Text, dict[Text, dict[Text, Count]]]  # metric -> reference or prediction -> why -> texts
    commit: Text = ""
    files: dict[Text, Text] = {}
    finished: Any  # `bench score` keeps it as it is

    @field_validator("scores")
    @classmethod
    def _of_all_categories(cls, scores: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        written = {category for category, n in info.data.get("n", {}).items() if n}
        if scores.keys() != written:
            raise ValueError(f"found {sorted(scores)!r:.60}, expected the categories of n")
        return scores

    @field_validator(*OF_A_MODEL)
    @classmethod
    def _known(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None and info.data.get("imported") is None:
            raise ValueError("found null, which only an imported run has")
        return value
