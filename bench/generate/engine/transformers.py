"""Plain transformers, for parity checks and for machines where vLLM does not run.

Requests that wait at the same time are generated as one left-padded batch, in a thread. Every request has its own
random generator: a logits processor masks the logits to the nucleus and adds seeded Gumbel noise, and the arg-max of
that is an exact draw from the distribution. At the same seed texts differ from vLLM's, which draws other random
numbers. Greedy texts agree up to floating-point ties. Soft prompt embeddings go in as `inputs_embeds`, in one
batch with requests that have none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

from bench.config import Profile
from bench.errors import EngineError
from bench.generate import stopping
from bench.generate.engine import fitting
from bench.generate.prompts import chat, soft
from bench.generate.prompts.chat import ChatEncoder
from bench.models import assets, attention, folders, release
from bench.types import Completion, Request

BATCH = 16


class SeededSampler:
    """Logits processor: request i of the batch is sampled by its own seed. Greedy ones stay as they are."""

    def __init__(self, requests: list[Request]) -> None:
        import torch

        self._requests = requests
        self._generators = [torch.Generator().manual_seed(request.seed) for request in requests]

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        import torch

        out = scores.float().cpu()
        for i, (request, generator) in enumerate(zip(self._requests, self._generators, strict=True)):
            if request.sampling.temperature > 0:
                noise = torch.rand(out.shape[1], generator=generator).clamp_min(1e-20)
                kept = nucleus(out[i] / request.sampling.temperature, request.sampling.top_p)
                out[i] = kept - torch.log(-torch.log(noise))
        return out.to(scores.device)


def nucleus(logits: Any, top_p: float) -> Any:
    """Log-probabilities, -inf outside the smallest set of tokens whose probabilities add up to top_p."""
    import torch

    logp = torch.log_softmax(logits, dim=-1)
    ranked, order = logp.sort(descending=True)
    before = ranked.exp().cumsum(-1) - ranked.exp()
    ranked[before >= top_p] = -torch.inf
    return torch.empty_like(ranked).scatter_(0, order, ranked)


class TransformersGenerator:
    """`bench.protocols.Generator` on `AutoModelForCausalLM.generate`."""

    def __init__(self, profile: Profile, *, deterministic: bool = False, log: Path | None = None) -> None:
        self._profile = profile
        self._deterministic = deterministic
        self._batch = 1 if deterministic else BATCH
        self._folder = assets.resolve(profile.llm, revision=profile.revision)
        self._model: Any = None
        self._queue: asyncio.Queue[tuple[Request, asyncio.Future[Completion]]] = asyncio.Queue()
        self._worker: asyncio.Task[None] | None = None

    @cached_property
    def encoder(self) -> ChatEncoder:
        return chat.of_profile(self._profile, self._folder)

    def identity(self) -> Mapping[str, Any]:
        return {
            "backend": "transformers",
            "version": metadata.version("transformers"),
            "torch": metadata.version("torch"),
            "model": self._profile.llm,
            "weights": assets.fingerprint(self._folder),
            "dtype": self._profile.dtype,
            "deterministic": self._deterministic,
            **self._profile.chat,
        }

    @staticmethod
    def fitting() -> Mapping[str, Any]:
        """For a machine without a GPU: what a profile leaves open."""
        return {} if fitting.has_gpu() else fitting.on_cpu()

    async def start(self) -> None:
        self._model = await asyncio.to_thread(self._load)
        self._worker = asyncio.create_task(self._serve())

    def _load(self) -> Any:
        import torch
        from transformers import AutoModelForCausalLM, GenerationConfig

        attention.of_any_shape()
        device = "cuda" if torch.cuda.is_available() else "cpu"
        with folders.loading(self._profile.llm):
            model = AutoModelForCausalLM.from_pretrained(
                self._folder,
                dtype=self._profile.dtype,
                local_files_only=True,
                trust_remote_code=self._profile.trusts_code,
            )
        model.generation_config = GenerationConfig()  # or its penalties would apply where a request names none
        return model.to(device).eval()

    async def _serve(self) -> None:
        while True:
            waiting = [await self._queue.get()]
            while not self._queue.empty() and len(waiting) < self._batch:
                waiting.append(self._queue.get_nowait())
            try:
                answers = await asyncio.to_thread(self._complete, [request for request, _ in waiting])
                for (_, future), answer in zip(waiting, answers, strict=True):
                    future.set_result(answer)
            except Exception as error:  # torch's errors are for the callers, and this loop goes on
                for _, future in waiting:
                    if not future.done():
                        future.set_exception(EngineError(f"transformers could not generate: {error}"))

    def _complete(self, requests: list[Request]) -> list[Completion]:
        import torch
        from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

        longest = max(len(request.ids) for request in requests)
        ends = list(self.encoder.end_tokens)
        pad = ends[0]
        budget = max(request.sampling.max_new_tokens for request in requests)
        config = GenerationConfig(max_new_tokens=budget, do_sample=False, eos_token_id=ends, pad_token_id=pad)
        stopped = stopping.StopStrings(self._profile.stop, longest, self.encoder.decode)
        with torch.inference_mode():
            output = self._model.generate(
                **self._inputs(requests, longest, pad),
                generation_config=config,
                logits_processor=LogitsProcessorList([SeededSampler(requests)]),
                stopping_criteria=StoppingCriteriaList([stopped] if self._profile.stop else []),
            )
        new = output[:, longest:].tolist()
        return [
            self._completion(request, ids[: stopped.lengths.get(row)], stopped=row in stopped.lengths)
            for row, (request, ids) in enumerate(zip(requests, new, strict=True))
        ]

    def _inputs(self, requests: list[Request], longest: int, pad: int) -> dict[str, Any]:
        """Left-padded ids and mask, and the embeddings of all ids if any request has soft prompt embeddings."""
        import torch

        device = self._model.device
        ids = torch.tensor([[pad] * (longest - len(r.ids)) + list(r.ids) for r in requests], device=device)
        mask = torch.tensor([[0] * (longest - len(r.ids)) + [1] * len(r.ids) for r in requests], device=device)
        inputs = {"input_ids": ids, "attention_mask": mask}
        if any(request.embeds is not None for request in requests):
            embeds = self._model.get_input_embeddings()(ids)
            for number, request in enumerate(requests):
                if request.embeds is not None:
                    at = self._slots(request) + longest - len(request.ids)
                    embeds[number, torch.from_numpy(at)] = soft.tensor(request.embeds).to(embeds)
            inputs["inputs_embeds"] = embeds  # the model reads these; the ids only say how many there are
        return inputs

    def _slots(self, request: Request) -> Any:
        width = self._model.get_input_embeddings().weight.shape[1]
        return soft.positions(request, slot_id=self.encoder.slot_id, width=width)

    def _completion(self, request: Request, ids: list[int], *, stopped: bool) -> Completion:
        limit = request.sampling.max_new_tokens
        stopped, ids = stopped and len(ids) <= limit, ids[:limit]
        end = next((place for place, token in enumerate(ids) if token in self.encoder.end_tokens), None)
        if end is not None:
            ids = ids[: end + 1]
        return Completion(
            text=stopping.cut(self.encoder.decode(tuple(ids)), self._profile.stop),
            ids=tuple(ids),
            finish="stop" if stopped or end is not None else "length",
            n_prompt=len(request.ids),
        )

    async def generate(self, request: Request) -> Completion:
        if request.embeds is not None:
            self._slots(request)  # checked here, so that it cannot fail a whole batch
        future: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((request, future))
        return await future

    async def close(self) -> None:
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
            self._worker = None
        self._model = None
        release.memory()
