"""What one card does with a model of the paper's size: `make gpu`, about ten minutes.

A model of random weights in Qwen2.5-7B's shape, on bundled samples, each part in a process of its own:

    rate       the card's bf16 rate: a large matrix product, the best of several (float32 on a CPU)
    generate   DPL through the pipeline, against the bare engine given all its requests at once, and against stages with
               barriers: new tokens a second; random weights end no answer, so every answer has `--max-new-tokens`
    train      DEP's training step: seconds, floating-point operations, minutes an epoch of the paper's 3,996 samples;
               and the released recipe's on the same samples (see benchmarks.training)

A frozen language model of N parameters without its embeddings costs 2 N operations a token before the first soft prompt
embedding, where no gradient goes, and 4 N after it (forward, and backward through activations). Their rate is given as
a fraction of the measured one. Writes one JSON file with the device, versions and peak memory of each part. A part
that fails or exceeds its share of `--minutes` is in `skipped`, with the reason. `--shape tiny` is the same on a CPU.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.models import assets
from bench.record import provenance

TOKENIZER = "smollm2-135m-instruct"  # whose vocabulary is a part of the shape's
FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")
SHAPES: dict[str, dict[str, int]] = {
    "qwen2.5-7b": {
        "vocab_size": 152_064, "hidden_size": 3584, "intermediate_size": 18_944, "num_hidden_layers": 28,
        "num_attention_heads": 28, "num_key_value_heads": 4,
    },
    "tiny": {
        "vocab_size": 49_152, "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1,
    },
}  # fmt: skip
PAPER_SAMPLES, BATCH = 3996, 16
PARTS = {"rate": 0.1, "generate": 0.5, "train": 0.4}  # shares of the time


def parameters(shape: Mapping[str, int]) -> int:
    """Weights of a Qwen2 model that multiply a token: all but the embeddings, biases and norms.

    A layer has queries and outputs (h x h each), keys and values (h x h k/q each), and a gated MLP (3 h m).
    """
    h, m = shape["hidden_size"], shape["intermediate_size"]
    shared = shape["num_key_value_heads"] / shape["num_attention_heads"]
    return round(shape["num_hidden_layers"] * (2 * h * h * (1 + shared) + 3 * h * m))


def operations(n: int, *, tokens: float, before: float) -> float:
    """Floating-point operations of one sample's `tokens`, `before` of them before the first soft prompt embedding."""
    return 2 * n * before + 4 * n * (tokens - before)


def model_folder(folder: Path, shape: str) -> None:
    """A model of random weights in this shape, in bf16, with the tokenizer of a small model."""
    import torch
    from transformers import AutoModelForCausalLM, Qwen2Config

    for name in FILES:
        if (source := Path(assets.resolve(TOKENIZER)) / name).is_file():
            shutil.copy(source, folder)
    config = Qwen2Config(**SHAPES[shape], max_position_embeddings=32_768, bos_token_id=1, eos_token_id=2)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder)


def profile(folder: Path, options: argparse.Namespace) -> Path:
    tiny = options.shape == "tiny"
    lines = [
        'base = "tiny"', 'title = "Random weights"', f"llm = {json.dumps(str(folder / 'model'))}",
        f'dtype = "{"float32" if tiny else "bfloat16"}"', f"k = {4 if tiny else 8}",
        f"input_budget = {1024 if tiny else 2048}", f"stage_input_budget = {2048 if tiny else 8192}",
        f"max_new_tokens = {options.max_new_tokens}", "[engine]", f"enforce_eager = {json.dumps(tiny)}",
        f"max_num_seqs = {16 if tiny else 256}", f"max_num_batched_tokens = {4096 if tiny else 16384}",
    ]  # fmt: skip
    path = folder / "profile.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def rate(options: argparse.Namespace) -> dict[str, Any]:
    """Operations a second of a square matrix product, in the type that the model has."""
    import torch

    cuda = torch.cuda.is_available()
    size, device, dtype = (8192, "cuda", torch.bfloat16) if cuda else (512, "cpu", torch.float32)
    left, right = (torch.randn(size, size, dtype=dtype, device=device) for _ in range(2))
    best = float("inf")
    for _ in range(12):
        started = time.perf_counter()
        for _ in range(4):
            left @ right
        if cuda:
            torch.cuda.synchronize()
        best = min(best, (time.perf_counter() - started) / 4)
    return {"operations_a_second": 2 * size**3 / best, "matrix": size}


def generate(options: argparse.Namespace) -> dict[str, Any]:
    from benchmarks import throughput
    from benchmarks.stages import stage_by_stage

    config, corpus = throughput.one_run(options, "dpl", "recency")

    async def measure() -> dict[str, Any]:
        generator = await throughput.started(config)
        ours, requests = await throughput.pipeline(config, corpus, generator)
        await throughput.forget_prefixes(generator)
        barriers = await stage_by_stage(generator, requests)
        await throughput.forget_prefixes(generator)
        engine = await throughput.at_once(generator, requests)
        used = used_gib()
        await generator.close()
        speeds = {"pipeline": ours.speed, "barriers": barriers.speed, "engine": engine.speed}
        return {
            "tokens_a_second": speeds,
            "pipeline_over_engine": ours.speed / engine.speed,
            "pipeline_over_barriers": ours.speed / barriers.speed,
            "requests": Counter(request.stage for request in requests),
            "prompt_tokens": sum(len(request.ids) for request in requests),
            "peak_gib": used,
        }

    return asyncio.run(measure())


def used_gib() -> float | None:
    """Memory in use on the first GPU, the engine's processes included."""
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    try:
        lines = subprocess.run(query, capture_output=True, text=True, check=True, timeout=20).stdout.splitlines()
        return round(float(lines[0]) / 1024, 2)
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


def train(options: argparse.Namespace) -> dict[str, Any]:
    """DEP's training step, ours and the released recipe's (benchmarks.training), on samples of the train split."""
    found, recipe = trained("ours", options, options.samples), trained("recipe", options, min(BATCH, options.samples))
    a_sample = operations(parameters(SHAPES[options.shape]), tokens=found["tokens"], before=found["before"])
    return {
        "seconds_a_step": found["seconds"] * BATCH,
        "batch": BATCH,
        "tokens_a_sample": found["tokens"],
        "operations_a_step": a_sample * BATCH,
        "operations_a_second": a_sample / found["seconds"],
        "minutes_an_epoch": found["seconds"] * PAPER_SAMPLES / 60,
        "peak_gib": found["gib"],
        "recipe": {"seconds_a_step": recipe["seconds"] * BATCH, "peak_gib": recipe["gib"]},
        "recipe_over_ours": recipe["seconds"] / found["seconds"],
    }


def trained(way: str, options: argparse.Namespace, samples: int) -> dict[str, Any]:
    command = [
        sys.executable, "-m", "benchmarks.training", "--way", way, "--profile", options.profile,
        "--samples", str(samples), "--batch", str(min(BATCH, samples)), "--set", "train.micro_tokens=8192",
    ]  # fmt: skip
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if run.returncode:
        sys.exit(run.returncode)  # whose reason is the last line it said
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return found


def measured(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All parts, each in a process of its own, and what was skipped."""
    found: dict[str, Any] = {"skipped": {}}
    for part, share in PARTS.items():
        print(f"{part} ...", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", "benchmarks.gpu", "--part", part, "--profile", str(folder / "profile.toml")]
        command += ["--shape", options.shape, "--limit", str(options.limit), "--samples", str(options.samples)]
        command += ["--max-new-tokens", str(options.max_new_tokens)]
        run = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        try:
            out, err = run.communicate(timeout=60 * options.minutes * share)
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)  # an engine or a training that it started would keep the card
            run.communicate()
            found["skipped"][part] = f"it took more than {options.minutes * share:g} minutes"
            continue
        print(err, file=sys.stderr, end="", flush=True)
        if run.returncode == 0:
            found[part] = json.loads(out.splitlines()[-1])
        else:
            said = [line.strip() for line in err.splitlines() if line.strip()]
            found["skipped"][part] = (said or [f"it ended with status {run.returncode}"])[-1][:300]
    if "rate" in found and "train" in found:
        of = found["train"]["operations_a_second"] / found["rate"]["operations_a_second"]
        found["train"]["fraction_of_the_card"] = of
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="qwen2.5-7b")
    parser.add_argument("--data", default="bundled")
    parser.add_argument("--limit", type=int, default=64, help="samples that DPL writes")
    parser.add_argument("--samples", type=int, default=64, help="samples that DEP is trained on")
    parser.add_argument("--max-new-tokens", type=int, default=256)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--to", type=Path, default=Path("gpu.json"))
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--profile", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        part = {"rate": rate, "generate": generate, "train": train}[options.part]
        return print(json.dumps(part(options)))
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "model").mkdir()
        started = time.perf_counter()
        model_folder(folder / "model", options.shape)
        profile(folder, options)
        about = {
            "shape": options.shape,
            "parameters": parameters(SHAPES[options.shape]),
            "hardware": provenance.hardware(),
            "versions": provenance.versions(),
            "model_seconds": round(time.perf_counter() - started, 1),
            "max_new_tokens": options.max_new_tokens,
        }
        found = {**about, **measured(folder, options)}
    options.to.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps({key: value for key, value in found.items() if key not in ("versions", "hardware")}, indent=2))
    print(options.to)


if __name__ == "__main__":
    main()
