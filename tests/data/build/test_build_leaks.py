"""By default no target of a build can be copied: `bench data validate` finds nothing wrong with it."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.data.build.pipeline import build
from bench.data.build.report import BuildReport
from bench.data.build.rules import Rules
from bench.data.corpus import load
from bench.data.validate import validate
from bench.errors import UserError
from tests.data.toy import Row, meta, raw, write_lines

LOOSE = Rules(
    min_chars=1, min_description=0, min_user_reviews=3, min_item_users=1,
    train_inputs=1, min_profile_item_users=1, min_profile_reviews=1,
)  # fmt: skip
LONG = "These are more than forty characters, so that chance is out."
STEP = "targets that no method can copy"


def run(folder: Path, rows: list[Row], rules: Rules = LOOSE) -> BuildReport:
    reviews = [write_lines(folder / "reviews.jsonl", rows)]
    items = [write_lines(folder / "meta.jsonl", [meta(item) for item in "abcdef"])]
    return build(reviews=reviews, meta=items, category="Toys", out=folder / "out", rules=rules)


def rows(**texts: str) -> list[Row]:
    """ann, bob and cid reviewed a to e, in this order; `ann_e` is a text of another kind than user and item."""
    return [
        raw(user, item, 100 * n, texts.get(f"{user}_{item}", ""))
        for user in ("ann", "bob", "cid")
        for n, item in enumerate("abcde", 1)
    ]


@pytest.mark.parametrize(
    ("texts", "dropped"),
    [
        ({"ann_e": LONG, "ann_b": f"Before. {LONG.upper()}  After"}, ["Toys/ann/e"]),  # in the profile
        ({"ann_e": LONG, "ann_d": f"{LONG} And more."}, ["Toys/ann/e"]),  # in an older target
        ({"ann_c": LONG, "ann_e": f"{LONG} And more."}, []),  # the newer one holds the older: nobody reads it
        ({"ann_e": LONG, "bob_a": LONG}, ["Toys/ann/e"]),  # a peer's on an item of the history
        ({"ann_e": LONG, "bob_c": LONG}, ["Toys/ann/e", "Toys/bob/c"]),  # two targets; train targets are peers' too
        ({"ann_e": LONG, "bob_e": LONG}, []),  # a held-out target is nobody's peer
        ({"ann_e": LONG[:39], "ann_b": LONG[:39] + "."}, []),  # short texts are alike by chance
    ],
)
def test_a_target_in_a_text_that_its_method_may_read_is_dropped(
    tmp_path: Path, texts: dict[str, str], dropped: list[str]
) -> None:
    if texts.get("bob_c") == LONG:
        texts = {**texts, "ann_a": f"{LONG} Once more."}
    report = run(tmp_path, rows(**texts))
    before, after = report.steps[-2:]
    assert (after.step, before.reviews - after.reviews) == (STEP, len(dropped))
    assert validate(str(report.out))[1] == []
    corpus = load(str(report.out))
    left = {review.review_id for review in corpus.reviews()}
    assert {f"Toys/{user}/{item}" for user in ("ann", "bob", "cid") for item in "abcde"} - left == set(dropped)
    noted = f"targets left out: {len(dropped)} whose text is in their own history or in a peer's review"
    assert (noted in report.notes) == bool(dropped)


def test_without_the_rule_they_stay_and_validate_says_so(tmp_path: Path) -> None:
    report = run(tmp_path, rows(ann_e=LONG, ann_b=f"{LONG} More."), replace(LOOSE, drop_leaked=False))
    assert STEP not in [step.step for step in report.steps]
    assert [finding.what for finding in validate(str(report.out))[1]] == ["a target's text is in its own history"]


def test_all_other_samples_are_as_before(tmp_path: Path) -> None:
    texts = {"ann_e": LONG, "bob_a": LONG}
    (tmp_path / "all").mkdir()
    everything = load(str(run(tmp_path / "all", rows(**texts), replace(LOOSE, drop_leaked=False)).out))
    clean = load(str(run(tmp_path, rows(**texts)).out))
    for split in ("train", "val", "test"):
        kept = [one for one in everything.samples(split) if one.sample_id != "Toys/ann/e"]  # type: ignore[arg-type]
        assert clean.samples(split) == kept  # type: ignore[arg-type]


def test_targets_that_are_all_copies_are_refused(tmp_path: Path) -> None:
    copies = [raw("ann", item, 100 * n, f"{LONG}{'.' * (6 - n)}") for n, item in enumerate("abcde", 1)]
    with pytest.raises(UserError, match="the texts of all 3 targets are in their history or in peers' reviews; check"):
        run(tmp_path, copies)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_copied_a_default_build_validates(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    texts = [f"{LONG} {word}" for word in ("straße", "STRASSE", "很好", "x", "more of it", "")]
    texts += [text.upper() for text in texts] + [f"so {text}  and so on" for text in texts]
    found: list[Any] = [
        raw(f"u{user}", item, rng.randrange(9), rng.choice([*texts, ""])) for user in range(8) for item in "abcdef"
    ]
    report = run(tmp_path, found)
    assert report.steps[-1].reviews < report.steps[-2].reviews
    assert validate(str(report.out))[1] == []
