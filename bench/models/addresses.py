"""Addresses of model servers. Configurations, store keys and messages show them, so they may hold no secrets."""

from __future__ import annotations

from urllib.parse import urlsplit

from bench.errors import UserError

EXAMPLE = "like http://localhost:8000/v1"


def checked(address: str) -> str:
    """The address without a slash at its end.

    Raises UserError for anything else, and for an address with a password or a query: these may be secret, and the key
    belongs in the environment.
    """
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UserError(f"the address of the server cannot be read ({error}); give one {EXAMPLE}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise UserError(f"'{host or parts.scheme or address}' is no address of a server; give one {EXAMPLE}")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise UserError(f"the address of {host} holds a password or a query; leave it out and set OPENAI_API_KEY")
    return address.rstrip("/")


def place(address: str) -> str:
    """host:port/path of a checked address, as identities and tables show it."""
    parts = urlsplit(address)
    return f"{parts.netloc}{parts.path}"
