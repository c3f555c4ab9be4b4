"""Time and memory of this trainer against the released one: `make bench-training`.

DEP's training step on the same model, samples and machine, two ways, each in a process of its own:

    ours    bench.train: real lengths, logits of the target only, no gradient before the first soft prompt embedding
    recipe  what the released trainer does, re-created here: batch 1, padded on the left to 3,072 + 2,048 + 1 = 5,121
            tokens, logits and loss over every position (the labels outside the target are ignored)

Both give the same loss (printed). Prints seconds per sample, seconds for an epoch of the paper's 3,996 samples, peak
memory, and the ratios.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.data.corpus import load
from bench.suite import grid

RECIPE_LENGTH = 3072 + 2048 + 1
PAPER_SAMPLES = 3996


def worker(way: str, options: argparse.Namespace) -> None:
    """Runs one of the two ways and prints a line of JSON."""
    import torch

    from bench import registry
    from bench.config import TrainConfig
    from bench.embed.encoders import dimensions
    from bench.generate.prompts.chat import ChatEncoder
    from bench.models import assets
    from bench.train import optimizer
    from bench.train.examples import source
    from bench.train.lm import FrozenLM
    from bench.train.ranks import join
    from bench.train.trainer import Trainer

    corpus = load(options.data)
    (config,) = grid.expand(
        corpus, data=options.data, methods=["dep"], retrievers=["recency"], ks=None, seeds=[0], profile=options.profile,
        set_values={"train.limit": options.samples, "train.batch": options.batch, **grid.settings(options.set or [])},
    )  # fmt: skip
    method = registry.create("method", "dep", config.method_options)
    folder = assets.resolve(config.profile.llm, revision=config.profile.revision)
    encoder, ranks = ChatEncoder(folder), join()
    with TemporaryDirectory() as out:
        examples = source(config, method, corpus, encoder, out=Path(out)).of_epoch(1)
    lm = FrozenLM(folder, dtype=config.profile.dtype, device=ranks.device, slot_id=encoder.slot_id)
    torch.manual_seed(0)
    module: Any = method.module(lm.space(dimensions(config.profile.embedder))).to(ranks.device)
    train: TrainConfig = config.profile.train
    if way == "recipe":
        torch.backends.cuda.enable_cudnn_sdp(True)  # at its one shape the faster kernels
        lm.summed_loss = recipe_loss(lm)  # type: ignore[method-assign]
        train = train.model_copy(update={"micro_tokens": 1})
    trainer = Trainer(lm, module, optimizer.create(module, train, ranks), train, ranks, seed=0)
    trainer.objective(examples[: train.batch if ranks.device.type == "cuda" else 1])  # warm: threads, kernels, memory
    if ranks.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    losses, started = [], time.perf_counter()
    for start in range(0, len(examples), train.batch):
        objective, loss = trainer.objective(examples[start : start + train.batch])
        trainer.optimizer.step(objective, train.lr)
        losses.append(loss.gen)
    if ranks.device.type == "cuda":
        torch.cuda.synchronize()
    seconds = (time.perf_counter() - started) / len(examples)
    gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    if ranks.device.type == "cuda":
        gib = torch.cuda.max_memory_allocated() / 2**30
    tokens = sum(example.fed for example in examples) / len(examples)
    slot = encoder.slot_id
    before = sum(one.ids.index(slot) if slot in one.ids else one.fed for one in examples) / len(examples)
    sizes = {"n": len(examples), "tokens": tokens, "before": before}
    print(json.dumps({"seconds": seconds, "gib": gib, "losses": losses, **sizes}))


def recipe_loss(lm: Any) -> Any:
    """`FrozenLM.summed_loss` for one example, padded to the recipe's length, with logits at every position."""
    import torch
    from torch.nn.functional import cross_entropy

    def loss(examples: Any, embeds: Any) -> Any:
        (example,), (soft_embeds,) = examples, embeds
        ids = torch.tensor(example.ids + example.target, device=lm.device)
        padding = RECIPE_LENGTH - len(ids)
        whole = torch.cat((torch.zeros(padding, dtype=torch.long, device=lm.device), ids))
        inputs = lm.model.get_input_embeddings()(whole)
        soft = torch.zeros(RECIPE_LENGTH, dtype=torch.bool, device=lm.device)
        soft[padding : padding + len(example.ids)] = ids[: len(example.ids)] == lm.slot_id
        inputs = inputs.masked_scatter(soft.unsqueeze(-1), soft_embeds.to(inputs))
        mask = (torch.arange(RECIPE_LENGTH, device=lm.device) >= padding).long()
        labels = torch.full((RECIPE_LENGTH,), -100, device=lm.device)
        labels[-len(example.target) :] = ids[-len(example.target) :]
        logits = lm.model(inputs_embeds=inputs[None], attention_mask=mask[None], use_cache=False).logits[0]
        return cross_entropy(logits[:-1].float(), labels[1:], ignore_index=-100, reduction="sum")

    return loss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="bundled")
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--profile", default="tiny")
    parser.add_argument("--set", action="append")
    parser.add_argument("--way", choices=("ours", "recipe"))
    options = parser.parse_args()
    if options.way:
        return worker(options.way, options)
    found = {}
    for way in ("ours", "recipe"):
        command = [sys.executable, "-m", "benchmarks.training", *sys.argv[1:], "--way", way]
        answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        found[way] = json.loads(answer.splitlines()[-1])
        one = found[way]
        print(
            f"{way:7} {one['seconds']:8.2f} s a sample ({one['n']} samples of {one['tokens']:.0f} tokens), "
            f"{one['seconds'] * PAPER_SAMPLES / 60:8.1f} min for {PAPER_SAMPLES}, peak {one['gib']:.2f} GiB, "
            f"losses {', '.join(f'{loss:.6f}' for loss in one['losses'])}",
            flush=True,
        )
    ours, recipe = found["ours"], found["recipe"]
    print(
        f"recipe / ours: {recipe['seconds'] / ours['seconds']:.1f} x the time, "
        f"{recipe['gib'] / ours['gib']:.2f} x the memory"
    )


if __name__ == "__main__":
    main()
