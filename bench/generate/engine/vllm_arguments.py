"""What vLLM is started with: its installed build, its engine arguments and its environment."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.config import Profile
from bench.errors import UserError
from bench.generate.engine import memory
from bench.generate.engine.memory import Size

CACHE = "VLLM_CPU_KVCACHE_SPACE"

# Read by vLLM when it is imported. Values that the user has set win.
ENVIRONMENT = {
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",  # which goes to our log; stdout is for tables
    "VLLM_NO_USAGE_STATS": "1",
    CACHE: "4",  # GiB
    "VLLM_CPU_NUM_OF_RESERVED_CPU": "0",  # by default one core is kept from the worker: on two cores, half the speed
}


def installed() -> tuple[str, str] | None:
    """(distribution, version) of the vLLM that is installed, the CUDA or the CPU build."""
    for name in ("vllm", "vllm-cpu"):
        try:
            return name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


@cache
def known_arguments() -> frozenset[str]:
    """The names of vLLM's engine arguments. Empty if unknown.

    They are read from its source, because importing it takes many seconds.
    """
    package = find_spec("vllm")
    source = Path(package.origin).with_name("engine") / "arg_utils.py" if package and package.origin else None
    if source is None or not source.is_file():
        return frozenset()
    classes = {node.name: node for node in ast.parse(source.read_bytes()).body if isinstance(node, ast.ClassDef)}
    found, todo = set(), ["AsyncEngineArgs"]
    while todo:
        if node := classes.get(todo.pop()):
            todo += [ast.unparse(base) for base in node.bases]
            fields = [field.target for field in node.body if isinstance(field, ast.AnnAssign)]
            found |= {target.id for target in fields if isinstance(target, ast.Name)}
    return frozenset(found)


def check(given: Mapping[str, Any], build: str) -> None:
    """Raises UserError for an argument that vLLM does not know.

    It is called before anything is trained: the engine starts last, and would refuse the argument after hours.
    """
    known = known_arguments()
    for name in given if known else ():
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean '{close[0]}'? " if close else ""
            raise UserError(f"engine.{name}: {build} has no such argument; {hint}`vllm serve --help` lists them")


def arguments(profile: Profile, folder: str, *, size: Size | None, deterministic: bool, cpu: bool) -> dict[str, Any]:
    """The engine arguments for the model in `folder`. `size` is that of an engine that must fit in less memory."""
    length = max(profile.input_budget, profile.stage_budget) + profile.max_new_tokens
    found: dict[str, Any] = {
        "model": folder,
        "dtype": profile.dtype,
        "max_model_len": length,
        "generation_config": "vllm",  # the model's own sampling defaults are never applied
        "enable_prefix_caching": True,
        "enable_prompt_embeds": True,
        "disable_log_stats": True,
        **profile.engine,
    }
    if cpu:
        # A prefill in two chunks rewinds the request's random generator. CPU generators cannot do that, and the engine
        # dies. Without chunks every prompt must fit one step.
        found |= {"enable_chunked_prefill": False, "max_num_batched_tokens": length}
    if size is not None:
        found["max_num_seqs"] = size.sequences
        if size.share is not None:
            found["gpu_memory_utilization"] = size.share
        if not cpu:  # the memory of activations grows with the tokens of a step
            tokens = found.get("max_num_batched_tokens", 8 * memory.SEQUENCES)
            found["max_num_batched_tokens"] = min(tokens, 32 * size.sequences)
    if deterministic:
        # A batch of one and no cache, whatever the profile says: no neighbour can change the order of a sum.
        found |= {"max_num_seqs": 1, "enable_prefix_caching": False}
    return found
