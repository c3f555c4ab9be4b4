"""Which settings of a configuration can change a number: one answer for rows, labels, titles and notes of tables.

A setting is a dotted key, as `--set` has it. Those of `OF_ROWS` count where a method uses them (training settings for
trained methods only); all others count for every run. What only makes a run faster is left out. A key of the profile or
an engine argument that nobody has thought of counts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bench import registry
from bench.config import Profile, RunConfig
from bench.protocols import SoftPromptMethod

OF_ROWS = ("train.", "embedder.", "retrieval_encoder.")

# Engine arguments that change no more than how many requests are computed at once, what is kept in which memory, and
# what is logged. Parallelism and kernels are not among them: they change rounding for the same batch.
ONLY_SPEED = frozenset(
    {
        "async_scheduling", "block_size", "cpu_offload_gb", "disable_log_requests", "disable_log_stats", "download_dir",
        "enable_chunked_prefill", "enable_log_requests", "enable_prefix_caching", "enable_prompt_embeds",
        "gpu_memory_utilization", "kv_cache_memory_bytes", "max_log_len", "max_num_batched_tokens",
        "max_num_partial_prefills", "max_num_seqs", "max_parallel_loading_workers", "num_gpu_blocks_override",
        "swap_space", "use_tqdm_on_load",
    }
)  # fmt: skip

# Fields of a profile that are names, are counted elsewhere (K, the model, metrics), or are tables of their own below.
_APART = {
    "name", "title", "llm", "k", "metrics", "options", "engine", "train", "embedder", "retrieval_encoder", "fitted",
    "chat_template", "chat_kwargs", "stop",
}  # fmt: skip


def of(config: RunConfig) -> dict[str, Any]:
    """key -> value, of everything but metrics. Values are those of JSON. Raises UserError for an unknown component."""
    profile = config.profile.model_dump(mode="json")
    found = {key: value for key, value in profile.items() if key not in _APART}
    found |= config.profile.chat
    found["stage_input_budget"] = config.profile.stage_budget
    found |= {f"engine.{key}": value for key, value in profile["engine"].items() if key not in ONLY_SPEED}
    method = registry.create("method", config.method, config.method_options)
    if isinstance(method, SoftPromptMethod):
        found |= {f"train.{key}": value for key, value in train(config).items()}
    if method.uses_embeddings or config.chooses_by_vectors:
        found |= {f"embedder.{key}": value for key, value in profile["embedder"].items()}
    if config.retriever and registry.load("retriever", config.retriever).uses_embeddings:  # type: ignore[attr-defined]
        found |= {f"retrieval_encoder.{key}": value for key, value in profile["retrieval_encoder"].items()}
    return found


def train(config: RunConfig) -> dict[str, Any]:
    """The training settings that decide the weights and the chosen epoch, with the K that is trained with."""
    given, profile = config.profile.train, config.profile
    k = (profile.k if given.k is None else given.k) if config.retriever else 0
    return {**given.what(), "k": k, "val_limit": given.val_limit}


def of_metrics(
    profile: Profile, names: Sequence[str], given: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, dict[str, Any]]:
    """metric -> option -> value, without a metric's `only_speed`. `given` go before the profile's, then defaults."""
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        fast: Sequence[str] = getattr(registry.load("metric", name), "only_speed", ())
        options = {
            **registry.options_of("metric", name),
            **profile.options.get(name, {}),
            **(given or {}).get(name, {}),
        }
        found[name] = {key: _plain(value) for key, value in options.items() if key not in fast}
    return found


def by_hand(config: RunConfig, own: Profile) -> dict[str, Any]:
    """key -> the value of the profile's file, of each setting that has another value in this configuration.

    `own` is the profile as its file has it. A key that only one of the two has is None in the other.
    """
    first, metrics = config.model_copy(update={"profile": own}), config.profile.metrics
    options = [_flat(of_metrics(profile, metrics)) for profile in (config.profile, own)]
    return {**_differing(of(config), of(first)), **_differing(*options)}


def _flat(metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {f"{name}.{key}": value for name, options in metrics.items() for key, value in options.items()}


def with_metrics(config: RunConfig, metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The configuration's `changed`, and what the options that metrics were scored with differ in from the profile."""
    now, before = _flat(metrics), _flat(of_metrics(config.profile, list(metrics)))
    own = {**before, **{key: value for key, value in config.changed.items() if key in before}}
    others = {key: value for key, value in config.changed.items() if key not in own}
    return {**others, **_differing(now, own)}


def _differing(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    return {key: theirs.get(key) for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)}


def of_row(key: str) -> bool:
    """Whether the setting belongs to a row, not to the whole table."""
    return key.startswith(OF_ROWS)


def _plain(value: Any) -> Any:
    """With the types of JSON; a plug-in's option of another type as text."""
    return json.loads(json.dumps(value, default=str))
