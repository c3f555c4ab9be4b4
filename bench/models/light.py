"""transformers in a second instead of ten, for who needs its tokenizers alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_torch() -> Iterator[None]:
    """Within, transformers is imported as if torch were not installed; its tokenizers are the same.

    Afterwards it is forgotten, so that whoever imports it next gets it whole. Does nothing where one of the two is
    imported already: then it costs nothing more.
    """
    if "torch" in sys.modules or "transformers" in sys.modules:
        yield
        return
    sys.modules["torch"] = None  # type: ignore[assignment]  # Python's way to say that there is none
    try:
        yield
    finally:
        for name in list(sys.modules):
            if name == "torch" or name.partition(".")[0] == "transformers":
                del sys.modules[name]
