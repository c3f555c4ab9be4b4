"""Seeds derived from what they are for, so that no seed depends on order or on other requests."""

from __future__ import annotations

from hashlib import sha256


def derive(*parts: str | int) -> int:
    """A seed in [0, 2**63) from all parts, their types and their borders: ("a", "bc") is not ("ab", "c").

    The same on every machine and Python version. Lone surrogates are allowed.
    """
    digest = sha256(b"".join(_encode(part) for part in parts)).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _encode(part: str | int) -> bytes:
    data = str(part).encode("utf-8", "surrogatepass")
    return f"{type(part).__name__}{len(data)}:".encode() + data
