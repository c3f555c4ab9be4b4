"""Model folders for tests: the SmolLM2 tokenizer, whole, in parts, or with a tiny random Llama."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from bench.models import assets

SMOLLM = "smollm2-135m-instruct"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")


def tokenizer_folder(folder: Path, template: str | None = None, **config: Any) -> Path:
    """A copy of SmolLM2's tokenizer, with a chat template ("" removes it) and config values of one's own."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in TOKENIZER:
        if (source := assets.path(SMOLLM) / name).is_file():
            shutil.copy(source, folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text()) | config
    if template is not None:
        settings.pop("chat_template", None)
        (folder / "chat_template.jinja").unlink(missing_ok=True)
        if template:
            (folder / "chat_template.jinja").write_text(template)
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def tiny_llama(folder: Path, *, seed: int = 0, **generation: Any) -> Path:
    """A random Llama of 2 layers over SmolLM2's vocabulary, with these values in its generation_config."""
    import torch
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    tokenizer_folder(folder)
    config = LlamaConfig(
        vocab_size=49_152,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        initializer_range=0.2,  # logits far enough apart that rounding decides nothing
        bos_token_id=1,
        eos_token_id=2,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(**generation)
    model.save_pretrained(folder)
    return folder
