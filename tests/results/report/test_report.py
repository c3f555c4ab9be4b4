"""The report in a real web browser, opened as a file: hostile texts stay texts, and 4,000 samples stay fast."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bench import registry
from bench.record import runs
from results.report import browser, report
from results.report.browser import Samples
from results.tables.finished_runs import find_finished
from tests import fakes
from tests.fakes import World, bench
from tests.results import valid

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine (Debian package chromium)")

HOSTILE = (
    "</script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\"> & \u2028 素晴らしい"
)


def dom(page: Path, view: str = "") -> str:
    """The page as the browser has it after its scripts ran."""
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1400,1000",
        "--virtual-time-budget=15000", f"--user-data-dir={page.parent / 'chromium'}", "--dump-dom",
        f"{page.as_uri()}{view}",
    ]  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return run.stdout


def listed(html: str) -> list[str]:
    return re.findall(r'<div class="what"><b>([^<]*)</b>', html)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Two finished methods on hostile reviews: every reference, history and peer holds an attack."""
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", fakes.FAKE)
    plain = fakes.tables()
    for table, key in (("reviews", "text"), ("reviews", "title"), ("items", "title"), ("items", "description")):
        for row in plain[table]:
            row[key] = f"{row[key]} {HOSTILE}"
    monkeypatch.setattr(fakes, "tables", lambda: plain)
    world = World(tmp_path)
    assert world.run("--set", "input_budget=5000", method="nonperso,rag") == 0
    for folder in world.folders().values():
        rows = list(folder.rows(runs.SAMPLES))
        rows[0]["text"] = f"secret {HOSTILE}"
        folder.write_rows(runs.SAMPLES, rows)
    return world


def unpacked(block: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(gzip.decompress(base64.b64decode(block)))
    return found


def test_the_data_holds_prompts_history_peers_and_texts(world: World) -> None:
    (samples,) = browser.collect(find_finished([world.out]), prompts=True)
    assert samples.index["runs"] == ["Non-Perso", "RAG"]
    assert [entry[0] for entry in samples.index["samples"]] == [row["sample_id"] for row in rows_of(world)]
    details = [one for block in samples.blocks for one in unpacked(block)]
    first = details[0]
    assert first["reference"].startswith("xylophonic secret of u0")
    assert [review["id"] for review in first["history"]] == ["Books/u0/r3", "Books/u0/r2"]  # K = 2
    assert first["runs"][1]["retrieved"] == ["Books/u0/r3", "Books/u0/r2"]
    assert [stage for stage, _, _ in first["runs"][1]["prompts"]] == ["review"]
    assert "[Review Text]: u0 wrote this as number 3" in first["runs"][1]["prompts"][0][2]
    assert all(len(review["peers"]) <= browser.PEERS for one in details for review in one["history"])
    assert any(review["peers"] for one in details for review in one["history"])
    scored = samples.index["scores"][0]
    assert scored["rouge1"] == [round(row["rouge"]["rouge1"], 4) for row in scores_of(world)]
    assert len(scored["bleu"]) == 6
    (bare,) = browser.collect(find_finished([world.out]), prompts=False)
    assert unpacked(bare.blocks[0])[0]["runs"][1]["prompts"] == []


def rows_of(world: World) -> list[dict[str, Any]]:
    return list(world.folders()["data-nonperso-seed0"].rows(runs.SAMPLES))


def scores_of(world: World) -> list[dict[str, Any]]:
    return list(world.folders()["data-nonperso-seed0"].rows(runs.SCORES))


def test_no_text_ends_a_script(world: World, tmp_path: Path) -> None:
    report.write(find_finished([world.out]), tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text("utf-8")
    assert page.count("<script") == page.count("</script>") == 3  # index, one block, ours
    assert HOSTILE not in page
    valid.document(page)
    assert "http://" not in page.replace("http://www.w3.org", "") and "https://" not in page


@needs_browser
def test_a_sample_in_the_browser(world: World, tmp_path: Path) -> None:
    assert bench("report", world.out, "--to", tmp_path / "r.html", "--baseline", "nonperso") == 0
    html = dom(tmp_path / "r.html", "#sample=Books%2Fu0%2Fr4")
    assert "<title>dep-bench report</title>" in html
    valid.document(html)
    body = html[html.index('id="detail"') : html.index("</main>")]
    assert "xylophonic <mark>secret</mark> of u0 &lt;/<mark>script</mark>&gt;" in body
    assert "<img" not in body and "<script" not in body
    assert "<summary>prompt of stage review</summary>" in body
    assert "retrieved by RAG" in body
    assert "wrote this as number" in body
    assert body.count('class="written') == 2
    assert "R-1 0." in body and "BL. " in body


@needs_browser
def test_thousands_of_samples_are_listed_filtered_and_sorted(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n = 4000
    entries = [
        [f"s{i}", "Books" if i % 2 else "Films", f"u{i}", f"item {i}", 5.0, "t", i % 40, "it was"] for i in range(n)
    ]
    value = [((i * 7919) % n) / n for i in range(n)]
    index = {
        "title": "many", "synthetic": True, "block": 20, "runs": ["A", "B"],
        "columns": [{"key": "rouge1", "label": "R-1", "digits": 4}], "samples": entries,
        "scores": [{"rouge1": value}, {"rouge1": [None] * n}],
    }  # fmt: skip
    run = {"text": "long " * 300, "error": None, "retrieved": [], "prompts": [["review", "system", "prompt " * 900]]}
    detail = {"reference": "real " * 300, "item": "i", "description": "d", "history": [], "runs": [run, run]}
    block = browser._packed([detail] * 20)
    monkeypatch.setattr(browser, "collect", lambda found, prompts: [Samples(index, (block,) * (n // 20))])
    report.write(find_finished([world.out]), tmp_path / "many.html", unique=False)

    html = dom(tmp_path / "many.html")
    assert "4000 of 4000 samples" in html
    assert 10 < len(listed(html)) < 60  # only what can be seen
    assert listed(html)[0] == "5★ item 0"
    html = dom(tmp_path / "many.html", "#sort=0&descending=1&category=Books&sample=s3999")
    assert "2000 of 4000 samples" in html
    assert "prompt of stage review" in html
    html = dom(tmp_path / "many.html", "#sort=0&descending=1&search=item+12")
    found = [i for i in range(n) if "12" in str(i)]
    assert f"{len(found)} of 4000 samples" in html
    assert listed(html)[0] == f"5★ item {max(found, key=lambda i: value[i])}"
    assert "1000 of 4000 samples" in dom(tmp_path / "many.html", "#sort=0&least=0.75")
