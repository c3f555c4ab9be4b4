from __future__ import annotations

import multiprocessing
import sqlite3
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import bench.embed.store
import bench.record.sqlite
from bench.embed.store import AwaitedVectors, StoredEmbedder, VectorStore
from bench.errors import BenchError, UserError
from tests.embed.fakes import FakeEmbedder, Unloadable, fill, vector


@pytest.fixture
def store(tmp_path: Path) -> VectorStore:
    return VectorStore(tmp_path / "made" / "here" / "vectors.sqlite")


def query(store: VectorStore, sql: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(store.path) as db:
        return db.execute(sql).fetchall()


def test_embeds_in_order_and_every_text_once(store: VectorStore) -> None:
    embedder = FakeEmbedder()
    stored = StoredEmbedder(store, embedder)
    texts = ["b", "a", "b", "", "ccc"]
    np.testing.assert_array_equal(stored.embed(texts), np.stack([vector(text) for text in texts]))
    np.testing.assert_array_equal(stored.embed(["d", "a"]), np.stack([vector("d"), vector("a")]))
    assert sorted(embedder.asked) == ["", "a", "b", "ccc", "d"]


def test_second_use_never_asks_the_embedder(store: VectorStore) -> None:
    texts = ["one", "two", "three"]
    first = StoredEmbedder(store, FakeEmbedder()).embed(texts)
    second = StoredEmbedder(store, Unloadable()).embed(texts)
    assert first.dtype == second.dtype == np.float32
    assert first.tobytes() == second.tobytes()


def test_vectors_come_back_bit_for_bit(store: VectorStore) -> None:
    odd = np.array([[0.1, -0.0, 1e-42, 3.4e38, np.nextafter(np.float32(1), np.float32(2))]], np.float32)

    class Odd(FakeEmbedder):
        def encode(self, texts: Sequence[str]) -> np.ndarray:
            return odd

    store.ensure(Odd(), ["x"])
    assert store.vectors("fake", ["x"])["x"].tobytes() == odd.tobytes()


def test_vectors_gives_only_what_is_there(store: VectorStore) -> None:
    assert store.vectors("fake", ["a", "b"]) == {}
    store.ensure(FakeEmbedder(), ["a"])
    assert list(store.vectors("fake", ["a", "b"])) == ["a"]


def test_embedders_do_not_share_vectors(store: VectorStore) -> None:
    small, large = FakeEmbedder("small", dimensions=3), FakeEmbedder("large", dimensions=8)
    for embedder in (small, large):
        assert StoredEmbedder(store, embedder).embed(["a"]).shape == (1, embedder.dimensions)
        assert embedder.asked == ["a"]


def test_more_texts_than_one_commit_holds(store: VectorStore) -> None:
    texts = [f"text {i}" for i in range(3 * bench.embed.store.CHUNK + 1)]
    embedder, steps = FakeEmbedder(), []
    store.ensure(embedder, texts, progress=lambda done, total: steps.append((done, total)))
    assert [len(call) for call in embedder.calls] == [256, 256, 256, 1]
    assert steps == [(256, 769), (512, 769), (768, 769), (769, 769)]
    found = store.vectors("fake", texts)
    assert all(np.array_equal(found[text], vector(text)) for text in texts)


def test_a_killed_run_keeps_what_it_committed(store: VectorStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.embed.store, "CHUNK", 4)
    texts = [f"text {i}" for i in range(10)]
    killed = FakeEmbedder(fail_after=2)
    with pytest.raises(KeyboardInterrupt):
        store.ensure(killed, texts)
    resumed = FakeEmbedder()
    store.ensure(resumed, texts)
    assert len(killed.asked) == 8
    assert sorted(killed.asked + resumed.asked) == texts


def test_a_damaged_vector_is_computed_again(store: VectorStore) -> None:
    store.ensure(FakeEmbedder(), ["a", "b", "c"])
    query(store, "UPDATE vectors SET vector = substr(vector, 1, 7) WHERE rowid = 2")
    embedder = FakeEmbedder()
    found = store.ensure(embedder, ["a", "b", "c"])
    assert len(embedder.asked) == 1
    assert all(np.array_equal(found[text], vector(text)) for text in "abc")
    assert query(store, "SELECT DISTINCT length(vector) FROM vectors") == [(20,)]


@pytest.mark.parametrize("damage", [np.nan, np.inf, -np.inf])
def test_a_vector_that_is_not_finite_is_computed_again(store: VectorStore, damage: float) -> None:
    store.ensure(FakeEmbedder(), ["a", "b", "c"])
    blob = np.full(5, damage, "<f4").tobytes().hex()
    query(store, f"UPDATE vectors SET vector = x'{blob}' WHERE rowid = 2")
    embedder = FakeEmbedder()
    found = store.ensure(embedder, ["a", "b", "c"])
    assert len(embedder.asked) == 1
    assert all(np.array_equal(found[text], vector(text)) for text in "abc")


@pytest.mark.parametrize("damage", ["'a text of twenty lett'", "x''", "12345"])
def test_what_is_no_vector_is_computed_again(store: VectorStore, damage: str) -> None:
    store.ensure(FakeEmbedder(), ["a"])
    query(store, f"UPDATE vectors SET vector = {damage}")
    assert np.array_equal(store.ensure(FakeEmbedder(), ["a"])["a"], vector("a"))


def test_lone_surrogates_and_their_pairs_are_texts_of_their_own(store: VectorStore) -> None:
    texts = ["\ud83d", "\udcff tail", "\ud83d\ude00", "\U0001f600", "\x00", ""]
    embedder = FakeEmbedder()
    np.testing.assert_array_equal(
        StoredEmbedder(store, embedder).embed(texts), np.stack([vector(text) for text in texts])
    )
    StoredEmbedder(store, Unloadable()).embed(texts)
    assert query(store, "SELECT COUNT(*) FROM vectors") == [(6,)]


def test_processes_that_fill_one_new_store_at_once(store: VectorStore) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(4)
    processes = [context.Process(target=fill, args=(store.path, seed, barrier)) for seed in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert query(store, "PRAGMA integrity_check") == [("ok",)]
    assert query(store, "PRAGMA journal_mode") == [("wal",)]
    found = store.vectors("fake", [f"text {i}" for i in range(200)])
    assert len(found) == 200
    assert all(np.array_equal(found[text], vector(text)) for text in found)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_vectors_that_are_not_finite_are_refused(store: VectorStore, value: float) -> None:
    class Broken(FakeEmbedder):
        def encode(self, texts: Sequence[str]) -> np.ndarray:
            return np.array([[1.0, value]] * len(texts), np.float32)

    with pytest.raises(BenchError, match="'fake'"):
        store.ensure(Broken(), ["a"])
    assert store.vectors("fake", ["a"]) == {}


def test_too_few_vectors_are_refused(store: VectorStore) -> None:
    class Short(FakeEmbedder):
        def encode(self, texts: Sequence[str]) -> np.ndarray:
            return np.ones((1, 2), np.float32)

    with pytest.raises(BenchError, match="1 vectors for 2 texts"):
        store.ensure(Short(), ["a", "b"])


def test_one_name_with_other_dimensions_is_refused(store: VectorStore) -> None:
    store.ensure(FakeEmbedder(dimensions=5), ["a"])
    with pytest.raises(BenchError, match=r"has 5 dimensions, now 6"):
        store.ensure(FakeEmbedder(dimensions=6), ["b"])


@pytest.mark.parametrize("content", [b"", b"this is no database, whatever its name may be" * 50])
def test_a_file_that_is_no_store_is_named_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "vectors.sqlite"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"vectors\.sqlite cannot be used: .*delete it") as caught:
        VectorStore(path).ensure(FakeEmbedder(), ["a"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.97])
def test_a_truncated_store_is_named_and_computed_again_once_deleted(store: VectorStore, share: float) -> None:
    texts = [f"text {i}" for i in range(600)]
    store.ensure(FakeEmbedder(), texts)
    query(store, "PRAGMA wal_checkpoint(TRUNCATE)")
    store.path.write_bytes(store.path.read_bytes()[: int(share * store.path.stat().st_size)])
    with pytest.raises(UserError, match=r"vectors\.sqlite cannot be used: .*delete it") as caught:
        store.ensure(FakeEmbedder(), texts)
    assert "\n" not in str(caught.value)
    for file in store.path.parent.iterdir():
        file.unlink()
    assert len(store.ensure(FakeEmbedder(), texts)) == 600


def test_a_locked_store_is_named(store: VectorStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.ensure(FakeEmbedder(), ["a"])
    monkeypatch.setattr(bench.record.sqlite, "WAIT", 0.1)
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(
            UserError, match=r"vectors\.sqlite cannot be used: database is locked; another program holds it"
        ):
            store.ensure(FakeEmbedder(), ["b"])
    assert list(store.ensure(FakeEmbedder(), ["a", "b"])) == ["a", "b"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="vector store"):
        VectorStore(tmp_path / "file" / "vectors.sqlite").vectors("fake", ["a"])


def test_creating_leaves_nothing_but_the_store(store: VectorStore) -> None:
    store.ensure(FakeEmbedder(), ["a"])
    assert [path.name for path in store.path.parent.iterdir()] == ["vectors.sqlite"]


def test_no_text(store: VectorStore) -> None:
    assert StoredEmbedder(store, Unloadable()).embed([]).shape == (0, 0)
    assert store.ensure(Unloadable(), []) == {}


def test_a_process_that_computes_nothing_waits_for_the_one_that_does(store: VectorStore) -> None:
    idle, busy = FakeEmbedder(), FakeEmbedder()
    waiting = AwaitedVectors(store, idle, pause=0.01)
    texts = ["b", "a", "b"]
    with ThreadPoolExecutor(1) as other:
        found = other.submit(waiting.embed, texts)
        store.ensure(busy, ["a"])
        time.sleep(0.05)
        assert not found.done()
        store.ensure(busy, ["b", "c"])
        assert found.result(10).tobytes() == np.stack([vector(text) for text in texts]).tobytes()
    assert idle.calls == []
    assert waiting.embed([]).shape == (0, 0)
