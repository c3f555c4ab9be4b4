"""The default engine: one asynchronous vLLM per model, stock and unpatched.

Requests go in as they come and the engine batches them continuously; prefix caching is on and each
request has a seed of its own. The engine runs in its own process.

A prompt with soft rows goes in as ids, a mask and a tensor that holds the rows. Every engine is started so that it
takes them: a grid's prompt-only and trained methods share one engine, and whether trained methods are in the grid
changes nothing for the others. That is why the switch is no part of the identity: ids get the same embeddings with it,
looked up one step earlier. `--set engine.enable_prompt_embeds=false` turns it off.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

from bench import assets
from bench.config import Profile
from bench.errors import EngineError, SampleFailure, UserError
from bench.generate import soft, watch
from bench.generate.chat import ChatEncoder
from bench.types import Completion, Request

# Read by vLLM when it is imported. Values that the user has set win.
ENVIRONMENT = {
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "4",  # GiB
    "VLLM_CPU_NUM_OF_RESERVED_CPU": "0",  # by default one core is kept from the worker: on two cores, half the speed
}

# Soft prompts inside the engine at once. Each is a tensor of the whole prompt, in this process and in the engine's,
# until it is answered: 15 MB for 2,048 tokens of a 7B model, so that 256 are 4 GB and a whole test set would be 60.
SOFT_AT_ONCE = 256


def installed() -> tuple[str, str] | None:
    """(distribution, version) of the vLLM that is installed, the CUDA or the CPU build."""
    for name in ("vllm", "vllm-cpu"):
        try:
            return name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


@contextmanager
def stderr_to(log: Path | None) -> Iterator[None]:
    """Sends file descriptor 2, which engine processes inherit, to a file while they are started."""
    if log is None:
        yield
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    saved = os.dup(2)
    try:
        with log.open("a") as file:
            os.dup2(file.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


class VllmGenerator:
    """`bench.protocols.Generator` on `vllm.v1.engine.async_llm.AsyncLLM`."""

    def __init__(self, profile: Profile, *, deterministic: bool = False, log: Path | None = None) -> None:
        build = installed()
        if build is None:
            raise UserError(
                "vllm is not installed; run `pip install '.[cpu]'` (or '.[cuda]'), or pass --generator transformers"
            )
        self._build = build
        self._profile = profile
        self._deterministic = deterministic
        self._folder = assets.resolve(profile.llm, revision=profile.revision)
        self._log = log
        self._engine: Any = None
        self._watcher: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count()
        self._soft_room = asyncio.Semaphore(SOFT_AT_ONCE)

    @cached_property
    def encoder(self) -> ChatEncoder:
        return ChatEncoder(self._folder, trust_code=self._profile.trusts_code)

    def identity(self) -> Mapping[str, Any]:
        return {
            "backend": self._build[0],
            "version": self._build[1],
            "model": self._profile.llm,
            "weights": assets.fingerprint(self._folder),
            "dtype": self._profile.dtype,
            "engine": dict(self._profile.engine),
            "deterministic": self._deterministic,
        }

    def _arguments(self, *, cpu: bool) -> dict[str, Any]:
        length = self._profile.input_budget + self._profile.max_new_tokens
        arguments: dict[str, Any] = {
            "model": self._folder,
            "dtype": self._profile.dtype,
            "max_model_len": length,
            "generation_config": "vllm",  # the model's own sampling defaults are never applied
            "enable_prefix_caching": True,
            "enable_prompt_embeds": True,
            "disable_log_stats": True,
            **self._profile.engine,
        }
        if cpu:
            # A prefill split in two rewinds the request's random generator, which CPU generators cannot
            # do: the engine dies. Without chunks every prompt must fit one step.
            arguments |= {"enable_chunked_prefill": False, "max_num_batched_tokens": length}
        if self._deterministic:
            # A batch of one and nothing cached, whatever the profile says: no neighbour can change the order of a sum.
            arguments |= {"max_num_seqs": 1, "enable_prefix_caching": False}
        return arguments

    async def start(self) -> None:
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        try:
            with stderr_to(self._log):
                self._engine = await asyncio.to_thread(self._launch)
        except Exception as error:  # vLLM raises RuntimeError, ValueError, TypeError, ImportError, OSError ...
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            log = f"; its log is {self._log}" if self._log else ""
            raise EngineError(
                f"vLLM did not start with {self._profile.llm}: {reason}{log}; see `bench doctor`"
            ) from error

    def _launch(self) -> Any:
        from vllm import AsyncEngineArgs
        from vllm.platforms import current_platform
        from vllm.v1.engine.async_llm import AsyncLLM

        arguments = self._arguments(cpu=current_platform.is_cpu())
        self._watcher = watch.start()
        return AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments))

    async def generate(self, request: Request) -> Completion:
        if request.rows is None:
            return await self._submit(request, {"prompt_token_ids": list(request.ids)})
        async with self._soft_room:
            return await self._submit(request, self._mixed(request))

    def _mixed(self, request: Request) -> dict[str, Any]:
        """vLLM's prompt of ids and embeddings. No tensor may reach the engine that could kill it."""
        config = self._engine.model_config
        if not config.enable_prompt_embeds:
            raise UserError("this engine takes no soft prompts; leave out engine.enable_prompt_embeds=false")
        slot_id, width = self.encoder.slot_id, config.get_hidden_size()
        embeds, is_id = soft.spread(request, slot_id=slot_id, width=width, dtype=config.dtype)
        return {"prompt_token_ids": list(request.ids), "prompt_is_token_ids": is_id, "prompt_embeds": embeds}

    async def _submit(self, request: Request, prompt: dict[str, Any]) -> Completion:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind
        from vllm.v1.engine.exceptions import EngineDeadError

        params = SamplingParams(
            temperature=request.sampling.temperature,
            top_p=request.sampling.top_p,
            max_tokens=request.sampling.max_new_tokens,
            seed=request.seed,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        started = time.perf_counter()
        output: Any = None
        try:
            async for answer in self._engine.generate(prompt, params, f"r{next(self._numbers)}"):
                output = answer
        except EngineDeadError as error:
            raise EngineError("the engine died; run the same command again: what was finished is kept") from error
        except ValueError as error:
            raise SampleFailure(f"the engine refused the request: {str(error).splitlines()[0]}") from error
        return self._completion(output, len(request.ids), time.perf_counter() - started)

    def _completion(self, output: Any, n_prompt: int, seconds: float) -> Completion:
        answer = output.outputs[0]
        return Completion(
            text=answer.text,
            ids=tuple(answer.token_ids),
            finish="length" if answer.finish_reason == "length" else "stop",
            n_prompt=n_prompt,
            n_cached=output.num_cached_tokens or 0,
            seconds=seconds,
        )

    async def close(self) -> None:
        if self._watcher is not None:
            self._watcher.kill()
            self._watcher.wait()
            self._watcher = None
        if self._engine is not None:
            engine, self._engine = self._engine, None
            await asyncio.to_thread(engine.shutdown)
            engine.shutdown = lambda: None  # its finalizer calls it again, when the modules that it needs are gone
