"""Seeds derived from their purpose, so that no seed depends on the order of requests."""

from __future__ import annotations

from hashlib import sha256


def derive(*parts: str | int) -> int:
    """A seed in [0, 2**63) from the parts, their types and their borders: ("a", "bc") and ("ab", "c") differ.

    Equal on every machine and Python version. Parts may hold lone surrogates.
    """
    digest = sha256(b"".join(_encode(part) for part in parts)).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _encode(part: str | int) -> bytes:
    data = str(part).encode("utf-8", "surrogatepass")
    return f"{type(part).__name__}{len(data)}:".encode() + data
