"""Files of predictions: what names a sample, what is refused, in one line with counts, what the options let pass."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.data.corpus import load
from bench.errors import UserError
from bench.exchange.predictions import ONE_A_LINE, Predictions, Rules, read
from tests.exchange.elsewhere import bring_in, save
from tests.fakes import World

FINGERPRINT = load("bundled").fingerprint
LINES = [
    {"sample_id": f"{category}/u{u}/r4", "text": f"text of {category} {u}"}
    for category in ("Books", "Films")
    for u in range(3)
]


def lines(*rows: dict[str, Any]) -> bytes:
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def changed(place: int, **values: Any) -> bytes:
    return lines(*LINES[:place], {**LINES[place], **values}, *LINES[place + 1 :])


# name -> (the file, the one line that is said of it, with "FILE" for its path)
WRONG: dict[str, tuple[bytes, str]] = {
    "empty": (b"\n\n", f"FILE is empty; {ONE_A_LINE}"),
    "not JSON": (
        lines(*LINES[:2]) + b'{"sample_id": "x",, \nnull\n',
        "FILE: 2 of 4 lines cannot be read, first line 3: not JSON (Expecting property name enclosed in double quotes "
        f'at column 19): \'{{"sample_id": "x",,\'; {ONE_A_LINE}, in UTF-8',
    ),
    "Latin-1": (
        lines(LINES[0]) + '{"sample_id": "Books/u1/r4", "text": "café"}\n'.encode("latin-1"),
        f"FILE: 1 of 2 lines cannot be read, first line 2: byte 0xe9 is no UTF-8; {ONE_A_LINE}, in UTF-8",
    ),
    "UTF-16": (
        lines(*LINES).decode().encode("utf-16"),
        "FILE is UTF-16, and JSON lines are UTF-8; save it as UTF-8",
    ),
    "no text": (
        lines(*LINES[:1], *({"sample_id": one["sample_id"], "answer": "x"} for one in LINES[1:])),
        "FILE: 5 of 6 lines have no text, first line 2: it has sample_id, answer; give text as a string; leave failed "
        "samples out: --allow-missing",
    ),
    "text is no string": (
        changed(3, text=None),
        "FILE: 1 of 6 lines have no text, first line 4: text is None; give text as a string; leave failed samples out: "
        "--allow-missing",
    ),
    "no id": (
        lines({"user_id": "u0", "text": "x"}, *LINES),
        "FILE: 1 of 7 lines name no sample, first line 1: it has user_id, text; give sample_id, or user_id and item_id",
    ),
    "other data, by fingerprint": (
        lines(*({**one, "fingerprint": FINGERPRINT} for one in LINES)),
        f"FILE: 6 of 6 lines are of other data than 'toy', first line 1: fingerprint {FINGERPRINT[:12]}, not TOY; name "
        "the data that the samples were exported from by --data, or export them again",
    ),
    "other data, by ids": (
        lines(*({**one, "sample_id": f"Coffee/{n}"} for n, one in enumerate(LINES))),
        "FILE: 6 of 6 lines are of samples that data 'toy' does not have, first line 1: 'Coffee/0'; name the data that "
        "they were made for by --data",
    ),
    "unknown id": (
        lines(*LINES, {"user_id": "u9", "item_id": 7, "text": "x"}),
        "FILE: 1 of 7 lines are of samples that data 'toy' does not have, first line 7: user 'u9', item '7'; correct "
        "the ids, or add --ignore-unknown to leave these lines out",
    ),
    "another split": (
        lines(*LINES, {"sample_id": "Books/u0/r3", "text": "x"}),
        "FILE: 1 of 7 lines are of other samples of the data than those that are imported, first line 7: 'Books/u0/r3',"
        " of split val; give the --split, --limit and --limit-seed of the export, or add --ignore-unknown",
    ),
    "ambiguous": (
        lines({"user_id": "u0", "item_id": "i4", "text": "x"}, *LINES[1:]),
        "FILE: 1 of 6 lines name several samples, first line 1: user 'u0', item 'i4' is Books/u0/r4, Films/u0/r4; give "
        "category, or sample_id",
    ),
    "double": (
        lines(*LINES, LINES[2], LINES[4]),
        "FILE: 2 of 8 lines give a sample a second text, first line 7: Books/u2/r4; keep one of them, or add --last",
    ),
    "missing": (
        lines(*LINES[:1], *LINES[3:]),
        "FILE: 2 of 6 samples have no text, first 'Books/u1/r4'; add --allow-missing to count them as failed (score "
        "0), or import with the --split and --limit of the export",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_refused_by_one_line_and_leaves_no_run(
    name: str, world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    content, line = WRONG[name]
    file = world.path / "theirs.jsonl"
    file.write_bytes(content)
    assert bring_in(world, file) == 2
    toy = load(str(world.data)).fingerprint
    assert capfd.readouterr().err == f"bench: {line.replace('FILE', str(file)).replace('TOY', toy[:12])}\n"
    assert not world.folders()


@pytest.fixture
def reading(world: World) -> Callable[..., Predictions]:
    corpus = load(str(world.data))

    def of(rows: list[dict[str, Any]], **rules: bool) -> Predictions:
        return read(save(world.path / "theirs.jsonl", rows), corpus.samples("test"), corpus, Rules(**rules))

    return of


def test_texts_come_in_the_samples_order_whatever_the_files(reading: Callable[..., Predictions]) -> None:
    found = reading(LINES[::-1])
    assert list(found.texts.items()) == [(one["sample_id"], one["text"]) for one in LINES]
    assert (found.missing, found.unknown, found.doubles) == (0, 0, 0)


def test_user_and_item_name_a_sample_with_the_category_where_ids_repeat(reading: Callable[..., Predictions]) -> None:
    """User u of the toy data reviews item (u + 4) mod 5 last."""
    rows = [
        {"category": category, "user_id": f"u{u}", "item_id": f"i{(u + 4) % 5}", "text": f"text of {category} {u}"}
        for category in ("Books", "Films")
        for u in range(3)
    ]
    assert reading(rows).texts == reading(LINES).texts


def test_the_options_let_pass_what_they_name_and_count_it(reading: Callable[..., Predictions]) -> None:
    odd = [*LINES[1:], {"sample_id": "Books/u0/r3", "text": "val"}, {"sample_id": "x", "text": "y"}]
    again = {**LINES[5], "text": "better"}
    found = reading([*odd, again], allow_missing=True, ignore_unknown=True, last=True)
    assert (found.missing, found.unknown, found.doubles) == (1, 2, 1)
    assert found.texts["Books/u0/r4"] is None and found.texts["Films/u2/r4"] == "better"
    for left_out in ("allow_missing", "ignore_unknown", "last"):
        rules = {"allow_missing": True, "ignore_unknown": True, "last": True, left_out: False}
        with pytest.raises(UserError):
            reading([*odd, again], **rules)


def test_lines_of_other_data_alone_are_never_let_pass(reading: Callable[..., Predictions]) -> None:
    with pytest.raises(UserError, match="name the data that they were made for"):
        reading([{"sample_id": "x", "text": "y"}], ignore_unknown=True, allow_missing=True)


def test_packed_files_byte_order_marks_and_odd_texts_are_read(world: World) -> None:
    corpus = load(str(world.data))
    texts = ["", "half of a pair \ud83d", "line\nbreak \u2028 素", "<b>", "null", " "]
    rows = [{**one, "text": text} for one, text in zip(LINES, texts, strict=True)]
    packed = world.path / "theirs.jsonl.gz"
    packed.write_bytes(gzip.compress(b"\xef\xbb\xbf" + lines(*rows)))
    found = read(packed, corpus.samples("test"), corpus, Rules())
    assert list(found.texts.values()) == texts


def test_a_folder_and_a_missing_file_are_named(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    assert bring_in(world, world.path) == 2
    assert capfd.readouterr().err == f"bench: {world.path} is a folder, not a file; name a file of JSON lines\n"
    absent = Path(world.path / "absent.jsonl")
    assert bring_in(world, absent) == 2
    assert capfd.readouterr().err == f"bench: {absent} does not exist; check the path\n"
