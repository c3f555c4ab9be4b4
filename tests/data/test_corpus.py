from __future__ import annotations

import gzip
import hashlib
from collections import Counter
from pathlib import Path

import pytest

from bench.data import corpus
from bench.data.corpus import Corpus, load
from bench.errors import UserError
from bench.types import Item, Review, Sample, Split
from tests.data.toy import toy_tables, write_toy


@pytest.fixture
def toy(tmp_path: Path) -> Corpus:
    return load(str(write_toy(tmp_path / "toy")))


@pytest.fixture(scope="module")
def bundled() -> Corpus:
    return load("bundled")


def every_review(found: Corpus) -> dict[str, Review]:
    return {past.review_id: past for s in everything(found) for past in s.history}


def everything(found: Corpus) -> list[Sample]:
    return [sample for split in ("train", "val", "test") for sample in found.samples(split)]


def ids(reviews: tuple[Review, ...]) -> list[str]:
    return [review.review_id for review in reviews]


def test_a_sample_is_its_target_without_the_text(toy: Corpus) -> None:
    sample = toy.samples("test")[0]
    assert (sample.sample_id, sample.user_id, sample.timestamp) == ("test:A/ann/i3", "ann", 40)
    assert sample.item == Item("A", "i3", "A i3")
    assert ids(sample.history) == ["A/ann/i2", "A/ann/i1"]
    assert toy.reference(sample.sample_id) == "ann wrote on i3 of A"
    assert "ann wrote on i3 of A" not in repr(sample)
    assert "wrote on" not in repr(toy)


def test_peers_are_other_users_of_the_same_category_and_no_target(toy: Corpus) -> None:
    reviews = every_review(toy)
    # bob's review of A/i1 is his test target; B's i1 is another item, whose reviewers are ann and a target of bob.
    assert ids(toy.peers(reviews["A/ann/i1"])) == ["A/cid/i1"]
    # ann's A/i2 is her val target.
    assert ids(toy.peers(reviews["A/bob/i2"])) == ["A/cid/i2"]
    # ann's A/i3 is her test target: nobody is left. A train target (bob's) would be a peer.
    assert ids(toy.peers(reviews["A/bob/i3"])) == []
    ann = Review("x", "ann", toy.samples("test")[0].item, 1.0, "", "")
    assert ids(toy.peers(ann)) == ["A/bob/i3"]


def test_peers_before_a_time_are_strictly_older_and_have_one(toy: Corpus) -> None:
    reviews = every_review(toy)
    assert ids(toy.peers(reviews["A/ann/i1"], before=16)) == ["A/cid/i1"]
    assert ids(toy.peers(reviews["A/ann/i1"], before=15)) == []
    assert ids(toy.peers(reviews["A/bob/i2"], before=10**15)) == []  # cid's has no time


def test_peers_come_by_user_id_whatever_the_file_order(tmp_path: Path) -> None:
    tables = toy_tables()
    extra = [dict(tables["reviews"][6], review_id=f"A/{user}/i1", user_id=user) for user in ("zoe", "abe", "mia")]
    tables["reviews"] = [*extra, *tables["reviews"]]
    found = load(str(write_toy(tmp_path, tables)))
    peers = found.peers(every_review(found)["A/ann/i1"])
    assert [peer.user_id for peer in peers] == ["abe", "cid", "mia", "zoe"]


def test_no_peer_of_the_bundled_corpus_is_a_held_out_target(bundled: Corpus) -> None:
    held_out = {(s.category, s.user_id, s.item.item_id) for s in everything(bundled) if s.split != "train"}
    for review in every_review(bundled).values():
        for peer in bundled.peers(review):
            assert peer.item == review.item
            assert peer.user_id != review.user_id
            assert (peer.category, peer.user_id, peer.item.item_id) not in held_out


def test_what_a_user_wrote_is_without_held_out_targets(toy: Corpus) -> None:
    # ann's A/i2 and A/i3 are her val and test targets, bob's A/i1 a test target; his A/i2 and A/i3 are train targets.
    assert ids(toy.reviews_of("A", "ann")) == ["A/ann/i1"]
    assert ids(toy.reviews_of("A", "bob")) == ["A/bob/i2", "A/bob/i3"]
    assert ids(toy.reviews_of("B", "ann")) == ["B/ann/i1"]
    assert ids(toy.reviews_of("B", "cid")) == ids(toy.reviews_of("A", "nobody")) == []


def test_what_a_user_wrote_before_a_time_is_strictly_older_and_has_one(toy: Corpus) -> None:
    assert ids(toy.reviews_of("A", "bob", before=20)) == ["A/bob/i3"]
    assert ids(toy.reviews_of("A", "cid", before=10**15)) == ["A/cid/i1"]  # the other has no time


def test_what_users_of_the_bundled_corpus_wrote_holds_no_held_out_target(bundled: Corpus) -> None:
    held_out = {(s.category, s.user_id, s.item.item_id) for s in everything(bundled) if s.split != "train"}
    for category, user in {(s.category, s.user_id) for s in everything(bundled)}:
        found = bundled.reviews_of(category, user)
        assert {(r.category, r.user_id) for r in found} <= {(category, user)}
        assert not held_out & {(category, user, r.item.item_id) for r in found}


def test_training_samples_are_the_most_recent_of_each_user(toy: Corpus, bundled: Corpus) -> None:
    assert [sample.sample_id for sample in toy.training_samples()] == ["train:A/bob/i2"]
    newest: dict[tuple[str, str], int] = {}
    for sample in bundled.samples("train"):
        user = (sample.category, sample.user_id)
        newest[user] = max(newest.get(user, 0), sample.timestamp or 0)
    assert {(s.category, s.user_id): s.timestamp for s in bundled.training_samples()} == newest


def test_training_samples_without_times_have_the_longest_history(tmp_path: Path) -> None:
    tables = toy_tables()
    for row in tables["reviews"]:
        row["timestamp"] = None
    tables["samples"].reverse()
    found = load(str(write_toy(tmp_path, tables)))
    assert [sample.sample_id for sample in found.training_samples()] == ["train:A/bob/i2"]


@pytest.mark.parametrize("split", ["train", "test"])
def test_limits_are_exact_nested_and_in_corpus_order(bundled: Corpus, split: Split) -> None:
    whole = [sample.sample_id for sample in bundled.samples(split)]
    smaller: set[str] = set()
    for limit in (1, 2, 3, 7, 20, 50, len(whole), len(whole) + 10):
        drawn = [sample.sample_id for sample in bundled.samples(split, limit=limit)]
        assert len(drawn) == min(limit, len(whole))
        assert drawn == [sample_id for sample_id in whole if sample_id in drawn]
        assert smaller <= set(drawn)
        smaller = set(drawn)
    assert smaller == set(whole)


@pytest.mark.parametrize("limit", [3, 10, 20, 60])
def test_limits_are_balanced_over_categories_and_keep_users_together(bundled: Corpus, limit: int) -> None:
    drawn = bundled.samples("train", limit=limit)
    per_category = Counter(sample.category for sample in drawn)
    assert max(per_category.values()) - min(per_category.values()) <= 1
    available = Counter((s.category, s.user_id) for s in bundled.samples("train"))
    taken = Counter((s.category, s.user_id) for s in drawn)
    for category in bundled.categories:
        cut = [user for user in taken if user[0] == category and taken[user] < available[user]]
        assert len(cut) <= 1


def test_a_limit_follows_the_documented_order_of_users(bundled: Corpus) -> None:
    def rank(sample: Sample) -> str:
        return hashlib.sha256(f'[7, "{sample.category}", "{sample.user_id}"]'.encode()).hexdigest()

    first = {min((s for s in bundled.samples("test") if s.category == c), key=rank) for c in bundled.categories}
    assert set(bundled.samples("test", limit=3, limit_seed=7)) == first
    assert bundled.samples("test", limit=20, limit_seed=8) != bundled.samples("test", limit=20, limit_seed=7)


def test_bad_arguments_are_one_line(toy: Corpus) -> None:
    with pytest.raises(UserError, match="limit=0 leaves no sample"):
        toy.samples("test", limit=0)
    with pytest.raises(UserError, match="no split 'tests'; did you mean 'test'"):
        toy.samples("tests")  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"no data 'bundeld'; did you mean 'bundled'.*`bench data build`"):
        load("bundeld")


def test_categories_without_shared_items_are_named(tmp_path: Path, toy: Corpus) -> None:
    assert toy.without_peers() == ["B"]  # ann's and bob's i1 in B: bob's is a target
    assert {review.review_id for review in toy.reviews()} == {row["review_id"] for row in toy_tables()["reviews"]}
    assert toy.target("test:A/ann/i3").text == toy.reference("test:A/ann/i3")


def test_packed_tables_are_the_same_corpus(tmp_path: Path) -> None:
    plain = load(str(write_toy(tmp_path / "plain")))
    folder = write_toy(tmp_path / "packed")
    for table in ("items", "reviews", "samples"):
        path = folder / f"{table}.jsonl"
        (folder / f"{table}.jsonl.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    packed = load(str(folder))
    assert packed == plain
    assert packed.fingerprint == plain.fingerprint


def test_the_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    folder = write_toy(tmp_path)
    digest = hashlib.sha256()
    for table in ("items", "reviews", "samples"):
        digest.update(f"{table}\n".encode() + (folder / f"{table}.jsonl").read_bytes())
    assert load(str(folder)).fingerprint == digest.hexdigest()


def test_available_names_the_bundled_corpus() -> None:
    assert "synthetic" in corpus.available()["bundled"]
