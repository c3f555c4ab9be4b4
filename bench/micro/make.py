"""`bench models make micro`: trains the model, and measures what it has learnt on users that it never saw."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.config import load_profile
from bench.data.folder.writing import check_writable
from bench.micro import card, training, whitening
from bench.micro.training import ABOUT, Recipe

CARD, WHITENING = "card.json", "whitening.safetensors"


def make(folder: Path, *, recipe: Recipe | None = None, n: int = 300, say: Callable[[str], None]) -> dict[str, Any]:
    """Writes the model and, in `training/`, the encoder's whitening, recipe, curve and card, which is returned.

    Its digests of weights and tokenizer are the same wherever arithmetic is. Raises UserError where it cannot write.
    """
    check_writable(folder)
    recipe = recipe or Recipe()
    training.train(folder, recipe, say=say)
    say("whitening the sentence encoder on the lessons' reviews")
    whitening.make(folder / ABOUT / WHITENING, load_profile("micro").embedder, seed=recipe.seed)
    say(f"measuring on {n} unseen samples of `mixed`")
    found = card.measured(load_profile("micro", {"llm": str(folder)}), n=n) | digests(folder)
    (folder / ABOUT / CARD).write_text(f"{json.dumps(found, indent=1)}\n", "utf-8")
    return found


def digests(folder: Path) -> dict[str, str]:
    files = {"weights": "model.safetensors", "tokenizer": "tokenizer.json"}
    return {name: hashlib.sha256((folder / file).read_bytes()).hexdigest() for name, file in files.items()}
