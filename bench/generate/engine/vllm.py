"""The default engine: one asynchronous vLLM per model, stock and unpatched.

Requests go in as they come and the engine batches them continuously; prefix caching is on and each
request has a seed of its own. The engine runs in its own process.

A prompt with soft rows goes in as ids, a mask and a tensor that holds the rows. Every engine is started so that it
takes them: a grid's prompt-only and trained methods share one engine, and whether trained methods are in the grid
changes nothing for the others. That is why the switch is no part of the identity: ids get the same embeddings with it,
looked up one step earlier. `--set engine.enable_prompt_embeds=false` turns it off.

An engine that runs out of memory, at its start or later, is followed by a smaller one until there is none smaller.
"""

from __future__ import annotations

import ast
import asyncio
import difflib
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache, cached_property
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.config import Profile
from bench.errors import EngineError, SampleFailure, UserError
from bench.generate.engine import memory, watch
from bench.generate.engine.memory import Size
from bench.generate.prompts import soft
from bench.generate.prompts.chat import ChatEncoder
from bench.models import assets
from bench.types import Completion, Request

CACHE = "VLLM_CPU_KVCACHE_SPACE"

# Read by vLLM when it is imported. Values that the user has set win.
ENVIRONMENT = {
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",  # which goes to our log; stdout is for tables
    "VLLM_NO_USAGE_STATS": "1",
    CACHE: "4",  # GiB
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


@cache
def known_arguments() -> frozenset[str]:
    """The names of vLLM's engine arguments, read from its source: importing it takes many seconds. Empty if unknown."""
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


def _check_arguments(given: Mapping[str, Any], build: str) -> None:
    """Before anything is trained or written: the engine itself comes last, and would say so after hours."""
    known = known_arguments()
    for name in given if known else ():
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean '{close[0]}'? " if close else ""
            raise UserError(f"engine.{name}: {build} has no such argument; {hint}`vllm serve --help` lists them")


@contextmanager
def stderr_to(log: Path | None) -> Iterator[None]:
    """Sends stderr to a file while engines are started: the descriptor, which their processes inherit, and Python's,
    for which a live view may have put another that writes to the terminal."""
    if log is None:
        yield
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    saved, own = os.dup(2), sys.stderr
    file = log.open("a", buffering=1)  # never closed: a logger that is made meanwhile keeps it
    try:
        os.dup2(file.fileno(), 2)
        sys.stderr = file
        yield
    finally:
        if sys.stderr is file:
            sys.stderr = own
        os.dup2(saved, 2)
        os.close(saved)


def quiet(engine: Any) -> Any:
    """An engine class whose half-made ones end in silence: Ctrl-C at the start leaves one to the interpreter's exit,
    and then its finalizer misses modules that are gone already."""

    class Quiet(engine):  # type: ignore[misc]
        def __del__(self) -> None:
            try:  # noqa: SIM105  # `suppress` may be gone as well
                super().__del__()
            except Exception:
                pass

    return Quiet


class VllmGenerator:
    """`bench.protocols.Generator` on `vllm.v1.engine.async_llm.AsyncLLM`."""

    def __init__(self, profile: Profile, *, deterministic: bool = False, log: Path | None = None) -> None:
        build = installed()
        if build is None:
            raise UserError(
                "vllm is not installed; run `pip install '.[cpu]'` (or '.[cuda]'), or pass --generator transformers"
            )
        _check_arguments(profile.engine, " ".join(build))
        self._build = build
        self._profile = profile
        self._deterministic = deterministic
        self._folder = assets.resolve(profile.llm, revision=profile.revision)
        self._log = log
        self._engine: Any = None
        self._watcher: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count()
        self._soft_room = asyncio.Semaphore(SOFT_AT_ONCE)
        self._size: Size | None = None  # as large as the profile says
        self._log_start = 0  # where in the log this engine's part begins
        self._replacing = asyncio.Lock()

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

    def details(self) -> Mapping[str, Any]:
        """What the engine is started with, and by which chat template prompts are made."""
        arguments = self._arguments(cpu=self._build[0] == "vllm-cpu")
        return {"engine_arguments": arguments, "chat_template": self.encoder.template_hash}

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
        if self._size is not None:
            arguments["max_num_seqs"] = self._size.sequences
            if not cpu:  # the tokens of a step decide what its activations take
                tokens = arguments.get("max_num_batched_tokens", 8 * memory.SEQUENCES)
                arguments["max_num_batched_tokens"] = min(tokens, 32 * self._size.sequences)
        if self._deterministic:
            # A batch of one and nothing cached, whatever the profile says: no neighbour can change the order of a sum.
            arguments |= {"max_num_seqs": 1, "enable_prefix_caching": False}
        return arguments

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
        with stderr_to(self._log):  # here and not around the thread, which goes on after Ctrl-C
            from vllm import AsyncEngineArgs
            from vllm.platforms import current_platform
            from vllm.v1.engine.async_llm import AsyncLLM

            arguments = self._arguments(cpu=current_platform.is_cpu())
            self._watcher = watch.start()
            return quiet(AsyncLLM).from_engine_args(AsyncEngineArgs(**arguments))

    def _said(self) -> str:
        """What this engine's processes have written to the log."""
        if not (self._log and self._log.exists()):
            return ""
        return self._log.read_bytes()[self._log_start :].decode(errors="replace")

    def _reason(self, error: Exception) -> str:
        """Why there is no engine: by its own log, else by what vLLM raised."""
        raised = str(error).splitlines()[0] if str(error) else type(error).__name__
        small = f"out of memory even with {self._size}: " if self._size else ""
        return f"{small}{memory.cause(self._said()) or raised}" + (f"; its log is {self._log}" if self._log else "")

    def _shrink(self, said: str = "") -> bool:
        """Whether the engine died of want of memory and a smaller one can be tried. The next one is smaller then."""
        if not memory.was_short(said + self._said()):
            return False
        asked = self._profile.engine.get("max_num_seqs")
        sequences = 1 if self._deterministic else asked if isinstance(asked, int) else memory.SEQUENCES
        cache = int(os.environ[CACHE] or 1) if self._build[0] == "vllm-cpu" else 1
        smaller = (self._size or Size(sequences, cache)).smaller()
        if smaller is None:
            return False
        self._size, os.environ[CACHE] = smaller, str(smaller.cache)
        print(f"the engine ran out of memory; another one with {smaller} is started", file=sys.stderr, flush=True)
        return True

    async def generate(self, request: Request) -> Completion:
        while True:
            async with self._replacing:
                engine = self._engine
            if engine is None:  # another request has seen that there is none any more, and says why
                raise EngineError("the engine died; run the same command again")
            try:
                if request.embeds is None:
                    return await self._submit(request, {"prompt_token_ids": list(request.ids)})
                async with self._soft_room:
                    return await self._submit(request, self._mixed(request))
            except EngineError:
                async with self._replacing:
                    if self._engine is engine:  # of all its requests the first one to know replaces it
                        if not self._shrink():
                            raise
                        await self.close()
                        await self.start()

    def _mixed(self, request: Request) -> dict[str, Any]:
        """vLLM's prompt of ids and embeddings. No tensor may reach the engine that could kill it."""
        config = self._engine.model_config
        if not config.enable_prompt_embeds:
            raise UserError("this engine takes no soft prompts; leave out engine.enable_prompt_embeds=false")
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
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        started = time.perf_counter()
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
            if getattr(engine, "output_handler", None) is not None:
                engine.output_handler.cancel()  # it would take the end of the engine's process for a failure
            await asyncio.to_thread(engine.shutdown)
            engine.shutdown = lambda: None  # its finalizer calls it again, when the modules that it needs are gone
