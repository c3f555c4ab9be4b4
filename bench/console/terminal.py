"""What a terminal may be shown: reviews, and what servers answer, are anybody's."""

from __future__ import annotations

# All control characters but tab and line feed take over a terminal; some letters turn the order of what it shows.
SPELLED = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), *range(127, 160))}
SPELLED |= {code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}


def inert(text: str) -> str:
    """With such characters spelled out."""
    return text.replace("\r\n", "\n").translate(SPELLED)
