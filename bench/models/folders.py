"""Model folders: the files that one must have, the hub's snapshots, and digests."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.errors import UserError

TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model")
WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
MODEL_FILES = ("*.json", "*.jinja", "*.txt", "*.model", "*.safetensors", "*.bin", "*.pt", "*.py", "*/config.json")
MARKER = "asset.json"  # describes a fetched asset; not part of the model
HUB_IGNORED = ["onnx/*", "openvino/*", "original/*", "*.onnx", "*.gguf", "*.h5", "*.msgpack", "*.ot", "*.pth"]
LARGE = 1 << 20


def checked(folder: Path, model: str) -> Path:
    """The folder, if a model can be loaded from it. Raises UserError that names missing files."""
    shards = {name for index in folder.glob("*.index.json") for name in _json(index).get("weight_map", {}).values()}
    absent = [name for name in ("config.json", *sorted(shards)) if not (folder / name).is_file()]
    if not any((folder / name).is_file() for name in TOKENIZERS):
        absent.append("a tokenizer (tokenizer.json, say)")
    if not any(file for pattern in WEIGHTS for file in folder.glob(pattern)):
        absent.append("weights (*.safetensors)")
    if absent:
        raise UserError(f"model '{model}': {folder} lacks {', '.join(absent)}; complete the folder or pull it again")
    _json(folder / "config.json")
    return folder


@contextlib.contextmanager
def loading(model: str) -> Iterator[None]:
    """Around loading a model's files: turns any exception of a library into a UserError of one line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # transformers, safetensors and torch raise many types
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"model '{model}' cannot be loaded: {reason}; copy its folder or pull it again") from error


def _json(file: Path) -> dict[str, Any]:
    try:
        values = json.loads(file.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file} is not JSON ({error}); complete the folder or pull it again") from error
    if not isinstance(values, dict):
        raise UserError(f"{file} holds no JSON object; complete the folder or pull it again")
    return values


def snapshot(model: str, revision: str | None, *, known: Iterable[str] = ()) -> Path:
    """The folder of a hub model that is on this machine. Never uses the network.

    Raises UserError, which offers the names `known` besides folders and hub ids.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    if model.count("/") != 1 or model.startswith((".", "/", "~")):
        raise UserError(f"no model '{model}': neither a folder, nor org/name of the hub, nor {', '.join(known)}")
    try:
        folder = Path(snapshot_download(model, revision=revision, local_files_only=True))
    except (OSError, HFValidationError) as error:
        at = f" at revision {revision}" if revision else ""
        raise UserError(
            f"model '{model}'{at} is not on this machine; run `bench models pull --profile ...` or pass a folder"
        ) from error
    return checked(folder, model)


def pull_snapshot(model: str, revision: str | None) -> Path:
    """Fetches a hub model into the hub's cache. Pickled weights are fetched only where there are no others.

    Raises UserError where the hub cannot be reached or refuses.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    try:
        folder = Path(snapshot_download(model, revision=revision, ignore_patterns=[*HUB_IGNORED, "*.bin"]))
        if not any(folder.glob("*.safetensors")):
            folder = Path(snapshot_download(model, revision=revision, ignore_patterns=HUB_IGNORED))
    except (OSError, ValueError, HTTPError) as error:
        cause = str(error).strip().splitlines()[0]
        raise UserError(f"model '{model}' cannot be fetched from the hub: {cause}; pass a folder instead") from error
    return checked(folder, model)


def fingerprint(folder: Path, *, notes: Path) -> str:
    """sha256 over configs, tokenizer, templates and weights. The folder `notes` caches digests of large files."""
    files = {file for pattern in MODEL_FILES for file in folder.glob(pattern) if file.name != MARKER}
    return _combined({file.relative_to(folder): _digest(file, notes) for file in files})


def digests(folder: Path) -> dict[str, str]:
    """Relative path -> sha256 of every file in a folder except an asset's marker; "" for an unreadable file."""
    files = [file for file in folder.rglob("*") if file.is_file() and file.relative_to(folder) != Path(MARKER)]
    return {file.relative_to(folder).as_posix(): _sha256_or_nothing(file) for file in sorted(files)}


def tree(digests: Mapping[str, str]) -> str:
    """sha256 over the names and digests of all files in a folder."""
    return _combined({Path(name): digest for name, digest in digests.items()})


def _combined(digests: Mapping[Path, str]) -> str:
    lines = (f"{file.as_posix()} {digests[file]}\n" for file in sorted(digests))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _sha256(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _sha256_or_nothing(file: Path) -> str:
    try:
        return _sha256(file)
    except OSError:
        return ""


def _digest(file: Path, notes: Path) -> str:
    stat = file.stat()
    if stat.st_size < LARGE:
        return _sha256(file)
    key = hashlib.sha256(f"{file.resolve()} {stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()
    kept = notes / f"{key}.sha256"
    if known := _noted(kept, key):
        return known
    digest = _sha256(file)
    # Only a cache: where it cannot be written, the next run takes some seconds longer.
    with contextlib.suppress(OSError):
        notes.mkdir(parents=True, exist_ok=True)
        part = notes / f"{key}.{os.getpid()}-{threading.get_ident()}"
        try:
            part.write_text(_note(key, digest))
            part.replace(kept)
        finally:
            part.unlink(missing_ok=True)
    return digest


def _note(key: str, digest: str) -> str:
    """A digest with a checksum of its own: runs depend on it, so a damaged note must be noticed."""
    return f"{digest} {hashlib.sha256(f'{key} {digest}'.encode()).hexdigest()}\n"


def _noted(kept: Path, key: str) -> str | None:
    """The digest in a note, if the note belongs to this file and is not damaged."""
    try:
        text = kept.read_bytes().decode("ascii") if kept.is_file() else ""
    except (OSError, ValueError):
        return None
    digest = text.partition(" ")[0]
    return digest if text == _note(key, digest) else None
