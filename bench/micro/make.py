"""`bench models make micro`: trains the model, and measures what it has learnt on users that it never saw."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.config import load_profile
from bench.data.folder.writing import check_writable
from bench.micro import card, training
from bench.micro.training import ABOUT, Recipe

CARD = "card.json"


def make(folder: Path, *, recipe: Recipe | None = None, n: int = 300, say: Callable[[str], None]) -> dict[str, Any]:
    """Writes the model and, in `training/`, recipe, curve and card, which is returned.

    Its digests of weights and tokenizer are the same wherever arithmetic is. Raises UserError where it cannot write.
    """
    check_writable(folder)
    training.train(folder, recipe or Recipe(), say=say)
    say(f"measuring on {n} unseen samples of `mixed`")
    found = card.measured(load_profile("micro", {"llm": str(folder)}), n=n) | digests(folder)
    (folder / ABOUT / CARD).write_text(f"{json.dumps(found, indent=1)}\n", "utf-8")
    return found


def digests(folder: Path) -> dict[str, str]:
    files = {"weights": "model.safetensors", "tokenizer": "tokenizer.json"}
    return {name: hashlib.sha256((folder / file).read_bytes()).hexdigest() for name, file in files.items()}
