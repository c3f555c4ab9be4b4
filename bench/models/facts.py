"""The facts of a model folder that decide which ids it takes and where an answer ends, in one place and by one rule.

config.json and generation_config.json may each name one end token, several, or none, and config.json may keep the
language model's part in `text_config`. All that any of them names ends an answer, and so does the token that the chat
template puts after an assistant's message (`bench.generate.prompts.chat`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Facts:
    """`end_tokens`: ascending ids that end an answer, by the folder's configurations; may be empty.

    `vocabulary`: the ids that the model knows; None where the folder does not say.
    """

    end_tokens: tuple[int, ...]
    vocabulary: int | None = None


def read(folder: str) -> Facts:
    """The facts of a model folder. A file that is missing or damaged says nothing here; loading the model tells."""
    config = _json(Path(folder) / "config.json")
    text = config.get("text_config")
    places = (_json(Path(folder) / "generation_config.json"), config, text if isinstance(text, dict) else {})
    ends = {token for place in places for token in _ids(place.get("eos_token_id"))}
    sizes = [size for place in places for size in _ids(place.get("vocab_size"))]
    return Facts(tuple(sorted(ends)), max(sizes, default=None))


def _ids(value: Any) -> list[int]:
    found = value if isinstance(value, list) else [value]
    return [token for token in found if isinstance(token, int) and not isinstance(token, bool) and token >= 0]


def _json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}
